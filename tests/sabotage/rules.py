"""Faults in the rules: each would book what must be refused, refuse what must be booked, or decide it differently."""

from typing import Final

from tests.sabotage.fault import Fault

VECTORS: Final = "tests/domain/test_vectors.py"

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
        "    settled = why or settle(ledger, changes)\n    if isinstance(settled, Objection):\n"
        "        return refused(ledger, command, at, settled)\n"
        "    if short := short_of_funds(ledger, settled.nets):\n",
        "    settled = why or settle(ledger, changes)\n    if isinstance(settled, Objection):\n"
        "        return refused(ledger, command, at, settled)\n"
        "    paid = settle(ledger, changes[: 2 * len(command.movements)])\n    assert isinstance(paid, Settled)\n"
        "    if short := short_of_funds(ledger, paid.nets):\n",
        ("tests/domain/test_transfers.py", VECTORS),
    ),
    Fault(
        "a floor is off by one",
        "domain/state.py",
        "bound = self.floor if self.policy is Policy.CAPPED_OVERDRAFT else None",
        "bound = (self.floor or 0) - 1 if self.policy is Policy.CAPPED_OVERDRAFT else None",
        ("tests/domain/test_transfers.py", VECTORS),
    ),
    Fault(
        "what is held may be spent",
        "domain/state.py",
        "return self.credits - self.debits - self.held",
        "return self.credits - self.debits",
        ("tests/domain/test_holds.py", VECTORS),
    ),
    Fault(
        "what is held is not given back",
        "domain/ledger.py",
        "ledger.places[part.unit][part.source].held -= part.remaining",
        "ledger.places[part.unit][part.source].held -= 0",
        ("tests/domain/test_holds.py", VECTORS),
    ),
    Fault(
        "a ledger's time may go back",
        "services/shard.py",
        "at = max(reading.at, ledger.at)",
        "at = reading.at",
        (VECTORS,),
    ),
    Fault(
        "the fingerprint leaves the metadata out",
        "schemas/codec.py",
        "canonical = _canonical(command)",
        "canonical = _canonical(msgspec.structs.replace(command, metadata={}))",
        ("tests/schemas/test_codec.py", VECTORS),
    ),
    Fault(
        "a field given twice is accepted",
        "schemas/codec.py",
        "if len(fields) != len(pairs):",
        "if len(fields) > len(pairs):",
        ("tests/schemas/test_strictness.py", "tests/domain/test_bad_inputs.py"),
    ),
    Fault(
        "the id of a transfer may be anything",
        "schemas/commands.py",
        "check_id(self.id)",
        'check_id("id")',
        ("tests/schemas/test_forms.py", "tests/domain/test_bad_inputs.py"),
    ),
    Fault(
        "a part of a transfer is reversed again and again",
        "domain/reversals.py",
        "remainders = less(remainders, [_turned(moved) for moved in movements(reversal)])",
        "assert remainders, reversal",
        ("tests/domain/test_reversals.py", VECTORS),
    ),
    Fault(
        "an envelope is reversed again and again",
        "domain/reversals.py",
        "    if facts.reversals:\n        return _already_reversed(command)\n",
        "",
        ("tests/domain/test_reversals.py", VECTORS),
    ),
    Fault(
        "parts of one command do not add up",
        "domain/parts.py",
        "    for movement in movements:\n        pots[movement[:3]] += movement.amount",
        "    for movement in movements:\n        pots[movement[:3]] = max(pots[movement[:3]], movement.amount)",
        ("tests/domain/test_holds.py", "tests/domain/test_reversals.py", VECTORS),
    ),
    Fault(
        "a posting is consumed twice",
        "domain/envelopes.py",
        "if posting.end <= ledger.totals(posting.account.name, posting.unit).debits:",
        "if posting.end < 0:",
        ("tests/domain/test_envelopes.py", VECTORS),
    ),
    Fault(
        "an envelope passes over an older posting",
        "domain/envelopes.py",
        "if totals.held or posting.start != reached.get(place, totals.debits):",
        "if totals.held:",
        ("tests/domain/test_envelopes.py", VECTORS),
    ),
    Fault(
        "an envelope creates more than it consumes",
        "domain/envelopes.py",
        "if consumed != created:",
        "if consumed > created:",
        ("tests/domain/test_envelopes.py", VECTORS),
    ),
    Fault(
        "a named book is not asked",
        "domain/books.py",
        "judged = [(book, account, unit) for account, unit, _ in changes]",
        "judged = [(book, account, unit) for account, unit, _ in changes if account.book is not None]",
        (VECTORS, "tests/domain/test_ladder.py"),
    ),
    Fault(
        "an account's home book counts for nothing",
        "domain/books.py",
        "homes = ((ledger.books.get(account.terms.book or DEFAULT_BOOK), account, unit)",
        "homes = ((ledger.books.get(DEFAULT_BOOK), account, unit)",
        (VECTORS,),
    ),
    Fault(
        "the short cut of transfers forgets that an account is frozen",
        "domain/plain.py",
        "if terms.state or not admission",
        "if not admission",
        ("tests/domain/test_plain.py",),
    ),
    Fault(
        "the short cut of transfers asks one side's book only",
        "domain/plain.py",
        "or destination not in admitted.destinations",
        "",
        ("tests/domain/test_plain.py",),
    ),
    Fault(
        "what a book admitted is remembered when it does so no more",
        "domain/ledger.py",
        "            ledger.admitted.clear()\n",
        "",
        ("tests/domain/test_plain.py",),
    ),
    Fault(
        "what one account may do by its name is remembered for all like it",
        "domain/plain.py",
        "is_at_home(ledger, None, terms,",
        "is_at_home(ledger, account, terms,",
        ("tests/domain/test_plain.py",),
    ),
    Fault(
        "a place keeps the terms that its account had",
        "domain/ledger.py",
        "                place.terms = terms\n",
        "                assert terms\n",
        ("tests/domain/test_plain.py", VECTORS),
    ),
    Fault(
        "a hold whose time has come stays open",
        "domain/expiries.py",
        "while self.first <= at and",
        "while self.first < at and",
        ("tests/domain/test_holds.py", "tests/domain/test_expiries.py"),
    ),
    Fault(
        "an ad gives more than its limit",
        "domain/exchange.py",
        "ad.limit - ad.taken",
        "ad.limit",
        ("tests/domain/test_exchange.py", VECTORS),
    ),
    Fault(
        "a way to the best route is given up too early",
        "domain/exchange.py",
        "-(given * worth // ONE**left)",
        "-(given * worth // ONE**left) + 1",
        ("tests/domain/test_routes.py",),
    ),
)
