-- Which transfers there were. What each moved, its fee, book and metadata are in the journal's event, and are read there.

create view {schema}.transfers as
select run.ledger, run.first + place - 1 as sequence, run.commands[place] as id, run.kinds[place] as kind, run.at
  from {schema}.outcome_runs as run
 cross join generate_subscripts(run.kinds, 1) as place
 where run.kinds[place] is not null;
