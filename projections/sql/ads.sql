-- Offers to take `base` and give `quote`. `taken` is the base that all exchanges took together, and may be more than bigint holds.

create table {schema}.ads (
    ledger text collate "C",
    ad text collate "C",
    account text collate "C" not null,
    base text collate "C" not null,
    quote text collate "C" not null,
    rate text not null,
    "limit" bigint,
    taken numeric(38, 0) not null default 0,
    state text not null default 'open' check (state in ('open', 'withdrawn')),
    sequence bigint not null,
    changed bigint not null,
    primary key (ledger, ad)
) with (fillfactor = 70);
