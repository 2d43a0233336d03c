"""Records out of the bytes of a broker's answer.

Law: whatever a broker takes in can be read, and stands where the broker put it. Brokers look less closely than who
reads: at names of headers that are not UTF-8, at a record's attributes, at lengths of more than 32 bits, at what comes
after the end of what is compressed. A record that anyone can send must not be the one at which reading stops for ever.
"""

import operator
from typing import Any, NamedTuple

from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

from services.kafka.ports import Record

_SIZE_AT = 8
_SIZE_END = 12


class Chunk(NamedTuple):
    """Records of one answer, the offset to ask for next, and whether the partition held more than this already.

    The records may have gaps between them: the end of a producer's transaction takes an offset, and is no record. The
    records of a transaction are read like any other, whether it was committed, aborted or not ended yet.
    """

    records: list[Record]
    next: int
    more: bool


def decoded(answer: bytes, offset: int, end: int) -> Chunk:
    """Return what an answer holds from `offset` on; its first batch may begin before, its last may be cut off.

    Args:
        answer: batches of records, as they came.
        offset: that was asked for.
        end: the partition's, when the broker answered.

    Raises:
        CorruptRecordException: a checksum is wrong.
        UnsupportedCodecError: it is compressed in a way that nobody here knows.
    """
    memory = MemoryRecords(answer)
    records: list[Record] = []
    following = offset
    start = 0
    while memory.has_next():
        batch = memory.next_batch()
        stop = start + _SIZE_END + int.from_bytes(answer[start + _SIZE_AT : start + _SIZE_END], "big")
        if not batch.validate_crc():
            raise CorruptRecordException("the checksum of a batch is wrong")
        following = batch.next_offset
        if not batch.is_control_batch:
            records += _read(batch, answer[start:stop])
        start = stop
    if records and records[0].offset < offset:
        records = [record for record in records if record.offset >= offset]
    return Chunk(records, following, following < end)


def _read(batch: Any, raw: bytes) -> list[Record]:
    """Return what a batch holds. Where nobody can tell: a record in each of its places, the first with its bytes."""
    begin, end = batch.base_offset, batch.next_offset
    try:
        try:
            records = _records(batch)
        except UnicodeDecodeError:
            records = _records(_lenient(raw))
        offsets = [record.offset for record in records]
        if all(map(operator.lt, [begin - 1, *offsets], [*offsets, end])):
            return records
    except (UnsupportedCodecError, MemoryError):
        raise
    except Exception:  # noqa: BLE001, S110 - whatever a library makes of it: by its checksum it came just so
        pass
    at_ms = batch.max_timestamp
    return [Record(offset, at_ms, None, raw if offset == begin else None, []) for offset in range(begin, end)]


def _records(batch: Any) -> list[Record]:
    return [Record(record.offset, record.timestamp, record.key, record.value, record.headers) for record in batch]


def _lenient(batch: bytes) -> Any:
    """Return the batch so that names of headers that are not UTF-8 come out with U+FFFD where they are not."""
    lenient = iter(_DefaultRecordBatchPy(bytearray(batch)))
    lenient._buffer = _Lenient(lenient._buffer)  # noqa: SLF001 - the rest of its reading is as good as any
    return lenient


class _Lenient(bytearray):
    """Bytes of which every part can be decoded."""

    def __getitem__(self, place: Any) -> Any:
        part = super().__getitem__(place)
        return _Lenient(part) if isinstance(place, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        """Decode, whatever it is."""
        del errors
        return super().decode(encoding, "replace")
