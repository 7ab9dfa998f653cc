"""Breaks a run on purpose, once, at a place of its own: a double of what can go wrong anywhere.

A fault is installed into the engine's own functions and fires at a step, or in an
evaluation. What it broke is broken as in reality: the number is in the tensor, the exception
comes out of the pass, the file on the disk is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ecotui.engine import evaluate, loss, step
from ecotui.engine.data import loader
from ecotui.engine.data.loader import Batch
from ecotui.engine.trainer import Trainer

NAN, INF = float("nan"), float("inf")
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB (injected)"


@dataclass
class Injector:
    """What a fault may need, and where the run stands.

    Attributes:
        patch: Puts everything back after the test.
        at: Optimizer steps done when the fault comes.
        times: How many steps running it comes.
        trainer: Of the run, once it is built.
        fired: At which steps it has come.
    """

    patch: pytest.MonkeyPatch
    at: int
    times: int = 1
    trainer: Trainer | None = None
    step: int = -1
    fired: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        init, measure = Trainer.__init__, step.Stepper.measure

        def watched_init(trainer: Trainer, *arguments: Any, **named: Any) -> None:
            init(trainer, *arguments, **named)
            self.trainer = trainer

        def watched_measure(stepper: Any, batch: Batch, number: int) -> Any:
            self.step = number
            return measure(stepper, batch, number)

        self.patch.setattr(Trainer, "__init__", watched_init)
        self.patch.setattr(step.Stepper, "measure", watched_measure)

    def fires(self) -> bool:
        """Say whether the fault comes now; so many times in a run, from its step on."""
        if self.step < self.at or len(self.fired) >= self.times:
            return False
        self.fired.append(self.step)
        return True


Fault = Callable[[Injector], None]


def in_batch(change: Callable[[Batch], Batch]) -> Fault:
    """Change a batch as the loader hands it over."""

    def install(injector: Injector) -> None:
        epoch = loader.TrainLoader.epoch

        def changed(self: Any, *arguments: Any) -> Iterator[Batch]:
            for batch in epoch(self, *arguments):
                injector.step = injector.trainer.loop.step if injector.trainer else -1
                yield change(batch) if injector.fires() else batch

        injector.patch.setattr(loader.TrainLoader, "epoch", changed)

    return install


def pixels(value: float, *, whole: bool = False) -> Fault:
    def change(batch: Batch) -> Batch:
        images_BCHW = batch.images_BCHW.float() / 255
        if whole:
            images_BCHW[:] = value
        else:
            images_BCHW[0, :, 0, 0] = value
        return replace(batch, images_BCHW=images_BCHW)

    return in_batch(change)


def label(value: int) -> Fault:
    def change(batch: Batch) -> Batch:
        labels_B = batch.labels_B.clone()
        labels_B[-1] = value
        return replace(batch, labels_B=labels_B)

    return in_batch(change)


def wrong_shape(injector: Injector) -> None:
    in_batch(lambda batch: replace(batch, images_BCHW=batch.images_BCHW[..., :-1]))(injector)


def in_forward(how: Callable[[Any], Any], *, call: int = 0) -> Fault:
    """Change the model's scores, in one micro-batch of a step."""

    def install(injector: Injector) -> None:
        summed, calls = loss.Objective.summed, {"step": -1, "number": 0}

        def changed(self: Any, logits_BK: Any, targets: Any) -> Any:
            number = calls["number"] + 1 if calls["step"] == injector.step else 0
            calls.update(step=injector.step, number=number)
            if number == call and injector.fires():
                logits_BK = how(logits_BK)
            return summed(self, logits_BK, targets)

        injector.patch.setattr(loss.Objective, "summed", changed)

    return install


def scores(value: float, *, call: int = 0) -> Fault:
    return in_forward(lambda logits: logits + torch.full_like(logits, value), call=call)


def raising(error: Exception) -> Fault:
    def how(_: Any) -> Any:
        raise error

    return in_forward(how)


def loss_of(value: float, *, call: int = 0) -> Fault:
    """Make the loss itself something, with sound scores."""

    def install(injector: Injector) -> None:
        summed, calls = loss.Objective.summed, {"step": -1, "number": 0}

        def changed(self: Any, *arguments: Any) -> Any:
            number = calls["number"] + 1 if calls["step"] == injector.step else 0
            calls.update(step=injector.step, number=number)
            found = summed(self, *arguments)
            return found * value if number == call and injector.fires() else found

        injector.patch.setattr(loss.Objective, "summed", changed)

    return install


MARK = 123.0
"""A pixel that photos do not have after the transforms."""


def marked_sample(how: Callable[[Any], Any]) -> Fault:
    """Let one sample do something to every pass that it is in, from a step on."""

    def install(injector: Injector) -> None:
        epoch, init = loader.TrainLoader.epoch, Trainer.__init__
        marked: list[int] = []

        def changed(self: Any, *arguments: Any) -> Iterator[Batch]:
            for batch in epoch(self, *arguments):
                injector.step = injector.trainer.loop.step if injector.trainer else -1
                if not marked and injector.fires():
                    marked.append(batch.sample_ids[1])
                if not marked:
                    yield batch
                    continue
                assert injector.trainer is not None
                # No 8-bit pixel says that it is the one: made floats here, as on the device.
                normalised = injector.trainer.parts.compute.normalisation
                images_BCHW = normalised(batch.images_BCHW, torch.contiguous_format)
                for position, sample_id in enumerate(batch.sample_ids):
                    if sample_id in marked:
                        images_BCHW[position, 0, 0, 0] = MARK
                yield replace(batch, images_BCHW=images_BCHW)

        def look(_module: Any, inputs: Any, output: Any) -> Any:
            return how(output) if bool((inputs[0][:, 0, 0, 0] == MARK).any()) else output

        def hooked(trainer: Trainer, *arguments: Any, **named: Any) -> None:
            init(trainer, *arguments, **named)
            trainer.parts.trainable.network.register_forward_hook(look)

        injector.patch.setattr(loader.TrainLoader, "epoch", changed)
        injector.patch.setattr(Trainer, "__init__", hooked)

    return install


def _fail(_: Any) -> Any:
    raise RuntimeError("this sample breaks a kernel")


class _Spoiled(torch.autograd.Function):
    """Sound on the way forward, and not on the way back."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, value: float, error: Any) -> torch.Tensor:
        ctx.value, ctx.error = value, error
        return logits.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        if ctx.error is not None:
            raise ctx.error
        return gradients[0] * ctx.value, None, None


def gradients(value: float) -> Fault:
    return in_forward(lambda logits: _Spoiled.apply(logits, value, None))


def failing_backward(error: Exception) -> Fault:
    return in_forward(lambda logits: _Spoiled.apply(logits, 1.0, error))


def after_step(what: Callable[[Trainer], None]) -> Fault:
    """Change the state between two steps, as faulty memory would."""

    def install(injector: Injector) -> None:
        update = step.Stepper.update

        def updated(self: Any, number: int) -> None:
            update(self, number)
            if injector.fires() and injector.trainer is not None:
                with torch.no_grad():
                    what(injector.trainer)

        injector.patch.setattr(step.Stepper, "update", updated)

    return install


def weight(value: float) -> Fault:
    def spoil(trainer: Trainer) -> None:
        next(trainer.parts.trainable.network.parameters()).view(-1)[0] = value

    return after_step(spoil)


def running_statistic(value: float) -> Fault:
    def spoil(trainer: Trainer) -> None:
        network = trainer.parts.trainable.network
        next(each for name, each in network.named_buffers() if "running_var" in name)[0] = value

    return after_step(spoil)


def average(value: float) -> Fault:
    def spoil(trainer: Trainer) -> None:
        next(trainer.parts.trainable.ema.module.parameters()).view(-1)[0] = value

    return after_step(spoil)


def moment(value: float, name: str = "exp_avg") -> Fault:
    def spoil(trainer: Trainer) -> None:
        state = next(iter(trainer.parts.trainable.optimizer.state.values()))
        state[name].view(-1)[0] = value

    return after_step(spoil)


def failing_update(error: Exception) -> Fault:
    """Change some weights, then fail."""

    def install(injector: Injector) -> None:
        update = step.Stepper.update

        def updated(self: Any, number: int) -> None:
            if not injector.fires():
                return update(self, number)
            with torch.no_grad():
                next(self._parts.trainable.network.parameters()).add_(1.0)
            raise error

        injector.patch.setattr(step.Stepper, "update", updated)

    return install


def in_evaluation(how: Callable[[Any], Any]) -> Fault:
    """Change the scores of an evaluation's batches."""

    def install(injector: Injector) -> None:
        score: Any = evaluate._score

        def changed(network: Any, *arguments: Any) -> Any:
            if not injector.fires():
                return score(network, *arguments)
            spoiled = network.register_forward_hook(lambda _m, _i, logits: how(logits))
            try:
                return score(network, *arguments)
            finally:
                spoiled.remove()

        injector.patch.setattr(evaluate, "_score", changed)

    return install


def _out_of_memory(_: Any) -> Any:
    raise RuntimeError(OUT_OF_MEMORY)


def on_disk(change: Callable[[Path], None], *, count: int = 2) -> Fault:
    """Change files of the training split while it trains."""

    def install(injector: Injector) -> None:
        epoch = loader.TrainLoader.epoch

        def changed(self: Any, number: int, start: int = 0) -> Iterator[Batch]:
            injector.step = injector.trainer.loop.step if injector.trainer else -1
            if injector.fires() and injector.trainer is not None:
                index = injector.trainer.parts.index
                for sample_id in index.splits["train"][:count].tolist():
                    change(index.path_of(sample_id))
            return epoch(self, number, start)

        injector.patch.setattr(loader.TrainLoader, "epoch", changed)

    return install


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


@dataclass(frozen=True)
class Case:
    """A fault and where it comes.

    Attributes:
        fault: Installs it.
        where: `first` step, `mid` of the first epoch, its `last` batch, or the `second` epoch.
        guard: That finds it; empty where a sample is set aside with no guard's word.
        times: Steps running.
        is_memory: Whether memory ran out: then another exit code.
        settings: That it needs.
        guard_off: That finds it where nothing may heal, where that is another one.
        rolls_back: Whether healing goes back.
    """

    fault: Fault
    where: str
    guard: str
    times: int = 1
    is_memory: bool = False
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    guard_off: str = ""
    rolls_back: bool = False


_IN_PARTS = {"train": {"micro_batch_size": 8}}
_MEMORY = RuntimeError(OUT_OF_MEMORY)

CASES: dict[str, Case] = {
    "a pixel is NaN": Case(pixels(NAN), "first", "bad_input"),
    "a pixel is infinite": Case(pixels(INF), "mid", "bad_input"),
    "every pixel of a batch is NaN": Case(pixels(NAN, whole=True), "last", "bad_input"),
    "a pixel is too large to compute with": Case(pixels(1e38), "mid", "bad_input"),
    "a label is out of range": Case(label(99), "mid", "bad_input"),
    "a label is negative": Case(label(-1), "first", "bad_input"),
    "a batch has another shape": Case(wrong_shape, "mid", "bad_input"),
    "scores are NaN": Case(scores(NAN), "first", "nonfinite_loss"),
    "scores are infinite": Case(scores(INF), "mid", "nonfinite_loss"),
    "scores are NaN in one part": Case(
        scores(NAN, call=1), "mid", "nonfinite_loss", settings=_IN_PARTS
    ),
    "the loss is NaN": Case(loss_of(NAN), "mid", "nonfinite_loss"),
    "the loss is infinite": Case(loss_of(INF), "last", "nonfinite_loss"),
    "the loss is NaN in one part": Case(
        loss_of(NAN, call=1), "mid", "nonfinite_loss", settings=_IN_PARTS
    ),
    "the loss is NaN three times running": Case(
        loss_of(NAN), "mid", "nonfinite_loss", times=3, rolls_back=True
    ),
    "gradients are NaN": Case(gradients(NAN), "mid", "nonfinite_gradient"),
    "gradients are infinite": Case(gradients(INF), "first", "nonfinite_gradient"),
    "a weight is NaN": Case(weight(NAN), "mid", "nonfinite_state", rolls_back=True),
    "a weight is infinite": Case(weight(INF), "last", "nonfinite_state", rolls_back=True),
    "a running statistic is NaN": Case(
        running_statistic(NAN), "mid", "nonfinite_state", rolls_back=True
    ),
    "the average is NaN": Case(average(NAN), "mid", "nonfinite_state", rolls_back=True),
    "the average is infinite": Case(average(INF), "first", "nonfinite_state", rolls_back=True),
    "a moment is NaN": Case(moment(NAN), "mid", "nonfinite_state", rolls_back=True),
    "a moment is infinite": Case(
        moment(INF, "exp_avg_sq"), "last", "nonfinite_state", rolls_back=True
    ),
    "an update fails half way": Case(
        failing_update(RuntimeError("a kernel failed")), "mid", "failed_update", rolls_back=True
    ),
    "a forward pass raises": Case(raising(RuntimeError("odd shape")), "mid", "batch_errors"),
    "an assertion fails": Case(raising(AssertionError("odd size")), "first", "batch_errors"),
    "one sample makes every score NaN": Case(
        marked_sample(lambda output: output * NAN),
        "mid",
        "bad_input",
        guard_off="nonfinite_loss",
    ),
    "one sample fails in every pass": Case(
        marked_sample(_fail), "mid", "bad_input", guard_off="batch_errors"
    ),
    "memory runs out in a forward pass": Case(
        raising(_MEMORY), "mid", "out_of_memory", is_memory=True
    ),
    "memory runs out in a backward pass": Case(
        failing_backward(_MEMORY), "mid", "out_of_memory", is_memory=True
    ),
    "memory runs out in an update": Case(
        failing_update(_MEMORY), "mid", "out_of_memory", is_memory=True, rolls_back=True
    ),
    "memory runs out in the first step": Case(
        raising(MemoryError()), "first", "out_of_memory", is_memory=True
    ),
    "memory runs out in an evaluation": Case(
        in_evaluation(_out_of_memory), "first", "out_of_memory", is_memory=True
    ),
    "scores of an evaluation are NaN": Case(
        in_evaluation(lambda logits: logits * NAN),
        "mid",
        "nonfinite_validation_loss",
        rolls_back=True,
    ),
    "files are cut": Case(on_disk(_cut), "second", ""),
    "files vanish": Case(on_disk(Path.unlink), "second", ""),
}
