"""Whole runs: the plan is stated, changes no bit, and what auto chose is kept."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from ecotui.commands import StopRun, append_command
from ecotui.config_file import merge, parse_file
from ecotui.engine.planning import proposal, range_test, survey
from ecotui.errors import ExitCode
from ecotui.events import Event, LogWritten, RunStarted, RunStopped, StageFinished, StageStarted
from ecotui.findings import CheckReported
from ecotui.jobs import PreflightJob
from ecotui.plans import PlanProposed
from ecotui.resolved_config import ResolvedConfig
from tests.engine.harness import Harness, final_weights, of, same


@pytest.fixture(autouse=True)
def _short_range_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_test, "MOST_STEPS", range_test.FEWEST_STEPS)


AUTO: dict[str, Any] = {"batch_size": "auto", "learning_rate": "auto", "epochs": 1}


def test_a_run_begins_with_its_plan_and_gives_the_same_bits_as_without(harness: Harness) -> None:
    sections: dict[str, Any] = {"train": {"ema": True}, "model": {"drop_rate": 0.3}}
    planned, events = harness.train(**sections)
    plain, others = harness.train(**sections, preflight={"skip": ["plan"]})
    (plan,) = of(PlanProposed, events)
    assert of(PlanProposed, others) == []
    stages = [event.stage for event in of(StageFinished, events)]
    assert stages.index("preflight") < stages.index("plan") < stages.index("train")
    assert of(RunStarted, events)[0].stages[:2] == ("preflight", "plan")
    assert "plan" not in of(RunStarted, others)[0].stages
    assert plan.batch_size == 4
    assert plan.checkpoint_bytes > 0
    assert plan.disk_needed_bytes > plan.checkpoint_bytes
    assert plan.run_seconds > plan.epoch_seconds > 0.0
    assert plan.bottleneck in ("compute", "data")
    assert same(final_weights(planned), final_weights(plain))


def test_preflight_off_makes_no_plan(harness: Harness) -> None:
    _, events = harness.train(preflight={"level": "off"}, train={"epochs": 1})
    assert of(PlanProposed, events) == []


def test_auto_chooses_numbers_and_a_repetition_from_them_gives_the_same_bits(
    harness: Harness,
) -> None:
    run, events = harness.train(train=AUTO)
    (plan,) = of(PlanProposed, events)
    resolved = parse_file(run.resolved).train
    assert parse_file(run.config).train.batch_size == "auto"
    assert isinstance(resolved.batch_size, int)
    # A fifth of 18 training images.
    assert resolved.batch_size == resolved.micro_batch_size == plan.batch_size == 3
    assert isinstance(resolved.learning_rate, float)
    assert plan.learning_rate == resolved.learning_rate
    assert of(RunStarted, events)[0].batch_size == 3
    assert of(RunStarted, events)[0].steps_per_epoch == 6
    said = " ".join(event.message for event in of(LogWritten, events))
    assert "train.batch_size = 3" in said
    assert f"train.learning_rate = {resolved.learning_rate:g}" in said
    assert any("train.batch_size = 3" in note for note in plan.notes)

    again = harness.new()
    again.config.write_text(run.resolved.read_text())
    events, code = harness.run(again)
    assert code == ExitCode.DONE
    assert same(final_weights(run), final_weights(again))


def test_a_resumption_takes_what_was_chosen(harness: Harness) -> None:
    run = harness.new(train={**AUTO, "epochs": 2})

    def stop(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "validate":
            append_command(run.commands, StopRun(reason="enough"))

    _, code = harness.run(run, stop)
    assert code == ExitCode.RESUMABLE
    chosen = parse_file(run.resolved).train
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert "choose" not in [event.stage for event in of(StageStarted, events)]
    assert of(PlanProposed, events) == []
    after = parse_file(run.resolved).train
    assert (after.batch_size, after.learning_rate) == (chosen.batch_size, chosen.learning_rate)
    events, code = harness.run(run, attempt=3, settings=["train.batch_size=2", "train.epochs=3"])
    assert code == ExitCode.DONE
    assert of(RunStarted, events)[0].batch_size == 2


@pytest.mark.parametrize("stage", ["choose", "plan"])
def test_a_stop_while_measuring_is_answered_and_the_run_can_go_on(
    harness: Harness, stage: str
) -> None:
    run = harness.new(train=AUTO)

    def stop(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == stage:
            append_command(run.commands, StopRun(reason="enough"))

    events, code = harness.run(run, stop)
    assert code == ExitCode.RESUMABLE
    assert isinstance(events[-1], RunStopped)
    assert stage not in [event.stage for event in of(StageFinished, events)]
    _, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert isinstance(parse_file(run.resolved).train.batch_size, int)


def test_a_given_micro_batch_sets_the_pace(harness: Harness) -> None:
    """And the batch is a multiple of it: no pass of a single image, which BatchNorm refuses."""
    run, _ = harness.train(train={**AUTO, "micro_batch_size": 2})
    resolved = parse_file(run.resolved).train
    assert (resolved.batch_size, resolved.micro_batch_size) == (2, 2)


def test_a_budget_too_short_for_a_range_test_takes_the_usual_rate_and_says_so(
    harness: Harness,
) -> None:
    run, events = harness.train(
        train={"learning_rate": "auto", "epochs": 1}, preflight={"budget_seconds": 1e-6}
    )
    assert parse_file(run.resolved).train.learning_rate == 5e-4
    said = " ".join(event.message for event in of(LogWritten, events))
    assert "the budget does not hold a range test" in said


def test_the_full_form_measures_neighbours_and_workers(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def rate(parts: Any, workers: int, budget: Any, *, seconds: float) -> float:
        asked.append(workers)
        return 1e6

    monkeypatch.setattr(survey, "images_per_second_with", rate)
    events, code = harness.run(
        harness.new(PreflightJob(), preflight={"level": "full"}, compute={"workers": 1})
    )
    assert code == ExitCode.DONE
    (plan,) = of(PlanProposed, events)
    assert 1 in asked
    assert plan.seconds < 120.0


def test_a_disk_and_a_memory_that_are_too_small_are_warned_of_with_figures(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecotui.engine.planning import disk_need as disk_need_module
    from ecotui.engine.planning.memory import Room

    monkeypatch.setattr(disk_need_module, "free_bytes", lambda path: 1_000_000)
    monkeypatch.setattr(survey, "room_on", lambda device: Room(2_000_000, 0.2))
    _, events = harness.train(train={"epochs": 1})
    warned = {each.check: each for each in of(CheckReported, events) if each.verdict == "warn"}
    assert "1.0 MB" in warned["plan_disk"].what
    assert warned["plan_disk"].remedy
    (plan,) = of(PlanProposed, events)
    assert plan.disk_free_bytes == 1_000_000
    assert "2.0 MB may be used" in warned["plan_memory"].what
    assert "train.micro_batch_size" in warned["plan_memory"].remedy
    assert plan.memory_limit_bytes == 2_000_000


def test_settings_that_suit_better_are_kept_as_toml_that_can_be_laid_over(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposal, "LEAST_SAVED_SECONDS", -1.0)
    monkeypatch.setattr(survey, "images_per_second_alone", lambda parts, budget, *, most: 0.5)
    monkeypatch.setattr(survey, "probe_capabilities", _Processors)
    run, events = harness.train(train={"epochs": 1})
    (plan,) = of(PlanProposed, events)
    assert plan.bottleneck == "data"
    assert run.plan.read_text() == plan.settings
    table = parse_file(run.config).model_dump()
    merge(table, tomllib.loads(plan.settings))
    assert ResolvedConfig.model_validate(table).compute.workers == 16


class _Processors:
    num_cpus = 64


def test_a_network_that_cannot_take_made_images_is_left_to_preflight(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(proposal, "survey", broken)
    _, events = harness.train(train={"epochs": 1})
    assert of(PlanProposed, events) == []
    (note,) = [each for each in of(CheckReported, events) if each.check == "plan"]
    assert note.verdict == "note"
    assert "mat1 and mat2" in note.what


def test_what_is_foretold_is_about_what_the_run_takes(harness: Harness, tmp_path: Path) -> None:
    """A factor of twenty either way: seconds on a busy machine are no measure of anything."""
    _, events = harness.train(train={"epochs": 3, "batch_size": 6})
    (plan,) = of(PlanProposed, events)
    took = next(event.seconds for event in of(StageFinished, events) if event.stage == "train")
    assert plan.run_seconds / 20 < took < 20 * plan.run_seconds + 2.0
