-- The alarm of the house: what left accounts and what arrived, per unit. The two are equal, or something is very wrong.

-- A sum over accounts may be larger than any one of them can be, and than bigint holds: hence numeric, of whole numbers.
create table {schema}.trial_balance (
    ledger text collate "C",
    unit text collate "C",
    debits numeric(38, 0) not null,
    credits numeric(38, 0) not null,
    balance numeric(38, 0) generated always as (credits - debits) stored,
    primary key (ledger, unit)
) with (fillfactor = 50);
