"""Whatever a broker takes in can be read; nothing of it is read twice or invented."""

import struct
from collections.abc import Callable

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


BODIES = {
    "attributes that are a longer number": b"\x80\0\0\x04ab\x02x\0",
    "a key's length of 33 bits": b"\0\0\0\x84\x80\x80\x80\x10ab\x02x\0",
    "a value's length of 33 bits": b"\0\0\0\x04ab\x82\x80\x80\x80\x10x\0",
    "an offset of 33 bits": b"\0\0\x80\x80\x80\x80\x10\x04ab\x02x\0",
    "as many headers as 33 bits": b"\0\0\0\x04ab\x02x\x80\x80\x80\x80\x10",
    "attributes that make another offset of a key": b"\x80\0\0\x0a\x01\x0c\0\0\0\x02x\0",
}
"""One record each, as Kafka takes it in: by its own reading nothing is wrong with them."""
AFTER_THE_END = {
    "gzip": (DefaultRecordBatch.CODEC_GZIP, lambda packed: packed + b"garbage!"),
    "snappy": (DefaultRecordBatch.CODEC_SNAPPY, lambda packed: packed + b"ab"),
    "lz4": (DefaultRecordBatch.CODEC_LZ4, lambda packed: packed + b"abcdefgh"),
}
BODY_AT = 61


def with_body(raw: bytes, body: bytes) -> bytes:
    """Give a batch another body, with a length and a checksum that fit."""
    changed = raw[:BODY_AT] + body
    return stamped(changed[:8] + struct.pack(">i", len(changed) - 12) + changed[12:])


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_record_that_reads_otherwise_here_than_there_stands_where_it_lies(body: bytes) -> None:
    odd = with_body(batch(5, b"x"), bytes([2 * len(body)]) + body)

    chunk = decoded(odd + batch(6, b"good"), 5, END)

    assert [record.offset for record in chunk.records] == [5, 6]
    assert (chunk.records[0].value, chunk.records[0].at_ms) == (odd, 7)
    assert chunk.records[1].value == b"good"


@pytest.mark.parametrize(("codec", "changed"), AFTER_THE_END.values(), ids=AFTER_THE_END)
def test_a_batch_with_more_after_its_end_has_a_record_in_each_place(
    codec: int, changed: Callable[[bytes], bytes]
) -> None:
    whole = batch(5, b"a" * 1000, b"b" * 1000, codec=codec)
    odd = with_body(whole, changed(whole[BODY_AT:]))

    chunk = decoded(odd + batch(7, b"good"), 5, END)

    assert [(record.offset, record.value) for record in chunk.records] == [(5, odd), (6, None), (7, b"good")]
