"""`ecotui doctor --fix` as a person meets it, and a repair in words."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import reduce
from pathlib import Path

import click
import pytest

from ecotui import check_verbs
from ecotui.cli import main
from ecotui.errors import ExitCode
from ecotui.events import (
    AnyEvent,
    CheckReported,
    RepairFinished,
    RepairOutcome,
    RepairPlanned,
    RepairSaid,
    RepairStep,
    RepairStepStarted,
    RunFinished,
    StageFinished,
    StageStarted,
)
from ecotui.jobs import DiagnoseJob
from ecotui.paths import RunDir
from ecotui.repair_text import repair_lines, repair_remarks
from ecotui.state import RunState, fold
from tests.engine.small_environments import SmallEnvironment, make_wheel

STEP = RepairStep(argv=("/p/python", "-m", "pip", "install", "numpy<2"), why="why", checks=("a",))
PLAN = RepairPlanned(python="/p/python", steps=(STEP,), packages_before=("numpy==2.0.2",))
BEGUN = StageStarted(stage="diagnose", total=2, unit="checks")
DONE = StageFinished(stage="diagnose", seconds=1.0)


def check(name: str, verdict: str, what: str) -> CheckReported:
    return CheckReported.model_validate(
        {"check": name, "layer": 1, "verdict": verdict, "what": what}
        | (
            {"expected": "e", "remedy": "r"}
            if verdict == "fail"
            else {"expected": "", "remedy": ""}
        )
    )


def finished(outcome: RepairOutcome, what: str = "w") -> RepairFinished:
    return RepairFinished(outcome=outcome, what=what, changed=())


def told(*events: AnyEvent) -> list[str]:
    """Return everything that is said of events as they come."""
    lines, state = [], RunState()
    for event in events:
        state = fold(state, event)
        lines += repair_remarks(event, state)
    return lines


def folded(*events: AnyEvent) -> RunState:
    return reduce(fold, events, RunState())


SICK = (BEGUN, check("python", "pass", "Python 3"), check("torch", "fail", "broken"), DONE)
WELL = (BEGUN, check("python", "pass", "Python 3"), check("torch", "pass", "torch 2"), DONE)


def test_a_repair_is_told_from_the_cause_to_the_end() -> None:
    events = (
        *SICK,
        PLAN,
        RepairStepStarted(number=1, argv=STEP.argv),
        RepairSaid(line="Installing"),
        *WELL,
        finished("mended"),
    )
    assert told(*events) == [
        "fail: broken",
        "  expected: e",
        "  to fix: r",
        "pass: Python 3",
        "what would mend it: 1 command",
        "  1. /p/python -m pip install 'numpy<2'",
        "     because: why",
        "  there now: numpy==2.0.2",
        "step 1: /p/python -m pip install 'numpy<2'",
        "  | Installing",
        "examined again: 2 checks, 0 failures",
    ]
    state = folded(*events)
    assert [each.verdict for each in state.checks] == ["pass", "pass"]
    assert state.layers[0].status == "passed"
    assert repair_lines(state) == ["mended: w"]


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        ("planned", "not mended: w"),
        ("mended", "mended: w"),
        ("better", "better, and not yet sound: w"),
        ("rolled_back", "undone: w"),
        ("stuck", "error: w"),
    ],
)
def test_how_a_repair_ended_is_the_last_line(outcome: RepairOutcome, line: str) -> None:
    assert repair_lines(folded(*SICK, PLAN, finished(outcome))) == [line]


def test_where_there_is_nothing_to_mend_the_findings_are_told() -> None:
    end = RunFinished(
        why="job", epochs_done=0, epochs_planned=0, step=0, best_checkpoint=None, seconds=1.0
    )
    lines = repair_lines(folded(*WELL, finished("nothing_to_do"), end))
    assert lines == ["pass: Python 3", "pass: torch 2", "the environment is sound"]


def run_cli(*argv: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(argv)
    return int(str(left.value.code))


def test_yes_goes_with_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cli("doctor", "--yes") == ExitCode.USAGE
    assert "ecotui doctor --fix --yes" in capsys.readouterr().err


class Asked:
    """Stands for the engine: answers each job with a plan, and notes what was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plan: RepairPlanned | None) -> None:
        self.jobs: list[str] = []
        self.answers = [True]
        monkeypatch.setattr("ecotui.storage.create_job", self.note)
        monkeypatch.setattr(check_verbs, "_follow", self.follow)
        monkeypatch.setattr(click, "confirm", lambda words: self.answers.pop())
        self.plan = plan

    def note(self, job: DiagnoseJob, folder: Path) -> RunDir:
        self.jobs.append(job.repair)
        return RunDir(folder)

    def follow(self, made: RunDir, style: object, closing: object, narrate: object) -> int:
        del made, style, narrate
        assert callable(closing)
        end = finished("mended" if self.jobs[-1] == "apply" else "planned")
        closing(folded(*SICK, *([self.plan] if self.plan else []), end))
        return 0 if self.jobs[-1] == "apply" else 5


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_verbs, "look_at_terminal", lambda: None)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)


def test_at_a_terminal_the_plan_is_shown_and_asked_about(
    monkeypatch: pytest.MonkeyPatch, at_a_terminal: None
) -> None:
    asked = Asked(monkeypatch, PLAN)
    assert check_verbs.repair(None, python=None, as_json=False, yes=False) == 0
    assert asked.jobs == ["plan", "apply"]
    asked = Asked(monkeypatch, PLAN)
    asked.answers = [False]
    assert check_verbs.repair(None, python=None, as_json=False, yes=False) == 5
    assert asked.jobs == ["plan"]


@pytest.mark.parametrize("plan", [None, PLAN.model_copy(update={"refusal": "no"})])
def test_what_cannot_be_done_is_not_asked_about(
    monkeypatch: pytest.MonkeyPatch, at_a_terminal: None, plan: RepairPlanned | None
) -> None:
    asked = Asked(monkeypatch, plan)
    assert check_verbs.repair(None, python=None, as_json=False, yes=False) == 5
    assert asked.jobs == ["plan"]


def test_without_a_terminal_and_as_json_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_verbs, "look_at_terminal", lambda: None)
    asked = Asked(monkeypatch, PLAN)
    assert check_verbs.repair(None, python=None, as_json=True, yes=False) == 5
    assert check_verbs.repair(None, python=None, as_json=False, yes=True) == 0
    assert asked.jobs == ["plan", "apply"]


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallEnvironment:
    """An environment without any package, and a pip that would bring them, but hangs."""
    wheels = tmp_path / "wheels"
    make_wheel(wheels, "torch", "2.2.0")
    made = SmallEnvironment(tmp_path / "env", wheels)
    made.install("torch")
    pid = made.tools / "pid"
    made.give_fake_pip(
        "import os, pathlib, shutil, time, torch\n"
        "shutil.rmtree(pathlib.Path(torch.__file__).parent)\n"
        f"print('removed', flush=True)\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    monkeypatch.delenv("PYTHONPATH")
    return made


def test_ctrl_c_in_mid_repair_puts_everything_back(bare: SmallEnvironment) -> None:
    before = bare.listing()
    argv = ["doctor", "--fix", "--yes", "--python", bare.python]
    process = subprocess.Popen(
        [sys.executable, "-m", "ecotui", *argv],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        pid = bare.tools / "pid"
        deadline = time.monotonic() + 90
        while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert bare.listing() != before
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        with_group = process.poll() is None
        if with_group:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == ExitCode.RESUMABLE, said
    assert said.splitlines()[-1].startswith("undone: stopped (SIGINT); the 2 packages are as they")
    assert "Traceback" not in said
    assert bare.listing() == before
    shutil.rmtree(bare.path)
