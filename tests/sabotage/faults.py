"""The faults that `make sabotage` plants: each a change of the source by which Defter would be less safe.

`search` stands in the file exactly once. `tests` are those of which at least one must turn red.
"""

from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]

WRITER: Final = "tests/services/test_writer.py"
SHARD: Final = "tests/services/test_shard.py"
JOURNAL: Final = "tests/services/journal/test_journal.py"
PUBLISHER: Final = "tests/services/test_publisher.py"
ONCE: Final = "tests/projections/test_once_in_order.py"


class Fault(NamedTuple):
    """A change of the source, and the tests that must notice."""

    name: str
    path: str
    search: str
    replace: str
    tests: tuple[str, ...]

    def planted(self) -> str:
        """Return the source with the fault in it.

        Raises:
            ValueError: what is searched for does not stand there exactly once.
        """
        source = (ROOT / self.path).read_text(encoding="utf-8")
        if (times := source.count(self.search)) != 1:
            raise ValueError(f"{self.name}: {self.path} has {self.search!r} {times} times, not once")
        return source.replace(self.search, self.replace)


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
        "ids and offset are stored in a transaction of their own",
        "services/journal/recorder.py",
        "                if stored_events:\n                    self._insert_stored_events",
        '                first.execute("commit; begin", prepare=False)\n'
        "                if stored_events:\n                    self._insert_stored_events",
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
        "services/journal/appending.py",
        "return found.next == batch.next != standing.next",
        "return True",
        ("tests/services/journal/test_lost_answers.py::test_a_batch_is_stored_once_wherever_its_commit_is_cut",),
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
        "services/writer.py",
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
        "an id with other content counts as a duplicate",
        "services/shard.py",
        "if known == reading.fingerprint:",
        "if known:",
        (f"{SHARD}::test_an_id_with_other_content_is_a_dead_letter_wherever_the_first_is_remembered",),
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
        "            await self._same_journal(last)",
        "            pass",
        (PUBLISHER,),
    ),
    Fault(
        "after a failed send it goes on as if all were sent",
        "services/publisher.py",
        "                lost = True\n            else",
        "                self.progress.position = rows[-1].position if rows else self.progress.position\n"
        "                rows = []\n            else",
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

RULE_FAULTS: Final = (
    Fault(
        "two reasons are asked for in the wrong order",
        "domain/transfers.py",
        "        _unknown_pin(ledger, command.expect)\n        or same_account(legs)\n"
        "        or unknown_unit(ledger, [leg.unit for leg in legs])\n",
        "        _unknown_pin(ledger, command.expect)\n        or unknown_unit(ledger, [leg.unit for leg in legs])\n"
        "        or same_account(legs)\n",
        ("tests/domain/test_ladder.py",),
    ),
    Fault(
        "the fee is not counted in the funds",
        "domain/transfers.py",
        "    settled = why or settle(changes)\n    if isinstance(settled, Objection):\n"
        "        return refused(ledger, command, at, settled)\n"
        "    if short := short_of_funds(ledger, settled.nets):\n",
        "    settled = why or settle(changes)\n    if isinstance(settled, Objection):\n"
        "        return refused(ledger, command, at, settled)\n"
        "    paid = settle(changes[: 2 * len(command.movements)])\n    assert isinstance(paid, Settled)\n"
        "    if short := short_of_funds(ledger, paid.nets):\n",
        ("tests/domain/test_transfers.py", "tests/domain/test_vectors.py"),
    ),
    Fault(
        "a floor is off by one",
        "domain/state.py",
        "return floor if policy is Policy.CAPPED_OVERDRAFT else None",
        "return (floor or 0) - 1 if policy is Policy.CAPPED_OVERDRAFT else None",
        ("tests/domain/test_transfers.py", "tests/domain/test_vectors.py"),
    ),
    Fault(
        "what is held may be spent",
        "domain/state.py",
        "return self.credits - self.debits - self.held",
        "return self.credits - self.debits",
        ("tests/domain/test_holds.py", "tests/domain/test_vectors.py"),
    ),
    Fault(
        "what is held is not given back",
        "domain/ledger.py",
        "ledger.accounts[part.source].totals[part.unit].held -= part.remaining",
        "ledger.accounts[part.source].totals[part.unit].held -= 0",
        ("tests/domain/test_holds.py", "tests/domain/test_vectors.py"),
    ),
    Fault(
        "a ledger's time may go back",
        "domain/decide.py",
        "at = max(at, ledger.at)",
        "at = at or ledger.at",
        ("tests/domain/test_vectors.py",),
    ),
    Fault(
        "the fingerprint leaves the metadata out",
        "schemas/codec.py",
        "canonical = _canonical(command)",
        "canonical = _canonical(msgspec.structs.replace(command, metadata={}))",
        ("tests/schemas/test_codec.py", "tests/domain/test_vectors.py"),
    ),
    Fault(
        "a field given twice is accepted",
        "schemas/codec.py",
        "if len(fields) != len(pairs):",
        "if len(fields) > len(pairs):",
        ("tests/schemas/test_strictness.py", "tests/domain/test_bad_inputs.py"),
    ),
    Fault(
        "the times of commands are those of their producers",
        "services/kafka/topics.py",
        'stamped = {"message.timestamp.type": "LogAppendTime"}',
        "stamped = dict[str, str]()",
        ("tests/services/kafka/test_topics.py",),
    ),
)

FAULTS: Final = (*JOURNAL_FAULTS, *WRITER_FAULTS, *PUBLISHER_FAULTS, *PROJECTION_FAULTS, *RULE_FAULTS)
