-- What an account holds is what its last posting says, so there is no row to update: a balance now is a balance as of now.

-- One row for each account and unit that ever had a posting or a hold. Its number stands for all three in the large tables.
create table {schema}.places (
    place int generated always as identity primary key,
    ledger text collate "C" not null,
    account text collate "C" not null,
    unit text collate "C" not null,
    unique (ledger, account, unit)
);

-- The postings of one place that one page of the projector brought, in order, up to and including `sequence`.
-- A line is (sequence, index, amount, debits, credits). Those of one transfer are never parted.
create table {schema}.posting_lines (
    place int,
    sequence bigint,
    lines bigint[] not null,
    primary key (place, sequence)
) with (toast_tuple_target = 8160, autovacuum_vacuum_insert_threshold = 100000);

alter table {schema}.posting_lines alter lines set storage external, alter lines set statistics 0;

-- What is held of a place from `sequence` on.
create table {schema}.held_lines (
    place int,
    sequence bigint,
    held bigint not null,
    primary key (place, sequence)
);

create view {schema}.balances as
select places.ledger, places.account, places.unit,
       coalesce(posted.debits, 0) as debits, coalesce(posted.credits, 0) as credits, coalesce(reserved.held, 0) as held,
       coalesce(posted.credits - posted.debits, 0) as balance,
       coalesce(posted.credits - posted.debits, 0) - coalesce(reserved.held, 0) as available,
       greatest(posted.sequence, reserved.sequence) as sequence
  from {schema}.places
  left join lateral (
      select sequence, lines[array_upper(lines, 1)][4] as debits, lines[array_upper(lines, 1)][5] as credits
        from {schema}.posting_lines
       where posting_lines.place = places.place
       order by posting_lines.sequence desc limit 1
  ) as posted on true
  left join lateral (
      select sequence, held
        from {schema}.held_lines
       where held_lines.place = places.place
       order by held_lines.sequence desc limit 1
  ) as reserved on true;
