"""`defter verify`: the journal folded from nothing and held against every law, and against what was made of it.

    run           all of it: divided among processes, put together again
    fault         what is found wrong, and by which check

    whole         a shard: positions without holes, and how it is divided
    ids           whether the id of every command leads to its event, and none elsewhere
    stretch       ledgers one after the other: the work of one process
    inspection    one ledger, event by event: its rows, what they add up to, or both
    chain         its rows: sequences, positions, columns, times, seals, and the ids that they used up
    audit         what they add up to: totals, sums, floors, accounts, holds
    registers     what else its events leave behind: units, books, refusals, times, holds, ads
    read_models   whether they say what was added up
    moment        the database as of one moment

    published     the events topic against the journal
    redecide      the commands topic decided again, byte for byte

What is proved, and what is not, is in `docs/incidents.md`.
"""
