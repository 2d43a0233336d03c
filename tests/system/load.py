"""A load of every command there is, with what producers get wrong: ids that come again, other content, no sense at all.

It is decided along while it is made, so that it can name what is there: holds that are open, postings that are next.
What it says is not what comes of it; that is for `tests.system.model` to tell.
"""

import json
import random
import time
from collections.abc import Callable
from typing import Final

from schemas.codec import decode_event
from services.kafka.ports import Message, Record
from services.kafka.topics import partition_of
from services.reading import read
from services.shard import NOTHING_RECALLED, Shard
from tests.system.asking import Asking, Fields, opening

REMEMBERED: Final = 400


class Load:
    """Messages for one partition, without end.

    Args:
        seed: the same seed makes the same choices.
        partition: all its ledgers live there.
        partitions: how many there are.
        ledgers: their names begin so; two loads of one partition need different ones.
    """

    def __init__(self, seed: int, partition: int, partitions: int, ledgers: str = "ledger") -> None:
        self._chance = random.Random(f"{seed} {partition}")
        self._shard = Shard(partition, partitions)
        self._draft = self._shard.begin()
        self._asking = Asking(self._chance, self._shard.ledgers)
        self._ledgers = living_in(partition, partitions, ledgers, 3)
        self._elsewhere = living_in((partition + 1) % partitions, partitions, ledgers, 1)[0]
        self._opening = [fields for ledger in self._ledgers for fields in opening(ledger)]
        self._sent: list[Message] = []
        self._offset = 0
        self._seen = 0

    def messages(self, count: int) -> list[Message]:
        """Make the next messages."""
        return [self._decided(self._next()) for _ in range(count)]

    def _next(self) -> Message:
        if self._opening:
            return self._said({"id": self._asking.new_id(), **self._opening.pop(0)})
        chance = self._chance.random()
        if chance < 0.08:
            return self._chance.choice(self._sent)
        if chance < 0.13:
            return self._blunder(self._chance.choice(self._sent))
        ledger = self._chance.choice(self._ledgers)
        if chance < 0.16:
            return self._remembered(Message(ledger.encode(), json.dumps(self._asking.short()).encode(), []))
        return self._said(self._asking.command(ledger))

    def _said(self, fields: Fields) -> Message:
        """Write a command down, in one of the ways in which it may be written."""
        separators = (", ", ": ") if self._chance.random() < 0.1 else (",", ":")
        headers = [("trace", b"%d" % self._offset)] if self._chance.random() < 0.1 else []
        key = None if self._chance.random() < 0.02 else fields["ledger"].encode()
        return self._remembered(Message(key, json.dumps(fields, separators=separators).encode(), headers))

    def _blunder(self, before: Message) -> Message:
        """Make what a producer gets wrong: every kind of dead letter there is."""
        chance, key, value = self._chance, before.key, before.value or b""
        other = {**json.loads(value), "metadata": {"said": "otherwise"}}
        wrong: list[Callable[[], Message]] = [
            lambda: Message(key, chance.randbytes(chance.randint(1, 60)), [("x", None), ("y", b"\xff")]),
            lambda: Message(key, value[: chance.randrange(len(value))], []),
            lambda: Message(key, None, []),
            lambda: Message(key, value[:-1] + b',"id":"twice"}', []),
            lambda: Message(key, value[:-1] + b',"colour":"red"}', []),
            lambda: Message(key, value.ljust(65_537), []),
            lambda: Message(b"another", value, []),
            lambda: Message(None, b'{"type":"tick.v1","id":"t","ledger":"never-opened"}', []),
            lambda: Message(None, b'{"type":"tick.v1","id":"t","ledger":"%s"}' % self._elsewhere.encode(), []),
            lambda: Message(key, json.dumps(other).encode(), []),
        ]
        return chance.choice(wrong)()

    def _remembered(self, message: Message) -> Message:
        """Keep a message, in place of another when there are many, to be sent again."""
        if len(self._sent) < REMEMBERED:
            self._sent.append(message)
        else:
            self._sent[self._chance.randrange(REMEMBERED)] = message
        return message

    def _decided(self, message: Message) -> Message:
        """Decide a message along, roughly as it will be decided."""
        self._offset += 1
        record = Record(self._offset, time.time_ns() // 1_000_000, message.key, message.value, message.headers)
        self._shard.decide(read(record), NOTHING_RECALLED, self._draft)
        for entry in self._draft.entries[self._seen :]:
            self._asking.notice(decode_event(entry.data))
        self._seen = len(self._draft.entries)
        return message


def living_in(partition: int, partitions: int, name: str, count: int) -> list[str]:
    """Name ledgers that live in a partition."""
    names: list[str] = []
    number = 0
    while len(names) < count:
        if partition_of(f"{name}-{number}", partitions) == partition:
            names.append(f"{name}-{number}")
        number += 1
    return names
