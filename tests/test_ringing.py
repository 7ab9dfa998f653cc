"""The terminal's bell rings at what is critical, and only where a terminal is there."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ecotui.events import (
    EngineLost,
    GuardTripped,
    HealthAlerted,
    Heartbeat,
    RunFailed,
    RunFinished,
    SavingFailed,
    Severity,
)
from ecotui.headless import follow
from ecotui.paths import RunDir
from ecotui.printing import Quiet, Style
from ecotui.ringing import BELL, Ringing, is_alarming
from ecotui.session import attach
from ecotui.state import RunState

Recorded = Callable[[str], RunDir]


def trip(severity: Severity) -> GuardTripped:
    return GuardTripped(
        layer=4,
        guard="g",
        severity=severity,
        what="w",
        observed=None,
        limit=None,
        unit="",
        advice="",
        action="none",
        step=1,
    )


def alert(severity: Severity) -> HealthAlerted:
    return HealthAlerted(severity=severity, code="c", message="m", advice="a")


@pytest.mark.parametrize(
    ("event", "rings"),
    [
        (trip("critical"), True),
        (trip("warning"), False),
        (alert("critical"), True),
        (alert("note"), False),
        (SavingFailed(step=1, what="w", remedy="r", last_checkpoint=None, waits=True), True),
        (
            RunFailed(
                what="w", expected="e", remedy="r", exit_code=1, checkpoint=None, discard=False
            ),
            True,
        ),
        (EngineLost(last_words=(), checkpoint=None), True),
        (Heartbeat(step=1, seconds_since_progress=0.0), False),
        (
            RunFinished(
                why="epochs",
                epochs_done=1,
                epochs_planned=1,
                step=1,
                best_checkpoint=None,
                seconds=1.0,
            ),
            False,
        ),
    ],
)
def test_it_rings_at_what_is_critical(event: Any, rings: bool) -> None:
    assert is_alarming(event) == rings
    terminal, out = io.StringIO(), io.StringIO()
    printer = Ringing(Quiet(out), terminal)
    printer.say("x")
    printer.show(b"", event, RunState())
    printer.tick(RunState())
    printer.finish(["done"])
    printer.close()
    assert terminal.getvalue() == BELL * rings
    assert out.getvalue() == "done\n"


@pytest.mark.parametrize(
    ("bell", "is_terminal", "rings"), [(True, True, 2), (True, False, 0), (False, True, 0)]
)
def test_it_needs_to_be_asked_for_and_a_terminal(
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bell: bool,
    is_terminal: bool,
    rings: int,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    run = recorded("guard_stopped")
    critical = sum(
        b'"severity":"critical"' in line or b'"kind":"run_failed"' in line
        for line in run.events.read_bytes().splitlines()
    )
    follow(attach(run), style=Style.QUIET, owner=False, bell=bell)
    printed, words = capsys.readouterr()
    assert words.count(BELL) == (critical if rings else 0)
    assert critical >= 2
    assert BELL not in printed
