"""A topic deleted and made anew under the same name is another topic, and is not written to by accident."""

import pytest

from services.errors import Unexpected
from services.journal.outputs import Output, note_output
from services.migrations import migrate

EVENTS = Output("defter.events", "the first id", "a cluster")
MADE_ANEW = EVENTS._replace(topic_id="another id")


async def test_a_topic_is_new_once_and_known_from_then_on(database: str) -> None:
    migrate(database, [0, 1])

    assert [await note_output(database, 0, EVENTS) for _ in range(3)] == [False, True, True]
    assert not await note_output(database, 1, EVENTS)
    assert not await note_output(database, 0, Output("defter.dead-letters", "its id", "a cluster"))


@pytest.mark.parametrize("other", [MADE_ANEW, EVENTS._replace(cluster_id="another cluster")])
async def test_another_topic_of_the_same_name_is_refused_until_somebody_chooses_it(
    database: str, other: Output
) -> None:
    migrate(database, [0])
    await note_output(database, 0, EVENTS)

    with pytest.raises(Unexpected, match=r"defter\.events has the id") as refused:
        await note_output(database, 0, other)
    assert "--from-position" in refused.value.remedy

    assert not await note_output(database, 0, other, instead=True)
    assert await note_output(database, 0, other)
    with pytest.raises(Unexpected):
        await note_output(database, 0, EVENTS)
