-- How far the read models have come: each shard in its journal, each ledger in its events.

-- Two small tables that every page updates in place, so their pages keep room for that. `digest` is the SHA-256 of the
-- event at `position`: a journal that was restored from before it has none such.
create table {schema}.checkpoints (
    shard int primary key,
    position bigint not null,
    digest bytea not null
) with (fillfactor = 10);

create table {schema}.ledgers (
    ledger text collate "C" primary key,
    shard int not null,
    sequence bigint not null,
    at timestamptz not null
) with (fillfactor = 50);

-- The times of a ledger: a row only where the time changes. The time of any event is that of the last row up to it.
create table {schema}.moments (
    ledger text collate "C",
    sequence bigint,
    at timestamptz not null,
    primary key (ledger, sequence)
) with (autovacuum_vacuum_insert_threshold = 100000);

create index moments_at on {schema}.moments (ledger, at, sequence);
