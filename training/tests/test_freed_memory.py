"""Freed memory is kept for the next tensors: counted in the pages that a process has to ask for."""

import subprocess
import sys

import pytest

ALLOCATE_AND_FREE = """
import resource
import torch
from earshot_training.freed_memory import keep_freed_memory
if {kept}:
    keep_freed_memory()
def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def make_and_drop():
    for _ in range(20):
        torch.ones(16, 1024, 1024)
make_and_drop()
before = page_faults()
make_and_drop()
print(page_faults() - before)
"""


def page_faults(*, kept: bool) -> int:
    """Of making and dropping 64 MB twenty times more, in a process of its own."""
    command = [sys.executable, "-c", ALLOCATE_AND_FREE.format(kept=kept)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone gives memory back so")
def test_memory_that_tensors_gave_back_is_not_asked_for_again():
    assert page_faults(kept=True) < page_faults(kept=False) / 10
