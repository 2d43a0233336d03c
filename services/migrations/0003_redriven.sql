-- Which dead letters were sent again, and where they lie now. One that was sent again twice has two rows.
create table journal.redriven (
    "partition" int,
    "offset" bigint,
    to_partition int,
    to_offset bigint,
    corrected boolean not null,
    redriven_at timestamptz not null default clock_timestamp(),
    primary key ("partition", "offset", to_partition, to_offset)
);

create trigger append_only before update or delete or truncate on journal.redriven
    for each statement execute function journal.refuse();
alter table journal.redriven enable always trigger append_only;

grant select on journal.redriven to defter_writer, defter_publisher, defter_projector, defter_reader;

-- Whoever redrives is a person after an incident: sees dead letters, notes what was done with them, and no more.
grant usage on schema journal to defter_operator;
grant select on journal.migrations, journal.dead_letters, journal.redriven to defter_operator;
grant insert on journal.redriven to defter_operator;
