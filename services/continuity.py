"""Makes sure that a partition of commands is the one that a shard was written from.

Law: no record is decided behind a place that is not known again. Along with the offset to read on from stand the time
and the digest of the record before it; a topic that was made anew, cut short or filled with other records has not that
one there.
"""

from hashlib import sha256

from services.errors import Unexpected
from services.journal.ports import Standing
from services.kafka.ports import Inbox, Record


def digest_of(record: Record) -> bytes:
    """Give the 32 bytes by which a record is known again: SHA-256 of its key and value, each with its length."""
    digest = sha256()
    for part in (record.key, record.value):
        digest.update(b"-" if part is None else b"%d:" % len(part) + part)
    return digest.digest()


async def same_topic(inbox: Inbox, standing: Standing) -> None:
    """Make sure that the partition is the one that was read up to `next`.

    Raises:
        Away: Kafka does not answer.
        Unexpected: it is shorter, begins later, or the record before `next` is another.
    """
    remedy = (
        "bring back the topic that was read before, or begin anew with a fresh database and another DEFTER_PREFIX; "
        "the journal is whole, only the place to read on from is in question"
    )
    where = f"commands partition {inbox.partition}"
    begin, end = await inbox.bounds()
    if standing.next > end:
        raise Unexpected(f"{where} ends at offset {end}, before the stored offset {standing.next}", remedy)
    if standing.next < begin:
        raise Unexpected(f"{where} begins at offset {begin}, after the stored offset {standing.next}", remedy)
    if standing.last_digest is None or standing.next == begin:
        return
    record = await inbox.at(standing.next - 1)
    if (record.at_ms, digest_of(record)) != (standing.last_at_ms, standing.last_digest):
        raise Unexpected(f"{where} holds another record at offset {record.offset} than the one decided", remedy)
