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
