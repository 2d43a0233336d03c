"""Every event is taken in once and in order, however it is delivered and whatever is killed."""

import random
from typing import Any

import psycopg
import pytest

from projections import generations
from projections.checkpoint import Gap, OtherProjector
from projections.generations import GenerationChanged, NotPrepared
from projections.postings import MOST_LINES
from schemas.events import TransferPosted
from tests.domain.given import ALICE, AT, BOB, deposit, given, hold, movement, release
from tests.projections.stream import begin, busy, events, everything, project, shown, stored

Reads = psycopg.Connection[Any]


@pytest.fixture
def whole(database: str, reads: Reads) -> dict[str, list[tuple[Any, ...]]]:
    """What the read models show when everything was taken in as one page; they are empty again."""
    project(reads, stored(events()), page=1_000_000)
    shown_then = everything(reads)
    reads.execute("drop schema read cascade; drop schema read_1 cascade")
    generations.prepare(reads)
    reads.commit()
    return shown_then


@pytest.mark.parametrize("page", [3, 13, 500])
def test_the_rows_are_the_same_whatever_the_page(reads: Reads, whole: object, page: int) -> None:
    project(reads, stored(events()), page)

    assert everything(reads) == whole


def test_what_is_delivered_twice_is_taken_in_once(reads: Reads, whole: object) -> None:
    rows = stored(events())
    middle = len(rows) // 2
    project(reads, rows[:middle])

    project(reads, rows[middle // 2 :])
    project(reads, rows)

    assert everything(reads) == whole


@pytest.mark.parametrize(
    ("zone", "expires_at"),
    [("Asia/Tokyo", "9999-12-31T23:59:59.999Z"), ("America/New_York", "0001-01-01T00:00:00.000Z")],
)
def test_a_hold_changes_whatever_time_zone_the_server_has_and_however_far_away_it_ends(
    reads: Reads, zone: str, expires_at: str
) -> None:
    reads.execute(f"set timezone = '{zone}'; set datestyle = 'SQL, DMY'".encode())
    story = given(deposit(ALICE, 100), hold(movement(ALICE, BOB, 60), expires_at=expires_at))
    story.ask(release())

    project(reads, stored(story.events), page=1)

    ended = "select state, expires_at at time zone 'UTC' = %s::timestamp from read.holds"
    assert reads.execute(ended, (expires_at,)).fetchall() == [("expired" if expires_at < AT else "released", True)]


def test_a_gap_stops_with_its_name_and_nothing_of_its_page_is_kept(reads: Reads) -> None:
    rows = stored(events())
    ledger = next(row[1] for row in rows if row[2] == 5)
    lost = next(number for number, row in enumerate(rows) if row[1:3] == (ledger, 4))
    project(reads, rows[:lost])
    before = everything(reads)

    with pytest.raises(Gap, match=f"ledger {ledger}: expected sequence 4, found 5"):
        begin(reads).fold(rows[lost + 1 :])
    reads.rollback()

    assert everything(reads) == before


def test_killed_anywhere_it_goes_on_where_it_stood(database: str, whole: object) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    rows = stored(events())
    position = 0
    while position < rows[-1][0]:
        with psycopg.connect(database) as connection:
            projection = begin(connection)
            position = projection.position
            for _ in range(chance.randrange(4)):
                rest = [row for row in rows if row[0] > projection.position]
                for _ in range(chance.randrange(1, 3)):
                    count = chance.randrange(1, 300)
                    projection.fold(rest[:count])
                    rest = rest[count:]
                projection.write()
                if chance.random() < 0.3:
                    break
                projection.commit()
            connection.close()

    with psycopg.connect(database) as connection:
        assert everything(connection) == whole


def test_two_projectors_at_once_take_nothing_in_twice(database: str, reads: Reads, whole: object) -> None:
    rows = stored(events())
    with psycopg.connect(database) as connection:
        slow = begin(connection)
        slow.fold(rows[:50])
        project(reads, rows)

        with pytest.raises(OtherProjector):
            slow.write()
        connection.rollback()

    assert everything(reads) == whole


def test_a_checkpoint_that_somebody_else_moved_is_not_moved_on(database: str, reads: Reads) -> None:
    projection = begin(reads)
    projection.fold(stored(events())[:1])
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("update read_1.checkpoints set position = 1")

    with pytest.raises(OtherProjector, match="no longer at position 0"):
        projection.write()


def test_a_page_is_given_up_when_its_generation_was_swapped(reads: Reads) -> None:
    rows = stored(events())
    projection = begin(reads)
    projection.fold(rows[:10])
    projection.write()
    projection.commit()
    before = everything(reads)
    reads.execute("update read.generations set changes = changes + 1")
    reads.commit()

    projection.fold(rows[10:20])

    with pytest.raises(GenerationChanged):
        projection.write()
    reads.rollback()

    assert everything(reads) == before


def test_a_generation_is_not_swapped_under_a_page(database: str, reads: Reads) -> None:
    projection = begin(reads)
    projection.fold(stored(events())[:10])
    projection.write()

    with (
        psycopg.connect(database, options="-c lock_timeout=50ms") as other,
        pytest.raises(psycopg.errors.LockNotAvailable),
    ):
        other.execute("update read.generations set changes = changes + 1")


def test_read_models_of_another_shape_are_not_touched(reads: Reads) -> None:
    reads.execute("update read.generations set shape = shape + 1")

    with pytest.raises(
        NotPrepared, match=f"shape {generations.SHAPE + 1}, and this release keeps shape {generations.SHAPE}"
    ):
        begin(reads)


def test_a_database_without_read_models_is_named(database: str) -> None:
    with psycopg.connect(database) as connection, pytest.raises(NotPrepared, match="no read models"):
        begin(connection)


def test_preparing_again_leaves_everything_as_it_is(reads: Reads) -> None:
    project(reads, stored(events())[:100])
    before = everything(reads)

    assert generations.prepare(reads) is False

    assert everything(reads) == before


def test_a_second_generation_is_built_beside_the_live_one(reads: Reads, whole: object) -> None:
    project(reads, stored(events()))
    with reads.cursor() as cursor:
        generations.create(cursor, 2)
        generations.show(cursor, 2)
    assert not any(everything(reads).values())

    with reads.cursor() as cursor:
        generations.show(cursor, 1)

    assert everything(reads) == whole


@pytest.mark.parametrize(("transfers", "pairs"), [(MOST_LINES * 3, 1), (3, MOST_LINES * 4)])
def test_a_busy_account_is_divided_between_transfers_and_never_inside_one(
    reads: Reads, transfers: int, pairs: int
) -> None:
    happened = busy([pairs] * transfers)

    project(reads, stored(happened))

    rows = shown(reads, "postings", "sequence, index, amount, debits, credits")
    assert sorted(rows) == [
        (event.sequence, index, int(posting.amount), int(posting.debits), int(posting.credits))
        for event in happened
        if isinstance(event, TransferPosted)
        for index, posting in enumerate(event.postings)
    ]
    assert shown(reads, "balances", "account, balance") == [("cash", -transfers * pairs), ("shop", transfers * pairs)]
