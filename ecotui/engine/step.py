"""One optimizer step in two halves: the gradients, and the update with them.

Between the halves the guards look; what they reject never reaches the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.utils import clip_grad_norm_

from ecotui.engine.assembly import Parts
from ecotui.engine.data.loader import Batch
from ecotui.engine.meter import Meter


@dataclass(frozen=True, slots=True)
class Gradients:
    """What the first half of a step measured.

    Attributes:
        loss: Mean over the batch, nats.
        norm: L2 norm of all gradients before clipping.
    """

    loss: float
    norm: float


class Stepper:
    """Takes optimizer steps.

    Args:
        parts: Everything built.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._parameters = list(parts.trainable.network.parameters())
        self._is_unscaled = False

    def compute_gradients(self, batch: Batch, step: int, meter: Meter) -> Gradients:
        """Run forward and backward over the micro-batches of a batch, and clip.

        Reads loss and norm from the device, once, so that they are judged
        before the update.

        Args:
            batch: Images float32 [B, 3, S, S] and labels int64 [B], B at least 1.
            step: Optimizer steps done so far.
            meter: Gets loss and hits, to be finished or discarded by the caller.
        """
        parts, trainable = self._parts, self._parts.trainable
        images_BCHW = parts.compute.to_device(batch.images_BCHW)
        targets = parts.compute.to_device(batch.labels_B)
        if parts.mixer is not None:
            images_BCHW, targets = parts.mixer(images_BCHW, targets, step)
        normaliser = parts.objective.normaliser(targets)
        trainable.optimizer.zero_grad(set_to_none=True)

        total = torch.zeros((), device=parts.compute.device)
        size = parts.compute.micro_batch_size
        for images, target in zip(images_BCHW.split(size), targets.split(size), strict=True):
            with parts.compute.autocast():
                logits_BK = parts.forward(images)
            loss = parts.objective.summed(logits_BK, target) / normaliser
            trainable.scaler.scale(loss).backward()
            meter.add(loss, logits_BK, target)
            total += loss.detach()

        trainable.scaler.unscale_(trainable.optimizer)
        self._is_unscaled = True
        limit = parts.config.train.clip_gradient_norm
        norm = clip_grad_norm_(self._parameters, math.inf if limit is None else limit)
        read_loss, read_norm = torch.stack((total, norm.to(total))).tolist()
        return Gradients(read_loss, read_norm)

    def update(self, step: int) -> None:
        """Change the weights, and their average, with the gradients.

        Args:
            step: Optimizer steps done, this one included.
        """
        trainable = self._parts.trainable
        trainable.scaler.step(trainable.optimizer)
        trainable.scaler.update()
        self._is_unscaled = False
        if trainable.ema is not None:
            trainable.ema.update(trainable.network, step=step)

    def abandon(self) -> None:
        """Drop the gradients; the weights stay as they are."""
        trainable = self._parts.trainable
        if self._is_unscaled:
            trainable.scaler.update()
            self._is_unscaled = False
        trainable.optimizer.zero_grad(set_to_none=True)
