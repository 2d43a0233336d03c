-- What may be counted, and where the point stands.

create table {schema}.units (
    ledger text collate "C",
    unit text collate "C",
    scale int not null,
    name text,
    sequence bigint not null,
    primary key (ledger, unit)
);
