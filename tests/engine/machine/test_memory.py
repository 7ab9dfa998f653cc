"""Memory, swap and shared memory as the system tells them, within a container's limit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ecotui.engine.machine import memory


@pytest.fixture
def meminfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\nHugePages: 0\n")
    monkeypatch.setattr(memory, "MEMINFO", path)
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "cgroup")
    return path


def test_the_memory_of_the_machine_is_judged(meminfo: Path) -> None:
    check = memory.check_memory()
    assert (check.verdict, check.what) == ("pass", "8.2 GB of 16.4 GB memory available")
    meminfo.write_text("MemTotal: 16000000 kB\nMemAvailable: 1000000 kB\n")
    assert memory.check_memory().verdict == "warn"


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_the_limit_of_a_container_counts(
    meminfo: Path, tmp_path: Path, limit: str, used: str
) -> None:
    del meminfo
    for name, content in ((limit, "3000000000\n"), (used, "2500000000\n")):
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    check = memory.check_memory()
    assert check.verdict == "warn"
    assert check.what == "500.0 MB of 16.4 GB (limited to 3.0 GB) memory available"
    (tmp_path / "cgroup" / limit).write_text("max\n")
    assert memory.check_memory().verdict == "pass"


def test_a_system_that_does_not_tell_its_memory_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "_sysconf_bytes", lambda name: None)
    assert memory.check_memory().verdict == "note"
    assert memory.check_swap().verdict == "note"


@pytest.mark.parametrize(("free", "verdict"), [(900, "pass"), (600, "pass"), (100, "warn")])
def test_a_machine_that_swaps_is_found(meminfo: Path, free: int, verdict: str) -> None:
    meminfo.write_text(f"SwapTotal: 1000 kB\nSwapFree: {free} kB\nrubbish\nX: y kB\n")
    assert memory.check_swap().verdict == verdict


def test_little_shared_memory_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil._ntuple_diskusage(64_000_000, 0, 64_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    check = memory.check_shared_memory()
    assert check.verdict == "warn"
    assert "--shm-size" in check.remedy
    monkeypatch.undo()
    monkeypatch.setattr(memory, "SHARED", tmp_path / "none")
    assert memory.check_shared_memory().verdict == "note"
