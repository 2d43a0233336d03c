-- What is promised and not yet moved. Movement n is (sources[n], destinations[n], units[n], amounts[n]), and remaining[n] of it is still held.

create table {schema}.holds (
    ledger text collate "C",
    hold text collate "C",
    sequence bigint not null,
    kind text not null,
    book text,
    expires_at timestamptz,
    sources text[] not null,
    destinations text[] not null,
    units text[] not null,
    amounts bigint[] not null,
    remaining bigint[] not null,
    state text not null check (state in ('open', 'captured', 'released', 'expired')),
    changed bigint not null,
    primary key (ledger, hold)
) with (fillfactor = 70);

create index holds_due on {schema}.holds (expires_at, ledger) where state = 'open' and expires_at is not null;

-- What remained of a hold after each change of it: the hold as of a sequence is that of the last change up to it.
create table {schema}.hold_changes (
    ledger text collate "C",
    hold text collate "C",
    sequence bigint,
    remaining bigint[] not null,
    state text not null,
    primary key (ledger, hold, sequence)
);
