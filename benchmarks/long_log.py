"""How soon a day-long log is open in the app: `python benchmarks/long_log.py [ROUNDS]`.

Claim: 100,000 events with 50,000 alerts are open within 3 seconds of the start of the process,
below 200 MB, and scroll without stutter: a key is answered in less than a tenth of a second.
Everything on a real terminal of 120x40, where the run still goes on. Prints one JSON object on
stdout, keeps it in `benchmarks/results/long_log.json`, and prints one line for a person on stderr.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.parts.keeping import keep

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.parts.day_long import NUM_EVENTS, write  # noqa: E402
from ecotui import lock  # noqa: E402
from ecotui.paths import RunDir  # noqa: E402
from tests.terminal import Terminal  # noqa: E402

DEFAULT_ROUNDS = 5
PAGES = 20
TARGET_SECONDS, TARGET_BYTES, TARGET_KEY_SECONDS = 3.0, 200_000_000, 0.1
RESULT = Path(__file__).with_name("results") / "long_log.json"
PAGE_UP, ALERTS = b"\x1b[5~", b"A"


def run_of(folder: Path) -> RunDir:
    """Make a run with a day-long log."""
    run = RunDir(folder / "runs" / "day-20260101-000000-abcd")
    run.path.mkdir(parents=True)
    (run.path / "config.toml").write_text("")
    run.job.write_text('{"kind":"train"}')
    write(run.events)
    return run


def opened(folder: Path) -> dict[str, float]:
    """Open the log in the app, scroll in it, and return how long all of that took."""
    began = time.perf_counter()
    screen = Terminal(sys.executable, "-m", "ecotui", "attach", columns=120, rows=40, folder=folder)
    try:
        screen.wait_until(lambda seen: "Epoch 100/" in seen, 60.0)
        seconds, cpu = time.perf_counter() - began, cpu_seconds(screen.pid)
        screen.settle(0.5)
        found = {"seconds": seconds, "cpu_seconds": cpu, **scrolled(screen)}
        return {**found, "peak_bytes": peak_bytes(screen.pid)}
    finally:
        os.kill(screen.pid, signal.SIGKILL)
        os.waitpid(screen.pid, 0)
        screen.close()


def scrolled(screen: Terminal) -> dict[str, float]:
    """Go to the alerts, and page up in them; return the seconds until a key was seen."""
    seen_after(screen, ALERTS)
    pages = (seen_after(screen, PAGE_UP) for _ in range(PAGES))
    seconds = [each for each in pages if each is not None]
    assert len(seconds) > PAGES // 2, "nothing scrolls"
    return {
        "pages": len(seconds),
        "key_seconds": statistics.median(seconds),
        "worst_key_seconds": max(seconds),
    }


def seen_after(screen: Terminal, key: bytes) -> float | None:
    """Press a key; return the seconds until something was drawn, or None where nothing was."""
    before, pressed = len(screen.drawn), time.perf_counter()
    screen.press(key)
    while len(screen.drawn) == before:
        if time.perf_counter() - pressed > 0.5:
            return None
        screen.read(0.002)
    took = time.perf_counter() - pressed
    screen.settle(0.1)
    return took


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def measure(rounds: int) -> dict[str, object]:
    """Return the medians of the rounds, and the load of the machine meanwhile."""
    with tempfile.TemporaryDirectory() as place:
        held = lock.acquire(run_of(Path(place)).lock)
        found = [opened(Path(place)) for _ in range(rounds)]
        held.release()
    return {
        "rounds": rounds,
        "events": NUM_EVENTS,
        **{name: statistics.median(each[name] for each in found) for name in found[0]},
        "best_seconds": min(each["seconds"] for each in found),
        "target_seconds": TARGET_SECONDS,
        "target_bytes": TARGET_BYTES,
        "target_key_seconds": TARGET_KEY_SECONDS,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure, keep and print."""
    # Where it is installed, the app finds its bytecode.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS)
    keep(RESULT, found)
    print(json.dumps(found))
    print(
        f"{found['events']:,} events are open after {found['seconds']:.2f} s "
        f"({found['cpu_seconds']:.2f} s of processor time; target {TARGET_SECONDS}), with "
        f"{float(str(found['peak_bytes'])) / 1e6:.0f} MB; a key is seen after "
        f"{float(str(found['key_seconds'])) * 1e3:.0f} ms, at worst "
        f"{float(str(found['worst_key_seconds'])) * 1e3:.0f} ms; load {found['load']:.1f}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
