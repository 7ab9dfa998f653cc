"""A run goes on with other settings: at the same sample, on record, and honest about bits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecotui.commands import StopRun, append_command
from ecotui.config_file import parse_file
from ecotui.engine import checkpoint
from ecotui.engine.data.dataset import Batch
from ecotui.engine.deadline import Deadline
from ecotui.engine.exactness import compare
from ecotui.engine.step_protection import StepProtection
from ecotui.errors import ExitCode
from ecotui.events import (
    CheckpointSaved,
    ConfigChanged,
    Event,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    StepsTaken,
)
from ecotui.paths import RunDir
from tests.engine.harness import Harness, final_weights, of, same

EVERY_STEP = {"interval_seconds": 1e-6, "keep": 100}


def stopped_at(harness: Harness, step: int, **sections: Any) -> RunDir:
    """Return a run of three epochs of four steps that was stopped after one of them."""
    run = harness.new(**{"train": {"epochs": 3}, "checkpoint": EVERY_STEP, **sections})

    def hook(event: Event) -> None:
        if isinstance(event, CheckpointSaved) and event.step == step and not run.commands.exists():
            append_command(run.commands, StopRun())

    _, code = harness.run(run, hook)
    assert code == ExitCode.RESUMABLE
    return run


def facts_of_newest(run: RunDir) -> dict[str, Any]:
    return checkpoint.verify(checkpoint.list_steps(run.checkpoints)[0])


def keys(events: list[Event]) -> set[str]:
    return {each.key for each in of(ConfigChanged, events)}


# Exactness ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "level"),
    [
        ("compute.workers=1", "E2"),
        ("checkpoint.keep=7", "E2"),
        ("compute.threads=2", "E1"),
        ("train.micro_batch_size=2", "E1"),
        ("train.batch_size=6", "E0"),
        ("train.learning_rate=2e-3", "E0"),
    ],
)
def test_each_change_has_its_exactness_which_later_resumptions_do_not_better(
    harness: Harness, setting: str, level: str
) -> None:
    run = stopped_at(harness, 5)
    assert facts_of_newest(run)["exactness"] == "E2"

    def stop_again(event: Event) -> None:
        if isinstance(event, CheckpointSaved) and event.step == 7:
            append_command(run.commands, StopRun())

    events, code = harness.run(run, stop_again, attempt=2, settings=[setting])
    assert code == ExitCode.RESUMABLE
    (resumed,) = of(RunResumed, events)
    assert resumed.exactness == level
    key = setting.partition("=")[0]
    assert keys(events) - {"train.micro_batch_size"} == {key} - {"train.micro_batch_size"}
    assert any(key in each for each in resumed.differences)
    facts = facts_of_newest(run)
    assert facts["exactness"] == level
    assert facts["config"][key] == json.loads(setting.partition("=")[2])
    events, code = harness.run(run, attempt=3)
    assert code == ExitCode.DONE
    (resumed,) = of(RunResumed, events)
    assert (resumed.exactness, resumed.differences) == (level, ())
    assert ("since an earlier resumption" in resumed.note) == (level != "E2")


def test_other_workers_give_the_same_bits(harness: Harness) -> None:
    whole, _ = harness.train(train={"epochs": 3})
    run = stopped_at(harness, 6)
    _, code = harness.run(run, attempt=2, settings=["compute.workers=1"])
    assert code == ExitCode.DONE
    assert same(final_weights(run), final_weights(whole))


def test_the_environment_and_the_data_count_too() -> None:
    facts = {
        "environment": {"threads": 1, "packages": {"torch": "2.2", "timm": "1.0"}},
        "data": "a",
        "config": {"train.epochs": 3},
    }
    assert compare(facts, facts).exactness == "E2"
    newer = {**facts, "environment": {"threads": 1, "packages": {"torch": "2.9", "timm": "1.0"}}}
    found = compare(facts, newer)
    assert (found.exactness, found.differences) == ("E1", ("torch is 2.9 instead of 2.2",))
    gone = {**facts, "environment": {"threads": 1, "packages": {"torch": "2.2"}}}
    assert compare(facts, gone).exactness == "E1"
    assert compare({**facts, "data": "b"}, facts).exactness == "E0"
    assert compare({**facts, "exactness": "E1"}, facts).exactness == "E1"
    # Of a version that wrote less, what is known is compared.
    assert compare({"environment": facts["environment"], "data": "a"}, facts).exactness == "E2"


def test_the_hash_covers_what_bits_depend_on(harness: Harness) -> None:
    run = stopped_at(harness, 5)
    before = facts_of_newest(run)["config_hash"]
    for setting, is_bound in (("checkpoint.keep=9", False), ("train.learning_rate=2e-3", True)):
        again = stopped_at(harness, 5)
        harness.run(again, attempt=2, settings=[setting])
        assert (facts_of_newest(again)["config_hash"] != before) == is_bound


# The batch size ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [2, 3, 5, 6, 18])
def test_another_batch_size_in_mid_epoch_loses_no_sample_and_repeats_less_than_a_batch(
    harness: Harness, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, ...]] = []
    real = StepProtection.take

    def noted(self: StepProtection, batch: Batch, meter: Any) -> Any:
        seen.append(batch.sample_ids)
        return real(self, batch, meter)

    monkeypatch.setattr(StepProtection, "take", noted)
    undisturbed = harness.new(train={"epochs": 1, "batch_size": 18})
    harness.run(undisturbed)
    (order,) = seen
    seen.clear()
    run = stopped_at(harness, 3, train={"epochs": 1, "batch_size": 4})
    assert [each for batch in seen for each in batch] == list(order[:12])
    seen.clear()
    _, code = harness.run(run, attempt=2, settings=[f"train.batch_size={batch_size}"])
    assert code == ExitCode.DONE
    later = [each for batch in seen for each in batch]
    start = order.index(later[0])
    assert later == list(order[start : start + len(later)])
    assert 12 - batch_size < start <= 12
    # As in an undisturbed epoch, only a last batch that is not full is dropped.
    assert len(order) - (start + len(later)) < batch_size


def test_the_learning_rate_goes_by_the_place_in_the_plan_and_not_by_steps(
    harness: Harness,
) -> None:
    run = stopped_at(harness, 8, train={"epochs": 4, "batch_size": 4})
    events, code = harness.run(run, attempt=2, settings=["train.batch_size=2"])
    assert code == ExitCode.DONE
    (started,) = of(RunStarted, events)
    assert started.steps_per_epoch == 9
    # Two samples of the second epoch were left over for one more of the smaller batches.
    assert of(RunFinished, events)[0].step == 8 + 1 + 2 * 9
    _, planned = harness.train(train={"epochs": 4, "batch_size": 2})
    rates, wanted = (
        {each.step: each.learning_rate for each in of(StepsTaken, stated)}
        for stated in (events, planned)
    )
    # The last reading of an epoch is always stated: here of epochs 3 and 4.
    for epoch in (3, 4):
        assert rates[9 + (epoch - 2) * 9] == pytest.approx(wanted[epoch * 9])


# Longer runs, moved data, bad settings -----------------------------------------------------------


def test_a_finished_run_is_extended(harness: Harness) -> None:
    run, _ = harness.train(train={"epochs": 2, "scheduler": "none"})
    events, code = harness.run(run, attempt=2, settings=["train.epochs=3"])
    assert code == ExitCode.DONE
    (resumed,) = of(RunResumed, events)
    assert (resumed.from_step, resumed.epoch, resumed.exactness) == (8, 2, "E0")
    (change,) = of(ConfigChanged, events)
    assert (change.key, change.old, change.new) == ("train.epochs", "2", "3")
    assert (change.step, change.why) == (8, "flags of the resumption")
    assert of(RunFinished, events)[0].epochs_done == 3
    assert parse_file(run.resolved).train.epochs == 3
    longer, _ = harness.train(train={"epochs": 3, "scheduler": "none"})
    assert same(final_weights(run), final_weights(longer))


def test_moved_photos_are_found_again_and_change_nothing(harness: Harness, tmp_path: Any) -> None:
    import shutil

    whole, _ = harness.train(train={"epochs": 3})
    run = stopped_at(harness, 5)
    moved = tmp_path / "moved"
    shutil.copytree(harness.data_root, moved)
    events, code = harness.run(run, attempt=2, settings=[f"data.root={moved}"])
    assert code == ExitCode.DONE
    assert of(RunResumed, events)[0].exactness == "E2"
    assert same(final_weights(run), final_weights(whole))


def test_a_setting_that_cannot_change_leaves_the_run_as_it_was(harness: Harness) -> None:
    run = stopped_at(harness, 5)
    before = run.resolved.read_bytes()
    events, code = harness.run(run, attempt=2, settings=["model.name=test_vit"])
    assert code == ExitCode.USAGE
    (failed,) = of(RunFailed, events)
    assert "model.name" in failed.what
    assert not failed.discard
    assert failed.checkpoint is not None
    assert run.resolved.read_bytes() == before


# The clock ---------------------------------------------------------------------------------------


def test_a_run_whose_time_is_over_is_saved_and_goes_on_later(harness: Harness) -> None:
    whole, _ = harness.train(train={"epochs": 3})
    run = harness.new(train={"epochs": 3})
    now = [0.0]
    deadline = Deadline(100.0, wall_clock=lambda: 0.0, clock=lambda: now[0])

    def late(event: Event) -> None:
        if event.kind == "steps_taken" and event.step >= 5:  # type: ignore[attr-defined]
            now[0] = 99.0

    events, code = harness.run(run, late, deadline=deadline)
    assert code == ExitCode.RESUMABLE
    (stopped,) = of(RunStopped, events)
    saved = of(CheckpointSaved, events)[-1]
    assert (stopped.reason, saved.reason) == ("time_limit", "time_limit")
    assert saved.path == stopped.checkpoint
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert same(final_weights(run), final_weights(whole))


def test_the_time_kept_free_follows_the_saves_that_were_measured(harness: Harness) -> None:
    deadline = Deadline(1e9, wall_clock=lambda: 0.0, clock=lambda: 0.0)
    run = harness.new(train={"epochs": 1})

    def slow(event: Event) -> None:
        if isinstance(event, CheckpointSaved):
            deadline.note_save(50.0)

    harness.run(run, slow, deadline=deadline)
    assert deadline.margin_seconds >= 100.0
    other = Deadline(1e9, wall_clock=lambda: 0.0, clock=lambda: 0.0)
    harness.run(harness.new(train={"epochs": 1}), deadline=other)
    assert other.margin_seconds < 100.0
