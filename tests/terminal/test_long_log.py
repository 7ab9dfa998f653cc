"""A day-long log in the app: read, shown and kept in bounded memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.parts.day_long import NUM_EVENTS, write
from ecotui import lock
from ecotui.paths import RunDir
from tests.terminal import Terminal

SECONDS_TO_OPEN = 120.0
"""Where two others want the same processor; `benchmarks/long_log.py` holds it to three."""
MOST_BYTES = 200_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_hundred_thousand_events_with_half_of_them_alerts_open(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "runs" / "day-20260101-000000-abcd")
    run.path.mkdir(parents=True)
    (run.path / "config.toml").write_text("")
    run.job.write_text('{"kind":"train"}')
    write(run.events)
    held = lock.acquire(run.lock)
    screen = Terminal(
        sys.executable, "-m", "ecotui", "attach", columns=120, rows=40, folder=tmp_path
    )
    screen.wait_until(lambda seen: f"Epoch {NUM_EVENTS // 1000}/" in seen, SECONDS_TO_OPEN)
    status = Path(f"/proc/{screen.pid}/status").read_text()
    peak_bytes = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    screen.press(b"d")
    assert screen.left_with() == 0
    held.release()
    assert peak_bytes < MOST_BYTES


def test_the_day_is_the_same_every_time(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, 5_000).read_bytes() for name in ("one", "other"))
    assert one == other
    assert one.count(b"\n") == 5_000
