"""Faults in what keeps commands and events: each loses one, stores one twice, or tells one that is not so."""

from typing import Final

from tests.sabotage.fault import Fault

WRITER: Final = "tests/services/test_writer.py"
SHARD: Final = "tests/services/test_shard.py"
JOURNAL: Final = "tests/services/journal/test_journal.py"
PUBLISHER: Final = "tests/services/test_publisher.py"
ONCE: Final = "tests/projections/test_once_in_order.py"


JOURNAL_FAULTS: Final = (
    Fault(
        "the place of the shard is written without being compared",
        "services/journal/recorder.py",
        "case when next = %b and epoch = %b then %b end",
        "case when (next = %b and epoch = %b) is not null then %b end",
        (JOURNAL,),
    ),
    Fault(
        "an old epoch is as good as the new one",
        "services/journal/recorder.py",
        "case when next = %b and epoch = %b then %b end",
        "case when next = %b and epoch >= %b then %b end",
        (JOURNAL,),
    ),
    Fault(
        "dead letters are stored in a transaction of their own",
        "services/journal/recorder.py",
        "            cursor.execute(statement, arguments, prepare=True)\n",
        "            if append and append.batch.dead_letters:\n"
        "                alone = append.batch._replace(entries=[], ids=[], opened=[])\n"
        "                cursor.execute(*self._of_batch(append._replace(batch=alone, seals={})))\n"
        "                moved = append.standing._replace(next=append.batch.next)\n"
        "                rest = append.batch._replace(dead_letters=[])\n"
        "                statement, arguments = self._of_batch(append._replace(batch=rest, standing=moved))\n"
        "            cursor.execute(statement, arguments, prepare=True)\n",
        (f"{JOURNAL}::test_a_batch_that_cannot_be_stored_whole_stores_nothing",),
    ),
    Fault(
        "ids are not stored",
        "services/journal/recorder.py",
        "*_id_columns(batch.ids)",
        "*_id_columns([])",
        (f"{JOURNAL}::test_a_known_id_is_recalled_and_an_unknown_one_is_absent",),
    ),
    Fault(
        "an answer to COMMIT that was lost is taken for yes",
        "services/journal/postgres.py",
        "            await self._append_again(batch, str(away))\n",
        "            assert away\n",
        ("tests/services/journal/test_lost_answers.py::test_a_batch_is_stored_once_wherever_its_commit_is_cut",),
    ),
    Fault(
        "a batch that the journal does not take is taken to be in",
        "services/journal/appending.py",
        "return found.next == batch.next != standing.next",
        "return True",
        (f"{JOURNAL}::test_a_batch_that_cannot_be_stored_whole_stores_nothing",),
    ),
    Fault(
        "an answer to COMMIT that was lost is taken for no",
        "services/journal/appending.py",
        "return found.next == batch.next != standing.next",
        "return False",
        ("tests/services/journal/test_lost_answers.py::test_a_batch_is_stored_once_wherever_its_commit_is_cut",),
    ),
    Fault(
        "a seal covers its own event only",
        "services/journal/seals.py",
        "link.update(previous + data)",
        "link.update(data)",
        ("tests/services/journal/test_seals.py",),
    ),
    Fault(
        "the journal may be changed by its owner",
        "services/migrations/0002_shard.sql",
        "alter table journal.shard_{shard}_events enable always trigger append_only;",
        "drop trigger append_only on journal.shard_{shard}_events;",
        ("tests/services/journal/test_rights.py::test_not_even_the_owner_changes_the_journal",),
    ),
)

WRITER_FAULTS: Final = (
    Fault(
        "what a batch decided is forgotten while it is being committed",
        "services/writer.py",
        "self._shard.forget(durable)",
        "self._shard.forget(self._shard.drafts)",
        (f"{WRITER}::test_an_id_decided_in_the_batch_being_committed_is_not_decided_again",),
    ),
    Fault(
        "a recall is trusted that began before the commit",
        "services/writer.py",
        "self._shard.forget(durable)",
        "self._shard.forget(self._shard.drafts - (self._commit is not None and not self._commit.done()))",
        (f"{WRITER}::test_a_recall_that_began_before_a_commit_does_not_let_go_of_what_was_committed",),
    ),
    Fault(
        "the next batch is committed without waiting for the one before",
        "services/writer.py",
        '        await self._point("decided")\n        await self._finish()\n',
        '        await self._point("decided")\n',
        (WRITER,),
    ),
    Fault(
        "the next offset leaves a record out",
        "services/writer.py",
        "next=last.offset + 1",
        "next=last.offset + 2",
        (WRITER,),
    ),
    Fault(
        "the record before the stored offset is not compared",
        "services/continuity.py",
        "if (record.at_ms, digest_of(record)) != (standing.last_at_ms, standing.last_digest):",
        "if record is None:",
        (f"{WRITER}::test_a_topic_that_grew_again_with_other_records_is_not_read",),
    ),
    Fault(
        "a dead letter is dropped",
        "services/shard.py",
        "draft.dead_letters.append(reading)",
        "draft.duplicates += 1",
        (f"{WRITER}::test_a_record_that_is_no_command_is_kept_as_it_came_and_the_next_is_decided",),
    ),
    Fault(
        "a batch is read as far as its portions are full",
        "services/reading.py",
        "range(0, len(records), PORTION)",
        "range(0, max(1, len(records) // PORTION * PORTION), PORTION)",
        (f"{SHARD}::test_a_batch_of_several_portions_comes_out_whole_and_in_its_order",),
    ),
    Fault(
        "what does not fill a portion is not stored",
        "services/shard.py",
        "        if self._events:\n            self._encode()\n",
        "",
        (f"{SHARD}::test_a_batch_of_several_portions_comes_out_whole_and_in_its_order",),
    ),
    Fault(
        "an id with other content counts as a duplicate",
        "services/shard.py",
        "if known == reading.fingerprint:",
        "if known:",
        (f"{SHARD}::test_an_id_with_other_content_is_a_dead_letter_wherever_the_first_is_remembered",),
    ),
    Fault(
        "all holds that are due expire in one step",
        "services/shard.py",
        "lapse(ledger, at, AT_ONCE)",
        "lapse(ledger, at)",
        (f"{WRITER}::test_others_are_heard_while_many_holds_expire_before_one_command",),
    ),
    Fault(
        "what is to be reversed is not found in the journal",
        "services/journal/reading.py",
        "found.setdefault(key, []).append(state)",
        "pass",
        ("tests/system/test_scenarios.py",),
    ),
    Fault(
        "a reversal is not remembered until it is stored",
        "services/shard.py",
        "draft.reversals.setdefault((command.ledger, reverses), []).append(outcome.sequence)",
        "pass",
        (f"{SHARD}::test_a_transfer_and_its_reversals_meet_in_one_batch_and_in_later_ones",),
    ),
)

PUBLISHER_FAULTS: Final = (
    Fault(
        "the tail of the output is ignored",
        "services/publisher.py",
        "last = await self._events.tail()",
        "last = None",
        (f"{PUBLISHER}::test_it_goes_on_from_the_tail_of_its_own_output",),
    ),
    Fault(
        "the tail of the output is compared with nothing",
        "services/publisher.py",
        "if row is None or row.data != last.value:",
        "if row is None:",
        (PUBLISHER,),
    ),
    Fault(
        "after a failed send it goes on as if all were sent",
        "services/publisher.py",
        "asked_again[self._part] += 1\n                lost = True",
        "self.progress.position = rows[-1].position if rows else self.progress.position\n                rows = []",
        (f"{PUBLISHER}::test_after_a_failed_send_the_tail_is_read_again_and_nothing_is_left_out",),
    ),
)

PROJECTION_FAULTS: Final = (
    Fault(
        "the checkpoint is stored in a transaction of its own",
        "projections/projection.py",
        "            self._checkpoint.move(cursor)\n",
        "            self._checkpoint.move(cursor)\n            self._connection.commit()\n",
        (f"{ONCE}::test_killed_anywhere_it_goes_on_where_it_stood",),
    ),
    Fault(
        "an event that comes again is folded again",
        "projections/checkpoint.py",
        "if sequence == last + 1:",
        "if sequence <= last + 1:",
        (f"{ONCE}::test_what_is_delivered_twice_is_taken_in_once",),
    ),
    Fault(
        "a gap is passed over",
        "projections/checkpoint.py",
        "if sequence == last + 1:",
        "if sequence > last:",
        (f"{ONCE}::test_a_gap_stops_with_its_name_and_nothing_of_its_page_is_kept",),
    ),
    Fault(
        "a checkpoint is moved on from wherever it stands",
        "projections/checkpoint.py",
        "where shard = %s and position = %s",
        "where shard = %s and position >= least(0, %s)",
        (
            f"{ONCE}::test_two_projectors_at_once_take_nothing_in_twice",
            f"{ONCE}::test_a_checkpoint_that_somebody_else_moved_is_not_moved_on",
        ),
    ),
    Fault(
        "a page is kept though its generation was swapped",
        "projections/projection.py",
        "generations.hold(cursor, self._generation)",
        "pass",
        (f"{ONCE}::test_a_page_is_given_up_when_its_generation_was_swapped",),
    ),
)

KAFKA_FAULTS: Final = (
    Fault(
        "the times of commands are those of their producers",
        "services/kafka/topics.py",
        'stamped = {"message.timestamp.type": "LogAppendTime"}',
        "stamped = dict[str, str]()",
        ("tests/services/kafka/test_topics.py",),
    ),
    Fault(
        "a broker that does not answer is a cluster without the topic",
        "services/kafka/client.py",
        "if not await client.force_metadata_update():",
        "if await client.force_metadata_update() is None:",
        ("tests/services/kafka/test_outages.py::test_a_broker_that_is_silent_is_not_one_without_the_topic",),
    ),
)

MACHINE_FAULTS: Final = (*JOURNAL_FAULTS, *WRITER_FAULTS, *PUBLISHER_FAULTS, *PROJECTION_FAULTS, *KAFKA_FAULTS)
