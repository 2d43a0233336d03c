-- One shard: its events, the ids that have an outcome in it, its place. Run once for each shard, with its number for {shard}.

-- The recorder's own table: a ledger is an originator, a sequence its version, a position a notification id.
create table journal.shard_{shard}_events (
    originator_id uuid not null,
    originator_version bigint not null,
    topic text not null,
    state bytea not null,
    notification_id bigserial,
    primary key (originator_id, originator_version)
) with (
    autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_freeze_min_age = 0,
    autovacuum_analyze_threshold = 100000
);

-- Positions only grow, so the pages of their index need no room for what comes between.
create unique index shard_{shard}_events_notification_id_idx on journal.shard_{shard}_events (notification_id) with (fillfactor = 100);

-- Keys and fingerprints have 16 bytes, and uuid is the type that stores and compares 16 bytes best.
create table journal.shard_{shard}_ids (
    key uuid primary key,
    fingerprint uuid not null,
    originator_id uuid not null,
    sequence bigint not null,
    reverses bigint
) with (
    autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_freeze_min_age = 0,
    autovacuum_analyze_threshold = 100000
);

create index shard_{shard}_ids_reverses_idx on journal.shard_{shard}_ids (originator_id, reverses) where reverses is not null;

insert into journal.offsets (shard) values ({shard});

create trigger append_only before update or delete or truncate on journal.shard_{shard}_events
    for each statement execute function journal.refuse();
alter table journal.shard_{shard}_events enable always trigger append_only;
create trigger append_only before update or delete or truncate on journal.shard_{shard}_ids
    for each statement execute function journal.refuse();
alter table journal.shard_{shard}_ids enable always trigger append_only;

grant select on journal.shard_{shard}_events, journal.shard_{shard}_ids
    to defter_writer, defter_publisher, defter_projector, defter_reader;
grant insert on journal.shard_{shard}_events, journal.shard_{shard}_ids to defter_writer;
grant usage on sequence journal.shard_{shard}_events_notification_id_seq to defter_writer;
