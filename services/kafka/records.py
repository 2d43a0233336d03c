"""Records out of the bytes of a broker's answer.

Law: whatever a broker takes in can be read. Brokers do not look whether the name of a header is UTF-8, so a record that
anyone can send must not be the one at which reading stops for ever.
"""

from typing import Any, NamedTuple

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

from services.kafka.ports import Record

_SIZE_AT = 8
_SIZE_END = 12
_new = tuple.__new__


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
            try:
                records += _records(batch)
            except UnicodeDecodeError:
                records += _records(_lenient(answer[start:stop]))
        start = stop
    if records and records[0].offset < offset:
        records = [record for record in records if record.offset >= offset]
    return Chunk(records, following, following < end)


def _records(batch: Any) -> list[Record]:
    # Commands are counted in millions: a tuple made so costs half of what `Record(…)` does.
    return [
        _new(Record, (record.offset, record.timestamp, record.key, record.value, record.headers)) for record in batch
    ]


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
