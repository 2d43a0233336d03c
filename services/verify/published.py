"""Whether the events topic holds what the journal holds: the same bytes, in the same order, under the same headers.

Law: a message may come twice, for delivery is at least once; none may be missing between others, and none be there that
the journal has not. What is not published yet is not missing, and a topic that was taken anew begins where it begins.
"""

from collections.abc import AsyncIterator
from typing import Final

from services.journal.ports import Journal, Row
from services.kafka.ports import Record
from services.publisher import cloud_headers, plain_headers
from services.verify.fault import Check, Fault

_PAGE: Final = 5000


async def compare(journal: Journal, records: AsyncIterator[Record]) -> Fault | None:
    """Compare one partition of the events topic with its shard.

    Args:
        journal: of the shard.
        records: all that the partition holds, in order.

    Returns:
        The first message that is not as it should be, or the first event that is missing; None where all is well.

    Raises:
        Away: PostgreSQL or Kafka does not answer.
    """
    begun, last = False, 0
    coming: list[Row] = []
    async for record in records:
        position = _position(record)
        if begun and position <= last:
            row = next(iter(await journal.read(position - 1, 1)), None)
        else:
            if not coming:
                coming = (await journal.read(last if begun else position - 1, _PAGE))[::-1]
            row = coming.pop() if coming else None
            begun, last = True, position
        if fault := _difference(row, record, position):
            return fault
    return None


def _difference(row: Row | None, record: Record, position: int) -> Fault | None:
    where = f"offset {record.offset} of the events topic"
    if row is None or (row.position > position):
        return Fault(Check.PUBLISHED, _ledger(record), None, f"{where} has position {position}, the journal has not")
    if row.position < position:
        detail = f"position {row.position} is not on the events topic: {where} has {position}"
        return Fault(Check.PUBLISHED, row.ledger, row.sequence, detail)
    if record.value != row.data:
        return Fault(Check.PUBLISHED, row.ledger, row.sequence, f"{where} has other bytes than the journal")
    # Whoever sets DEFTER_CLOUDEVENTS, or takes it back, changes only what is published from then on.
    if tuple(record.headers) != plain_headers(row) and tuple(record.headers) != cloud_headers(row):
        return Fault(Check.PUBLISHED, row.ledger, row.sequence, f"{where} has other headers: {record.headers}")
    return None


def _position(record: Record) -> int:
    """Read the header; -1 where it holds no position."""
    said = dict(record.headers).get("position") or b""
    return int(said) if said.isdigit() else -1


def _ledger(record: Record) -> str | None:
    said = dict(record.headers).get("ledger")
    return said.decode(errors="replace") if said else None
