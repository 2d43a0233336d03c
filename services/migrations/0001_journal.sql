-- What all shards of one database share.

create schema if not exists journal;

create function journal.refuse() returns trigger language plpgsql as $$
begin
    raise exception 'nothing in the journal is ever changed or deleted: % of %.% is refused', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

-- The one installation that this database serves. Written by setup alone.
create table journal.installation (
    one_row boolean primary key default true check (one_row),
    prefix text not null,
    partitions int not null check (partitions > 0),
    cluster_id text not null,
    commands_topic_id text not null,
    events_topic_id text not null,
    dead_letters_topic_id text not null,
    postings_topic_id text
);

create table journal.ledgers (
    originator_id uuid primary key,
    name text not null unique,
    shard int not null
);

-- The hash chain of each ledger: one row for each ledger that a batch touched, at its last sequence.
create table journal.seals (
    originator_id uuid,
    sequence bigint,
    seal bytea not null check (octet_length(seal) = 32),
    primary key (originator_id, sequence)
) with (
    autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_freeze_min_age = 0,
    autovacuum_analyze_threshold = 100000
);

-- `headers` holds name, value, name, value …; a value may be null.
create table journal.dead_letters (
    "partition" int,
    "offset" bigint,
    key bytea,
    value bytea,
    headers bytea[] not null,
    at_ms bigint not null,
    reason text not null,
    detail text not null,
    primary key ("partition", "offset")
);

-- How far each shard has come. One row a shard, made with the shard: it is updated in place all day, so its page keeps room for that.
create table journal.offsets (
    shard int primary key,
    next bigint not null default 0 check (next >= 0),
    epoch bigint not null default 0,
    replied bigint not null default 0,
    last_at_ms bigint,
    last_digest bytea
) with (fillfactor = 10);

-- Which rules decided from where on: those of the greatest epoch whose first offset is not past the record.
create table journal.releases (
    shard int,
    epoch bigint,
    first_offset bigint not null,
    rules text not null,
    primary key (shard, epoch)
);

-- Which topic, by id, each shard has written to; the last noted is the one that it writes to now.
create table journal.outputs (
    shard int,
    topic text,
    noted_at timestamptz default clock_timestamp(),
    topic_id text not null,
    cluster_id text not null,
    primary key (shard, topic, noted_at)
);

do $$
declare
    kept text;
begin
    foreach kept in array array['ledgers', 'seals', 'dead_letters', 'releases', 'outputs'] loop
        execute format('create trigger append_only before update or delete or truncate on journal.%I '
                       'for each statement execute function journal.refuse()', kept);
        execute format('alter table journal.%I enable always trigger append_only', kept);
    end loop;
end
$$;

create trigger stays before delete or truncate on journal.offsets for each statement execute function journal.refuse();
alter table journal.offsets enable always trigger stays;

revoke all on schema journal from public;
grant usage on schema journal to defter_writer, defter_publisher, defter_projector, defter_reader;
grant select on all tables in schema journal to defter_writer, defter_publisher, defter_projector, defter_reader;
grant insert on journal.ledgers, journal.seals, journal.dead_letters, journal.releases to defter_writer;
grant update on journal.offsets to defter_writer;
grant insert on journal.outputs to defter_publisher;
