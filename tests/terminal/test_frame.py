"""The app's frame on a real terminal: suspended, stalled, closed, without colours, in ASCII."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecotui.errors import ExitCode
from ecotui.paths import RunDir, list_runs
from ecotui.session import attach
from tests.terminal import SECONDS, Terminal
from tests.terminal.picture import Picture

HERE = Path(__file__).parent
TESTS = HERE.parent
RECORDING = TESTS / "recordings" / "full_run.jsonl"
SECONDS_TO_BE_GONE = 2.0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a working directory with a config; no engine outlives the test."""
    (tmp_path / "tiny.toml").write_text('[data]\nroot = "photos"\n')
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for run in list_runs(tmp_path / "runs"):
        engine = attach(run)
        engine.engine_signal(signal.SIGKILL)
        engine.wait_until_gone()


def on_stand_in(*argv: str) -> Terminal:
    return Terminal(sys.executable, str(TESTS / "drive_cli.py"), "trains", *argv)


def on_recording(*flags: str) -> Terminal:
    return Terminal(sys.executable, str(HERE / "app_on_recording.py"), str(RECORDING), *flags)


def the_run(place: Path) -> RunDir:
    (run,) = list_runs(place / "runs")
    return run


def goes_on(run: RunDir) -> bool:
    size, deadline = run.events.stat().st_size, time.monotonic() + SECONDS
    while run.events.stat().st_size <= size and time.monotonic() < deadline:
        time.sleep(0.02)
    return run.events.stat().st_size > size and attach(run).is_alive()


def seconds_until_gone(screen: Terminal) -> float:
    began = time.monotonic()
    screen.left_with(reads=False)
    return time.monotonic() - began


def read_for(screen: Terminal, seconds: float) -> int:
    """Read for a while; return how many bytes came."""
    before, deadline = len(screen.drawn), time.monotonic() + seconds
    while time.monotonic() < deadline:
        screen.read()
    return len(screen.drawn) - before


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anew(drawn: bytes) -> str:
    """Return what bytes make of a terminal on which nothing is to be seen."""
    picture = Picture(80, 24)
    picture.feed(drawn.partition(b"?1049h")[2])
    return str(picture)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_z_suspends_the_app_and_the_run_goes_on(place: Path) -> None:
    screen = on_stand_in("tiny.toml")
    screen.wait_for(b"stand_in")
    screen.press(b"\x1a")
    deadline = time.monotonic() + SECONDS
    while state_of(screen.pid) != "T":
        assert time.monotonic() < deadline, "never suspended"
        screen.read()
    read_for(screen, 0.3)
    assert b"?1049l" in screen.drawn  # the shell's own screen is back
    assert goes_on(the_run(place))
    seen = len(screen.drawn)
    os.kill(screen.pid, signal.SIGCONT)
    # All of it is drawn anew: what does not change by itself, too.
    for words in ("1 Diagnostic", "Environment", "Evidence and remedy", "? more"):
        while words not in anew(screen.drawn[seen:]):
            assert time.monotonic() < deadline + SECONDS, f"{words} never came back"
            screen.read()
    screen.press(b"d")
    assert screen.left_with() == ExitCode.DONE


@pytest.mark.usefixtures("place")
def test_ctrl_l_draws_all_of_a_disturbed_screen_anew() -> None:
    screen = on_stand_in("tiny.toml")
    screen.wait_for(b"stand_in")
    read_for(screen, 0.5)
    seen = len(screen.drawn)
    screen.press(b"\x0c")
    deadline = time.monotonic() + SECONDS
    shown = Picture(80, 24)
    for words in ("1 Diagnostic", "Environment", "Evidence and remedy", "? more"):
        while words not in str(shown):
            assert time.monotonic() < deadline, f"{words} never came:\n{shown}"
            shown.feed(screen.drawn[seen:])
            seen = len(screen.drawn)
            screen.read()
    screen.press(b"d")
    assert screen.left_with() == ExitCode.DONE


@pytest.mark.parametrize("how", ["closed", "SIGHUP", "SIGTERM"])
def test_the_app_is_gone_within_two_seconds_and_the_run_is_not(place: Path, how: str) -> None:
    screen = on_stand_in("tiny.toml")
    screen.wait_for(b"stand_in")
    if how == "closed":
        screen.close()
    else:
        os.kill(screen.pid, getattr(signal, how))
    # On a machine with much else to do, twice that.
    assert seconds_until_gone(screen) < 2 * SECONDS_TO_BE_GONE
    assert goes_on(the_run(place))


@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP", "closed"])
def test_a_stalled_terminal_holds_neither_the_app_nor_the_run(place: Path, how: str) -> None:
    screen = on_stand_in("tiny.toml", "--refresh", "30")
    screen.wait_for(b"stand_in")
    time.sleep(3.0)  # Nobody reads: frames would pile up, and writing would wait.
    run = the_run(place)
    assert goes_on(run)
    if how == "closed":
        screen.close()
    else:
        os.kill(screen.pid, getattr(signal, how))
    assert seconds_until_gone(screen) < 2 * SECONDS_TO_BE_GONE
    assert goes_on(run)


def test_a_terminal_that_goes_on_after_a_stall_shows_the_run_as_it_is(place: Path) -> None:
    screen = on_stand_in("tiny.toml")
    screen.wait_for(b"stand_in")
    time.sleep(2.0)
    run = the_run(place)
    assert goes_on(run)
    screen.press(b"3")
    screen.wait_for(b"Step")
    screen.press(b"d")
    assert screen.left_with() == ExitCode.DONE


def test_without_colours_no_colour_is_sent(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = on_recording()
    screen.wait_for(b"Training")
    read_for(screen, 0.5)
    screen.press(b"q")
    assert screen.left_with() == 0
    assert colours_sent(screen.drawn) == set()


def test_an_empty_no_color_means_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    screen = on_recording()
    screen.wait_for(b"Training")
    read_for(screen, 0.5)
    screen.press(b"q")
    assert screen.left_with() == 0
    assert colours_sent(screen.drawn)


def colours_sent(stream: bytes) -> set[str]:
    """Return the parameters of every sequence that sets a colour other than the terminal's own."""
    found = set()
    for sequence in re.findall(rb"\x1b\[([0-9;]*)m", stream):
        numbers = [int(each) for each in sequence.split(b";") if each]
        if any(30 <= n <= 38 or 40 <= n <= 48 or 90 <= n <= 107 for n in numbers):
            found.add(sequence.decode())
    return found


def test_in_ascii_nothing_else_reaches_the_terminal(place: Path) -> None:
    screen = on_recording("--ascii")
    screen.wait_for(b"Training")
    for key in (b"1", b"2", b"3", b"?", b"\x1b", b":", b"\x1b", b"q"):
        screen.press(key)
        # After Esc alone, longer: with what follows it could be another key.
        screen.settle(0.6 if key == b"\x1b" else 0.25)
    assert screen.left_with() == 0
    assert screen.drawn.isascii()


def test_a_screen_on_which_nothing_changes_sends_nothing(place: Path) -> None:
    screen = on_recording()
    screen.wait_for(b"Training")
    read_for(screen, 3.0)
    assert read_for(screen, 2.0) == 0
    screen.press(b"q")
    assert screen.left_with() == 0


def test_without_a_terminal_on_both_ends_it_says_what_to_do_instead(place: Path) -> None:
    import subprocess

    for argv in (("tiny.toml",), ("attach",), ()):
        done = subprocess.run(
            [sys.executable, str(TESTS / "drive_cli.py"), "trains", *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == ExitCode.USAGE
        assert "--headless" in done.stderr
        assert "\x1b" not in done.stdout + done.stderr


def test_read_only_is_for_watching(place: Path) -> None:
    screen = on_stand_in("tiny.toml", "--readonly")
    assert screen.left_with() == ExitCode.USAGE
    assert b"--readonly takes no request" in screen.drawn
    assert list_runs(place / "runs") == []
    first = on_stand_in("tiny.toml")
    first.wait_for(b"stand_in")
    second = on_stand_in("attach", "--readonly", "--theme", "contrast", "--slow")
    second.wait_for(b"read only")
    second.press(b"s")
    read_for(second, 1.0)
    assert not the_run(place).commands.exists() or not the_run(place).commands.read_bytes()
    second.press(b"d")
    assert second.left_with() == ExitCode.DONE
    first.press(b"d")
    assert first.left_with() == ExitCode.DONE


def test_a_key_of_ones_own_that_names_no_action_is_refused_before_anything_is_drawn(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    (place / "config" / "ecotui").mkdir(parents=True)
    (place / "config" / "ecotui" / "app.toml").write_text('[keys]\n"run.stpo" = "x"\n')
    screen = on_stand_in()
    assert screen.left_with() == ExitCode.USAGE
    assert b"did you mean 'run.stop'?" in screen.drawn
    assert b"?1049h" not in screen.drawn


def test_control_two_seconds_of_cpu_are_not_burnt_by_standing_still(place: Path) -> None:
    screen = on_recording()
    screen.wait_for(b"Training")
    read_for(screen, 1.0)
    before = cpu_seconds(screen.pid)
    read_for(screen, 3.0)
    assert cpu_seconds(screen.pid) - before < 1.5
    screen.press(b"q")
    assert screen.left_with() == 0
