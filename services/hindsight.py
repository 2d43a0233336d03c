"""What the journal knew at an earlier time: of what is recalled now, that which had already happened.

Law: a shard that stands in the past decides as it would have then. An id that got its outcome later is free, and a
transfer that was reversed later is whole.
"""

from collections.abc import Callable, Sequence

from schemas.codec import decode_event
from services.journal.ports import DeadLetter, Recalled
from services.reading import Reading


def so_far(readings: Sequence[Reading | DeadLetter], recalled: Recalled, last_of: Callable[[str], int]) -> Recalled:
    """Leave out what had not happened yet.

    Args:
        readings: what is to be decided.
        recalled: what the journal knows now of what they refer to.
        last_of: gives the last sequence of a ledger then; 0 where it was not open.
    """
    ledgers = {reading.key: reading.command.ledger for reading in readings if isinstance(reading, Reading)}
    transfers = {}
    for key, told in recalled.transfers.items():
        events = [(decode_event(data), data) for data in told]
        past = [data for event, data in events if event.sequence <= last_of(event.ledger)]
        if past and past[0] is told[0]:
            transfers[key] = past
    return Recalled(
        {key: known for key, known in recalled.ids.items() if known.sequence <= last_of(ledgers.get(key, ""))},
        transfers,
        {place: data for place, data in recalled.events.items() if place[1] <= last_of(place[0])},
    )
