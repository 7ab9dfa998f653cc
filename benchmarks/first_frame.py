"""How soon the app is seen, beside a trivial one: `python -m benchmarks.first_frame [ROUNDS]`.

Claims, on a real terminal, from the start of the process to the first frame with the words
looked for: the home at most 1.4 times a trivial Textual app, the training screen attached to a
recorded run at most 1.7 times, in less than 80 MB. All are started in turn, so that a busy machine
slows all of them; the trivial app is measured twice a round, which shows how much of a difference
is noise. The bytecode of the app is kept between starts, as where it is installed: it lies in a
folder of the benchmark's own, also where the environment forbids writing any.

The first frame of an attached run is the word that it is being opened, and the keys: no panel of
the training screen is drawn yet. `ratio_training` counts to the first figures of the run, in them.

Prints one JSON object on stdout, keeps it in `benchmarks/results/first_frame.json`, and prints one
line for a person on stderr.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parts.keeping import keep
from ecotui import lock
from ecotui.paths import RunDir
from tests.terminal.picture import Picture

DEFAULT_ROUNDS = 15
TARGET_HOME, TARGET_TRAINING = 1.4, 1.7
LIMIT_SECONDS = 60.0
COLUMNS, ROWS = 120, 40
PAUSE_SECONDS = 0.03
ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / "tests" / "recordings" / "full_run.jsonl"
RESULT = Path(__file__).with_name("results") / "first_frame.json"
TRIVIAL = """
from textual.app import App
from textual.widgets import Footer, Static
class Trivial(App):
    BINDINGS = [("q", "quit", "Quit")]
    def compose(self):
        yield Static("ready to be seen")
        yield Footer()
Trivial().run()
"""


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process so far, where the system tells it; else NaN."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """Return the most memory a process has had, MB, where the system tells it; else NaN."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((int(each.split()[1]) / 1e3 for each in lines if "VmHWM" in each), float("nan"))


def seconds_until(words: str, argv: Sequence[str], folder: Path) -> tuple[float, float, float]:
    """Start a command on a terminal of its own; return how long it took until words were drawn.

    Returns:
        Seconds on the clock, and seconds of processor time: on a busy machine the second says
        more. And the most memory the process has had by then, MB.
    """
    began = time.perf_counter()
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ |= {
            "TERM": "xterm-256color",
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }
        os.execv(argv[0], list(argv))  # noqa: S606
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    picture, unread = Picture(COLUMNS, ROWS), list[tuple[float, float, bytes]]()
    try:
        while True:
            left = LIMIT_SECONDS - (time.perf_counter() - began)
            assert left > 0, f"{words!r} never came:\n{picture}"
            if select.select([master], [], [], PAUSE_SECONDS if unread else left)[0]:
                drawn = os.read(master, 65_536)  # Linux fails here where the command has died.
                unread.append((time.perf_counter() - began, cpu_seconds(pid), drawn))
                continue
            # What it takes to understand the bytes is not the app's: only in a pause is it done.
            for seconds, used, drawn in unread:
                picture.feed(drawn)
                if words in str(picture):
                    return seconds, used, peak_mb(pid)
            unread.clear()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


def measure(rounds: int) -> dict[str, object]:
    """Return medians in seconds, and the medians of the rounds' ratios to the trivial app."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = folder / "runs" / "digits-20260101-000000-abcd"
        run.mkdir(parents=True)
        (run / "config.toml").write_text("")
        (run / "job.json").write_text('{"kind":"train"}')
        # All but its end, with the lock held: a run that goes on, as those are that one watches.
        lines = RECORDING.read_bytes().splitlines(keepends=True)
        (run / "events.jsonl").write_bytes(b"".join(lines[:-1]))
        held = lock.acquire(RunDir(run).lock)
        commands = {
            "trivial": ([python, "-c", TRIVIAL], "ready to be seen"),
            "home": ([python, "-m", "ecotui"], "digits-20260101"),
            "home_frame": ([python, "-m", "ecotui"], "waste30"),
            "attached_frame": ([python, "-m", "ecotui", "attach"], "opening the run"),
            "training": ([python, "-m", "ecotui", "attach"], "Checkpoints"),
            "trivial_again": ([python, "-c", TRIVIAL], "ready to be seen"),
        }
        times: dict[str, list[float]] = {each: [] for each in commands}
        cpu: dict[str, list[float]] = {each: [] for each in commands}
        memory: dict[str, list[float]] = {each: [] for each in commands}
        for number in range(rounds + 1):
            for name, (argv, words) in commands.items():
                seconds, used, peak = seconds_until(words, argv, folder)
                if number:  # The first round warms the disk's cache.
                    times[name].append(seconds)
                    cpu[name].append(used)
                    memory[name].append(peak)
        held.release()
    ratios, cpu_ratios = (
        {
            name: statistics.median(
                mine / peer for mine, peer in zip(each[name], each["trivial"], strict=True)
            )
            for name in commands
        }
        for each in (times, cpu)
    )
    return {
        "rounds": rounds,
        "median_seconds": {name: statistics.median(each) for name, each in times.items()},
        "ratio_home": ratios["home_frame"],
        "ratio_home_with_runs": ratios["home"],
        "ratio_attached_frame": ratios["attached_frame"],
        "ratio_training": ratios["training"],
        "ratio_control": ratios["trivial_again"],
        "cpu_ratios": cpu_ratios,
        "peak_mb": {name: statistics.median(each) for name, each in memory.items()},
        "target_home": TARGET_HOME,
        "target_training": TARGET_TRAINING,
        "all_seconds": times,
    }


def main() -> None:
    """Measure, keep and print."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS)
    keep(RESULT, found)
    print(json.dumps(found))
    print(
        f"home {found['ratio_home']:.2f} times a trivial app (target {TARGET_HOME}), "
        f"{found['ratio_home_with_runs']:.2f} with its runs; attached "
        f"{found['ratio_attached_frame']:.2f} to the first frame, with the training's figures "
        f"{found['ratio_training']:.2f} (target {TARGET_TRAINING}); "
        f"control {found['ratio_control']:.2f}; "
        f"MB {found['peak_mb']}; in processor time {found['cpu_ratios']}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
