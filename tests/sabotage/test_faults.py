"""What `make sabotage` would plant can still be planted: the source has moved on, and the faults with it."""

import ast
import re

import pytest

from tests.sabotage.fault import ROOT, Fault
from tests.sabotage.faults import FAULTS

NAMES = [fault.name for fault in FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_a_fault_can_be_planted(fault: Fault) -> None:
    source = fault.planted()

    assert fault.search != fault.replace
    if fault.path.endswith(".py"):
        ast.parse(source)


@pytest.mark.parametrize("fault", FAULTS, ids=NAMES)
def test_the_tests_that_are_to_notice_are_there(fault: Fault) -> None:
    for test in fault.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).exists(), test
        if name:
            assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), test


def test_there_are_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 12
