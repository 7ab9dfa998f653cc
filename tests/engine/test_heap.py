"""Memory that is kept instead of being handed back to the system and asked for again."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from ecotui.config import ComputeConfig
from ecotui.engine import compute, heap, host_copy, offload
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.relief import free_caches

GLIBC = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have other ways"
)
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are forked there")

HEAD = """
import json, multiprocessing, resource, sys
import numpy as np
from ecotui.engine.heap import ARRAYS_BYTES, keep_as_usual, keep_freed_memory, release_freed

def faults_of(work):
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def megabytes(pid="self"):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
"""
ARRAYS = """
kept = eval(sys.argv[1])
small = faults_of(lambda: b'x' * 2_000_000)
large = faults_of(lambda: b'x' * 30_000_000)
print(json.dumps([kept, small, large]))
"""
GIGABYTES = """
import ctypes
library = ctypes.CDLL(None)
for name in ("malloc", "sbrk"):
    getattr(library, name).restype = ctypes.c_void_p
def end():
    return library.sbrk(ctypes.c_ssize_t(0)) / 2**20
keep_freed_memory()
before = end()
pieces = [library.malloc(ctypes.c_size_t(600 * 2**20)) for _ in range(6)]
for piece in reversed(pieces):
    library.free(ctypes.c_void_p(piece))
freed = end()
release_freed()
print(json.dumps([before, freed, end()]))
"""
"""Of addresses, none of them written to."""
WORKERS = """
import torch
from ecotui.engine.data.pool import WorkerPool
keep_freed_memory()
before = megabytes()
pieces = [np.ones(2_000_000) for _ in range(20)]
fence = np.ones(1_000_000)
del pieces
freed = megabytes()
pool = WorkerPool(None, 1, "fork")
after = megabytes()
(worker,) = multiprocessing.active_children()
print(json.dumps([before, freed, after, megabytes(worker.pid)]))
pool.end()
"""
OUTSIDE = (*heap.SETTINGS, heap.TUNABLES)
KEEP = "keep_freed_memory()"
FEW, MANY = 50, 500
"""Page faults in fifty rounds: where memory is used again, and where it is not, in huge pages."""
PLAIN = compute.Compute(
    device="cpu",
    precision="fp32",
    channels_last=False,
    threads=torch.get_num_threads(),
    workers=0,
    micro_batch_size=4,
    non_blocking=False,
    warnings=(),
)


def told(code: str, *arguments: str, **settings: str) -> Any:
    outside = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    done = subprocess.run(
        [sys.executable, "-c", HEAD + code, *arguments],
        env=outside | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@GLIBC
def test_the_pages_of_what_was_freed_are_used_again_whatever_its_size() -> None:
    kept, small, large = told(ARRAYS, KEEP)
    assert kept
    assert small < FEW, small
    assert large < FEW, large


@GLIBC
def test_above_a_size_that_is_given_they_go_back() -> None:
    kept, small, large = told(ARRAYS, "keep_freed_memory(ARRAYS_BYTES)")
    assert kept
    assert small < FEW, small
    assert large > MANY, large


@GLIBC
@pytest.mark.parametrize(
    "settings",
    [
        {"MALLOC_MMAP_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"},
    ],
)
def test_a_persons_own_settings_stay(settings: dict[str, str]) -> None:
    kept, small, _ = told(ARRAYS, KEEP, **settings)
    assert not kept
    assert small > MANY, small


@GLIBC
@pytest.mark.parametrize("name", ["arena_max", "tcache_count"])
def test_settings_of_other_things_do_not_matter(name: str) -> None:
    kept, small, _ = told(ARRAYS, KEEP, GLIBC_TUNABLES=f"glibc.malloc.{name}=4")
    assert kept
    assert small < FEW, small


@GLIBC
def test_an_audit_within_a_run_does_not_take_from_what_its_training_keeps() -> None:
    _, small, large = told(ARRAYS, "keep_freed_memory() and keep_freed_memory(ARRAYS_BYTES)")
    assert small < FEW, small
    assert large < FEW, large


@GLIBC
def test_a_process_that_inherited_it_can_keep_less() -> None:
    _, small, huge = told(
        ARRAYS.replace("30_000_000", "90_000_000"), "keep_freed_memory() and keep_as_usual()"
    )
    assert small < FEW, small
    assert huge > MANY, huge


@GLIBC
def test_a_process_that_inherited_nothing_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap._Kept, "largest_bytes", 0)
    heap.keep_as_usual()
    assert heap._Kept.largest_bytes == 0


@GLIBC
def test_several_gigabytes_that_were_freed_are_kept_until_they_are_released() -> None:
    before, freed, released = told(GIGABYTES)
    assert freed - before > 3_500, "nothing was kept"
    assert released - before < 100


@GLIBC
@LINUX
def test_forked_workers_do_not_hold_what_was_freed_before_them() -> None:
    before, freed, after, workers = told(WORKERS)
    assert freed > before + 300, "nothing was kept: there is nothing to tell"
    assert after < before + 100
    assert workers < before + 100


@pytest.mark.parametrize(
    ("module", "free"),
    [(offload, lambda: free_caches("cpu")), (host_copy, lambda: HostCopy().give_up())],
    ids=["after memory ran out", "with the copy of the state"],
)
def test_what_is_freed_for_others_goes_back(
    module: ModuleType, free: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []
    monkeypatch.setattr(module, "release_freed", lambda: released.append("released"))
    free()
    assert released == ["released"]


@pytest.mark.parametrize(("device", "is_kept"), [("cpu", True), ("cuda:0", False), ("mps", False)])
def test_training_on_the_cpu_keeps_it(
    device: str, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(compute, "keep_freed_memory", lambda: calls.append("kept"))
    compute.apply_process_settings(replace(PLAIN, device=device), ComputeConfig())
    assert bool(calls) == is_kept
