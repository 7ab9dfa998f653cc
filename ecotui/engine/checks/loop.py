"""The loop itself, on a copy of the model: does a step change it, and can it learn anything?"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from ecotui.engine.checks.finding import FigureValue, Finding, failed, noted, passed, warned
from ecotui.engine.checks.material import Material
from ecotui.engine.checks.passes import MIN_SCALE, first_images
from ecotui.engine.checks.traces import untouched_generators
from ecotui.engine.compute import is_out_of_memory
from ecotui.engine.data.dataset import Sample
from ecotui.engine.optim import make_optimizer
from ecotui.text import counted, listed, number

NUM_SAMPLES = 8
"""Photos to learn by heart."""
MAX_STEPS = {"quick": 30, "full": 200}
MAX_SECONDS = {"quick": 10.0, "full": 60.0}
BUDGET_FRACTION = 0.5
"""Share of the time left that learning by heart may take."""
MIN_STEPS = 10
"""With fewer steps nothing can be said."""
LEARNT_FRACTION = 0.5
"""Loss at the end, of the loss at the beginning, at which the photos count as learnt."""
SMALL_LOSS = 0.1
"""Nats; below it there was nothing left to learn."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How learning a few photos by heart went.

    Attributes:
        first: Loss before the first step, nats.
        last: Loss after the last one.
        steps: That were taken.
        seconds: That they took.
        hits: Photos that were told right at the end.
    """

    first: float
    last: float
    steps: int
    seconds: float
    hits: int

    @property
    def is_learnt(self) -> bool:
        """Whether the loss fell as it should."""
        return self.last <= max(SMALL_LOSS, self.first * LEARNT_FRACTION)


class Rehearsal:
    """A copy of the model with an optimizer of its own, of the run's kind, and no warm-up.

    Args:
        material: The run under examination.

    Raises:
        RuntimeError: There is no room for a copy.
    """

    def __init__(self, material: Material) -> None:
        self._parts = material.parts
        trainable = material.parts.trainable
        self.network: nn.Module = copy.deepcopy(trainable.network)
        self.network.zero_grad(set_to_none=True)
        is_fused = any(bool(group.get("fused")) for group in trainable.optimizer.param_groups)
        self.optimizer = make_optimizer(self.network, material.parts.config.train, fused=is_fused)

        scaler = trainable.scaler
        self._scale = float(scaler.get_scale()) if scaler.is_enabled() else 1.0

    def step(self, images_BCHW: torch.Tensor, targets: torch.Tensor) -> tuple[float, int]:
        """Take one step, and return the loss before it and how many images were told right.

        In fp16 gradients are scaled, the scale found anew by halving, so that no step is
        lost in the search for it.
        """
        parts = self._parts
        self.network.train()
        while True:
            self.optimizer.zero_grad(set_to_none=True)
            with parts.compute.autocast():
                logits_BK = self.network(images_BCHW)
            loss = parts.objective.summed(logits_BK, targets) / parts.objective.normaliser(targets)
            (loss * self._scale).backward()
            if self._scale == 1.0 or self._unscale():
                break
        limit = parts.config.train.clip_gradient_norm
        if limit is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.optimizer.step()
        return float(loss.detach()), int((logits_BK.argmax(dim=1) == targets).sum())

    def _unscale(self) -> bool:
        """Divide gradients by their scale; where that was too large, halve it and say no."""
        gradients = [weight.grad for weight in self.network.parameters() if weight.grad is not None]
        for gradient in gradients:
            gradient.div_(self._scale)
        if all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            return True
        self._scale /= 2
        return self._scale < MIN_SCALE


def check_optimizer_step(material: Material) -> list[Finding]:
    """Check that one step with the run's optimizer changes the weights that have gradients."""
    parts = material.parts
    with untouched_generators(parts):
        try:
            rehearsal = Rehearsal(material)
            before = {
                name: weight.detach().clone()
                for name, weight in rehearsal.network.named_parameters()
            }
            images_BCHW, labels_B = first_images(material)
            count = material.affordable(NUM_SAMPLES, passes=3, fraction=0.25)
            rehearsal.step(
                parts.compute.to_device(images_BCHW[:count]),
                parts.compute.to_device(labels_B[:count]),
            )
        except RuntimeError as error:
            return [_no_room("optimizer_step", error)]
        with_gradient = {
            name: weight
            for name, weight in rehearsal.network.named_parameters()
            if weight.grad is not None and bool((weight.grad != 0).any())
        }
        still = tuple(
            name for name, weight in with_gradient.items() if torch.equal(weight, before[name])
        )
    return [_judged_step(material, len(with_gradient), still)]


def _judged_step(material: Material, num_tensors: int, still: tuple[str, ...]) -> Finding:
    train = material.parts.config.train
    figures: dict[str, FigureValue] = {"num_with_gradient": num_tensors, "unchanged": still[:20]}
    if not still and num_tensors:
        return passed(
            "optimizer_step",
            f"a step of {train.optimizer} changes all weights that have a gradient",
            **figures,
        )
    what = f"a step of {train.optimizer} changes nothing"
    if len(still) < num_tensors:
        what = f"a step of {train.optimizer} leaves {listed(still, limit=5)} as they were"
    judged = failed if len(still) == num_tensors else warned
    return judged(
        "optimizer_step",
        what,
        "every weight that has a gradient to change",
        f"a larger step (--set train.learning_rate={train.learning_rate * 10:g}), or another "
        "optimizer (--set train.optimizer=adamw)",
        **figures,
    )


def check_overfit(material: Material) -> Iterator[Finding]:
    """Try to learn a handful of photos by heart, within steps and seconds."""
    level = "full" if material.config.level == "full" else "quick"
    if material.is_trained:
        yield noted("overfit", "the model has been trained already, so it need not be rehearsed")
        return
    samples = chosen(material.samples["val"] + material.samples["train"])
    samples = samples[: material.affordable(len(samples), passes=3 * MIN_STEPS, fraction=0.25)]
    if len({sample.label for sample in samples}) < 2:
        yield noted("overfit", "the samples are all of one class: there is nothing to tell apart")
        return
    seconds = material.budget.share(BUDGET_FRACTION, MAX_SECONDS[level])
    try:
        with untouched_generators(material.parts):
            attempt = rehearse(material, samples, MAX_STEPS[level], seconds)
    except RuntimeError as error:
        yield _no_room("overfit", error)
        return
    yield _judged_attempt(material, attempt, len(samples))


def chosen(samples: list[Sample]) -> list[Sample]:
    """Return a handful of samples, of as many classes as there are, no photo twice."""
    by_label: dict[int, list[Sample]] = {}
    for sample in samples:
        by_label.setdefault(sample.label, []).append(sample)
    handful: list[Sample] = []
    while len(handful) < min(NUM_SAMPLES, len(samples)):
        for several in by_label.values():
            if several and len(handful) < NUM_SAMPLES:
                handful.append(several.pop(0))
    return handful


def rehearse(material: Material, samples: list[Sample], max_steps: int, seconds: float) -> Attempt:
    """Train a copy of the model on the same few images again and again.

    Args:
        material: The run under examination.
        samples: To be learnt.
        max_steps: Steps at most.
        seconds: At most; looked at before each step.

    Raises:
        RuntimeError: There is no room for a copy.
    """
    parts, rehearsal = material.parts, Rehearsal(material)
    images_BCHW = parts.compute.to_device(torch.stack([sample.image_CHW for sample in samples]))
    targets = parts.compute.to_device(torch.tensor([sample.label for sample in samples]))
    losses: list[float] = []
    hits, started = 0, time.monotonic()
    while len(losses) <= max_steps and time.monotonic() - started < seconds:
        material.poll()
        loss, hits = rehearsal.step(images_BCHW, targets)
        losses.append(loss)
        if not math.isfinite(loss) or loss <= max(SMALL_LOSS, losses[0] * LEARNT_FRACTION):
            break
    last = losses[-1] if losses else math.nan
    # The last step's own effect is not seen: its loss was measured before it.
    return Attempt(
        first=losses[0] if losses else math.nan,
        last=last,
        steps=max(0, len(losses) - 1),
        seconds=time.monotonic() - started,
        hits=hits,
    )


def _judged_attempt(material: Material, attempt: Attempt, count: int) -> Finding:
    train = material.parts.config.train
    figures: dict[str, FigureValue] = {
        "first_loss": attempt.first,
        "last_loss": attempt.last,
        "steps": attempt.steps,
        "hits": attempt.hits,
        "num_images": count,
        "learning_rate": train.learning_rate,
    }
    if attempt.is_learnt or (attempt.steps and attempt.hits == count):
        return passed(
            "overfit",
            f"{count} photos are learnt by heart in {counted(attempt.steps, 'step')}: the loss "
            f"falls from {number(attempt.first)} to {number(attempt.last)}",
            **figures,
        )
    is_lost = attempt.steps > 0 and not math.isfinite(attempt.last)
    if attempt.steps < MIN_STEPS and not is_lost:
        return noted(
            "overfit",
            f"{counted(attempt.steps, 'step')} in {attempt.seconds:.1f} s are too few to say "
            "whether the model can learn; --set preflight.budget_seconds=600 gives it more time",
            **figures,
        )
    falls = attempt.last < attempt.first
    factor = 10.0 if falls else 0.1
    how = "is lost" if is_lost else "falls only" if falls else "rises"
    return warned(
        "overfit",
        f"{count} photos cannot be learnt by heart in {counted(attempt.steps, 'step')}: the loss "
        f"{how} from {number(attempt.first)} to {number(attempt.last)}",
        f"at most {LEARNT_FRACTION:.0%} of the first loss, or all {count} told right",
        f"try another rate: --set train.learning_rate={train.learning_rate * factor:g}; if no "
        "rate helps, look at the labels, the pictures in previews/ and the model",
        **figures,
    )


def _no_room(check: str, error: RuntimeError) -> Finding:
    """Say that there is no memory for a copy; anything else is a fault of its own."""
    if not is_out_of_memory(error):
        raise error
    return noted(check, "there is no memory for a copy of the model, so this was left out")
