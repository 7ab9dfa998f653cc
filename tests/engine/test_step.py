"""The folded step: clipped and skipped by the optimizer's own kernel, read at once or late."""

from __future__ import annotations

import math
from typing import Any

import pytest
import safetensors.torch
import torch

from ecotui.config import TrainConfig
from ecotui.engine import checkpoint
from ecotui.engine import step as step_module
from ecotui.engine.clipping import Clipping
from ecotui.engine.folding import can_fold, fold
from ecotui.engine.late import DEPTH, LateReadings
from ecotui.engine.reporting import Reporter
from ecotui.engine.step import Stepper
from ecotui.engine.step_protection import StepProtection
from ecotui.events import EpochFinished, GuardTripped, StepsTaken
from tests.engine.harness import Harness, final_weights, of, same
from tests.engine.host_reads import host_reads
from tests.engine.injector import NAN, Injector, loss_of

OPTIMIZERS: dict[str, Any] = {
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.1, fused=True),
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.1, fused=True, amsgrad=True),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.1, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_folded_step_is_a_clipped_one_or_none_at_all(name: str) -> None:
    one, other = (torch.nn.Parameter(torch.arange(1.0, 5.0)) for _ in range(2))
    plain, folded = OPTIMIZERS[name]([one]), OPTIMIZERS[name]([other])
    assert can_fold(folded, "cpu")
    for number in range(1, 6):
        one.grad = torch.full((4,), float(number))
        plain.step()
        other.grad = torch.full((4,), NAN)
        fold(folded, None, torch.ones(()))
        other.grad = torch.full((4,), 4.0 * number)
        fold(folded, torch.tensor(4.0), torch.zeros(()))
        assert torch.equal(one, other)
    assert not hasattr(folded, "grad_scale")
    assert not hasattr(folded, "found_inf")


def test_what_cannot_be_folded_is_found_out() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    assert not can_fold(torch.optim.AdamW([weight]), "cpu")

    class Deaf(torch.optim.SGD):
        """Says that it listens, and does not."""

        _step_supports_amp_scaling = True

    assert not can_fold(Deaf([weight], lr=0.1, fused=False), "cpu")


class TestClipping:
    def test_a_norm_is_clipped_at_the_limit_and_left_alone_below(self) -> None:
        clipping = Clipping(TrainConfig(clip_gradient_norm=2.0), "cpu")
        assert float(clipping.divisor(torch.tensor(8.0))) == 4.0  # type: ignore[arg-type]
        assert float(clipping.divisor(torch.tensor(1.0))) == 1.0  # type: ignore[arg-type]
        off = Clipping(TrainConfig.model_validate({"clip_gradient_norm": "off"}), "cpu")
        assert off.divisor(torch.tensor(8.0)) is None

    def test_only_a_norm_within_a_fixed_limit_is_none_of_its_business(self) -> None:
        clipping = Clipping(TrainConfig(clip_gradient_norm=2.0), "cpu")
        assert [clipping.leaves_alone(norm) for norm in (1.0, 2.0, 2.1, math.nan)] == [
            True,
            True,
            False,
            False,
        ]
        off = {"clip_gradient_norm": "off"}
        assert Clipping(TrainConfig.model_validate(off), "cpu").leaves_alone(1e9)
        adaptive = TrainConfig.model_validate({**off, "clip_mode": "adaptive"})
        assert not Clipping(adaptive, "cpu").leaves_alone(1.0)

    def test_a_norm_that_stands_out_is_brought_back_and_does_not_draw_the_mean_along(self) -> None:
        config = TrainConfig.model_validate({"clip_gradient_norm": "off", "clip_mode": "adaptive"})
        clipping = Clipping(config, "cpu")
        for number in range(60):
            norm = torch.tensor(1.0 + 0.1 * (number % 3))
            assert float(clipping.divisor(norm)) == pytest.approx(1.0)  # type: ignore[arg-type]
        count, mean, variance = clipping.state()
        assert count == 60
        assert mean == pytest.approx(1.1, abs=0.05)
        spike = 50.0
        divisor = float(clipping.divisor(torch.tensor(spike)))  # type: ignore[arg-type]
        score = (spike - mean) / math.sqrt(variance)
        assert spike / divisor == pytest.approx(mean + 6.25 * math.sqrt(variance) / score, rel=1e-4)
        assert clipping.state()[1] == pytest.approx(mean, rel=0.01)

    def test_a_norm_that_is_not_finite_is_not_learned_from(self) -> None:
        config = TrainConfig.model_validate({"clip_mode": "adaptive"})
        clipping = Clipping(config, "cpu", [30.0, 1.0, 0.01])
        for bad in (math.nan, math.inf):
            clipping.divisor(torch.tensor(bad))
        assert clipping.state() == pytest.approx([30.0, 1.0, 0.01])

    def test_the_first_steps_are_only_learned_from(self) -> None:
        config = TrainConfig.model_validate({"clip_gradient_norm": "off", "clip_mode": "adaptive"})
        clipping = Clipping(config, "cpu")
        for number in range(25):
            assert float(clipping.divisor(torch.tensor(10.0**number))) == 1.0  # type: ignore[arg-type]


class TestLateReadings:
    def put(self, readings: LateReadings, number: int) -> None:
        batch: Any = None
        readings.put(torch.tensor([float(number), 1.0, 2.0, 3.0]), batch, number, number)

    def test_a_step_is_read_so_many_steps_later_in_order(self) -> None:
        readings = LateReadings(depth=2)
        found = []
        for number in range(5):
            self.put(readings, number)
            found.append([each.step for each in readings.due()])
        assert found == [[], [], [0], [1], [2]]
        rest = readings.rest()
        assert [each.gradients.loss for each in rest] == [3.0, 4.0]
        assert readings.rest() == []

    def test_what_is_forgotten_is_never_read(self) -> None:
        readings = LateReadings(depth=0)
        self.put(readings, 1)
        readings.forget()
        assert readings.due() == []


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let steps be judged by the update itself, as on an accelerator."""
    init = Stepper.__init__

    def lately(self: Stepper, *arguments: Any) -> None:
        init(self, *arguments, can_be_late=True)
        assert self.is_late

    monkeypatch.setattr(Stepper, "__init__", lately)


SETTINGS: dict[str, Any] = {
    "train": {"epochs": 2, "ema": True, "ema_decay": 0.8},
    "guards": {"max_lost_fraction": 0.9},
    "preflight": {"level": "off"},
}


def test_steps_that_are_read_late_give_the_same_bits(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, events = harness.train(**SETTINGS)
    init = Stepper.__init__
    monkeypatch.setattr(
        Stepper, "__init__", lambda self, *told: init(self, *told, can_be_late=True)
    )
    later, late_events = harness.train(**SETTINGS)
    assert same(final_weights(at_once), final_weights(later))
    losses = [
        [each.train_loss for each in of(EpochFinished, told)] for told in (events, late_events)
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("limit", "clips"), [(1e-6, True), (1e6, False), ("off", False)])
def test_gradients_are_written_anew_only_where_they_are_shortened(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, limit: float | str, clips: bool
) -> None:
    divisors = []
    real = Stepper._fold

    def watched(self: Stepper, divisor: torch.Tensor | None, is_bad: Any) -> None:
        divisors.append(divisor)
        real(self, divisor, is_bad)

    monkeypatch.setattr(Stepper, "_fold", watched)
    harness.train(train={"clip_gradient_norm": limit, "epochs": 1}, preflight={"level": "off"})
    assert len(divisors) == 4
    assert all((each is not None and float(each) > 1.0) is clips for each in divisors)
    assert all((each is None) is not clips for each in divisors)


@pytest.mark.usefixtures("late")
def test_a_bad_step_that_is_read_late_names_its_step_and_files(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss_of(NAN)(Injector(monkeypatch, at=2))
    _, events = harness.train(**SETTINGS)
    (trip,) = [each for each in of(GuardTripped, events) if each.layer == 5]
    assert (trip.guard, trip.action, trip.step) == ("nonfinite_loss", "skip_batch", 2)
    assert len(trip.files) == 4
    assert all(each.loss is not None for each in of(StepsTaken, events))


@pytest.mark.parametrize("at", [2, 7])
def test_a_skip_read_late_equals_a_skip_judged_at_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    weights = []
    init = Stepper.__init__
    for is_late in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(
                Stepper,
                "__init__",
                lambda self, *told, late=is_late: init(self, *told, can_be_late=late),
            )
            loss_of(NAN)(Injector(patch, at=at))
            run, events = harness.train(**SETTINGS)
            finished = of(EpochFinished, events)[0]
            (newest, *_) = checkpoint.list_steps(run.checkpoints)
            average = safetensors.torch.load_file(newest / "ema.safetensors")
            told = (finished.train_loss, finished.weights_digest)
            weights.append((final_weights(run), average, *told))
    (at_once, average, loss, digest), (later, late_average, late_loss, late_digest) = weights
    assert same(at_once, later)
    assert same(average, late_average)
    assert (loss, digest) == (late_loss, late_digest)


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("weights", ["none", "balanced"])
@pytest.mark.parametrize(
    "mix", [{}, {"mixup": 0.2}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}]
)
def test_a_step_that_is_read_late_reads_nothing(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, weights: str, mix: dict[str, float]
) -> None:
    """As on CUDA, from the mixing of its images to what undoes what it did to the buffers."""
    found: list[list[str]] = []

    def watched(real: Any) -> Any:
        def run(*arguments: Any) -> Any:
            with host_reads() as seen:
                returned = real(*arguments)
            found.append(seen)
            return returned

        return run

    monkeypatch.setattr(StepProtection, "_take_late", watched(StepProtection._take_late))
    train = {**SETTINGS["train"], "class_weights": weights}
    harness.train(**{**SETTINGS, "train": train, "augment": mix})
    # The first of a process puts the constants of its normalisation onto the device.
    assert found[0] in ([], ["lift_fresh"] * 2)
    assert found[1:] == [[]] * 7


@pytest.mark.usefixtures("late")
def test_steps_are_stated_without_waiting_for_those_under_way(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what needs them all, the end of an epoch, waits for the readings of the last steps."""
    waited_for: list[int] = []
    rest = LateReadings.rest

    def watched(self: LateReadings) -> list[Any]:
        found = rest(self)
        waited_for.append(len(found))
        return found

    monkeypatch.setattr(LateReadings, "rest", watched)
    monkeypatch.setattr(Reporter, "is_due", lambda self: True)
    train = {**SETTINGS["train"], "batch_size": 2}
    _, events = harness.train(**{**SETTINGS, "train": train})
    assert [number for number in waited_for if number] == [DEPTH, DEPTH]
    stated = of(StepsTaken, events)
    assert [each.num_steps for each in stated] == [1, 1, 1, 1, 1, DEPTH] * 2
    assert stated[-1].step == sum(each.num_steps for each in stated) == 18


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_twenty_steps_on_cuda_read_nothing_from_the_device(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = step_module.Stepper.measure
    update = step_module.Stepper.update_unless

    def strictly(real: Any) -> Any:
        def run(*arguments: Any) -> Any:
            torch.cuda.set_sync_debug_mode("error")
            try:
                return real(*arguments)
            finally:
                torch.cuda.set_sync_debug_mode("default")

        return run

    monkeypatch.setattr(step_module.Stepper, "measure", strictly(measure))
    monkeypatch.setattr(step_module.Stepper, "update_unless", strictly(update))
    _, events = harness.train(train={"max_steps": 20, "epochs": 20}, compute={"device": "cuda"})
    assert of(StepsTaken, events)[-1].step == 20


def test_mixing_leaves_the_batch_as_it_was(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU it is done in place, and a second try would mix what is mixed."""
    measure = Stepper.measure
    changed = []

    def watched(self: Stepper, batch: Any, *rest: Any) -> Any:
        before = batch.images_BCHW.clone()
        measured = measure(self, batch, *rest)
        changed.append(not torch.equal(before, batch.images_BCHW))
        return measured

    monkeypatch.setattr(Stepper, "measure", watched)
    harness.train(augment={"mixup": 0.5}, train={"epochs": 1})
    assert changed == [False] * 4


def test_scores_of_nan_beside_a_finite_loss_are_skipped(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Stepper.measure

    def hidden(self: Stepper, batch: Any, number: int) -> Any:
        measured = measure(self, batch, number)
        if number == 1:
            measured[1] = NAN
        return measured

    monkeypatch.setattr(Stepper, "measure", hidden)
    _, events = harness.train(**SETTINGS)
    (trip,) = [each for each in of(GuardTripped, events) if each.layer == 5]
    assert "scores" in trip.what


@pytest.mark.parametrize("value", [NAN, math.inf])
def test_scores_are_seen_beside_whatever_loss_is_made_of_them(value: float) -> None:
    scores_BK = torch.tensor([[1.0, 3.0], [5.0, 2.0]])
    loss, targets = torch.tensor(0.5), torch.tensor([1, 1])
    seen = step_module._seen(loss, scores_BK, targets)
    assert [float(each) for each in seen] == [0.5, 8.0, 1.0]
    scores_BK[1, 0] = value
    seen = step_module._seen(loss, scores_BK, targets)
    assert float(seen[0]) == 0.5
    assert not math.isfinite(float(seen[1]))
