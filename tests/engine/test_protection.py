"""Each of the layers 4 to 7 broken in a real run, and what the run does about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecotui.engine import evaluate, loss, step, trainer
from ecotui.errors import ExitCode
from ecotui.events import (
    CheckReported,
    Event,
    GuardRecovered,
    GuardTripped,
    RunFailed,
    RunFinished,
    SampleSetAside,
    ValidationFinished,
)
from ecotui.healing import RunRolledBack
from tests.engine.harness import Harness, final_weights, of, same

NAN = float("nan")


@pytest.fixture
def many_photos(tmp_path: Path) -> Path:
    """100 photos in 2 classes that a model can tell apart."""
    root = tmp_path / "many"
    generator = np.random.Generator(np.random.PCG64(3))
    for shade, name in ((60, "dark"), (190, "light")):
        (root / name).mkdir(parents=True)
        for number in range(50):
            noise = generator.integers(-50, 50, size=(16, 16, 3)) + shade
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


def break_steps(monkeypatch: pytest.MonkeyPatch, steps: set[int], how: Callable[..., Any]) -> None:
    """Let chosen steps go through `how(real, stepper, batch, step)`."""
    real = step.Stepper.compute_gradients

    def compute(self: step.Stepper, batch: Any, number: int) -> Any:
        if number in steps:
            return how(real, self, batch, number)
        return real(self, batch, number)

    monkeypatch.setattr(step.Stepper, "compute_gradients", compute)


def raising(error: Exception) -> Callable[..., Any]:
    def how(real: Any, *arguments: Any) -> Any:
        real(*arguments)  # the buffers have changed when it fails
        raise error

    return how


def with_loss_not_finite(real: Any, stepper: Any, batch: Any, number: int) -> Any:
    poisoned = type(batch)(
        batch.images_BCHW * NAN, batch.labels_B, batch.sample_ids, batch.failures
    )
    return real(stepper, poisoned, number)


def with_gradients_not_finite(real: Any, stepper: Any, *rest: Any) -> Any:
    weight = next(iter(stepper._parts.trainable.network.parameters()))
    handle = weight.register_hook(lambda gradient: gradient * NAN)
    try:
        return real(stepper, *rest)
    finally:
        handle.remove()


def assert_sound(harness_run: Any, events: list[Event]) -> None:
    assert all(torch.isfinite(weight).all() for weight in final_weights(harness_run).values())
    assert all(seen.loss is not None for seen in of(ValidationFinished, events))


class TestLayer4:
    @pytest.mark.parametrize(
        "error",
        [RuntimeError("boom"), AssertionError("odd")],
    )
    def test_a_failing_batch_is_skipped_with_its_files(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        break_steps(monkeypatch, {1}, raising(error))
        run, events = harness.train(guards={"max_lost_fraction": 0.5})
        (trip,) = [trip for trip in of(GuardTripped, events) if trip.guard == "batch_errors"]
        assert (trip.layer, trip.action, trip.step) == (4, "skip_batch", 1)
        assert len(trip.files) == 4
        assert all(path.startswith(("cat/", "dog/", "owl/")) for path in trip.files)
        assert len(of(GuardRecovered, events)) == 1
        assert of(RunFinished, events)[0].step == 8
        assert_sound(run, events)

    def test_the_same_error_in_every_batch_stops_the_run(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        break_steps(monkeypatch, set(range(99)), raising(RuntimeError("always")))
        events, code = harness.run(harness.new(train={"batch_size": 1}, model={"name": "test_vit"}))
        assert code == ExitCode.HEALTH
        assert len(of(GuardTripped, events)) == 10
        assert "engine.log" in of(RunFailed, events)[0].remedy

    def test_three_percent_of_broken_files_are_named_and_the_run_ends_well(
        self, harness: Harness, many_photos: Path
    ) -> None:
        broken = sorted(many_photos.rglob("*.png"))[::40]
        for path in broken:
            path.write_bytes(path.read_bytes()[:200])
        run, events = harness.train(data={"root": str(many_photos)})
        wanted = {str(path.relative_to(many_photos)) for path in broken}
        assert {aside.path for aside in of(SampleSetAside, events)} == wanted
        lines = run.quarantine.read_text().splitlines()
        assert {json.loads(line)["path"] for line in lines} == wanted
        assert [trip for trip in of(GuardTripped, events) if trip.layer < 7] == []

    def test_ten_percent_warn_once_an_epoch(self, harness: Harness, many_photos: Path) -> None:
        for path in sorted(many_photos.rglob("*.png"))[::10]:
            path.write_bytes(b"")
        _, events = harness.train(data={"root": str(many_photos)}, train={"epochs": 2})
        trips = [trip for trip in of(GuardTripped, events) if trip.layer == 4]
        assert [(trip.guard, trip.severity) for trip in trips] == [("batch_samples", "warning")] * 2

    def test_thirty_five_percent_stop_the_run_and_say_what_to_do(
        self, harness: Harness, many_photos: Path
    ) -> None:
        for path in (
            sorted(many_photos.rglob("*.png"))[::20] + sorted(many_photos.rglob("*.png"))[1::3]
        ):
            path.write_bytes(path.read_bytes()[:200])
        # Preflight and the watch go by the clock: what they find on a busy machine is theirs.
        told: dict[str, Any] = {"preflight": {"level": "off"}, "watch": {"enabled": False}}
        events, code = harness.run(harness.new(data={"root": str(many_photos)}, **told))
        assert code == ExitCode.HEALTH
        failed = of(RunFailed, events)[0]
        assert "could not be used" in failed.what
        assert "quarantine.jsonl" in failed.remedy
        (trip,) = of(GuardTripped, events)
        assert (trip.guard, trip.action) == ("batch_samples", "stop")


class TestLayers5And6:
    @pytest.mark.parametrize(
        ("how", "layer", "guard"),
        [
            (with_loss_not_finite, 5, "nonfinite_loss"),
            (with_gradients_not_finite, 6, "nonfinite_gradient"),
        ],
    )
    def test_a_step_that_is_not_finite_never_reaches_weights_or_buffers(
        self,
        harness: Harness,
        monkeypatch: pytest.MonkeyPatch,
        how: Callable[..., Any],
        layer: int,
        guard: str,
    ) -> None:
        break_steps(monkeypatch, {2, 5}, how)
        run, events = harness.train(
            train={"ema": True, "ema_decay": 0.9}, guards={"max_lost_fraction": 0.5}
        )
        trips = [trip for trip in of(GuardTripped, events) if trip.layer == layer]
        assert [(trip.guard, trip.step, trip.action) for trip in trips] == [
            (guard, 2, "skip_batch"),
            (guard, 5, "skip_batch"),
        ]
        assert len(trips[0].files) == 4
        assert_sound(run, events)

    @pytest.mark.parametrize("how", [with_loss_not_finite, with_gradients_not_finite])
    def test_three_in_a_row_stop_the_run_with_the_setting_to_change(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, how: Callable[..., Any]
    ) -> None:
        break_steps(monkeypatch, {2, 3, 4}, how)
        limits = {"max_lost_fraction": 0.9, "max_rollbacks": 0}
        events, code = harness.run(harness.new(guards=limits))
        assert code == ExitCode.HEALTH
        failed = of(RunFailed, events)[0]
        assert "3 in a row" in failed.what
        assert "train.learning_rate" in failed.remedy

    def test_two_and_two_with_a_good_step_between_do_not_stop_it(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        break_steps(monkeypatch, {0, 1, 3, 4}, with_loss_not_finite)
        limits = {"max_lost_fraction": 0.9, "max_nonfinite_fraction": 0.02}
        _, events = harness.train(guards=limits)
        assert len([trip for trip in of(GuardTripped, events) if trip.layer == 5]) == 4
        assert of(RunRolledBack, events) == []
        assert len(of(GuardRecovered, events)) == 2

    def test_a_skipped_batch_is_as_if_it_had_never_been(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The weights after a rejected last step are those of a run without that step."""
        settings: dict[str, Any] = {"train": {"epochs": 1}, "guards": {"max_lost_fraction": 0.9}}
        short, _ = harness.train(**{**settings, "train": {"epochs": 1, "max_steps": 3}})
        break_steps(monkeypatch, {3}, with_loss_not_finite)
        skipped, _ = harness.train(**settings)
        assert same(final_weights(short), final_weights(skipped))


class TestLayer7:
    def test_a_good_first_epoch_is_said_to_be_one(
        self, harness: Harness, many_photos: Path
    ) -> None:
        # A seed with which the first epoch already gets every photo right, far from the limit.
        settings = {"epochs": 3, "seed": 3}
        _, events = harness.train(data={"root": str(many_photos)}, train=settings)
        (check,) = [check for check in of(CheckReported, events) if check.layer == 7]
        assert check.verdict == "pass"
        assert "first epoch completed: the loss fell" in check.what

    def test_a_first_epoch_at_chance_is_warned_of(self, harness: Harness) -> None:
        _, events = harness.train(
            train={
                "epochs": 1,
                "learning_rate": 1e-12,
                "min_learning_rate": 0.0,
                "warmup_learning_rate": 1e-13,
            },
            guards={"first_epoch_accuracy": 1.0},
            data={"image_size": 8},
        )
        guards = {trip.guard for trip in of(GuardTripped, events) if trip.layer == 7}
        assert "first_epoch" in guards

    def test_a_broken_model_found_by_validation_stops_the_run(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = evaluate.evaluate

        def broken(*arguments: Any) -> evaluate.Evaluation:
            result = real(*arguments)
            return evaluate.Evaluation(NAN, result.accuracy_top5, result.confusion_KK)

        monkeypatch.setattr(trainer, "evaluate", broken)
        events, code = harness.run(harness.new(guards={"max_rollbacks": 2}))
        assert code == ExitCode.HEALTH
        assert of(GuardTripped, events)[-1].guard == "nonfinite_validation_loss"
        assert len(of(RunRolledBack, events)) == 2


def test_without_faults_guards_change_nothing_and_find_nothing(harness: Harness) -> None:
    on, events = harness.train()
    off, _ = harness.train(
        guards={
            "max_lost_fraction": 1.0,
            "warn_lost_fraction": 1.0,
            "max_nonfinite_in_a_row": 1000,
            "max_errors_in_a_row": 1000,
        }
    )
    assert same(final_weights(on), final_weights(off))
    assert [trip for trip in of(GuardTripped, events) if trip.layer < 7] == []


def test_the_loss_can_be_accumulated_while_a_batch_is_rejected(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(10_000))
    real = loss.Objective.summed

    def summed(self: Any, *arguments: Any) -> torch.Tensor:
        # One of four micro-batches of the second step.
        return real(self, *arguments) * (NAN if next(calls) == 6 else 1.0)

    monkeypatch.setattr(loss.Objective, "summed", summed)
    run, events = harness.train(
        train={"micro_batch_size": 1},
        model={"name": "test_vit"},
        preflight={"level": "off"},
        guards={"max_lost_fraction": 0.9},
    )
    assert [trip.step for trip in of(GuardTripped, events) if trip.layer == 5] == [1]
    assert_sound(run, events)
