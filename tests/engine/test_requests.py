"""What is asked of a run in training: done or refused in words, and never at the cost of bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ecotui.commands import (
    Command,
    ContinueRun,
    ExtendRun,
    PauseRun,
    SaveCheckpoint,
    SetLearningRate,
    SilenceGuard,
    StopRun,
    append_command,
)
from ecotui.config_file import parse_file
from ecotui.engine import checkpoint, offload
from ecotui.engine.guards.known import GUARDS
from ecotui.errors import ExitCode
from ecotui.events import (
    CheckpointSaved,
    CommandAnswered,
    ConfigChanged,
    EpochStarted,
    Event,
    GuardTripped,
    RunContinued,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStopped,
    StepsTaken,
)
from ecotui.paths import RunDir
from tests.engine.harness import Harness, final_weights, of, same

TRAIN: dict[str, Any] = {
    "train": {"epochs": 3, "ema": True, "ema_decay": 0.9, "learning_rate": 5e-3},
    "model": {"drop_rate": 0.3},
    "checkpoint": {"interval_seconds": 1e-6, "keep": 100},
}
"""24 photos, 18 of them to train on: four steps an epoch, a checkpoint at each."""

Hook = Callable[[Event], None]


def asking(run: RunDir, step: int, *commands: Command, kind: str = "checkpoint_saved") -> Hook:
    """Ask for things, once, at an event of a step."""
    asked: list[Command] = []

    def hook(event: Event) -> None:
        if event.kind == kind and getattr(event, "step", -1) == step and not asked:
            asked.extend(commands)
            for command in commands:
                append_command(run.commands, command)

    return hook


def both(*hooks: Hook) -> Hook:
    def hook(event: Event) -> None:
        for each in hooks:
            each(event)

    return hook


def said(events: list[Event], kind: str) -> CommandAnswered:
    (answer,) = [each for each in of(CommandAnswered, events) if each.command == kind]
    assert isinstance(answer, CommandAnswered)
    return answer


# Pauses ------------------------------------------------------------------------------------------


def emptied(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy, and spoil what was copied: what is used without being brought back shows."""
    copy = tensor.detach().clone()
    tensor.detach().fill_(101)
    return copy


def test_a_pause_with_freed_memory_a_save_in_it_and_a_stop_in_another_change_no_bit(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = harness.train(**TRAIN)
    fake = partial(offload.Offload, move=emptied)
    monkeypatch.setattr(offload, "Offload", fake)
    run = harness.new(**TRAIN)
    hook = both(
        asking(run, 3, PauseRun(free_memory=True)),
        asking(run, 3, SaveCheckpoint(), kind="run_paused"),
        asking(run, 6, PauseRun(free_memory=True)),
        asking(run, 6, StopRun(), kind="run_paused"),
    )

    def go_on(event: Event) -> None:
        if isinstance(event, CheckpointSaved) and event.reason == "request":
            append_command(run.commands, ContinueRun())

    events, code = harness.run(run, both(hook, go_on))
    assert code == ExitCode.RESUMABLE
    assert [(each.step, each.memory_freed) for each in of(RunPaused, events)] == [
        (3, True),
        (6, True),
    ]
    assert [each.step for each in of(RunContinued, events)] == [3, 6]
    (asked,) = [each for each in of(CheckpointSaved, events) if each.reason == "request"]
    assert asked.step == 3
    assert of(RunStopped, events)[0].step == 6
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert of(RunResumed, events)[0].exactness == "E2"
    assert same(final_weights(run), final_weights(whole))


def test_a_pause_on_the_cpu_frees_nothing_and_says_so(harness: Harness) -> None:
    run = harness.new(train={"epochs": 1})
    hook = both(
        asking(run, 0, PauseRun(free_memory=True), kind="epoch_started"),
        asking(run, 0, ContinueRun(), kind="run_paused"),
    )
    events, code = harness.run(run, hook)
    assert code == ExitCode.DONE
    assert [each.memory_freed for each in of(RunPaused, events)] == [False]


@pytest.mark.parametrize("stage", ["preflight", "validate", "test"])
def test_every_stage_can_be_paused_and_stopped(harness: Harness, stage: str) -> None:
    run = harness.new(train={"epochs": 1}, data={"test_fraction": 0.2})

    def hook(event: Event) -> None:
        if event.kind == "stage_started" and event.stage == stage:  # type: ignore[attr-defined]
            append_command(run.commands, PauseRun())
        if event.kind == "run_paused":
            append_command(run.commands, StopRun())

    events, code = harness.run(run, hook)
    assert code == ExitCode.RESUMABLE
    stopped = of(RunStopped, events)[0]
    assert len(of(RunContinued, events)) == 1
    assert checkpoint.verify(run.path / stopped.checkpoint)["step"] == stopped.step
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE


# Stopping after the epoch ------------------------------------------------------------------------


def test_a_stop_after_the_epoch_ends_with_its_checkpoint(harness: Harness) -> None:
    whole, _ = harness.train(**TRAIN)
    run = harness.new(**TRAIN)
    events, code = harness.run(run, asking(run, 5, StopRun(reason="tonight", after_epoch=True)))
    assert code == ExitCode.RESUMABLE
    stopped = of(RunStopped, events)[0]
    assert (stopped.reason, stopped.step, stopped.epoch) == ("tonight", 8, 2)
    last = of(CheckpointSaved, events)[-1]
    assert (last.path, last.reason) == (stopped.checkpoint, "epoch")
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert same(final_weights(run), final_weights(whole))


def test_a_plain_stop_after_it_stops_at_once_and_the_last_epoch_ends_the_run(
    harness: Harness,
) -> None:
    run = harness.new(**TRAIN)
    hook = both(asking(run, 5, StopRun(after_epoch=True)), asking(run, 6, StopRun(reason="now")))
    events, _ = harness.run(run, hook)
    assert of(RunStopped, events)[0].step == 6
    events, code = harness.run(run, asking(run, 10, StopRun(after_epoch=True)), attempt=2)
    assert code == ExitCode.DONE
    assert of(RunFinished, events)[0].why == "epochs"


# Settings ----------------------------------------------------------------------------------------


def test_a_new_learning_rate_is_written_down_and_survives_a_resumption_bit_by_bit(
    harness: Harness,
) -> None:
    change = SetLearningRate(learning_rate=1e-3)
    whole = harness.new(**TRAIN)
    events, code = harness.run(whole, asking(whole, 5, change))
    assert code == ExitCode.DONE
    (stated,) = of(ConfigChanged, events)
    assert (stated.key, stated.old, stated.new) == ("train.learning_rate", "0.005", "0.001")
    assert said(events, "set_learning_rate").accepted
    assert parse_file(whole.resolved).train.learning_rate == 1e-3
    run = harness.new(**TRAIN)
    hook = both(asking(run, 5, change), asking(run, 7, StopRun()))
    events, code = harness.run(run, hook)
    assert code == ExitCode.RESUMABLE
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert of(RunResumed, events)[0].exactness == "E2"
    assert same(final_weights(run), final_weights(whole))
    untouched, _ = harness.train(**TRAIN)
    assert not same(final_weights(run), final_weights(untouched))


def test_the_rate_of_the_next_step_follows_the_new_peak(harness: Harness) -> None:
    sections = {**TRAIN, "train": {"epochs": 2, "scheduler": "none", "learning_rate": 1e-3}}
    run = harness.new(**sections)
    events, _ = harness.run(run, asking(run, 5, SetLearningRate(learning_rate=4e-3)))
    rates = {each.step: each.learning_rate for each in of(StepsTaken, events)}
    assert rates[5] == pytest.approx(1e-3)
    assert rates[7] == pytest.approx(4e-3)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (SetLearningRate(learning_rate=1e-9), "train.min_learning_rate"),
        (ExtendRun(epochs=1), "1 epoch of the run is done already"),
        (SilenceGuard(guard="no\x1bsuch"), "nonfinite_loss"),
        (ContinueRun(), "not paused"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    harness: Harness, command: Command, words: str
) -> None:
    run = harness.new(**TRAIN)
    events, code = harness.run(run, asking(run, 5, command))
    assert code == ExitCode.DONE
    answer = said(events, command.kind)
    assert not answer.accepted
    assert words in answer.why
    assert "\x1b" not in answer.why
    assert not of(ConfigChanged, events)


def test_a_full_disk_refuses_a_change_and_leaves_the_old_setting(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.new(**TRAIN)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    def hook(event: Event) -> None:
        if event.kind == "epoch_started":
            monkeypatch.setattr("ecotui.engine.changes.write_whole", full)

    events, code = harness.run(run, both(hook, asking(run, 5, ExtendRun(epochs=9))))
    assert code == ExitCode.DONE
    assert "No space left" in said(events, "extend_run").why
    assert of(RunFinished, events)[0].epochs_done == 3


def test_an_extended_run_goes_on_by_the_schedule_of_the_new_total(harness: Harness) -> None:
    run = harness.new(**TRAIN)
    events, code = harness.run(run, asking(run, 5, ExtendRun(epochs=5)))
    assert code == ExitCode.DONE
    finished = of(RunFinished, events)[0]
    assert (finished.epochs_done, finished.epochs_planned, finished.step) == (5, 5, 20)
    assert [each.epochs for each in of(EpochStarted, events)] == [3, 3, 5, 5, 5]
    five = {**TRAIN, "train": {**TRAIN["train"], "epochs": 5}}
    _, planned = harness.train(**five)
    rates, wanted = (
        {each.step: each.learning_rate for each in of(StepsTaken, stated)}
        for stated in (events, planned)
    )
    assert rates[4] != wanted[4]
    assert {step: rates[step] for step in range(7, 21)} == pytest.approx(
        {step: wanted[step] for step in range(7, 21)}
    )


def test_settings_asked_for_while_it_prepares_are_answered_once_it_can(harness: Harness) -> None:
    run = harness.new(**TRAIN)

    def hook(event: Event) -> None:
        if event.kind == "setup_advanced" and not run.commands.exists():
            append_command(run.commands, ExtendRun(epochs=1))

    events, code = harness.run(run, hook)
    assert code == ExitCode.DONE
    assert said(events, "extend_run").accepted
    assert of(RunFinished, events)[0].epochs_done == 1


# Guards ------------------------------------------------------------------------------------------


def broken_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every loss be NaN."""
    from ecotui.engine.loss import Objective

    whole = Objective.summed

    def summed(self: Objective, *args: Any) -> torch.Tensor:
        return whole(self, *args) * float("nan")

    monkeypatch.setattr(Objective, "summed", summed)


def test_a_silenced_guard_tells_and_never_stops_and_never_lets_nan_in(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections: dict[str, Any] = {"preflight": {"level": "off"}, "train": {"epochs": 1}}
    broken_loss(monkeypatch)
    loud = harness.new(**sections)
    _, code = harness.run(loud)
    assert code == ExitCode.HEALTH
    quiet = harness.new(
        **sections,
        guards={"silenced": ["nonfinite_loss", "batch_skips"], "max_nonfinite_in_a_row": 1},
    )
    events, code = harness.run(quiet)
    assert code == ExitCode.DONE
    trips = [each for each in of(GuardTripped, events) if each.guard == "nonfinite_loss"]
    assert [each.action for each in trips] == ["skip_batch"] * 4
    assert {each.action for each in of(GuardTripped, events)} == {"skip_batch", "none"}
    assert all(bool(torch.isfinite(value).all()) for value in final_weights(quiet).values())


def test_a_guard_is_silenced_and_taken_back_in_mid_run(harness: Harness) -> None:
    run = harness.new(**TRAIN)
    hook = both(
        asking(run, 2, SilenceGuard(guard="nonfinite_loss")),
        asking(run, 6, SilenceGuard(guard="nonfinite_loss", silent=False)),
    )
    events, _ = harness.run(run, hook)
    assert [(each.key, each.new) for each in of(ConfigChanged, events)] == [
        ("guards.silenced", '["nonfinite_loss"]'),
        ("guards.silenced", "[]"),
    ]
    assert parse_file(run.resolved).guards.silenced == ()


def test_early_stopping_that_is_silenced_goes_on_and_says_so(harness: Harness) -> None:
    train = {"epochs": 4, "early_stopping_epochs": 1, "learning_rate": 1e-6}
    events = harness.train(train=train, guards={"silenced": ["early_stopping"]})[1]
    assert of(RunFinished, events)[0].epochs_done == 4
    told = [each.what for each in of(GuardTripped, events) if each.guard == "early_stopping"]
    assert told
    assert all("training goes on" in each for each in told)


def test_an_unknown_guard_in_the_settings_is_refused_by_name(harness: Harness) -> None:
    run = harness.new(guards={"silenced": ["nonfinite_los"]})
    events, code = harness.run(run)
    assert code == ExitCode.USAGE
    assert "nonfinite_los" in events[-1].what  # type: ignore[attr-defined]
    assert len(set(GUARDS)) == len(GUARDS) == 31
