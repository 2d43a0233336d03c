"""Whatever a broker takes in can be read; nothing of it is read twice or invented."""

import struct

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from services.kafka.records import decoded

CODECS = {
    "plain": DefaultRecordBatch.CODEC_NONE,
    "gzip": DefaultRecordBatch.CODEC_GZIP,
    "snappy": DefaultRecordBatch.CODEC_SNAPPY,
    "lz4": DefaultRecordBatch.CODEC_LZ4,
    "zstd": DefaultRecordBatch.CODEC_ZSTD,
}
END = 91
CRC_AT, CHECKED_FROM = 17, 21


def batch(begin: int, *values: bytes, codec: int = DefaultRecordBatch.CODEC_NONE, header: str = "name") -> bytes:
    builder = BatchBuilder(2**20, codec)
    for value in values:
        builder.append(timestamp=7, key=b"main", value=value, headers=[(header, b"\xff")])
    return stamped(struct.pack(">q", begin) + bytes(builder._build())[8:])


def stamped(raw: bytes) -> bytes:
    return raw[:CRC_AT] + struct.pack(">I", calc_crc32c(raw[CHECKED_FROM:])) + raw[CHECKED_FROM:]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_batches_are_read_however_they_are_compressed(codec: int) -> None:
    chunk = decoded(batch(5, b"a", b"b" * 1000, codec=codec) + batch(7, b"c"), 5, END)

    assert [(record.offset, record.value) for record in chunk.records] == [(5, b"a"), (6, b"b" * 1000), (7, b"c")]
    assert [record.key for record in chunk.records] == [b"main"] * 3
    assert chunk.next == 8


def test_what_a_batch_holds_before_the_place_asked_for_is_left_out() -> None:
    chunk = decoded(batch(5, b"a", b"b", b"c"), 7, END)

    assert [(record.offset, record.value) for record in chunk.records] == [(7, b"c")]


@pytest.mark.parametrize(("end", "more"), [(8, False), (9, True)])
def test_whether_there_is_more_is_told_by_where_the_partition_ends(end: int, more: bool) -> None:
    assert decoded(batch(5, b"a", b"b", b"c"), 5, end).more is more


def test_offsets_may_have_gaps() -> None:
    chunk = decoded(batch(5, b"a") + batch(90, b"b"), 5, END)

    assert [record.offset for record in chunk.records] == [5, 90]
    assert chunk.next == 91


def test_a_last_batch_that_is_cut_off_is_left_for_the_next_time() -> None:
    chunk = decoded(batch(5, b"a") + batch(6, b"b" * 100)[:-1], 5, END)

    assert [record.value for record in chunk.records] == [b"a"]
    assert chunk.next == 6


def test_an_empty_answer_leaves_the_place_where_it_is() -> None:
    assert decoded(b"", 5, 5) == ([], 5, False)


def test_a_wrong_checksum_is_not_read_over() -> None:
    raw = bytearray(batch(5, b"a"))
    raw[-1] ^= 1

    with pytest.raises(CorruptRecordException):
        decoded(bytes(raw), 5, END)


def test_a_header_whose_name_is_not_utf_8_stops_nobody() -> None:
    odd = stamped(batch(6, b"b", b"c", header="NAME").replace(b"NAME", b"\xffAME"))

    chunk = decoded(batch(5, b"a") + odd + batch(8, b"d"), 5, END)

    assert [record.value for record in chunk.records] == [b"a", b"b", b"c", b"d"]
    assert [record.offset for record in chunk.records] == [5, 6, 7, 8]
    assert list(chunk.records[1].headers) == [("\ufffdAME", b"\xff")]
    assert chunk.next == 9
