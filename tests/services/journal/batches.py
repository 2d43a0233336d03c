"""Batches as a writer would make them, a few words long."""

from collections.abc import Sequence
from hashlib import sha256

from services.journal.ports import Batch, DeadLetter, Entry, Id, Standing

TAG = "transfer-posted.v1"
NO_DIGEST = bytes(32)


def key(name: str) -> bytes:
    return sha256(name.encode()).digest()[:16]


def fingerprint(name: str) -> bytes:
    return sha256(f"all that {name} says".encode()).digest()[:16]


def entry(sequence: int, ledger: str = "main", data: bytes | None = None) -> Entry:
    return Entry(
        ledger, sequence, TAG, data if data is not None else f'{{"ledger":"{ledger}","sequence":{sequence}}}'.encode()
    )


def id_of(sequence: int, ledger: str = "main", reverses: int | None = None, name: str | None = None) -> Id:
    name = name or f"{ledger}/{sequence}"
    return Id(key(name), fingerprint(name), ledger, sequence, reverses)


def letter(offset: int, reason: str = "MALFORMED", detail: str = "$") -> DeadLetter:
    return DeadLetter(
        offset,
        1_700_000_000_000 + offset,
        b"main",
        b"{",
        (("reply-to", b"defter.replies.a"), ("empty", None)),
        reason,
        detail,
    )


def batch(
    before: Standing,
    entries: Sequence[Entry] = (),
    ids: Sequence[Id] | None = None,
    opened: Sequence[str] = (),
    dead_letters: Sequence[DeadLetter] = (),
    replied: int = 0,
) -> Batch:
    """What follows on `before`: a record for each entry and dead letter, an id for each entry unless said otherwise."""
    moved = before.next + max(1, len(entries) + len(dead_letters))
    if ids is None:
        ids = [id_of(each.sequence, each.ledger) for each in entries]
    return Batch(entries, ids, opened, dead_letters, moved, moved * 10, sha256(str(moved).encode()).digest(), replied)


def opening(before: Standing, count: int = 3, ledger: str = "main") -> Batch:
    """A batch that opens a ledger and stores its first events."""
    return batch(before, [entry(sequence, ledger) for sequence in range(1, count + 1)], opened=[ledger])


def after(made: Batch, before: Standing) -> Standing:
    """Where the shard stands when `made` is stored."""
    return Standing(made.next, before.epoch, made.replied, made.last_at_ms, made.last_digest)
