"""Acts of recovery held to what they say: counted, undone and begun anew just where they should."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecotui.engine import assembly, checkpoint, step
from ecotui.engine.data import loader
from ecotui.engine.data.loader import Batch
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.protection import Protection
from ecotui.engine.saving import Saver, is_better
from ecotui.engine.step import Stepper
from ecotui.errors import ExitCode
from ecotui.events import (
    CheckpointSaved,
    ConfigChanged,
    EpochFinished,
    GuardRecovered,
    GuardTripped,
    RunFailed,
    SampleSetAside,
    StepsTaken,
    ValidationFinished,
)
from ecotui.healing import RunRolledBack
from tests.engine.harness import Harness, final_weights, of, same
from tests.engine.injector import (
    INF,
    NAN,
    OUT_OF_MEMORY,
    Injector,
    average,
    gradients,
    in_evaluation,
    marked_sample,
    moment,
    pixels,
    raising,
)
from tests.engine.test_recovery import LENIENT, always, settings


def trips(events: list[Any], guard: str) -> list[tuple[int, str]]:
    return [(each.step, each.action) for each in of(GuardTripped, events) if each.guard == guard]


@pytest.mark.parametrize("is_late", [False, True])
def test_a_fifth_of_the_batches_skipped_one_by_one_ends_the_run(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    init = Stepper.__init__
    monkeypatch.setattr(
        Stepper, "__init__", lambda self, *told: init(self, *told, can_be_late=is_late)
    )
    always(monkeypatch, lambda number: number in (1, 3, 5))
    guards = {"max_nonfinite_fraction": 1.0}
    run = harness.new(**settings(train={"epochs": 1, "batch_size": 2}, guards=guards))
    events, code = harness.run(run)
    assert code == ExitCode.HEALTH
    assert of(RunFailed, events)[0].what.startswith("33.3% of this epoch's batches were skipped")
    assert of(RunRolledBack, events) == []


def test_the_third_bad_step_of_the_last_two_hundred_leads_back_with_sound_ones_between(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, lambda number: number in (1, 3, 5))
    _, events = harness.train(**settings(train={"epochs": 1, "batch_size": 2}))
    assert trips(events, "nonfinite_loss")[:3] == [
        (1, "skip_batch"),
        (3, "skip_batch"),
        (5, "rollback"),
    ]


def test_a_share_of_lost_samples_is_warned_of_once_an_epoch(
    harness: Harness, tmp_path: Path
) -> None:
    root = uneven(tmp_path / "photos", dark=30, light=30)
    for path in sorted(root.rglob("*.png"))[::9]:
        path.write_bytes(b"")
    guards = {"judge_after_batches": 2}
    _, events = harness.train(**settings(data={"root": str(root)}, guards=guards))
    assert [action for _, action in trips(events, "batch_samples")] == ["none", "none"]


def test_a_sample_that_is_replaced_before_the_step_counts_as_lost(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels(NAN)(Injector(monkeypatch, at=1))
    _, events = harness.train(**settings())
    first, second = (each.lost_fraction for each in of(EpochFinished, events))
    assert (first, second) == (pytest.approx(1 / 16, rel=0.2), 0.0)


def uneven(root: Path, dark: int, light: int) -> Path:
    generator = np.random.Generator(np.random.PCG64(3))
    for shade, name, count in ((60, "dark", dark), (190, "light", light)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.integers(-50, 50, size=(16, 16, 3)) + shade
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


def test_a_sample_that_is_kept_out_does_not_come_again_in_its_epoch(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where classes are balanced, the few photos of one come again and again, read ahead too."""
    root = uneven(tmp_path / "photos", dark=3, light=36)
    epoch = loader.TrainLoader.epoch
    bad: list[int] = []
    came: list[int] = []

    def marked(self: Any, *arguments: Any) -> Iterator[Batch]:
        for batch in epoch(self, *arguments):
            dark = [
                sample_id
                for sample_id, label in zip(batch.sample_ids, batch.labels_B.tolist(), strict=True)
                if label == 0
            ]
            bad.extend(dark[:1] if not bad else [])
            came.append(sum(sample_id in bad for sample_id in batch.sample_ids))
            for position, sample_id in enumerate(batch.sample_ids):
                if sample_id in bad:
                    batch.images_BCHW[position] = 77.0
            yield batch

    real = torch.nn.Module.__call__

    def failing(self: Any, *arguments: Any, **named: Any) -> Any:
        for images in arguments[:1]:
            is_batch = isinstance(images, torch.Tensor) and images.dim() == 4
            if is_batch and images.shape[1] == 3 and bool((images[:, 0, 0, 0] == 77.0).any()):
                raise RuntimeError("this sample breaks a kernel")
        return real(self, *arguments, **named)

    monkeypatch.setattr(loader.TrainLoader, "epoch", marked)
    monkeypatch.setattr(torch.nn.Module, "__call__", failing)
    _, events = harness.train(
        **settings(
            data={"root": str(root), "sampling": "balanced"},
            compute={"workers": 1},
            train={"epochs": 1},
        )
    )
    assert len(of(SampleSetAside, events)) == 1
    first = next(place for place, count in enumerate(came) if count)
    assert len(came) > first + 3
    assert sum(came[first + 1 :]) == 0


def test_a_broken_state_is_gone_back_from_to_where_it_was_last_seen_sound(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment(NAN)(Injector(monkeypatch, at=7))
    guards = {**LENIENT, "check_state_every_steps": 3, "rollback_steps": 1}
    checkpoints = {"interval_seconds": 1e-6, "keep": 50}
    train = {"epochs": 1, "batch_size": 2}
    _, events = harness.train(**settings(train=train, guards=guards, checkpoint=checkpoints))
    (back,) = of(RunRolledBack, events)
    assert (back.guard, back.to_step) == ("nonfinite_state", 5)


def test_a_state_of_after_the_fault_began_is_none_to_go_back_to(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(HostCopy, "take", no_room)
    tried = always(monkeypatch, lambda number: number in (5, 6, 7))
    monkeypatch.setattr(Saver, "is_due", lambda self: bool(tried) and tried[-1] >= 5)
    run = harness.new(**settings(train={"epochs": 1, "batch_size": 2}))
    events, code = harness.run(run)
    assert [each.step for each in of(CheckpointSaved, events)] == [6, 7]
    assert code == ExitCode.HEALTH
    assert "no sound state" in of(RunFailed, events)[0].what


def test_a_newer_sound_state_takes_the_place_of_the_one_in_memory(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, lambda number: number in (8, 9, 10))
    guards = {**LENIENT, "check_state_every_steps": 3, "rollback_steps": 3}
    train = {"epochs": 1, "batch_size": 1}
    _, events = harness.train(**settings(model={"name": "test_vit"}, train=train, guards=guards))
    (back,) = of(RunRolledBack, events)
    assert (back.to_step, back.source) == (6, "memory")


def test_a_state_that_is_refused_in_mid_epoch_is_gone_back_from_at_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    average(NAN)(Injector(monkeypatch, at=3))  # which disturbs no later step
    monkeypatch.setattr(Protection, "judge_state", lambda self: None)
    train = {"epochs": 1, "batch_size": 2, "ema": True}
    checkpoints = {"interval_seconds": 1e-6, "keep": 50}
    _, events = harness.train(**settings(train=train, checkpoint=checkpoints))
    (back,) = of(RunRolledBack, events)
    assert (back.guard, back.from_step) == ("nonfinite_state", 5)


def test_a_state_of_before_the_first_rollback_does_not_forget_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy in memory is the same both times, and of before the first."""
    always(monkeypatch, lambda number: number in (2, 3, 4, 6, 7, 8))
    guards = {**LENIENT, "rollback_steps": 1}
    train = {"epochs": 1, "batch_size": 1}
    _, events = harness.train(**settings(model={"name": "test_vit"}, train=train, guards=guards))
    told = [
        (back.to_step, back.source, back.learning_rate_factor, back.num_rollbacks)
        for back in of(RunRolledBack, events)
    ]
    assert told == [(0, "memory", 1.0, 1), (0, "memory", 0.5, 2)]


def with_norms(patch: pytest.MonkeyPatch, place: int, value: Callable[[int], float]) -> None:
    """Let a figure of every step be made up: 0 is the loss, 3 the gradient norm."""
    real = step.Stepper.measure

    def measure(self: Any, batch: Any, number: int) -> Any:
        measured = real(self, batch, number)
        measured[place] = value(number)
        return measured

    patch.setattr(step.Stepper, "measure", measure)


def test_a_finding_that_lasts_is_told_once_and_when_it_is_over(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_norms(monkeypatch, 3, lambda number: 50.0 if 60 <= number < 95 else 1.0)
    _, events = harness.train(**settings(train={"epochs": 13, "batch_size": 2}))
    assert trips(events, "exploding_gradient") == [(80, "none")]
    over = [each.step for each in of(GuardRecovered, events) if each.guard == "exploding_gradient"]
    assert over == [100]


def test_a_spike_is_held_against_the_losses_before_it_however_long_it_is(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_norms(monkeypatch, 0, lambda number: 50.0 if number >= 55 else 1.0)
    guards = {**LENIENT, "spike_window": 50, "spike_steps": 60, "max_rollbacks": 0}
    run = harness.new(**settings(train={"epochs": 14, "batch_size": 2}, guards=guards))
    events, code = harness.run(run)
    assert code == ExitCode.HEALTH
    assert trips(events, "loss_spike") == [(114, "stop")]


def test_a_sample_that_was_kept_out_is_not_used_by_a_later_attempt_nor_after_a_rollback(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[int, ...]] = []
    epoch = loader.TrainLoader.epoch

    def noted(self: Any, *arguments: Any) -> Iterator[Batch]:
        for batch in epoch(self, *arguments):
            used.append(tuple(batch.sample_ids))
            yield batch

    with monkeypatch.context() as patch:
        marked_sample(lambda output: output * NAN)(Injector(patch, at=1))
        moment(NAN)(Injector(patch, at=6))
        run, events = harness.train(**settings(train={"epochs": 2}))
        assert len(of(RunRolledBack, events)) == 1
    (aside,) = of(SampleSetAside, events)
    (newest, *_) = checkpoint.list_steps(run.checkpoints)
    (kept_out,) = json.loads((newest / "loop.json").read_text())["loop"]["quarantined"]
    monkeypatch.setattr(loader.TrainLoader, "epoch", noted)
    harness.run(run, attempt=2, settings=("train.epochs=4",))
    assert len(used) == 8
    assert kept_out not in {sample_id for batch in used for sample_id in batch}
    assert aside.path


class TestMemory:
    def test_a_model_with_batchnorm_keeps_two_images_at_once(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raising(RuntimeError(OUT_OF_MEMORY))(Injector(monkeypatch, at=0, times=99))
        events, code = harness.run(harness.new(**settings()))
        assert code == ExitCode.OUT_OF_MEMORY
        assert [each.new for each in of(ConfigChanged, events)] == ["2"]

    def test_steps_count_from_the_last_time_that_memory_ran_out(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = step.Stepper.measure

        def measure(self: Any, batch: Any, number: int) -> Any:
            size = self._parts.compute.micro_batch_size
            if (number == 0 and size > 2) or (number == 2 and size > 1):
                raise RuntimeError(OUT_OF_MEMORY)
            return real(self, batch, number)

        monkeypatch.setattr(step.Stepper, "measure", measure)
        guards = {**LENIENT, "grow_after_steps": 4}
        model = {"name": "test_vit"}
        _, events = harness.train(**settings(model=model, guards=guards, train={"epochs": 2}))
        changes = [(each.new, each.step) for each in of(ConfigChanged, events)]
        assert changes == [("2", 0), ("1", 2), ("2", 5)]

    def test_the_next_evaluation_begins_with_what_has_fitted(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[int] = []

        def look(logits_BK: torch.Tensor) -> torch.Tensor:
            sizes.append(len(logits_BK))
            if len(logits_BK) > 2:
                raise RuntimeError(OUT_OF_MEMORY)
            return logits_BK

        in_evaluation(look)(Injector(monkeypatch, at=0, times=10_000))
        _, events = harness.train(**settings())
        assert len(of(ValidationFinished, events)) == 2
        assert [size for size in sizes if size > 2] == [4]
        assert len(trips(events, "out_of_memory")) == 1


class TestBest:
    @pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "loss"])
    @pytest.mark.parametrize("value", [NAN, INF, -INF])
    def test_a_figure_that_is_not_finite_is_never_better(self, metric: str, value: float) -> None:
        assert not is_better(value, None, metric)
        assert not is_better(value, 0.5, metric)

    def test_more_is_better_save_for_the_loss_and_as_much_is_not(self) -> None:
        assert is_better(0.1, None, "accuracy")
        assert [is_better(value, 0.5, "accuracy") for value in (0.4, 0.5, 0.6)] == [
            False,
            False,
            True,
        ]
        assert [is_better(value, 0.5, "loss") for value in (0.4, 0.5, 0.6)] == [True, False, False]


@pytest.fixture
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let gradients be scaled as in fp16, whose overflows the scaler skips by itself."""
    if not hasattr(torch.amp, "GradScaler"):
        pytest.skip("this torch scales on CUDA only")
    made = lambda compute: torch.amp.GradScaler("cpu", init_scale=1024.0)  # noqa: E731
    monkeypatch.setattr(assembly, "make_scaler", made)


@pytest.mark.usefixtures("scaled")
class TestOverflows:
    def test_one_is_no_finding_and_leaves_no_trace(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After the last step: the weights and running statistics are those of before it."""
        short, _ = harness.train(**settings(train={"epochs": 1, "max_steps": 3}))
        gradients(INF)(Injector(monkeypatch, at=3))
        run, events = harness.train(**settings(train={"epochs": 1}))
        assert [trip for trip in of(GuardTripped, events) if trip.layer < 7] == []
        assert same(final_weights(short), final_weights(run))
        assert sum(each.num_steps for each in of(StepsTaken, events)) == 4

    def test_ten_in_a_row_are_told_once(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gradients(INF)(Injector(monkeypatch, at=1, times=11))
        guards = {**LENIENT, "min_fp16_scale": 1e-9}
        train = {"epochs": 2, "batch_size": 2}
        _, events = harness.train(**settings(train=train, guards=guards))
        assert trips(events, "fp16_scale") == [(10, "none")]
        assert trips(events, "nonfinite_gradient") == []

    def test_those_with_sound_steps_between_are_not_in_a_row(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        injector = Injector(monkeypatch, at=1, times=11)
        fires = injector.fires
        monkeypatch.setattr(injector, "fires", lambda: injector.step % 4 != 0 and fires())
        gradients(INF)(injector)
        guards = {**LENIENT, "min_fp16_scale": 1e-9}
        _, events = harness.train(**settings(train={"epochs": 2, "batch_size": 2}, guards=guards))
        assert len(injector.fired) == 11
        assert trips(events, "fp16_scale") == []

    def test_a_scale_that_has_sunk_is_told(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gradients(INF)(Injector(monkeypatch, at=1, times=4))
        guards = {**LENIENT, "min_fp16_scale": 256.0}
        _, events = harness.train(**settings(train={"epochs": 1, "batch_size": 2}, guards=guards))
        assert trips(events, "fp16_scale") == [(3, "none")]
        assert [each for each in of(GuardRecovered, events) if each.guard == "fp16_scale"] == []


def test_a_batch_in_parts_has_the_loss_and_the_gradients_of_the_whole(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = step.Stepper.measure
    found: list[list[float]] = []

    def measure(self: Any, batch: Any, number: int) -> Any:
        measured = real(self, batch, number)
        found.append(measured.tolist())
        return measured

    monkeypatch.setattr(step.Stepper, "measure", measure)
    for size in (4, 2, 1):
        train = {"epochs": 1, "max_steps": 1, "micro_batch_size": size}
        harness.train(**settings(model={"name": "test_vit"}, train=train))
    whole, halves, single = found
    assert halves == pytest.approx(whole, rel=1e-4)
    assert single == pytest.approx(whole, rel=1e-4)
