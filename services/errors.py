"""What can go wrong around the ledger, by who can do something about it.

`Away` passes by itself: wait and try again. `Unexpected` and `WrongSetting` need a person: each says what it met and
what to do. Everything else is a bug, and a bug ends the process, because a restart is safe.
"""


class Away(RuntimeError):
    """A dependency does not answer. It is waited for, with growing pauses."""


class Unexpected(RuntimeError):
    """A dependency answers, but it is not the one expected, or not in the state expected. Exit code 3.

    Args:
        what: what was met, by name.
        remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        """Say both, a line each."""
        return f"{self.what}\n  remedy: {self.remedy}"


class WrongSetting(RuntimeError):
    """A setting or an argument is wrong. The message names it and what was expected. Exit code 2."""
