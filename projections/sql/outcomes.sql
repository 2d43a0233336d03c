-- The outcome of every command, found by its sequence. The way from an id to its sequence is in the journal, where the
-- writer keeps it for its own sake; a second index of random ids would cost more than all else here together.

-- Events follow one another without a gap, and what was decided together has one time. So a row holds many events of
-- one time: commands[n] is that of the event `first + n - 1`. `kinds` is null where the event is no transfer, `commands`
-- where no command brought it about.
create table {schema}.outcome_runs (
    ledger text collate "C",
    first bigint,
    at timestamptz not null,
    commands text[] not null,
    kinds text[] not null,
    primary key (ledger, first)
) with (toast_tuple_target = 8160, autovacuum_vacuum_insert_threshold = 100000);

-- Compressing costs more than it saves. Nobody looks for what is in the lists, so ANALYZE need not sort them.
alter table {schema}.outcome_runs
    alter commands set storage external, alter commands set statistics 0,
    alter kinds set storage external, alter kinds set statistics 0;

create index outcome_runs_at on {schema}.outcome_runs (ledger, at, first);

-- The times of a ledger: a row for each, with the first event that has it.
create view {schema}.moments as
select ledger, min(first) as sequence, at from {schema}.outcome_runs group by ledger, at;

-- `details` holds name, value, name, value …, in the order of the event.
create table {schema}.refusals (
    ledger text collate "C",
    sequence bigint,
    command_type text not null,
    reason text not null,
    details text[] not null,
    primary key (ledger, sequence)
);

create view {schema}.outcomes as
select run.ledger, run.first + place - 1 as sequence, run.commands[place] as command,
       case when refusals.reason is null then 'accepted' else 'refused' end as outcome,
       refusals.reason, refusals.details, refusals.command_type, run.kinds[place] as kind
  from {schema}.outcome_runs as run
 cross join generate_subscripts(run.commands, 1) as place
  left join {schema}.refusals on refusals.ledger = run.ledger and refusals.sequence = run.first + place - 1
 where run.commands[place] is not null;
