-- Every posting with its state, which follows from running totals alone: what came in first goes out first (SPEC 4.6).

create view {schema}.postings as
select line.ledger, line.account, line.unit, line.sequence, line.index, line.sequence || '.' || line.index as id,
       run.at, run.commands[line.sequence - run.first + 1] as command, run.kinds[line.sequence - run.first + 1] as kind,
       line.amount, line.debits, line.credits, line.consumed, line.open,
       case when line.consumed = abs(line.amount) then 'inactive' when line.open = 0 then 'pending' else 'active' end as state
  from (
      select balances.ledger, balances.account, balances.unit,
             lines[n][1] as sequence, lines[n][2] as index, lines[n][3] as amount, lines[n][4] as debits, lines[n][5] as credits,
             case when lines[n][3] > 0
                  then least(greatest(balances.debits - (lines[n][5] - lines[n][3]), 0), lines[n][3])
                  else least(greatest(balances.credits - (lines[n][4] + lines[n][3]), 0), -lines[n][3]) end as consumed,
             case when lines[n][3] > 0
                  then greatest(lines[n][5] - greatest(balances.debits + balances.held, lines[n][5] - lines[n][3]), 0)
                  else least(greatest(lines[n][4] - balances.credits, 0), -lines[n][3]) end as open
        from {schema}.balances
        join {schema}.places using (ledger, account, unit)
        join {schema}.posting_lines using (place)
       cross join generate_subscripts(lines, 1) as n
  ) as line
 cross join lateral (
      select first, at, commands, kinds
        from {schema}.outcome_runs
       where outcome_runs.ledger = line.ledger and outcome_runs.first <= line.sequence
       order by outcome_runs.first desc limit 1
  ) as run;
