"""Verbs that ask something of a run: what is sent, and how the answer is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ecotui import request_verbs, session
from ecotui.cli import main
from ecotui.commands import Command, read_commands
from ecotui.config import RunConfig
from ecotui.config_file import parse_file, to_toml
from ecotui.errors import ExitCode
from ecotui.paths import RunDir

Capture = pytest.CaptureFixture[str]
Recorded = Callable[[str], RunDir]
StandIn = Callable[..., session.Session]
TESTS = Path(__file__).parent

ASKED: dict[tuple[str, ...], dict[str, object]] = {
    ("pause", "{run}"): {"kind": "pause_run", "free_memory": False},
    ("pause", "{run}", "--free-memory"): {"kind": "pause_run", "free_memory": True},
    ("continue", "{run}"): {"kind": "continue_run"},
    ("save", "{run}"): {"kind": "save_checkpoint"},
    ("set-lr", "{run}", "3e-4"): {"kind": "set_learning_rate", "learning_rate": 3e-4},
    ("extend", "{run}", "--epochs", "30"): {"kind": "extend_run", "epochs": 30},
    ("silence", "{run}", "nonfinite_loss"): {"kind": "silence_guard", "silent": True},
    ("silence", "{run}", "nonfinite_loss", "--undo"): {"kind": "silence_guard", "silent": False},
    ("norms", "{run}"): {"kind": "measure_norms"},
}
"""Every verb with what it asks for."""


def run_cli(*argv: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return int(str(caught.value.code))


def ask(run: RunDir, argv: tuple[str, ...]) -> int:
    return run_cli(*(word.replace("{run}", str(run.path)) for word in argv))


def begun(engine: session.Session) -> RunDir:
    while not engine.run.events.is_file() or b"steps_taken" not in engine.run.events.read_bytes():
        assert engine.exit_status is None
    return engine.run


def sent(run: RunDir) -> list[Command]:
    return list(read_commands(run.commands, 0)[0])


def test_every_verb_sends_its_request_and_tells_the_answer(
    stand_in: StandIn, capsys: Capture
) -> None:
    run = begun(stand_in("trains"))
    for argv, fields in ASKED.items():
        assert ask(run, argv) == ExitCode.DONE
        command = sent(run)[-1].model_dump()
        assert {key: command[key] for key in fields} == fields
        assert capsys.readouterr().out == f"{run.run_id}: seen to: {fields['kind']}\n"
    assert len(sent(run)) == len(ASKED)


def test_a_refusal_is_three_lines_and_exit_code_1(stand_in: StandIn, capsys: Capture) -> None:
    run = begun(stand_in("refuses"))
    for argv in ASKED:
        assert ask(run, argv) == ExitCode.ERROR
        told = capsys.readouterr().err
        assert told.startswith(f"error: {run.run_id} refused: not \\e[31mnow\n")
        assert told.count("\n") == 3


def test_a_busy_engine_is_not_waited_for_for_ever(
    stand_in: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_verbs, "ANSWER_SECONDS", 0.3)
    run = begun(stand_in("busy"))
    assert ask(run, ("pause", "{run}")) == ExitCode.ERROR
    told = capsys.readouterr().err
    assert "is busy and has not answered" in told
    assert "the request stands" in told
    assert len(sent(run)) == 1


def test_a_run_that_ends_without_an_answer_is_said_to(
    stand_in: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = stand_in("busy")
    run = begun(engine)

    def kill(*_: object) -> str:
        engine.engine_signal(9)
        return ""

    real = session.Session.request

    def request(self: session.Session, command: Command) -> None:
        real(self, command)
        kill()

    monkeypatch.setattr(session.Session, "request", request)
    assert ask(run, ("save", "{run}")) == ExitCode.ERROR
    assert "ended before it answered" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [argv for argv in ASKED if argv[0] != "extend"])
def test_a_run_that_is_not_alive_cannot_be_asked(
    argv: tuple[str, ...], recorded: Recorded, capsys: Capture
) -> None:
    run = recorded("stopped")
    assert ask(run, argv) == ExitCode.USAGE
    assert "is not running (stopped)" in capsys.readouterr().err
    assert not run.commands.exists()


@pytest.mark.parametrize(
    "argv",
    [
        ("set-lr", "{run}", "0"),
        ("set-lr", "{run}", "nan"),
        ("set-lr", "{run}", "-1"),
        ("set-lr", "{run}", "fast"),
        ("extend", "{run}", "--epochs", "0"),
        ("extend", "{run}"),
        ("silence", "{run}", ""),
        ("silence", "{run}", "x" * 65),
        ("pause", "nothing"),
        ("extend", "nothing", "--epochs", "3"),
    ],
)
def test_a_bad_value_or_run_is_exit_code_2(
    argv: tuple[str, ...], recorded: Recorded, capsys: Capture
) -> None:
    run = recorded("stopped")
    assert ask(run, argv) == ExitCode.USAGE
    assert "Traceback" not in capsys.readouterr().err
    assert not run.commands.exists()


def test_a_finished_run_is_extended_by_its_settings(recorded: Recorded, capsys: Capture) -> None:
    run = recorded("clean_run")
    done = 3
    run.resolved.write_text(to_toml(RunConfig.model_validate({"train": {"epochs": done}})))
    before = run.resolved.read_bytes()
    assert ask(run, ("extend", "{run}", "--epochs", str(done))) == ExitCode.USAGE
    assert run.resolved.read_bytes() == before
    capsys.readouterr()
    assert ask(run, ("extend", "{run}", "--epochs", "9")) == ExitCode.DONE
    told = capsys.readouterr().out
    assert (
        told == f"{run.run_id} has 9 epochs now instead of 3; ecotui resume {run.run_id} goes on\n"
    )
    assert parse_file(run.resolved).train.epochs == 9
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


def test_stopping_after_the_epoch_is_passed_on(
    stand_in: StandIn, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(stand_in("trains"))
    assert ask(run, ("stop", "{run}", "--after-epoch")) == ExitCode.DONE
    (command,) = sent(run)
    assert command.model_dump()["after_epoch"] is True
    assert "once its epoch is done" in capsys.readouterr().out
