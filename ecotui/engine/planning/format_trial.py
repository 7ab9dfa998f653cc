"""Training steps in one number format and memory layout: what they take, and what they compute.

Runs in a process that is thrown away: some kernels crash or corrupt memory in one of the
formats (with channels last repvgg_a0 did in torch 2.15 on the CPU), and what has touched such a
network must not train it.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from ecotui.engine.compute import Compute, Precision, make_scaler, supports_fused
from ecotui.engine.heap import release_freed
from ecotui.engine.optim import FUSED_CLASSES, make_optimizer
from ecotui.resolved_config import ResolvedTrain

FEWEST_STEPS = 3
MOST_STEPS = 30
"""Timed of each format; the fastest counts, as other programs only ever make a step slower."""

RATE = 1e-6
"""Of learning: the weights are to stay about what they were, so that steps can be compared."""

MAX_SCALINGS = 12
"""Halvings of fp16's scale until gradients are finite; it begins at 2^16."""

_SEED = 20_261_126


@dataclass(frozen=True, slots=True)
class Format:
    """How numbers are held while training.

    Attributes:
        precision: Of the forward pass.
        channels_last: Whether images and weights use that memory format.
    """

    precision: Precision
    channels_last: bool

    def __str__(self) -> str:
        return f"{self.precision}, channels last" if self.channels_last else self.precision


PLAIN = Format("fp32", False)


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen of a format.

    Attributes:
        format: The format.
        step_seconds: Of its fastest step; 0 where it failed.
        loss: Mean of the first batch, nats.
        norm: L2 norm of all gradients of the first batch.
        fault: What went wrong, harmless text; empty where nothing did.
    """

    format: Format
    step_seconds: float = 0.0
    loss: float = math.nan
    norm: float = math.nan
    fault: str = ""


def try_format(
    network: nn.Module,
    form: Format,
    compute: Compute,
    train: ResolvedTrain,
    *,
    shape: tuple[int, int, int],
    seconds: float,
) -> Trial:
    """Train a network for a few steps, and free all that it took.

    Args:
        network: With its first weights; it is changed.
        form: To be tried.
        compute: Device and threads.
        train: Optimizer, clipping and label smoothing.
        shape: Images a step, their side in pixels, and classes: B, S, K.
        seconds: Longest time for the timed steps; at least one is taken.
    """
    size, side, num_classes = shape
    compute = replace(compute, precision=form.precision, channels_last=form.channels_last)
    torch.manual_seed(_SEED)
    images_BCHW = compute.to_device(torch.randn(size, 3, side, side))
    labels_B = compute.to_device(torch.arange(size) % num_classes)
    network = network.to(compute.device).train()
    if form.channels_last:
        network = network.to(memory_format=torch.channels_last)
    steps = _Steps(network, compute, train)
    with without_dropout(network):
        loss, norm = steps.look(images_BCHW, labels_B)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return Trial(form, 0.0, loss, norm, "loss or gradients are not finite")
    steps.take(images_BCHW, labels_B)  # the first makes the optimizer's state
    started = time.monotonic()
    taken: list[float] = []
    while len(taken) < MOST_STEPS:
        taken.append(steps.take(images_BCHW, labels_B))
        spent = time.monotonic() - started
        if spent > seconds or (len(taken) >= FEWEST_STEPS and spent > seconds / 2):
            break
    if not steps.is_finite():
        return Trial(form, 0.0, loss, norm, f"weights are not finite after {len(taken)} steps")
    # What was written beyond its place is noticed where memory is freed and put together.
    del steps, network, images_BCHW, labels_B
    gc.collect()
    release_freed()
    return Trial(form, min(taken), loss, norm)


class _Steps:
    def __init__(self, network: nn.Module, compute: Compute, train: ResolvedTrain) -> None:
        self._network, self._compute = network, compute
        self._smoothing = train.label_smoothing
        self._limit = train.clip_gradient_norm
        slow = train.model_copy(update={"learning_rate": RATE, "min_learning_rate": 0.0})
        kind = FUSED_CLASSES.get(train.optimizer.lower())
        fused = kind is not None and supports_fused(kind, compute.device)
        self._optimizer = make_optimizer(network, slow, fused=fused)
        self._scaler = make_scaler(compute)
        self._weights = [weight for weight in network.parameters() if weight.requires_grad]

    def look(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[float, float]:
        """Return loss and norm of the gradients, and change no weight."""
        loss, norm = math.nan, math.nan
        for _ in range(MAX_SCALINGS if self._scaler.is_enabled() else 1):
            torch.manual_seed(_SEED)
            loss = float(self._backward(images_BCHW, labels_B))
            norm = float(clip_grad_norm_(self._weights, math.inf))
            if math.isfinite(norm):
                break
            self._scaler.update(self._scaler.get_scale() / 2)
        self._optimizer.zero_grad(set_to_none=True)
        return loss, norm

    def take(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> float:
        """Take a whole step, and return its seconds."""
        started = seconds_on(self._compute.device)
        self._optimizer.zero_grad(set_to_none=True)
        self._backward(images_BCHW, labels_B)
        clip_grad_norm_(self._weights, math.inf if self._limit is None else self._limit)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        return seconds_on(self._compute.device) - started

    def is_finite(self) -> bool:
        """Say whether every weight is."""
        norms = [torch.linalg.vector_norm(weight.detach().float()) for weight in self._weights]
        return bool(torch.isfinite(torch.stack(norms)).all())

    def _backward(self, images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        with self._compute.autocast():
            logits_BK = self._network(images_BCHW)
        loss = cross_entropy(logits_BK.float(), labels_B, label_smoothing=self._smoothing)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        return loss.detach()


def seconds_on(device: str) -> float:
    """Return seconds to time computing with; on the CPU those that this thread has computed.

    Backward runs in the same thread. Other programs take the processors away for longer than
    one format is faster than another, which hardly shows in this time.
    """
    if device == "cpu":
        return time.thread_time()
    torch.cuda.synchronize(device)
    return time.monotonic()


@contextlib.contextmanager
def without_dropout(network: nn.Module) -> Iterator[None]:
    """Switch off what is dropped at random, in a network that stays in training mode.

    The formats draw differently, and losses of different draws cannot be compared.
    """
    kept: list[tuple[nn.Module, str, float]] = []
    for module in network.modules():
        for name in ("p", "drop_prob"):
            value = getattr(module, name, None)
            if isinstance(value, float) and 0.0 < value < 1.0:
                kept.append((module, name, value))
                setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)
