"""Faults in what an operator leans on after an incident: proof that finds nothing, a start from what is not so."""

from typing import Final

from tests.sabotage.fault import Fault

VERIFY: Final = "tests/services/test_verify.py::test_what_was_tampered_with_is_found_and_named"
SNAPSHOTS: Final = "tests/services/test_snapshots.py"
REBUILD: Final = "tests/services/test_rebuild.py"
LETTERS: Final = "tests/services/cli/test_dead_letters.py"

PROOF_FAULTS: Final = (
    Fault(
        "verify believes the totals that postings say",
        "services/verify/audit.py",
        "if posting.debits != place.debits or posting.credits != place.credits:",
        "if posting.debits < 0:",
        (VERIFY,),
    ),
    Fault(
        "verify compares no seal",
        "services/verify/chain.py",
        "        if seal != self._seal:\n",
        "        if not seal:\n",
        (VERIFY,),
    ),
    Fault(
        "verify passes over two ids that are exchanged",
        "services/verify/ids.py",
        "uuid_hash_extended(key, hashint8extended(sequence,",
        "uuid_hash_extended(key, 1)::numeric + (hashint8extended(sequence,",
        ("tests/services/test_verify.py::test_an_id_that_leads_elsewhere_is_found_where_nothing_else_is_wrong",),
    ),
    Fault(
        "verify passes over a floor that is broken",
        "services/verify/audit.py",
        "            if least is not None and place.credits - place.debits - place.held < least:\n"
        "                raise self._below(place)\n\n    def _other",
        "            assert place, least\n\n    def _other",
        ("tests/services/test_audit.py",),
    ),
    Fault(
        "verify compares no balance of the read models",
        "services/verify/read_models.py",
        '            if said != summed:\n                return f"{account}',
        '            if not summed:\n                return f"{account}',
        (VERIFY,),
    ),
    Fault(
        "verify compares no posting of the read models",
        "services/verify/read_models.py",
        "if told.pop((account, unit), 0) != place.told:",
        "if told.pop((account, unit), 0) is None:",
        (VERIFY,),
    ),
    Fault(
        "verify knows of no ad that was taken from",
        "services/verify/registers.py",
        "            ad.taken += into.amount\n",
        "",
        ("tests/services/test_verify.py::test_whatever_happens_to_holds_and_ads_the_read_models_have_it",),
    ),
    Fault(
        "verify looks at no list of the read models",
        "services/verify/read_models.py",
        "return None if found == audit.registers.told.get(table, 0) else",
        "return None if table else",
        (VERIFY,),
    ),
    Fault(
        "a snapshot is taken up whatever its bytes are",
        "services/snapshots.py",
        "if told.digest() != expected:",
        "if not expected:",
        (f"{SNAPSHOTS}::test_a_wrong_one_is_noticed_and_passed_over",),
    ),
    Fault(
        "a snapshot of another journal is taken up",
        "services/snapshots.py",
        "if _seals_of(connection, [seal[:2] for seal in seals]) != [seal for _, _, seal in seals]:",
        "if not seals:",
        (f"{SNAPSHOTS}::test_one_of_another_journal_is_passed_over_for_its_seals",),
    ),
    Fault(
        "it is not noted which dead letters were sent again",
        "services/redriving.py",
        "        await letters.note(page[0].partition, noted)\n",
        "        assert noted\n",
        (f"{LETTERS}::test_a_letter_from_the_wrong_partition_is_sent_to_the_right_one_and_only_once",),
    ),
    Fault(
        "what was rebuilt becomes live before it has come as far as what was",
        "services/swapping.py",
        "            if other is not None:\n                await building.to(",
        "            if other is None:\n                await building.to(",
        (f"{REBUILD}::test_readers_see_no_error_and_no_sequence_going_back_through_rebuild_swap_and_rollback",),
    ),
    Fault(
        "who reads goes on asking the generation that was live",
        "services/live.py",
        "if of.schema != ask.schema:",
        "if not of.schema:",
        ("tests/services/test_live.py::test_an_answer_comes_from_the_generation_that_is_live",),
    ),
    Fault(
        "the sums of now are told with the sequence of a moment before",
        "services/reads.py",
        "as_of=as_of, together=True)",
        "as_of=as_of)",
        ("tests/services/test_live.py::test_the_sums_of_now_are_those_of_the_sequence_that_they_are_told_with",),
    ),
)
