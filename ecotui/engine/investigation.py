"""A faulty batch run again: as it was, in fp32, and sample by sample, to tell what it comes from.

Whatever is tried leaves no trace: generators, running statistics, gradients, the mode of
the network and its hooks are as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ecotui.engine.assembly import Parts
from ecotui.engine.buffers import KeptBuffers, KeptGenerators
from ecotui.engine.data.loader import Batch
from ecotui.healing import Cause
from ecotui.text import visible

MAX_SAMPLES = 64
"""Of a batch, that are run alone."""
MAX_LAYERS = 400
"""Whose norms and ranges are written down."""

Range = tuple[float, float, int]
"""Smallest and largest number, and how many are not finite."""


@dataclass(slots=True)
class Trial:
    """What one run of a batch gave.

    Attributes:
        loss: Mean, nats; NaN where it raised.
        error: What it raised, in words; empty where it did not.
        norms: L2 norm of each weight's gradient, by name.
        ranges: Of each layer's output, by name.
    """

    loss: float = math.nan
    error: str = ""
    norms: dict[str, float] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether it ran through, with finite numbers."""
        return not self.error and all(map(math.isfinite, (self.loss, *self.norms.values())))


@dataclass(frozen=True, slots=True)
class Findings:
    """What running a batch again has told.

    Attributes:
        cause: As far as that can tell.
        what: In words.
        as_is: The batch as it was.
        in_fp32: Without mixed precision; None where it was fp32 already, or not needed.
        bad_positions: Of samples that fail alone.
    """

    cause: Cause
    what: str
    as_is: Trial
    in_fp32: Trial | None
    bad_positions: tuple[int, ...]


class Investigation:
    """Runs batches again.

    Args:
        parts: Everything built.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def look_into(
        self, batch: Batch, step: int, buffers: KeptBuffers, generators: KeptGenerators
    ) -> Findings:
        """Find out what a batch's fault comes from.

        Args:
            batch: That was rejected.
            step: Optimizer steps done before it.
            buffers: As they were before it.
            generators: Likewise.

        Source:
            Running again to tell a passing fault from a lasting one: Megatron-core's rerun
            state machine. That fp32 and single samples are tried then, is this module's own.
        """
        with self._traceless():
            buffers.put_back()
            generators.put_back()
            as_is = self._try(lambda: self._batch_loss(batch, step, is_mixed_precision=True))
            if as_is.is_sound:
                what = "the same batch with the same random numbers ran through"
                return Findings("hardware", what, as_is, None, ())
            in_fp32 = self._in_fp32(batch, step, generators)
            if in_fp32 is not None and in_fp32.is_sound:
                what = f"the batch runs through in fp32, and not in {self._parts.compute.precision}"
                return Findings("precision", what, as_is, in_fp32, ())
            bad, num_tried = self._bad_alone(batch)
        if bad and 2 * len(bad) <= num_tried:
            what = f"{len(bad)} of its {num_tried} samples fail alone as well"
            return Findings("data", what, as_is, in_fp32, bad)
        alone = "all" if bad else "none"
        what = f"the batch fails again, and {alone} of its samples alone"
        if bad and len(bad) < num_tried:
            what = f"the batch fails again, and most of its samples alone ({len(bad)})"
        return Findings("model", what, as_is, in_fp32, ())

    def norms_of(self, batch: Batch, step: int) -> Trial:
        """Return each layer's norms and ranges for a batch, without a trace."""
        with self._traceless():
            return self._try(lambda: self._batch_loss(batch, step, is_mixed_precision=True))

    def _in_fp32(self, batch: Batch, step: int, generators: KeptGenerators) -> Trial | None:
        if self._parts.compute.precision == "fp32":
            return None
        generators.put_back()
        return self._try(lambda: self._batch_loss(batch, step, is_mixed_precision=False))

    def _bad_alone(self, batch: Batch) -> tuple[tuple[int, ...], int]:
        """Return the positions of samples that fail alone, and how many were tried.

        Each is put in twice: BatchNorm cannot train on one sample, and what overflows in its
        variance does not show in an evaluation.
        """
        num_tried = min(MAX_SAMPLES, len(batch.sample_ids))
        bad = []
        for position in range(num_tried):
            trial = self._try(lambda at=position: self._sample_loss(batch, at))  # type: ignore[misc]
            if not trial.is_sound:
                bad.append(position)
        return tuple(bad), num_tried

    def _batch_loss(self, batch: Batch, step: int, *, is_mixed_precision: bool) -> torch.Tensor:
        parts = self._parts
        images_BCHW = parts.compute.to_device(batch.images_BCHW.clone())
        targets = parts.compute.to_device(batch.labels_B)
        if parts.mixer is not None:
            images_BCHW, targets = parts.mixer(images_BCHW, targets, step)
        normaliser = parts.objective.normaliser(targets)
        total = torch.zeros((), device=parts.compute.device)
        size = parts.compute.micro_batch_size
        for images, target in zip(images_BCHW.split(size), targets.split(size), strict=True):
            loss = self._summed(images, target, is_mixed_precision) / normaliser
            loss.backward()
            total += loss.detach()
        return total

    def _sample_loss(self, batch: Batch, position: int) -> torch.Tensor:
        compute, twice = self._parts.compute, [position, position]
        images = compute.to_device(batch.images_BCHW[twice])
        loss = self._summed(images, compute.to_device(batch.labels_B[twice]))
        loss.backward()
        return loss.detach()

    def _summed(
        self, images: torch.Tensor, targets: torch.Tensor, is_mixed_precision: bool = True
    ) -> torch.Tensor:
        parts = self._parts
        autocast = parts.compute.autocast() if is_mixed_precision else _as_it_is()
        with autocast:
            logits_BK = parts.trainable.network(images)
        loss = parts.objective.summed(logits_BK, targets)
        # Scores that are not finite would not show in every loss.
        return loss if bool(torch.isfinite(logits_BK).all()) else loss * math.nan

    def _try(self, compute: Callable[[], torch.Tensor]) -> Trial:
        network, trial = self._parts.trainable.network, Trial()
        network.zero_grad(set_to_none=True)
        hooks = [
            module.register_forward_hook(_ranging(trial.ranges, name))
            for name, module in _leaves(network)
        ]
        try:
            trial.loss = float(compute())
        except (RuntimeError, AssertionError, ValueError, MemoryError) as error:
            trial.error = visible(f"{type(error).__name__}: {error}", limit=200)
        finally:
            for hook in hooks:
                hook.remove()
        trial.norms = {
            name: float(weight.grad.float().norm())
            for name, weight in list(network.named_parameters())[:MAX_LAYERS]
            if weight.grad is not None
        }
        return trial

    @contextmanager
    def _traceless(self) -> Iterator[None]:
        network, device = self._parts.trainable.network, self._parts.compute.device
        buffers, generators = KeptBuffers(network), KeptGenerators(device)
        generators.remember()
        was_training = {module: module.training for module in network.modules()}
        try:
            yield
        finally:
            network.zero_grad(set_to_none=True)
            for module, mode in was_training.items():
                module.training = mode
            buffers.put_back()
            generators.put_back()


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _leaves(network: nn.Module) -> list[tuple[str, nn.Module]]:
    named = [
        (name, module)
        for name, module in network.named_modules()
        if next(module.children(), None) is None
    ]
    return named[:MAX_LAYERS]


def _ranging(ranges: dict[str, Range], name: str) -> Callable[..., None]:
    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if not isinstance(output, torch.Tensor) or not output.numel():
            return
        held = output.detach().float()
        finite = torch.isfinite(held)
        kept = held[finite] if finite.any() else torch.zeros(1)
        low, high = kept.aminmax()
        ranges[name] = (float(low), float(high), int((~finite).sum()))

    return note
