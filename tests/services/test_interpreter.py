"""How every process of ours uses the machine."""

import platform
import subprocess
import sys

import pytest

BATCHES = """
import resource
from services.interpreter import tune

def faults():
    batch = [b"x" * 2**20 for _ in range(12)]
    del batch
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

tune()
first = faults()
print([faults() - first for _ in range(20)][-1])
"""
"""Twelve blocks of a megabyte, as a page of events is, taken and freed twenty times."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide by themselves what they keep")
def test_memory_that_a_batch_has_freed_is_there_for_the_next() -> None:
    told = subprocess.run([sys.executable, "-c", BATCHES], check=True, capture_output=True, text=True)

    assert int(told.stdout) < 3000, "pages of 4 KiB, of which every batch has 3,072"
