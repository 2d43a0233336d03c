"""What can go wrong, by who can do something about it.

`NoOutcomeYet` and `Away` pass by themselves: call again, with the same id. `Unexpected` and `Gap` need a person.
"""


class Away(ConnectionError):
    """Kafka does not answer."""


class Unexpected(RuntimeError):
    """Kafka answers, but is not the one expected, or refuses. The message says what was met and what to do.

    Args:
        what: what was met, by name.
        remedy: what to do about it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}\n  remedy: {remedy}")
        self.what = what
        self.remedy = remedy


class NoOutcomeYet(TimeoutError):
    """The time was up before the outcome of a command was heard. It may still be decided, or may have been already.

    Sending the same command again, with the same id, is always safe: one id has one outcome, for ever. Sending it with
    another id is not: then both may be decided.

    Args:
        ledger: its ledger.
        command: its id.
        timeout_s: how long was waited.
        place: its partition and offset in the topic of commands; none where Kafka has not said that it has it.
        trouble: why Kafka has not said so, where that is known.
    """

    def __init__(
        self, ledger: str, command: str, timeout_s: float, place: tuple[int, int] | None, trouble: str = ""
    ) -> None:
        known = (
            f"it may be in the topic of commands, or may not: {trouble or 'Kafka has not acknowledged it'}"
            if place is None
            else f"it is in the topic of commands, partition {place[0]}, offset {place[1]}, and will be decided"
        )
        super().__init__(
            f"no outcome of {command!r} in ledger {ledger} within {timeout_s:g} s; {known}. Sending it again with the "
            "same id is safe, and tells the outcome"
        )
        self.command = command
        self.ledger = ledger
        self.timeout_s = timeout_s
        self.place = place


class Gap(RuntimeError):
    """An event is missing: what comes next is not the next. Nothing after it may be taken in.

    Args:
        ledger: whose events.
        expected: the sequence that should have come.
        found: the one that came.
        topic: where from, with partition and offset.
    """

    def __init__(self, ledger: str, expected: int, found: int, topic: str) -> None:
        super().__init__(
            f"ledger {ledger}: expected event {expected}, found {found} ({topic}). Was the topic cut short, or is the "
            "sequence that was kept another installation's? `defter verify --published` compares topic and journal"
        )
        self.ledger = ledger
        self.expected = expected
        self.found = found
