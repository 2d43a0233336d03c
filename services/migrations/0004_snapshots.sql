-- States that a writer may begin with instead of folding the journal from its first event. Never a second truth: all of
-- this may be deleted at any time, and only the time to start changes. So nothing here is append-only.

create table journal.snapshots (
    shard int,
    position bigint,
    rules text not null,
    shape int not null,
    parts int not null,
    digest bytea not null,
    made_at timestamptz not null default clock_timestamp(),
    primary key (shard, position)
);

create table journal.snapshot_parts (
    shard int,
    position bigint,
    part int,
    data bytea not null,
    primary key (shard, position, part),
    foreign key (shard, position) references journal.snapshots on delete cascade
);

alter table journal.snapshot_parts alter data set storage external;

grant select on journal.snapshots, journal.snapshot_parts
    to defter_writer, defter_publisher, defter_projector, defter_reader;
grant insert, delete on journal.snapshots, journal.snapshot_parts to defter_writer;
