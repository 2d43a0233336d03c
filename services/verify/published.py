"""Whether the events topic holds what the journal holds: the same bytes, in the same order, under the same headers.

Law: a message may come twice, for delivery is at least once; none may be missing between others, and none be there that
the journal has not. What is not published yet is not missing, and a topic that was taken anew begins where it begins.
An event is known by its ledger and sequence. The position that it was published with may be another than it has now:
a journal that was restored and decided again has the same events in the same order, at whatever positions there were.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

from services.journal.ports import Journal, Row
from services.kafka.ports import Record
from services.publisher import cloud_headers, place_of, plain_headers
from services.verify.fault import Check, Fault

_PAGE: Final = 5000
_NUMBER: Final = re.compile(rb"[1-9][0-9]{0,18}")


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
    last = 0
    coming: list[Row] = []
    async for record in records:
        if last and not coming:
            coming = (await journal.read(last, _PAGE))[::-1]
        expected = coming[-1] if coming else None
        place = place_of(record)
        if expected and (expected.ledger, expected.sequence) == place:
            row: Row | None = coming.pop()
        else:
            row = await journal.event(*place) if place else None
            if row and expected and row.position > expected.position:
                detail = f"it is not on the events topic, {_where(record)} has {row.sequence} of ledger {row.ledger}"
                return Fault(Check.PUBLISHED, expected.ledger, expected.sequence, detail)
        if row is None:
            ledger, sequence = place or (None, None)
            return Fault(Check.PUBLISHED, ledger, sequence, f"the journal has not what {_where(record)} has")
        if difference := _difference(row, record):
            return Fault(Check.PUBLISHED, row.ledger, row.sequence, f"{_where(record)} has {difference}")
        last = max(last, row.position)
    return None


def _difference(row: Row, record: Record) -> str | None:
    if record.value != row.data:
        return "other bytes than the journal"
    said = dict(record.headers).get("position") or b""
    published = row._replace(position=int(said) if _NUMBER.fullmatch(said) else -1)
    headers = tuple(record.headers)
    # Whoever sets DEFTER_CLOUDEVENTS, or takes it back, changes only what is published from then on.
    if headers != plain_headers(published) and headers != cloud_headers(published):
        return f"other headers: {record.headers}"
    return None


def _where(record: Record) -> str:
    return f"offset {record.offset} of the events topic"
