from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ecotui import session
from ecotui.cli import EXIT_CODES, main
from ecotui.errors import ExitCode
from ecotui.paths import RunDir, list_runs
from ecotui.session import attach

Capture = pytest.CaptureFixture[str]
Recorded = Callable[[str], RunDir]
TESTS = Path(__file__).parent
# A detached engine outlives the object that launched it; that is what it is for.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
CONFIG = '[data]\nroot = "photos"\n'


def run_cli(*argv: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return int(str(caught.value.code))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with a config `tiny.toml` in it."""
    place = tmp_path / "work"
    place.mkdir()
    (place / "tiny.toml").write_text(CONFIG)
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def engine_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the command line launch the stand-in engine."""

    def choose(how: str) -> None:
        argv = (sys.executable, str(TESTS / "stand_in_engine.py"), how)
        monkeypatch.setattr(session, "ENGINE_ARGV", argv)

    return choose


def drive(how: str, *argv: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, str(TESTS / "drive_cli.py"), how, *argv]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)


def the_run(folder: Path) -> RunDir:
    found = list_runs(folder)
    assert len(found) == 1
    return found[0]


def wait_for_steps(folder: Path) -> RunDir:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for run in list_runs(folder):
            if run.events.is_file() and b"steps_taken" in run.events.read_bytes():
                return run
        time.sleep(0.02)
    raise AssertionError("no run has begun")


def assert_three_lines(told: str) -> None:
    starts = [line.partition(":")[0] for line in told.splitlines()]
    assert starts == ["error", "expected", "to fix"], told


# Help and what it may import ---------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h", "--version"])
def test_help_imports_click_and_the_standard_library_only(flag: str) -> None:
    program = (
        "import sys\nfrom ecotui.cli import main\n"
        f"try: main([{flag!r}])\nexcept SystemExit as left: assert not left.code\n"
        "heavy = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", _with_site(program)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "['__main__', 'click', 'ecotui']"


def _with_site(program: str) -> str:
    # Without `site`, no .pth file of the environment imports anything of its own.
    return f"import sys; sys.path[:] = {[str(TESTS.parent), *sys.path]!r}\n{program}"


def test_help_names_options_verbs_and_every_exit_code(capsys: Capture) -> None:
    assert run_cli("--help") == 0
    told = capsys.readouterr().out
    for word in ("--headless", "--set", "--runs-dir", "--json", "--detach", "attach", "export"):
        assert word in told
    assert {code for code, _ in EXIT_CODES} == set(ExitCode)
    for code in ExitCode:
        assert f"\n  {int(code)} " in told
    assert run_cli("--headless", "--help") == 0
    assert capsys.readouterr().out == told


def test_a_wrong_flag_is_a_usage_error(capsys: Capture) -> None:
    assert run_cli("stop") == ExitCode.USAGE
    assert run_cli("--headless", "--fast", "digits") == ExitCode.USAGE
    assert "--fast" in capsys.readouterr().err


# Training ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [(), ("digits",), ("attach",), ("resume",)])
def test_without_a_terminal_the_app_points_to_headless(
    argv: tuple[str, ...], place: Path, capsys: Capture
) -> None:
    assert run_cli(*argv) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert_three_lines(told)
    assert "--headless" in told
    assert not (place / "runs").exists()


def test_headless_without_a_config_lists_the_shipped_ones(place: Path, capsys: Capture) -> None:
    assert run_cli("--headless") == ExitCode.USAGE
    told = capsys.readouterr().err
    assert_three_lines(told)
    assert "digits, smoke, trashnet, waste30" in told


@pytest.mark.parametrize(
    "argv",
    [
        ("nonsense",),
        ("tiny.toml", "--set", "train.epochs=0"),
        ("tiny.toml", "--set", "train.epoch=3"),
        ("tiny.toml", "--runs-dir", "tiny.toml/runs"),
    ],
)
def test_bad_input_is_three_lines_and_leaves_nothing(
    argv: tuple[str, ...], place: Path, capsys: Capture
) -> None:
    assert run_cli("--headless", *argv) == ExitCode.USAGE
    assert_three_lines(capsys.readouterr().err)
    assert [path.name for path in place.iterdir()] == ["tiny.toml"]


def test_a_run_prints_where_it_is_and_how_it_ended(
    place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("finishes")
    assert run_cli("--headless", "tiny.toml", "--set", "train.epochs=2") == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    run = the_run(place / "runs")
    assert lines[0] == f"runs directory: {place / 'runs'}"
    assert f"run: {run.run_id} in {run.path}" in lines
    assert any(line.startswith("training completed: all 2 epochs") for line in lines[-13:])
    assert "epochs = 2" in run.config.read_text()


def test_runs_dir_comes_from_the_flag_then_the_environment(
    place: Path, engine_that: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_that("finishes")
    monkeypatch.setenv("ECOTUI_RUNS_DIR", str(place / "mine"))
    assert run_cli("-q", "tiny.toml") == ExitCode.DONE
    assert run_cli("-q", "tiny.toml", "--runs-dir", "flag") == ExitCode.DONE
    assert len(list_runs(place / "mine")) == len(list_runs(place / "flag")) == 1


def test_json_prints_the_events_and_nothing_else_on_stdout(
    place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("finishes")
    assert run_cli("--headless", "--json", "tiny.toml") == ExitCode.DONE
    printed, words = capsys.readouterr()
    assert printed.encode() == the_run(place / "runs").events.read_bytes()
    assert all("kind" in json.loads(line) for line in printed.splitlines())
    assert "training completed" in words


@pytest.mark.parametrize("flags", [(), ("--detach",), ("--json",), ("-q",)])
def test_a_failed_beginning_leaves_nothing(
    flags: tuple[str, ...], place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("discards")
    assert run_cli("--headless", *flags, "tiny.toml") == ExitCode.USAGE
    words = capsys.readouterr().err
    assert words.endswith(
        "error: there is no folder /nowhere\n"
        "expected: a folder of photos\n"
        "to fix: correct data.root\n"
    )
    assert list((place / "runs").iterdir()) == []


def test_a_detached_run_goes_on_and_is_stopped_by_name(
    place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("trains")
    assert run_cli("--headless", "--detach", "tiny.toml") == ExitCode.DONE
    run = the_run(place / "runs")
    assert f"ecotui attach {run.run_id}" in capsys.readouterr().out
    assert run_cli("delete", "--yes", "latest") == ExitCode.USAGE
    assert "still running (pid" in capsys.readouterr().err
    assert run_cli("runs") == ExitCode.DONE
    assert "running" in capsys.readouterr().out
    assert run_cli("stop", run.run_id[:-2]) == ExitCode.DONE
    assert f"checkpoint of this step: {run.checkpoints}/step-" in capsys.readouterr().out
    attach(run).wait_until_gone()
    assert run_cli("stop", run.run_id) == ExitCode.DONE
    assert "is not running (stopped)" in capsys.readouterr().out
    assert run_cli("attach", "--headless") == ExitCode.RESUMABLE
    assert "stopped: ecotui stop" in capsys.readouterr().out
    assert run_cli("delete", "latest", "--yes") == ExitCode.DONE
    assert list_runs(place / "runs") == []


def test_a_stop_without_waiting_returns_at_once(
    place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("trains")
    run_cli("--headless", "--detach", "tiny.toml")
    assert run_cli("stop", "latest", "--no-wait") == ExitCode.DONE
    assert "checkpoint of this step" not in capsys.readouterr().out
    assert attach(the_run(place / "runs")).wait_until_gone()


# Signals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_the_run_with_a_checkpoint(place: Path, signum: signal.Signals) -> None:
    printer = drive("trains", "--headless", "tiny.toml")
    run = wait_for_steps(place / "runs")
    printer.send_signal(signum)
    printed, complaints = printer.communicate(timeout=30)
    assert printer.returncode == ExitCode.RESUMABLE
    assert "stopping: saving a checkpoint; press again" in printed
    assert f"checkpoint of this step: {run.checkpoints}" in printed
    assert complaints == ""


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
def test_a_second_signal_leaves_at_once(place: Path, signum: signal.Signals, code: int) -> None:
    printer = drive("deaf", "--headless", "tiny.toml")
    run = wait_for_steps(place / "runs")
    printer.send_signal(signum)
    while not run.commands.exists():
        time.sleep(0.02)
    printer.send_signal(signum)
    printed, complaints = printer.communicate(timeout=30)
    assert printer.returncode == code
    assert "without saving" in printed.splitlines()[-3] or "leaving at once" in printed
    assert complaints == ""
    assert not attach(run).is_alive()


def test_a_hang_up_leaves_the_run_going(place: Path) -> None:
    printer = drive("trains", "--headless", "tiny.toml")
    run = wait_for_steps(place / "runs")
    printer.send_signal(signal.SIGHUP)
    _, complaints = printer.communicate(timeout=30)
    assert (printer.returncode, complaints) == (ExitCode.DONE, "")
    assert b"detach_run" in run.commands.read_bytes()
    assert attach(run).wait_until_gone(30)
    assert b"run_finished" in run.events.read_bytes()


def test_a_terminal_that_goes_away_leaves_the_run_going(place: Path) -> None:
    command = [sys.executable, str(TESTS / "drive_cli.py"), "trains", "--headless", "tiny.toml"]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)  # noqa: S606
    run = wait_for_steps(place / "runs")
    drawn = b""
    while b"Epoch 1/2" not in drawn:
        drawn += os.read(terminal, 65_536)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == ExitCode.DONE
    assert b"detach_run" in run.commands.read_bytes()
    assert attach(run).wait_until_gone(30)
    assert b"run_finished" in run.events.read_bytes()


def test_a_closed_pipe_leaves_the_run_going(place: Path) -> None:
    reader, writer = os.pipe()
    printer = drive("trains", "--headless", "--json", "tiny.toml", stdout=writer)
    os.close(writer)
    run = wait_for_steps(place / "runs")
    os.close(reader)
    _, complaints = printer.communicate(timeout=30)
    assert printer.returncode == ExitCode.DONE
    assert "Traceback" not in complaints
    assert "the run goes on" in complaints
    assert attach(run).wait_until_gone(30)
    assert b"run_finished" in run.events.read_bytes()


def test_an_interrupt_while_attached_only_detaches(
    place: Path, engine_that: Callable[[str], None]
) -> None:
    engine_that("trains")
    run_cli("--headless", "--detach", "tiny.toml")
    run = wait_for_steps(place / "runs")
    watcher = drive("trains", "attach", "--headless")
    assert watcher.stdout is not None
    while "model stand_in" not in watcher.stdout.readline():
        assert watcher.poll() is None
    watcher.send_signal(signal.SIGINT)
    printed, complaints = watcher.communicate(timeout=30)
    assert (watcher.returncode, complaints) == (ExitCode.DONE, "")
    assert f"ecotui attach {run.run_id}" in printed
    assert attach(run).is_alive()
    assert not run.commands.exists()
    assert run_cli("stop", "latest") == ExitCode.DONE


def test_a_killed_engine_is_told_by_its_printer(place: Path) -> None:
    printer = drive("saves and trains", "--headless", "tiny.toml")
    run = wait_for_steps(place / "runs")
    attach(run).engine_signal(signal.SIGKILL)
    printed, complaints = printer.communicate(timeout=30)
    assert printer.returncode == ExitCode.ERROR
    assert "killed by signal 9 (SIGKILL)" in printed
    assert f"last committed checkpoint: {run.checkpoints}/step-0000000001" in printed
    assert complaints == ""


# Verbs on what lies there ------------------------------------------------------------------------


def test_attaching_after_the_end_prints_the_same(
    place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("fails")
    assert run_cli("--headless", "tiny.toml") == ExitCode.ERROR
    live = capsys.readouterr().out
    assert run_cli("attach", "--headless", "latest") == ExitCode.ERROR
    assert capsys.readouterr().out == live
    assert "log: " in live.splitlines()[-2]
    assert live.splitlines()[-1].startswith("more: docs/")


def test_runs_are_listed_with_what_they_reached(
    recorded: Recorded, tmp_path: Path, capsys: Capture
) -> None:
    for name in ("clean_run", "stopped", "engine_lost"):
        recorded(name)
    folder = str(tmp_path / "runs")
    assert run_cli("runs", "--runs-dir", folder, "--json") == ExitCode.DONE
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "clean_run": "finished",
        "stopped": "stopped",
        "engine_lost": "lost",
    }
    assert rows["clean_run"]["accuracy"] == pytest.approx(0.725)
    assert rows["clean_run"]["size_bytes"] > 10_000
    assert run_cli("runs", "--runs-dir", folder) == ExitCode.DONE
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 4
    assert any("clean_run" in line and "accuracy 72.50%" in line for line in table)


def test_no_runs_is_said_in_words(place: Path, capsys: Capture) -> None:
    assert run_cli("runs") == ExitCode.DONE
    assert "no runs in" in capsys.readouterr().out
    assert run_cli("runs", "--json") == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("verb", ["attach", "stop", "delete", "logs", "export"])
def test_an_unknown_run_is_three_lines(verb: str, place: Path, capsys: Capture) -> None:
    extra = {"attach": ["--headless"], "export": ["--format", "pth"]}.get(verb, [])
    assert run_cli(verb, "nothing", *extra) == ExitCode.USAGE
    assert_three_lines(capsys.readouterr().err)


def test_deleting_without_a_terminal_needs_a_yes(
    recorded: Recorded, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded("clean_run")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert run_cli("delete", str(run.path)) == ExitCode.USAGE
    assert_three_lines(capsys.readouterr().err)
    assert run.path.is_dir()


@pytest.mark.parametrize(("answer", "is_there"), [(True, False), (False, True)])
def test_deleting_asks(
    answer: bool, is_there: bool, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded("clean_run")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_: answer)
    assert run_cli("delete", str(run.path)) == ExitCode.DONE
    assert run.path.is_dir() is is_there


def test_logs_are_made_harmless_and_cut(recorded: Recorded, capsys: Capture) -> None:
    run = recorded("clean_run")
    run.log.write_bytes(b"first\nsecond \x1b[31mred\nthird \xff\n")
    assert run_cli("logs", str(run.path), "-n", "2", "-f") == ExitCode.DONE
    assert capsys.readouterr().out == "second \\e[31mred\nthird \ufffd\n"
    assert run_cli("logs", str(run.path), "-n", "0") == ExitCode.DONE
    assert capsys.readouterr().out == ""


def test_logs_follow_a_run_to_its_end(
    place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("trains")
    run_cli("--headless", "--detach", "tiny.toml")
    run = wait_for_steps(place / "runs")
    run.log.write_bytes(b"before\ntorn ")
    reader = drive("", "logs", "-f", "latest")
    assert reader.stdout is not None
    assert reader.stdout.readline() == "before\n"
    with run.log.open("ab") as log:
        log.write(b"line\nlast")
    assert run_cli("stop", "latest") == ExitCode.DONE
    printed, complaints = reader.communicate(timeout=30)
    assert (reader.returncode, printed, complaints) == (ExitCode.DONE, "torn line\nlast\n", "")


def test_logs_of_a_run_that_has_none_are_empty(recorded: Recorded, capsys: Capture) -> None:
    assert run_cli("logs", str(recorded("clean_run").path)) == ExitCode.DONE
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("form", "name"),
    [("pth", "best_model_epoch2_acc72.50.pth"), ("timm", "best_model_epoch2_acc72.50")],
)
def test_an_export_goes_into_the_run_and_its_job_is_cleared_away(
    form: str, name: str, recorded: Recorded, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    run = recorded("clean_run")
    engine_that("exports")
    assert run_cli("export", str(run.path), "--format", form) == ExitCode.DONE
    assert capsys.readouterr().out == f"written: {run.exports / name} ({form}, 7 bytes)\n"
    assert (run.exports / name).read_text() == "weights"
    assert not (run.path.parent / ".jobs").exists()
    assert run_cli("export", str(run.path), "--format", form) == ExitCode.USAGE
    assert_three_lines(capsys.readouterr().err)


def test_a_run_without_a_best_checkpoint_cannot_be_exported(
    recorded: Recorded, capsys: Capture
) -> None:
    run = recorded("clean_run")
    run.events.write_bytes(b"")
    assert run_cli("export", str(run.path), "--format", "pth") == ExitCode.USAGE
    assert "no best checkpoint" in capsys.readouterr().err


# The outermost door ------------------------------------------------------------------------------


def test_what_nobody_foresaw_becomes_one_line_and_a_file(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("a \x1b[31mbug")

    monkeypatch.setattr("ecotui.verbs.runs", broken)
    assert run_cli("runs") == ExitCode.ERROR
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "ZeroDivisionError: a \\e[31mbug" in told
    log = Path(told.rpartition(" ")[2].strip())
    assert log.is_relative_to(tmp_path)
    assert "Traceback" in log.read_text()


def test_a_missing_package_is_a_fault_of_the_environment(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ecotui.verbs", raising=False)
    monkeypatch.delattr("ecotui.verbs", raising=False)
    monkeypatch.setitem(sys.modules, "ecotui.runs_table", None)
    assert run_cli("runs") == ExitCode.ENVIRONMENT
    told = capsys.readouterr().err
    assert_three_lines(told)
    assert "ecotui.runs_table" in told


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ecotui.verbs.runs", interrupted)
    assert run_cli("runs") == ExitCode.INTERRUPTED


def test_a_list_into_a_closed_pipe_is_no_error(recorded: Recorded, tmp_path: Path) -> None:
    recorded("clean_run")
    reader, writer = os.pipe()
    os.close(reader)
    listing = drive("", "runs", "--runs-dir", str(tmp_path / "runs"), stdout=writer)
    os.close(writer)
    _, complaints = listing.communicate(timeout=30)
    assert (listing.returncode, complaints) == (ExitCode.DONE, "")
