"""One optimizer step in two halves: the gradients, and the update with them.

Between the halves the guards look; what they reject never reaches the weights. One pass
over the gradients serves the look, the clipping and, on an accelerator, the rejection: there
nothing is read between the halves, and the update itself leaves undone what is not finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ecotui.engine.assembly import Parts
from ecotui.engine.averaging import Averaging
from ecotui.engine.clipping import Clipping
from ecotui.engine.data.loader import Batch
from ecotui.engine.folding import can_fold, fold
from ecotui.engine.fused_kernel import fused_kernel


@dataclass(frozen=True, slots=True)
class Gradients:
    """What the first half of a step measured.

    Attributes:
        loss: Mean over the batch, nats.
        norm: L2 norm of all gradients before clipping.
        best_scores: Sum of each image's highest score: not finite where one is not.
        hits: Images recognised; none where they are mixed.
    """

    loss: float
    norm: float
    best_scores: float = 0.0
    hits: float = 0.0


def gradients_of(measured: torch.Tensor) -> Gradients:
    """Read what was measured on a device [4]; waits for it."""
    loss, best_scores, hits, norm = measured.tolist()
    return Gradients(loss, norm, best_scores, hits)


class Stepper:
    """Takes optimizer steps.

    Args:
        parts: Everything built.
        clipping: How much gradients are shortened.
        can_be_late: Whether steps may be judged by the update itself, and read later. By default
            on CUDA, where reading at once would make the host wait.
    """

    def __init__(
        self, parts: Parts, clipping: Clipping, *, can_be_late: bool | None = None
    ) -> None:
        self._parts = parts
        self._clipping = clipping
        self._parameters = list(parts.trainable.network.parameters())
        self._is_unscaled = False
        self._norm = torch.zeros(())
        ema = parts.trainable.ema
        self._averaging = None if ema is None else Averaging(ema, parts.trainable.network)
        optimizer, device = parts.trainable.optimizer, parts.compute.device
        self._folds = can_fold(optimizer, device)
        self._kernel = fused_kernel(optimizer, device) if self._folds else None
        wanted = parts.compute.device_type == "cuda" if can_be_late is None else can_be_late
        self.is_late = self._folds and wanted

    def clip_with(self, clipping: Clipping) -> None:
        """Shorten gradients so from the next step on."""
        self._clipping = clipping

    def compute_gradients(self, batch: Batch, step: int) -> Gradients:
        """Run forward and backward over the micro-batches of a batch.

        Reads loss and norm from the device, once, so that they are judged
        before the update.

        Args:
            batch: Images float32 [B, 3, S, S] and labels int64 [B], B at least 1.
            step: Optimizer steps done so far.
        """
        return gradients_of(self.measure(batch, step))

    def measure(self, batch: Batch, step: int) -> torch.Tensor:
        """Do the same, and return loss, best scores, hits and norm on the device [4]."""
        parts, trainable = self._parts, self._parts.trainable
        images_BCHW = parts.compute.to_device(batch.images_BCHW)
        targets = parts.compute.to_device(batch.labels_B)
        if parts.mixer is not None:
            if images_BCHW is batch.images_BCHW:  # mixing is done in place, and a retry starts anew
                images_BCHW = images_BCHW.clone()
            images_BCHW, targets = parts.mixer(images_BCHW, targets, step)
        normaliser = parts.objective.normaliser(targets)
        trainable.optimizer.zero_grad(set_to_none=True)

        measured: list[torch.Tensor] = []
        size = parts.compute.micro_batch_size
        for images, target in zip(images_BCHW.split(size), targets.split(size), strict=True):
            with parts.compute.autocast():
                logits_BK = parts.forward(images)
            loss = parts.objective.summed(logits_BK, target) / normaliser
            trainable.scaler.scale(loss).backward()
            measured += _seen(loss.detach(), logits_BK.detach(), target)

        trainable.scaler.unscale_(trainable.optimizer)
        self._is_unscaled = True
        self._norm = self._total_norm().to(measured[0])
        found = torch.stack((*measured[:3], self._norm))
        if len(measured) > 3:
            found[:3] = torch.stack(measured).view(-1, 3).sum(dim=0)
        return found

    def update(self, step: int) -> None:
        """Change the weights, and their average, with gradients that were found sound.

        Args:
            step: Optimizer steps done, this one included.
        """
        trainable = self._parts.trainable
        divisor = self._divisor()
        if self._folds and not trainable.scaler.is_enabled():
            self._fold(divisor, None)
        else:
            if divisor is not None:
                self._divide(divisor)
            trainable.scaler.step(trainable.optimizer)
        trainable.scaler.update()
        self._is_unscaled = False
        if self._averaging is not None:
            self._averaging.update(step)

    def update_unless(self, is_bad: torch.Tensor, step: int) -> None:
        """Do the same where a flag on the device is not set; nothing is read from it.

        Args:
            is_bad: A scalar of bool.
            step: Optimizer steps done, this one included.
        """
        trainable = self._parts.trainable
        self._fold(self._clipping.divisor(self._norm), is_bad.float())
        trainable.scaler.update()
        self._is_unscaled = False
        if self._averaging is not None:
            self._averaging.update_unless(is_bad, step)

    def abandon(self) -> None:
        """Drop the gradients; the weights stay as they are."""
        trainable = self._parts.trainable
        if self._is_unscaled:
            trainable.scaler.update()
            self._is_unscaled = False
        trainable.optimizer.zero_grad(set_to_none=True)

    def _total_norm(self) -> torch.Tensor:
        gradients = [grad for weight in self._parameters if (grad := weight.grad) is not None]
        if not gradients:
            return torch.zeros(())
        norms = torch.stack(torch._foreach_norm(gradients))
        total: torch.Tensor = torch.linalg.vector_norm(norms, dtype=torch.float32)
        return total

    def _fold(self, divisor: torch.Tensor | None, is_bad: torch.Tensor | None) -> None:
        if self._kernel is None:
            fold(self._parts.trainable.optimizer, divisor, is_bad)
        else:
            self._kernel.take(divisor, is_bad)

    def _divisor(self) -> torch.Tensor | None:
        """Return what the gradients are to be divided by; None where that changes no bit.

        The kernel writes every gradient back that it divides, by 1 too: on the CPU, where the
        norm can be looked at for nothing, that is left out.
        """
        is_on_cpu = self._parts.compute.device_type == "cpu"
        if is_on_cpu and self._clipping.leaves_alone(float(self._norm)):
            return None
        divisor = self._clipping.divisor(self._norm)
        is_one = is_on_cpu and divisor is not None and float(divisor) == 1.0
        return None if is_one else divisor

    def _divide(self, divisor: torch.Tensor) -> None:
        gradients = [weight.grad for weight in self._parameters if weight.grad is not None]
        torch._foreach_mul_(gradients, divisor.reciprocal())


def _seen(
    loss: torch.Tensor, scores_BK: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Return loss, best scores and hits of a micro-batch; mixed images have no hits."""
    best = scores_BK.max(dim=1)
    is_labelled = targets.dim() == 1
    hits = (
        (best.indices == targets).sum(dtype=loss.dtype) if is_labelled else torch.zeros_like(loss)
    )
    return loss, best.values.sum(dtype=torch.float32).to(loss), hits
