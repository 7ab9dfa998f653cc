"""Who works in a run is told with process, machine and age."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from ecotui import cli, session
from ecotui.errors import ExitCode, UsageError
from ecotui.lock import Holder
from ecotui.occupancy import occupied, who
from ecotui.resuming import Plan, plan


def test_a_holder_is_told_with_its_age() -> None:
    assert who(Holder(47, "lab-3", 1_000.0), now=8_520.0) == "process 47 on lab-3, for 2 h 05 min"


def test_a_clock_that_was_set_back_and_a_hostile_host_do_no_harm() -> None:
    told = who(Holder(47, "lab\x1b[2J", 9_000.0), now=1_000.0)
    assert told == "process 47 on lab\\e[2J, for 0 s"
    assert "not said" in who(None)


def test_an_occupied_run_is_three_lines() -> None:
    error = occupied("digits-1", Holder(47, "lab-3", 0.0))
    assert isinstance(error, UsageError)
    assert "process 47 on lab-3" in error.lines()[0]
    assert "ecotui stop digits-1" in error.lines()[2]


def test_going_on_with_a_run_that_is_alive_names_who_has_it(
    stand_in: Callable[..., session.Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = stand_in("trains")
    while not any(event.kind == "steps_taken" for _, event in engine.read()):
        pass
    with pytest.raises(UsageError) as caught:
        plan(str(engine.run.path), None)
    assert f" on {socket.gethostname()}, for " in caught.value.what
    ran = CliRunner().invoke(cli.cli, ["resume", str(engine.run.path), "--headless"])
    assert isinstance(ran.exception, UsageError)
    assert ran.exception.exit_code == ExitCode.USAGE


def test_a_resumption_in_the_foreground_leaves_no_zombie(
    stand_in: Callable[..., session.Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's last event comes before its exit: who leaves between leaves a zombie."""
    from ecotui import headless, verbs

    engine = stand_in("finishes")
    monkeypatch.setattr(session, "launch", lambda *_, **__: engine)
    code = verbs.resume(Plan(engine.run), style=headless.choose_style(json=False, quiet=True))
    assert code == ExitCode.DONE
    with pytest.raises(ChildProcessError):
        os.waitpid(engine._process.pid, os.WNOHANG)  # type: ignore[union-attr]
