"""How busy the machine is, as /proc and the control group tell it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecotui.engine.machine import gauges, memory, processors
from ecotui.engine.machine.gauges import Gauges, children_of


class Place:
    """A made /proc and a made control group."""

    def __init__(self, path: Path) -> None:
        self.proc, self.cgroup = path / "proc", path / "cgroup"
        self.now = 100.0

    def write(self, name: str, text: str) -> None:
        path = self.proc.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    for module in (gauges, memory, processors):
        monkeypatch.setattr(module, "CGROUP", made.cgroup)
    monkeypatch.setattr(gauges, "PROC", made.proc)
    monkeypatch.setattr(memory, "MEMINFO", made.proc / "meminfo")
    monkeypatch.setattr(os, "getpid", lambda: 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    made.write("proc/meminfo", "MemTotal: 16000 kB\nMemAvailable: 12000 kB\n")
    return made


def stat(*cpus: tuple[int, int]) -> str:
    """Return /proc/stat with busy and idle ticks of each processor."""
    lines = ["cpu  9 9 9 9 9 9 9 9 0 0"]
    lines += [
        f"cpu{number} {busy} 0 0 {idle} 0 0 0 0 0 0" for number, (busy, idle) in enumerate(cpus)
    ]
    return "\n".join([*lines, "intr 1", "ctxt 2"]) + "\n"


def test_processors_that_may_not_be_used_do_not_count(place: Place, tmp_path: Path) -> None:
    place.write("proc/stat", stat((1, 1), (1, 1), (1, 1)))
    look = Gauges(tmp_path)
    place.write("proc/stat", stat((51, 51), (101, 1), (1, 999)))
    assert look.look().cpu_fraction == 0.75
    assert look.look().cpu_fraction is None  # no time has passed


def test_waiting_for_the_disk_is_no_work(place: Place, tmp_path: Path) -> None:
    place.write("proc/stat", "cpu0 1 0 0 1 0 0 0 0\n")
    look = Gauges(tmp_path)
    place.write("proc/stat", "cpu0 11 0 0 21 70 0 0 0\n")
    assert look.look().cpu_fraction == 0.1


@pytest.mark.parametrize(
    ("files", "fraction"),
    [
        ({"cgroup/cpu.max": "100000 100000\n", "cgroup/cpu.stat": "usage_usec {}\n"}, 0.5),
        ({"cgroup/cpu.max": "400000 100000\n", "cgroup/cpu.stat": "usage_usec {}\n"}, 0.25),
        (
            {
                "cgroup/cpu/cpu.cfs_quota_us": "100000\n",
                "cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "cgroup/cpuacct/cpuacct.usage": "{}000\n",
            },
            0.5,
        ),
    ],
)
def test_what_a_container_may_use_counts(
    place: Place, tmp_path: Path, files: dict[str, str], fraction: float
) -> None:
    for name, text in files.items():
        place.write(name, text.format(1_000_000))
    look = Gauges(tmp_path, lambda: place.now)
    for name, text in files.items():
        place.write(name, text.format(6_000_000))
    place.now += 10.0
    assert look.look().cpu_fraction == pytest.approx(fraction)


def test_memory_is_that_of_the_host_or_of_the_narrower_group(place: Place, tmp_path: Path) -> None:
    gauge = Gauges(tmp_path).look()
    assert (gauge.used, gauge.total) == (4_000 * 1_024, 16_000 * 1_024)
    place.write("cgroup/memory.max", str(8_000 * 1_024))
    place.write("cgroup/memory.current", str(7_000 * 1_024))
    gauge = Gauges(tmp_path).look()
    assert (gauge.used, gauge.total) == (7_000 * 1_024, 8_000 * 1_024)


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("", ("memory.max", "memory.current", "memory.stat")),
        (
            "total_",
            (
                "memory/memory.limit_in_bytes",
                "memory/memory.usage_in_bytes",
                "memory/memory.stat",
            ),
        ),
    ],
)
def test_cached_files_do_not_fill_a_container(
    place: Place, tmp_path: Path, prefix: str, names: tuple[str, str, str]
) -> None:
    limit, current, table = names
    place.write(f"cgroup/{limit}", str(8_000 * 1_024))
    place.write(f"cgroup/{current}", str(8_000 * 1_024))
    lines = f"{prefix}inactive_file {2_000 * 1_024}\n{prefix}active_file {1_000 * 1_024}\nanon 7\n"
    place.write(f"cgroup/{table}", lines)
    assert Gauges(tmp_path).look().used == 5_000 * 1_024


def test_shared_pages_of_workers_are_counted_once(place: Place, tmp_path: Path) -> None:
    place.write("proc/10/task/10/children", "11 12 ")
    place.write("proc/10/task/13/children", "")
    place.write(
        "proc/10/smaps_rollup", "x [rollup]\nPss: 900 kB\nPss_Anon: 500 kB\nPss_File: 400 kB\n"
    )
    place.write("proc/11/smaps_rollup", "Pss: 90 kB\nPss_Anon: 50 kB\nPss_Shmem: 30 kB\n")
    place.write("proc/12/smaps_rollup", "Pss: 7 kB\n")  # of an older kernel
    assert children_of(10) == [11, 12]
    assert Gauges(tmp_path).look().engine == (500 + 50 + 30 + 7) * 1_024


def test_a_process_that_takes_long_to_sum_up_is_asked_more_cheaply(
    place: Place, tmp_path: Path
) -> None:
    place.write("proc/10/smaps_rollup", "Pss_Anon: 500 kB\n")
    place.write("proc/10/status", "VmRSS: 900 kB\nRssAnon: 600 kB\nRssShmem: 10 kB\n")
    seconds = iter([0.0, 0.0, 1.0, 1.0])
    look = Gauges(tmp_path, lambda: next(seconds, 9.0))
    look._before = None
    assert look.look().engine == 500 * 1_024
    look._has_slow_sums = True
    assert look.look().engine == 610 * 1_024


def test_slow_sums_are_noticed(place: Place, tmp_path: Path) -> None:
    place.write("proc/10/smaps_rollup", "Pss_Anon: 500 kB\n")
    look = Gauges(tmp_path, lambda: place.now)

    def slow() -> float:
        place.now += 0.06
        return place.now

    look._clock = slow
    look._size_of(10)
    assert look._has_slow_sums


def test_a_system_that_tells_nothing_is_no_failure(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.proc / "meminfo").unlink()
    monkeypatch.setattr(memory, "_sysconf_bytes", lambda name: None)
    gauge = Gauges(tmp_path).look()
    assert (gauge.used, gauge.total, gauge.engine) == (None, None, None)
    assert gauge.cpu_fraction is None or 0 <= gauge.cpu_fraction <= 1


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_this_very_machine_can_be_measured(tmp_path: Path) -> None:
    look = Gauges(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in children_of(os.getpid())
        gauge = look.look()
    finally:
        child.communicate(b"\n")
    assert gauge.used is not None
    assert gauge.total is not None
    assert 0 < gauge.used < gauge.total
    assert gauge.engine is not None
    assert 1_000_000 < gauge.engine < gauge.total
    assert gauge.disk_free is not None
    assert gauge.disk_free > 0
