"""A resumed run ends with the very bits of one that was never interrupted."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from ecotui.commands import StopRun, append_command
from ecotui.engine import checkpoint
from ecotui.errors import ExitCode
from ecotui.events import (
    EpochFinished,
    Event,
    HealthAlerted,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStopped,
)
from ecotui.paths import RunDir
from tests.engine.harness import Harness, final_weights, of, same

EVERYTHING: dict[str, Any] = {
    "train": {"epochs": 3, "ema": True, "ema_decay": 0.9, "learning_rate": 5e-3},
    "model": {"drop_rate": 0.3},
    "augment": {"mixup": 0.3, "cutmix": 0.3, "random_erasing": 0.3},
}


def stop_at(run: RunDir, step: int) -> Any:
    """Ask for a stop once so many steps are done."""

    def hook(event: Event) -> None:
        seen = getattr(event, "step", -1)
        if event.kind == "checkpoint_saved" and seen == step and not run.commands.exists():
            append_command(run.commands, StopRun())

    return hook


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_stop_and_resume_give_the_bits_of_an_undisturbed_run(harness: Harness, step: int) -> None:
    whole, _ = harness.train(**EVERYTHING)
    every_step = {"interval_seconds": 1e-6, "keep": 100}
    run = harness.new(**EVERYTHING, checkpoint=every_step)
    events, code = harness.run(run, stop_at(run, step))
    assert code == ExitCode.RESUMABLE
    stopped = of(RunStopped, events)[0]
    assert stopped.step == step

    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE, events[-1]
    (resumed,) = of(RunResumed, events)
    assert (resumed.from_step, resumed.checkpoint) == (step, stopped.checkpoint)
    assert resumed.note == "same machine, versions and data: bit-exact"
    assert same(final_weights(run), final_weights(whole))
    with run.metrics.open() as file, whole.metrics.open() as other:
        rows, wanted = list(csv.DictReader(file)), list(csv.DictReader(other))
    for row, want in zip(rows, wanted, strict=True):
        # Sums of an epoch that was cut are added up in another order.
        assert float(row["train_loss"]) == pytest.approx(float(want["train_loss"]), rel=1e-5)
        for name in ("epoch", "step", "val_loss", "val_accuracy", "learning_rate"):
            assert row[name] == want[name]


def test_a_run_that_was_killed_goes_on_from_the_last_committed_checkpoint(
    harness: Harness,
) -> None:
    whole, _ = harness.train(**EVERYTHING)
    run = harness.new(**EVERYTHING)

    class KilledError(BaseException):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 2:
            raise KilledError  # after the best was saved, before the state was

    with pytest.raises(KilledError):
        harness.run(run, kill)
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert of(RunResumed, events)[0].from_step == 4
    assert same(final_weights(run), final_weights(whole))
    finished = of(RunFinished, events)[0]
    assert (run.path / finished.best_checkpoint / "MANIFEST.json").is_file()


def damage(path: Any) -> None:
    content = bytearray((path / "model.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "model.safetensors").write_bytes(content)


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_taken(harness: Harness) -> None:
    run = harness.new(**EVERYTHING, checkpoint={"interval_seconds": 1e-6, "keep": 100})
    harness.run(run, stop_at(run, 6))
    newest = checkpoint.list_steps(run.checkpoints)[0]
    damage(newest)
    for other in checkpoint.list_steps(run.checkpoints)[1:]:
        if other.name.startswith("step-0000000006"):
            damage(other)
    whole, _ = harness.train(**EVERYTHING)
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert {alert.code for alert in of(HealthAlerted, events)} == {"damaged_checkpoint"}
    assert of(RunResumed, events)[0].from_step == 5
    assert len(list((run.checkpoints / "quarantine").iterdir())) == 2
    assert same(final_weights(run), final_weights(whole))


def test_with_every_checkpoint_damaged_the_run_does_not_begin_anew_in_silence(
    harness: Harness,
) -> None:
    run = harness.new(train={"epochs": 3})
    harness.run(run, stop_at(run, 4))
    for path in checkpoint.list_steps(run.checkpoints):
        damage(path)
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.ERROR
    failed = of(RunFailed, events)[0]
    assert "damaged" in failed.what
    assert not failed.discard


def test_without_any_checkpoint_the_run_begins_anew_and_says_so(harness: Harness) -> None:
    whole, _ = harness.train(**EVERYTHING)
    run = harness.new(**EVERYTHING)

    class KilledError(BaseException):
        pass

    def kill(event: Event) -> None:
        if event.kind == "epoch_started":
            raise KilledError

    with pytest.raises(KilledError):
        harness.run(run, kill)
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    resumed = of(RunResumed, events)[0]
    assert (resumed.from_step, resumed.checkpoint) == (0, None)
    assert "anew" in resumed.note
    assert same(final_weights(run), final_weights(whole))


def test_rows_of_epochs_that_were_never_saved_are_not_there_twice(harness: Harness) -> None:
    whole, _ = harness.train(**EVERYTHING)
    run = harness.new(**EVERYTHING)

    class KilledError(BaseException):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, EpochFinished):
            raise KilledError  # its row is written, its state is not

    with pytest.raises(KilledError):
        harness.run(run, kill)
    assert len(run.metrics.read_text().splitlines()) == 2
    _, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert run.metrics.read_text().count("\n") == whole.metrics.read_text().count("\n")


def test_a_table_of_metrics_that_a_kill_left_empty_is_no_hindrance(harness: Harness) -> None:
    run = harness.new(train={"epochs": 3})
    harness.run(run, stop_at(run, 4))
    run.metrics.write_text("")
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE, events[-1]
    with run.metrics.open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["2", "3"]


def test_other_settings_of_the_machine_are_named(harness: Harness) -> None:
    run = harness.new(train={"epochs": 3})
    harness.run(run, stop_at(run, 4))
    resolved = run.resolved.read_text().replace("threads = 1", "threads = 2")
    run.resolved.write_text(resolved)
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    (resumed,) = of(RunResumed, events)
    assert resumed.note.startswith("not bit-exact: the same samples")
    assert (resumed.exactness, resumed.differences) == (
        "E1",
        ("compute.threads is 2 instead of 1",),
    )


def test_a_stop_before_the_loop_of_a_later_attempt_names_what_was_saved_before(
    harness: Harness,
) -> None:
    run = harness.new(train={"epochs": 3})
    events, _ = harness.run(run, stop_at(run, 4))
    saved = of(RunStopped, events)[0].checkpoint

    def stop_at_once(event: Event) -> None:
        if event.kind == "setup_advanced":
            append_command(run.commands, StopRun())

    events, code = harness.run(run, stop_at_once, attempt=2)
    assert code == ExitCode.RESUMABLE
    stopped = of(RunStopped, events)[0]
    assert (stopped.checkpoint, stopped.step) == (saved, 4)
    assert not of(RunResumed, events)


def test_a_later_attempt_without_its_data_keeps_the_run_and_names_its_checkpoint(
    harness: Harness,
) -> None:
    run = harness.new(train={"epochs": 3})
    events, _ = harness.run(run, stop_at(run, 4))
    saved = of(RunStopped, events)[0].checkpoint
    run.resolved.write_text(run.resolved.read_text().replace("photos", "elsewhere"))
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.USAGE
    failed = of(RunFailed, events)[0]
    assert (failed.checkpoint, failed.discard) == (saved, False)
