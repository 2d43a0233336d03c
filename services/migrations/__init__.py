"""Makes the schema `journal` of a database, and knows whether a database has the one that this release expects.

Numbered SQL files in this folder, each applied once and never edited afterwards. `NNNN_shard.sql` and its like name
`{shard}` and are applied once for each shard. Only `defter setup` comes here to change anything; every process comes
here to look.
"""

from services.migrations.run import (
    NEWEST,
    OPERATOR,
    PROJECTOR,
    PUBLISHER,
    READER,
    WRITER,
    allow_read_models,
    check,
    holds,
    migrate,
)

__all__ = [
    "NEWEST",
    "OPERATOR",
    "PROJECTOR",
    "PUBLISHER",
    "READER",
    "WRITER",
    "allow_read_models",
    "check",
    "holds",
    "migrate",
]
