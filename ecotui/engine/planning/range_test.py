"""The learning rate range test: the rate rises step by step until the loss diverges.

Source: Smith, "Cyclical Learning Rates for Training Neural Networks" (2015), section 3.3;
the smoothing of the loss, the range and the choice in the middle of the longest fall as
in fastai's learning rate finder ("valley").
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ecotui.engine.assembly import Parts
from ecotui.engine.data.loader import Batch
from ecotui.engine.data.supervision import LoaderFaultError
from ecotui.engine.planning.borrowing import borrowed
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.data_path import trial_loader
from ecotui.engine.planning.rehearsal import Rehearsal

LOWEST_RATE, HIGHEST_RATE = 1e-7, 10.0
"""Source: fastai."""
MOST_STEPS = 100
"""Source: fastai."""
FEWEST_STEPS = 25
"""With fewer the rate doubles at each step, and the middle of a fall means nothing."""
SMOOTHING = 0.98
"""Weight of the past in the mean of the losses, its beginning corrected for. Source: fastai."""
DIVERGED_FACTOR = 4.0
"""A smoothed loss above so many times the lowest has diverged. Source: fastai, Lightning."""
LEAST_FALL_FRACTION = 0.02
"""Of the loss: a fall that is less is noise, and no rate is chosen by it."""


@dataclass(slots=True)
class Curve:
    """Learning rates and the smoothed losses at them, in the order of the steps.

    Attributes:
        rates: Rising.
        losses: Smoothed, finite, nats.
        has_diverged: Whether the test went on until the loss rose without bound.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    has_diverged: bool = False
    _mean: float = 0.0

    def add(self, rate: float, loss: float) -> bool:
        """Take the loss of a step, and say whether to go on."""
        self._mean = SMOOTHING * self._mean + (1.0 - SMOOTHING) * loss
        smoothed = self._mean / (1.0 - SMOOTHING ** (len(self.losses) + 1))
        lowest = min(self.losses, default=smoothed)
        if not math.isfinite(smoothed) or smoothed > DIVERGED_FACTOR * lowest:
            self.has_diverged = True
            return False
        self.rates.append(rate)
        self.losses.append(smoothed)
        return True


def suggested_rate(curve: Curve) -> float | None:
    """Return the rate in the middle of the longest fall, to two digits.

    Returns:
        None where the test was too short, or the loss never fell.
    """
    if len(curve.losses) < FEWEST_STEPS // 2:
        return None
    fall = longest_fall(curve.losses)
    drop = curve.losses[fall[0]] - curve.losses[fall[-1]]
    if drop < LEAST_FALL_FRACTION * abs(curve.losses[fall[0]]):
        return None
    return float(f"{curve.rates[(fall[0] + fall[-1]) // 2]:.1e}")


def longest_fall(losses: Sequence[float]) -> list[int]:
    """Return the places of the longest strictly falling subsequence.

    Args:
        losses: Finite, at least one.
    """
    tails: list[float] = []  # of the best fall of each length, negated to be ascending
    ends: list[int] = []
    before: list[int] = []
    for place, loss in enumerate(losses):
        length = bisect.bisect_left(tails, -loss)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [-loss]
        ends[length : length + 1] = [place]
    fall = []
    place = ends[-1]
    while place >= 0:
        fall.append(place)
        place = before[place]
    return fall[::-1]


def run_range_test(parts: Parts, budget: Budget, *, step_seconds: float) -> Curve:
    """Train with a rising rate on real batches, and put everything back.

    Args:
        parts: Of the run, before its first step; the same afterwards, to the last bit.
        budget: Fewer steps are taken where it is short; none below `FEWEST_STEPS`.
        step_seconds: That a step takes, about, reading included.

    Raises:
        Exception: What the network raises on a batch.
    """
    affordable = int(budget.left_seconds / max(step_seconds, 1e-6))
    steps = min(MOST_STEPS, affordable)
    curve = Curve()
    if steps < FEWEST_STEPS:
        return curve
    with borrowed(parts, "range test"):
        rehearsal = Rehearsal(parts)
        parts.trainable.network.train()
        for number, batch in enumerate(_batches(parts, steps, budget)):
            rate = LOWEST_RATE * (HIGHEST_RATE / LOWEST_RATE) ** (number / (steps - 1))
            loss = _step(parts, rehearsal, batch, rate, number)
            if not curve.add(rate, loss) or budget.left_seconds == 0.0:
                break
    return curve


def _step(parts: Parts, rehearsal: Rehearsal, batch: Batch, rate: float, number: int) -> float:
    images_BCHW = parts.compute.to_device(batch.images_BCHW)
    targets = parts.compute.to_device(batch.labels_B)
    if parts.mixer is not None:
        images_BCHW, targets = parts.mixer(images_BCHW, targets, number)
    for group in rehearsal.optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
    return rehearsal.train_step(images_BCHW, targets, parts.compute.micro_batch_size).loss


def _batches(parts: Parts, steps: int, budget: Budget) -> Iterator[Batch]:
    """Yield so many training batches that have images, epoch after epoch."""
    loader = trial_loader(parts, parts.compute.workers, budget.poll)
    count, epoch, is_empty = 0, 0, False
    try:
        while count < steps and not is_empty:
            is_empty = True
            for batch in loader.epoch(epoch):
                budget.poll()
                if batch.labels_B.numel() > 1:
                    is_empty = False
                    count += 1
                    yield batch
                if count >= steps:
                    break
            epoch += 1
    except LoaderFaultError:
        return  # the curve has what was read until then
    finally:
        loader.close()
