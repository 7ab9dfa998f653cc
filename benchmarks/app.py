"""What the app asks of the machine, the terminal and the run: `python benchmarks/app.py [SECONDS]`.

Claims: a burst of 100,000 events in a second is taken in with a loop that is never late by 50 ms;
a screen on which nothing happens sends nothing; a live run at 80x24 sends at most 10 KB a second
with ten frames a second and 4 KB with one; a run of 1,000 steps a second keeps the app below a
tenth of a core; a run trains as fast with the app attached as without, at least 0.99, where the
engine has a core of its own. SECONDS is how long each but the last is looked at; that one takes
some two minutes.

Prints one JSON object on stdout, keeps it in `benchmarks/results/app.json`, and prints one line
for a person on stderr.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.parts.keeping import keep

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.parts import feeding  # noqa: E402
from ecotui.events import EpochStarted, Event  # noqa: E402
from ecotui.paths import RunDir, list_runs  # noqa: E402
from ecotui.stream import Tail  # noqa: E402
from tests.terminal import Terminal  # noqa: E402

DEFAULT_SECONDS = 10.0
BURST_EVENTS = 100_000
PROBE_SECONDS = 0.002
TARGETS = {
    "burst_lag_seconds": 0.05,
    "idle_bytes_per_second": 0.0,
    "live_bytes_per_second_at_10": 10_000.0,
    "live_bytes_per_second_at_1": 4_000.0,
    "core_fraction_at_1000_steps": 0.1,
    "speed_attached": 0.99,
}
RESULT = Path(__file__).with_name("results") / "app.json"
ENGINE_CORE, APP_CORE = 0, 1
BLOCKS, EPOCHS_BEFORE = 30, 5
SECONDS_FOR_AN_EPOCH = 60.0


def burst_lag() -> dict[str, float]:
    """Append 100,000 events at once to a run on the screen; return how late the loop got."""
    from ecotui.app import EcoApp

    async def lag(folder: Path) -> dict[str, float]:
        with feeding.played_run(folder) as run:
            app = EcoApp(run, folder / "runs")
            async with app.run_test(size=(80, 24)) as pilot:
                while not app.run_state.step:
                    await pilot.pause(0.1)
                await pilot.pause(1.0)
                last = feeding.NUM_BEFORE + BURST_EVENTS
                writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(run.events)])
                lags, began = [], time.perf_counter()
                while app.run_state.step != last and time.perf_counter() - began < 60.0:
                    before = time.perf_counter()
                    await asyncio.sleep(PROBE_SECONDS)
                    lags.append(time.perf_counter() - before - PROBE_SECONDS)
                seconds = time.perf_counter() - began
                assert app.run_state.step == last, "the burst was never taken in"
                writer.wait()
                lags.sort()
                return {
                    "burst_lag_seconds": lags[-1],
                    "burst_lag_seconds_p99": lags[int(len(lags) * 0.99)],
                    "burst_seconds": seconds,
                }

    with tempfile.TemporaryDirectory() as place:
        return asyncio.run(lag(Path(place)))


_WRITER = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from benchmarks.parts.feeding import NUM_BEFORE, line, step
first = NUM_BEFORE + 1
lines = [line(step(each), each) for each in range(first, first + {BURST_EVENTS})]
with open(sys.argv[1], "ab", buffering=0) as file:
    for tick in range(10):
        began = time.monotonic()
        file.write(b"".join(lines[tick * len(lines) // 10 : (tick + 1) * len(lines) // 10]))
        time.sleep(max(0.0, 0.1 - (time.monotonic() - began)))
"""


@contextmanager
def attached(folder: Path, *flags: str) -> Iterator[Terminal]:
    """Have the app on a terminal of 80x24 with the newest run, on the core that is its own."""
    argv = ("taskset", "-c", str(APP_CORE), sys.executable, "-m", "ecotui", "attach", *flags)
    screen = Terminal(shutil.which("taskset") or "", *argv[1:], folder=folder)
    try:
        screen.wait_until(lambda seen: "Step" in seen, 60.0)
        screen.settle(1.0)
        yield screen
    finally:
        os.kill(screen.pid, signal.SIGKILL)
        os.waitpid(screen.pid, 0)
        screen.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watched(
    seconds: float, events: Callable[[int], list[Event]] | None, interval: float, *flags: str
) -> tuple[float, float]:
    """Watch a played run; return bytes a second to the terminal, and the share of a core."""
    with (
        tempfile.TemporaryDirectory() as place,
        feeding.played_run(Path(place)) as run,
        attached(Path(place), *flags) as screen,
    ):
        if events is None:
            return looked_at(screen, seconds)
        with feeding.feeding(run, events, interval):
            time.sleep(1.0)
            screen.settle(0.05, 1.0)
            return looked_at(screen, seconds)


def looked_at(screen: Terminal, seconds: float) -> tuple[float, float]:
    """Read a terminal for a while; return bytes a second, and the share of a core."""
    drawn, used, began = len(screen.drawn), cpu_seconds(screen.pid), time.monotonic()
    while time.monotonic() - began < seconds:
        screen.read()
    took = time.monotonic() - began
    return (len(screen.drawn) - drawn) / took, (cpu_seconds(screen.pid) - used) / took


def speed_attached(blocks: int) -> dict[str, float]:
    """Train the digits; return the speed with the app attached against that without, in turn.

    The engine has its core alone: this process, which is the terminal, stays off it too. The app
    is stopped (SIGSTOP) and continued at the ends of epochs, with, without, without, with: a
    stopped process takes memory and nothing else, and so short turns cost no start. Each block of
    four says how long the two without took against the two with; the two without, against each
    other, are the control.
    """
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {APP_CORE})
    try:
        with tempfile.TemporaryDirectory() as place:
            seconds = _epochs_in_turn(Path(place), 4 * blocks)
    finally:
        os.sched_setaffinity(0, everywhere)
    fours = [seconds[at : at + 4] for at in range(0, len(seconds), 4)]
    return {
        "seconds_an_epoch": median(seconds),
        "speed_attached": median((b + c) / (a + d) for a, b, c, d in fours),
        "speed_control": median(b / c for _, b, c, _ in fours),
    }


def _epochs_in_turn(folder: Path, num_epochs: int) -> list[float]:
    """Return what each epoch took, seconds; the app ran in the first and last of each four."""
    settings = ("train.epochs=100000", "preflight.level=off", "compute.threads=1")
    words = [each for setting in (*settings, "compute.workers=0") for each in ("--set", setting)]
    argv = [sys.executable, "-m", "ecotui", "--headless", "digits", "--detach", *words]
    subprocess.run(
        ["taskset", "-c", str(ENGINE_CORE), *argv], cwd=folder, check=True, capture_output=True
    )
    (run,) = list_runs(folder / "runs")
    try:
        wait_for_epochs(run, EPOCHS_BEFORE)
        with attached(folder) as screen:
            return _epochs_with(run, screen, num_epochs)
    finally:
        stop = [sys.executable, "-m", "ecotui", "stop", run.run_id]
        subprocess.run(stop, cwd=folder, check=False, capture_output=True)


def _epochs_with(run: RunDir, screen: Terminal, num_epochs: int) -> list[float]:
    tail, found = Tail(run.events, run.events.stat().st_size), list[float]()
    began, last = None, time.monotonic()
    while len(found) < num_epochs:
        assert time.monotonic() < last + SECONDS_FOR_AN_EPOCH, "no epoch ends"
        screen.read()
        for _, event in tail.read():
            if isinstance(event, EpochStarted):
                if began is not None:
                    found.append(event.at - began)
                    runs = len(found) % 4 in (0, 3)
                    os.kill(screen.pid, signal.SIGCONT if runs else signal.SIGSTOP)
                began, last = event.at, time.monotonic()
    return found


def wait_for_epochs(run: RunDir, number: int) -> None:
    """Wait until an engine has begun so many epochs: until it is at its pace."""
    tail, begun = Tail(run.events, 0), 0
    deadline = time.monotonic() + number * SECONDS_FOR_AN_EPOCH
    while begun < number:
        assert time.monotonic() < deadline, "no epoch begins"
        time.sleep(0.1)
        begun += sum(isinstance(event, EpochStarted) for _, event in tail.read())


def measure(seconds: float) -> dict[str, object]:
    """Return every figure with its target, and the load of the machine."""
    idle_bytes, idle_core = watched(seconds, None, 1.0)
    ten, _ = watched(seconds, feeding.every_frame, 0.1)
    one, _ = watched(seconds, feeding.every_frame, 0.1, "--refresh", "1")
    fast_bytes, fast_core = watched(seconds, feeding.fast_engine, 0.5)
    return {
        **burst_lag(),
        "idle_bytes_per_second": idle_bytes,
        "idle_core_fraction": idle_core,
        "live_bytes_per_second_at_10": ten,
        "live_bytes_per_second_at_1": one,
        "core_fraction_at_1000_steps": fast_core,
        "bytes_per_second_at_1000_steps": fast_bytes,
        **speed_attached(BLOCKS),
        "targets": TARGETS,
        "seconds": seconds,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure, keep and print."""
    # Ended from outside, it still ends the engine that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = measure(float(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SECONDS)
    keep(RESULT, found)
    print(json.dumps(found))
    told = ", ".join(f"{name} {found[name]:.4g} ({goal:g})" for name, goal in TARGETS.items())
    told += f", control {found['speed_control']:.4g}"
    print(f"{told}; load {found['load']:.1f}", file=sys.stderr)


if __name__ == "__main__":
    main()
