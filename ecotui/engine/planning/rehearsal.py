"""Training steps on made images with the run's own network, to see what they take.

The optimizer and the gradient scaler are twins of the run's, made for this and dropped
after it; the network is lent by `borrowed`.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch.nn.utils import clip_grad_norm_

from ecotui.engine.assembly import Parts
from ecotui.engine.compute import is_out_of_memory, make_scaler
from ecotui.engine.optim import make_optimizer
from ecotui.engine.planning.borrowing import kept_bytes
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.fitting import Trial
from ecotui.engine.planning.memory import Meter, meter_of
from ecotui.engine.seeds import derive_seed

_T = TypeVar("_T")

MAX_WARM_UPS = 8
"""Steps until there is optimizer state: fp16 throws its first ones away, the scale being high."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken.

    Attributes:
        loss: Mean over its images, nats.
        pass_seconds: Of one of its forward and backward passes.
        update_seconds: Of clipping and the optimizer.
    """

    loss: float
    pass_seconds: float
    update_seconds: float

    @property
    def seconds(self) -> float:
        """Of a pass and the update."""
        return self.pass_seconds + self.update_seconds


@dataclass(frozen=True, slots=True)
class Scored:
    """What a validation batch took.

    Attributes:
        size: Images.
        peak_bytes: Most memory that was held; None where it cannot be told.
        seconds: The median.
    """

    size: int
    peak_bytes: int | None
    seconds: float


class Rehearsal:
    """Takes steps of any size and measures them; used inside of `borrowed`.

    Args:
        parts: Of the run.
        meter: Reads the memory; that of the run's device where None is given.
    """

    def __init__(self, parts: Parts, meter: Meter | None = None) -> None:
        self._parts = parts
        self._meter = meter or meter_of(parts.compute.device)
        fused = bool(parts.trainable.optimizer.defaults.get("fused"))
        self.optimizer = make_optimizer(parts.trainable.network, parts.config.train, fused=fused)
        self.scaler = make_scaler(parts.compute)
        self._weights = list(parts.trainable.network.parameters())
        self._own_bytes = kept_bytes(parts) if parts.compute.device_type == "cpu" else 0

    def measure(self, size: int, budget: Budget, *, batch_size: int, steps: int) -> Trial | None:
        """Take steps of a size.

        Args:
            size: Images a forward pass.
            budget: Fewer steps are taken where it ends, at least one.
            batch_size: Images a step. Of more than two passes only two are run: the second
                finds the gradients of the first in memory, as each later one does.
            steps: Steps to be timed.

        Returns:
            What they took, or None where memory ran out.

        Raises:
            Exception: What the network raises on made images, memory aside.
        """
        self._parts.trainable.network.train()
        return self._unless_out_of_memory(lambda: self._trial(size, budget, batch_size, steps))

    def warm_up(self, size: int, budget: Budget) -> None:
        """Take a step that is not timed: the first of a process pays for what all others find.

        Threads are started, kernels chosen, modules of PyTorch imported: up to seconds, of which
        a plan of a small network would make hours.

        Args:
            size: Images a forward pass.
            budget: Polled.
        """
        self.measure(size, budget, batch_size=size, steps=0)

    def score(self, size: int, budget: Budget, *, repeats: int) -> Scored | None:
        """Score made images as validation does; None where memory ran out."""
        self._parts.judged.eval()
        return self._unless_out_of_memory(lambda: self._scored(size, budget, repeats))

    def train_step(self, images_BCHW: torch.Tensor, targets: torch.Tensor, size: int) -> Taken:
        """Take one step, as training does.

        Args:
            images_BCHW: On the device.
            targets: Labels or mixed targets, on the device.
            size: Images a forward pass.
        """
        parts = self._parts
        self.optimizer.zero_grad(set_to_none=True)
        started = self._now()
        normaliser = parts.objective.normaliser(targets)
        total = torch.zeros((), device=parts.compute.device)
        pieces = list(zip(images_BCHW.split(size), targets.split(size), strict=True))
        for images, target in pieces:
            with parts.compute.autocast():
                logits_BK = parts.forward(images)
            loss = parts.objective.summed(logits_BK, target) / normaliser
            self.scaler.scale(loss).backward()
            total += loss.detach()
        passed = self._now()
        self.scaler.unscale_(self.optimizer)
        limit = parts.config.train.clip_gradient_norm
        clip_grad_norm_(self._weights, math.inf if limit is None else limit)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return Taken(float(total), (passed - started) / len(pieces), self._now() - passed)

    def state_bytes(self) -> int:
        """Return the size of a checkpoint's tensors: weights, their average, optimizer state."""
        held = list(self._parts.trainable.network.state_dict().values())
        if self._parts.trainable.ema is not None:
            held += self._parts.trainable.ema.module.state_dict().values()
        for state in self.optimizer.state.values():
            held += [value for value in state.values() if isinstance(value, torch.Tensor)]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    def _trial(self, size: int, budget: Budget, batch_size: int, steps: int) -> Trial:
        self.optimizer.zero_grad(set_to_none=True)
        self._meter.begin()
        # Whole passes: of a batch that does not divide evenly the rest may be a single image, which
        # BatchNorm refuses, and its seconds are not those of a pass.
        images_BCHW, targets = self._made(size if batch_size <= size else 2 * size)
        for _ in range(MAX_WARM_UPS):
            budget.poll()
            self.train_step(images_BCHW, targets, size)
            if self.optimizer.state:
                break
        timed: list[Taken] = []
        for _ in range(steps):
            if timed and not budget.allows(timed[-1].seconds):
                break
            budget.poll()
            timed.append(self.train_step(images_BCHW, targets, size))
        if not timed:
            return Trial(size, self._peak_bytes(), 0.0, 0.0)
        whole = [each.seconds for each in timed]
        middle = max(statistics.median(whole), 1e-9)
        return Trial(
            size,
            self._peak_bytes(),
            statistics.median(each.pass_seconds for each in timed),
            statistics.median(each.update_seconds for each in timed),
            (max(whole) - min(whole)) / 2 / middle if len(whole) > 1 else None,
        )

    def _scored(self, size: int, budget: Budget, repeats: int) -> Scored:
        self.optimizer.zero_grad(set_to_none=True)
        self._meter.begin()
        images_BCHW, _ = self._made(size)
        timed: list[float] = []
        for _ in range(1 + repeats):
            if len(timed) > 1 and not budget.allows(timed[-1]):
                break
            budget.poll()
            started = self._now()
            with torch.inference_mode(), self._parts.compute.autocast():
                self._parts.judged(images_BCHW)
            timed.append(self._now() - started)
        return Scored(size, self._peak_bytes(), statistics.median(timed[1:]))

    def _unless_out_of_memory(self, work: Callable[[], _T]) -> _T | None:
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside the except block, which would keep the failed step's memory alive.
        self.optimizer.zero_grad(set_to_none=True)
        self._meter.begin()
        return None

    def _peak_bytes(self) -> int | None:
        """Return the peak without the copies that only a rehearsal holds."""
        peak_bytes = self._meter.peak_bytes()
        return None if peak_bytes is None else peak_bytes - self._own_bytes

    def _made(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return noise of the run's input size [size, 3, S, S] and labels [size]."""
        parts, side = self._parts, self._parts.built.spec.image_size
        generator = torch.Generator()
        generator.manual_seed(derive_seed(parts.config.train.seed, "plan images"))
        images_BCHW = torch.rand(size, 3, side, side, generator=generator)
        labels_B = torch.arange(size) % parts.num_classes
        return parts.compute.to_device(images_BCHW), parts.compute.to_device(labels_B)

    def _now(self) -> float:
        kind = self._parts.compute.device_type
        if kind == "cuda":
            torch.cuda.synchronize(self._parts.compute.device)
        elif kind == "mps":
            torch.mps.synchronize()
        return time.monotonic()
