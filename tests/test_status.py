"""`ecotui status`: a run of any condition, in lines and as JSON that its schema describes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from ecotui import run_reading
from ecotui.cli import cli, main
from ecotui.events import (
    EngineStarted,
    GuardTripped,
    Heartbeat,
    RunPaused,
    SavingFailed,
    StageStarted,
    StepsTaken,
)
from ecotui.lock import acquire
from ecotui.paths import RunDir
from ecotui.run_reading import read_state
from ecotui.state import RunState, fold
from ecotui.status_report import alert_of, report_of
from ecotui.stream import EventWriter, Tail

ROOT = Path(__file__).resolve().parent.parent
Recorded = Callable[[str], RunDir]
Capture = pytest.CaptureFixture[str]
RECORDINGS = {
    "clean_run": "finished",
    "early_stopped": "finished",
    "stopped": "stopped",
    "failed": "failed",
    "guard_stopped": "failed",
    "preflight_failed": "failed",
    "engine_lost": "lost",
    "torn_line": "lost",
    "from_the_future": "finished",
}


def ask(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["status", *arguments])
    code = left.value.code
    assert isinstance(code, int)
    return code


def told_json(run: RunDir, capsys: Capture) -> dict[str, Any]:
    assert ask(str(run.path), "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    schema = json.loads((ROOT / "schemas" / "status.schema.json").read_text())
    jsonschema.validate(told, schema)
    return told


@pytest.mark.parametrize(("name", "condition"), RECORDINGS.items())
def test_a_run_of_any_condition_can_be_asked_for(
    recorded: Recorded, capsys: Capture, name: str, condition: str
) -> None:
    run = recorded(name)
    told = told_json(run, capsys)
    assert (told["run"], told["state"], told["is_alive"]) == (name, condition, False)
    assert len(told["scorecard"]) == 11
    assert told["progress"]["seconds_left"] is None
    assert ask(str(run.path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{name}: {condition}")
    assert any(line.startswith("health: ") for line in lines)
    assert any(line.startswith("scorecard: ") for line in lines)
    assert f"log: {run.log}" in lines


def test_a_finished_run_names_its_figures_and_files(recorded: Recorded, capsys: Capture) -> None:
    run = recorded("clean_run")
    told = told_json(run, capsys)
    assert told["progress"]["fraction"] == 1.0
    assert (told["progress"]["epoch"], told["progress"]["epochs"]) == (3, 3)
    best = told["scores"]["best"]
    assert (best["epoch"], best["accuracy"]) == (2, 0.725)
    assert best["path"].startswith(str(run.path))
    assert told["scores"]["validation"]["epoch"] == 3
    assert told["scores"]["test"] is not None
    assert told["files"]["last_checkpoint"] == str(run.path / "checkpoints/step-0000000072")
    assert told["files"]["quarantine"] == str(run.quarantine)
    assert told["ending"] == {
        "kind": "run_finished",
        "what": "epochs",
        "remedy": "",
        "exit_code": 0,
    }
    assert told["num_alerts"] == 1
    assert [alert["severity"] for alert in told["alerts"]] == ["warning"]


def test_a_failure_tells_cause_remedy_and_code(recorded: Recorded, capsys: Capture) -> None:
    told = told_json(recorded("guard_stopped"), capsys)
    assert told["ending"]["exit_code"] == 4
    assert told["ending"]["remedy"]
    assert told["worst"] == "critical"
    assert told["files"]["stop_report"] is None


def test_the_page_on_why_a_guard_stopped_the_run_is_named(
    recorded: Recorded, capsys: Capture
) -> None:
    run = recorded("guard_stopped")
    run.stop_report.write_text("# Why\n")
    assert told_json(run, capsys)["files"]["stop_report"] == str(run.stop_report)
    assert ask(str(run.path)) == 0
    assert f"why it stopped: {run.stop_report}" in capsys.readouterr().out.splitlines()
    finished = recorded("clean_run")
    finished.stop_report.write_text("# Why\n")
    assert told_json(finished, capsys)["files"]["stop_report"] is None


@pytest.fixture
def living(recorded: Recorded) -> Any:
    """A run whose engine holds its lock."""
    run = recorded("engine_lost")
    held = acquire(run.lock)
    yield run
    held.release()


def add(run: RunDir, *events: Any) -> None:
    writer = EventWriter(run.events)
    for event in events:
        writer(event)
    writer.close()


def test_a_living_run_has_time_left(living: RunDir, capsys: Capture) -> None:
    told = told_json(living, capsys)
    assert (told["state"], told["is_alive"]) == ("running", True)
    assert told["progress"]["seconds_left"] > 0
    assert told["progress"]["images_per_second"] == 85.3
    assert told["progress"]["stage"] == "train"
    assert ask(str(living.path)) == 0
    assert " left, " in capsys.readouterr().out


def test_a_step_limit_that_ends_the_run_early_is_told(living: RunDir, capsys: Capture) -> None:
    log = living.events.read_bytes()
    living.events.write_bytes(log.replace(b'"max_steps":null', b'"max_steps":40'))
    assert ask(str(living.path)) == 0
    printed = capsys.readouterr().out
    assert "epoch 2 of 2, step " in printed
    assert " of 40 (" in printed
    assert "where the step limit ends the run, " in printed


def test_a_paused_run_says_why(living: RunDir, capsys: Capture) -> None:
    add(living, RunPaused(step=36, why="the GPU is hot\x1b (gpu_fault)"))
    told = told_json(living, capsys)
    assert (told["state"], told["why"]) == ("paused", "the GPU is hot\\e (gpu_fault)")
    assert ask(str(living.path)) == 0
    printed = capsys.readouterr().out
    assert "ecotui continue engine_lost" in printed
    assert "\x1b" not in printed


def test_a_run_that_cannot_be_saved_says_so(living: RunDir, capsys: Capture) -> None:
    add(living, SavingFailed(step=36, what="full", remedy="r", last_checkpoint=None, waits=True))
    told = told_json(living, capsys)
    assert told["why"] == "not saving: full"
    assert told["health"][0]["name"] == "saving_failed"


def test_a_run_that_has_just_been_started_is_in_preparation(
    tmp_path: Path, capsys: Capture
) -> None:
    run = RunDir(tmp_path / "runs" / "new")
    run.path.mkdir(parents=True)
    run.job.write_text('{"kind":"train"}')
    run.config.write_text("")
    assert told_json(run, capsys)["state"] == "setup"
    os.utime(run.job, (1, 1))
    assert told_json(run, capsys)["state"] == "lost"


def test_no_such_run_is_a_wrong_use(tmp_path: Path, capsys: Capture) -> None:
    assert ask("nowhere", "--runs-dir", str(tmp_path)) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_log_that_cannot_be_read_is_told(
    recorded: Recorded, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: RunDir) -> RunState:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ecotui.status_verbs.read_state", refuse)
    assert ask(str(recorded("clean_run").path)) == 1
    assert "cannot be read: Permission denied" in capsys.readouterr().err


def test_the_latest_run_is_meant_where_none_is_named(recorded: Recorded, tmp_path: Path) -> None:
    recorded("clean_run")
    ran = CliRunner().invoke(cli, ["status", "--runs-dir", str(tmp_path / "runs")])
    assert "clean_run: finished" in ran.output


class TestReading:
    def test_a_short_log_is_read_whole(self, recorded: Recorded) -> None:
        run = recorded("clean_run")
        whole = RunState()
        for _, event in Tail(run.events).read():
            whole = fold(whole, event)
        assert read_state(run) == whole

    def test_a_long_one_is_thinned_and_keeps_its_end_and_its_pace(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run_reading, "MAX_PROGRESS_LINES", 10)
        monkeypatch.setattr(run_reading, "NEWEST_LINES", 3)
        run = RunDir(tmp_path / "run")
        run.path.mkdir()
        run.job.write_text("{}")
        add(run, EngineStarted(run_id="r", pid=1, host="h", version="v"))
        add(run, StageStarted(stage="train", total=500, unit="steps"))
        for number in range(1, 501):
            add_step(run, number)
        held = acquire(run.lock)
        state = read_state(run)
        held.release()
        assert state.step == 500
        assert state.pace_start is not None
        assert state.pace_start[0] == 1
        steps = [step for step, _ in state.train_loss.points]
        assert steps[-3:] == [498, 499, 500]
        assert 10 <= len(steps) <= 18

    def test_a_line_that_is_still_being_written_is_left(self, recorded: Recorded) -> None:
        run = recorded("engine_lost")
        before = read_state(run)
        with run.events.open("ab") as log:
            log.write(b'{"kind":"heartbeat","seq":9')
        assert read_state(run) == before
        with run.events.open("ab") as log:
            log.write(b'9,"at":1,"since_start":1,"step":1,"seconds_since_progress":1}')
        assert read_state(run) == before

    def test_a_heartbeat_at_the_end_is_heard(self, living: RunDir) -> None:
        add(living, Heartbeat(step=36, seconds_since_progress=77.0))
        assert read_state(living).seconds_since_progress == 77.0


_writers: dict[Path, EventWriter] = {}


def add_step(run: RunDir, number: int) -> None:
    writer = _writers.setdefault(run.events, EventWriter(run.events))
    writer(
        StepsTaken(
            epoch=1,
            step=number,
            step_in_epoch=number,
            num_steps=1,
            loss=1.0,
            accuracy=None,
            gradient_norm=None,
            learning_rate=0.1,
            images_per_second=None,
            loader_wait_fraction=None,
        )
    )


def test_only_the_last_ten_alerts_are_listed(recorded: Recorded) -> None:
    trip = GuardTripped(
        layer=4,
        guard="batch_errors",
        severity="warning",
        what="w\x1b",
        observed=None,
        limit=None,
        unit="",
        advice="a",
        action="none",
        step=3,
    )
    state = RunState()
    for number in range(25):
        state = fold(state, trip.model_copy(update={"step": number}))
    report = report_of(state, recorded("clean_run"))
    assert [alert.step for alert in report.alerts] == list(range(15, 25))
    assert report.num_alerts == 25
    assert report.alerts[0].message == "w\\e"
    assert report.alerts[0].page == "docs/alerts.md#batch_errors"


def test_every_kind_of_alert_has_a_form(recordings: Path) -> None:
    seen = set()
    for path in recordings.glob("*.jsonl"):
        state = RunState()
        for _, event in Tail(path).read():
            state = fold(state, event)
        for alert in state.alerts:
            shown = alert_of(alert)
            assert shown.message
            assert shown.name
            seen.add(alert.kind)
    assert {"guard_tripped", "health_alerted"} <= seen
