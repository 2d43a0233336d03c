"""Whoever rewrites a journal so that every byte is sealed again still cannot break the laws of a ledger unseen."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from domain.state import Ledger
from schemas.codec import decode_command, encode_events
from schemas.events import Event, HoldPlaced, Posting, TransferPosted
from services.verify.audit import Audit
from services.verify.fault import Check, Fault
from tests.domain.given import come_of

AT = "2026-11-21T09:30:00.000Z"
DEPOSIT = '[{"source":"cash","destination":"alice","unit":"QAZ","amount":100}]'
PROMISE = '[{"source":"alice","destination":"bob","unit":"QAZ","amount":60}]'
HONEST = (
    '{"type":"open-ledger.v1","id":"1"}',
    '{"type":"open-account.v1","id":"2","account":"cash","account_type":"external"}',
    '{"type":"open-account.v1","id":"3","account":"alice"}',
    '{"type":"open-account.v1","id":"4","account":"bob"}',
    '{"type":"open-account.v1","id":"5","account":"carol","account_type":"credit","floor":-50}',
    f'{{"type":"transfer.v1","id":"6","kind":"deposit","movements":{DEPOSIT}}}',
    f'{{"type":"place-hold.v1","id":"7","movements":{PROMISE}}}',
)


def honest() -> list[Event]:
    ledger = Ledger("main")
    return [event for line in HONEST for event in come_of(ledger, decode_command(line.encode(), None)[0], AT)]


def paid(
    *postings: Posting, kind: str = "transfer", hold: str | None = None, ads: tuple[str, ...] = ()
) -> TransferPosted:
    """Forge the transfer that comes next."""
    return TransferPosted(
        ledger="main", sequence=8, at=AT, command="8", kind=kind, postings=tuple(postings), hold=hold, ads=ads
    )


def audited(events: Sequence[Event]) -> None:
    audit = Audit("main")
    for event, data in zip(events, encode_events(events), strict=True):
        audit.take(event.sequence, str(event.__struct_config__.tag), data)


def test_an_honest_journal_breaks_no_law() -> None:
    audited([*honest(), paid(Posting("alice", "QAZ", "-40", "40", "100"), Posting("bob", "QAZ", "40", "0", "40"))])


@pytest.mark.parametrize(
    ("forged", "check"),
    [
        pytest.param(
            paid(Posting("alice", "QAZ", "-41", "41", "100"), Posting("bob", "QAZ", "41", "0", "41")),
            Check.FLOORS,
            id="what is held is spent",
        ),
        pytest.param(
            paid(Posting("carol", "QAZ", "-51", "51", "0"), Posting("bob", "QAZ", "51", "0", "51")),
            Check.FLOORS,
            id="more is owed than the floor lets",
        ),
        pytest.param(
            paid(Posting("alice", "QAZ", "-1", "1", "100"), Posting("bob", "QAZ", "2", "0", "2")),
            Check.SUMS,
            id="more arrives than leaves",
        ),
        pytest.param(
            paid(Posting("alice", "QAZ", "-1", "2", "100"), Posting("bob", "QAZ", "1", "0", "1")),
            Check.TOTALS,
            id="a total jumps",
        ),
        pytest.param(
            paid(Posting("alice", "QAZ", "-1", "1", "100"), Posting("eve", "QAZ", "1", "0", "1")),
            Check.ACCOUNTS,
            id="an account is paid that was never opened",
        ),
        pytest.param(
            paid(
                Posting("alice", "QAZ", "-61", "61", "100"),
                Posting("bob", "QAZ", "61", "0", "61"),
                kind="capture",
                hold="7",
            ),
            Check.HOLDS,
            id="more is captured than was held",
        ),
        pytest.param(
            paid(
                Posting("alice", "QAZ", "-1", "1", "100"),
                Posting("bob", "QAZ", "1", "0", "1"),
                kind="exchange",
                ads=("of nobody",),
            ),
            Check.ADS,
            id="an ad is taken that nobody posted",
        ),
    ],
)
def test_a_forged_transfer_is_found_by_the_law_that_it_breaks(forged: TransferPosted, check: Check) -> None:
    with pytest.raises(Fault) as found:
        audited([*honest(), forged])

    assert (found.value.check, found.value.ledger, found.value.sequence) == (check, "main", 8)


def test_a_hold_of_more_than_there_is_is_found() -> None:
    *events, hold = honest()
    assert isinstance(hold, HoldPlaced)
    movement = hold.movements[0]

    with pytest.raises(Fault) as found:
        audited([*events, replace(hold, movements=(replace(movement, amount="101"),))])

    assert (found.value.check, found.value.sequence) == (Check.FLOORS, 7)


def test_a_time_that_is_no_text_is_found() -> None:
    data = encode_events(honest())[0].replace(b"2026", b"\xff026", 1)

    with pytest.raises(Fault) as found:
        Audit("main").take(1, "ledger-opened.v1", data)

    assert (found.value.check, found.value.sequence) == (Check.BYTES, 1)
