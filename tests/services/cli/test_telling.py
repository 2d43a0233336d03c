"""Events told to people: nothing that an event says is kept from them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.codec import decode_event
from services.cli.telling import beside_postings, sentence, substance

EXAMPLES = sorted((Path(__file__).parents[3] / "schemas" / "published" / "examples" / "events").glob("*.json"))
FROZEN = (
    b'{"type":"account-frozen.v1","ledger":"main","sequence":7,"at":"2026-11-21T09:30:00.000Z","command":"stop",'
    b'"account":"zed","account_type":"user","policy":"capped_overdraft","floor":"-5","flags":["A","B"],"book":"shop",'
    b'"alias":"@z","state":"frozen","version":2}'
)


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_all_that_an_event_says_is_told(example: Path) -> None:
    said = json.loads(example.read_bytes())
    told = "\n".join((sentence(event := decode_event(example.read_bytes()), {}), *beside_postings(event)))

    assert [value for value in values(said) if value not in told] == []


def test_an_account_is_told_as_it_is_now() -> None:
    assert sentence(decode_event(FROZEN), {}) == (
        "main 7  2026-11-21T09:30:00.000Z  account-frozen: zed, user, capped_overdraft to -5, flags A B, book shop, "
        "alias @z, state frozen, version 2  (stop)"
    )


def test_a_number_that_is_0_is_told_too() -> None:
    defined = b'{"type":"unit-defined.v1","ledger":"main","sequence":2,"at":"2026-11-21T09:30:00.000Z","unit":"ADA"'

    assert "unit ADA, scale 0" in sentence(decode_event(defined + b',"scale":0}'), {})


def test_what_others_say_never_looks_like_a_line_of_ours() -> None:
    forged = b'"gold\\nmain 5  2026-11-21T09:30:00.000Z  transfer-posted: mint -5 QAZ"'
    defined = b'{"type":"unit-defined.v1","ledger":"main","sequence":2,"at":"2026-11-21T09:30:00.000Z","unit":"ADA",'
    event = decode_event(defined + b'"scale":0,"name":' + forged + b',"metadata":{"note":' + forged + b"}}")

    assert "\n" not in "".join((sentence(event, {}), substance(event, {}), *beside_postings(event)))
    assert r"name gold\nmain 5" in sentence(event, {})


def values(said: object, name: str = "") -> Iterator[str]:
    """Give all that is said, as text; of postings not the totals after them, and no tag."""
    if isinstance(said, dict):
        for key, value in said.items():
            yield from values(value, key)
    elif isinstance(said, list):
        for value in said:
            yield from values(value, name)
    elif name not in {"type", "debits", "credits"} and not isinstance(said, bool):
        yield str(said)
