"""Faults in what is told beside events: a reply that never comes or is wrong, a posting left out, two ids for one."""

from typing import Final

from tests.sabotage.fault import Fault

REPLIES: Final = "tests/services/test_replies.py"
PUBLISHER: Final = "tests/services/test_publisher.py"
CLOUDEVENTS: Final = "tests/services/test_cloudevents.py"

REPLY_FAULTS: Final = (
    Fault(
        "what is stored counts as answered",
        "services/replies.py",
        "return following if self.replied == self._durable and not requests else self.replied",
        "return following",
        (f"{REPLIES}::test_what_was_not_acknowledged_is_answered_again_and_never_decided_again",),
    ),
    Fault(
        "replies that are too many to wait in memory are forgotten",
        "services/replies.py",
        "before = batch.begin if batch else self._durable",
        "before = batch.begin if batch and not self.replied else self.replied",
        (f"{REPLIES}::test_when_replies_do_not_get_through_commands_are_decided_all_the_same_and_none_is_forgotten",),
    ),
    Fault(
        "a retry is told that it was the first",
        "services/requests.py",
        "duplicate=record.offset not in first",
        "duplicate=False",
        (REPLIES,),
    ),
    Fault(
        "a tick counts as the command of its id",
        "services/requests.py",
        "not in letters and not _ticks(reading):",
        "not in letters:",
        (REPLIES,),
    ),
    Fault(
        "postings are not sent",
        "services/publisher.py",
        "            if self._scatter is not None:\n                await self._scatter(_postings(rows))\n"
        '                await self._point("posted")\n',
        "",
        (PUBLISHER,),
    ),
    Fault(
        "the envelope may have an id of its own",
        "schemas/cloudevents.py",
        "if read[0].id != envelope.id:",
        "if not envelope.id:",
        (CLOUDEVENTS,),
    ),
    Fault(
        "a header may say another id than the command",
        "schemas/cloudevents.py",
        "if ce_id != read[0].id.encode():",
        "if ce_id is None:",
        (CLOUDEVENTS,),
    ),
)
