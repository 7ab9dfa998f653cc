"""Memory that is kept instead of being handed back to the system and asked for again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ARITHMETIC = """
import resource, sys
import numpy as np
from ecotui.engine.audit.heap import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def work():
    np.ones(500_000, dtype=np.float32)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other ways")
def test_the_pages_of_arrays_are_used_again() -> None:
    faults = {}
    for how in ("kept", "not"):
        shown = subprocess.run(
            [sys.executable, "-c", ARITHMETIC, how], capture_output=True, text=True, check=True
        )
        faults[how] = int(shown.stdout)
    assert faults["kept"] < 50, faults
    assert faults["not"] > 10 * faults["kept"], faults
