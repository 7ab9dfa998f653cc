"""Loss and accuracy of training steps, summed on the device and read seldom.

Reading a number from an accelerator makes the host wait for it; here that
happens when the sums are drained, not at every step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Reading:
    """What happened since the last reading.

    Attributes:
        num_steps: Optimizer steps.
        num_images: Images used.
        num_labelled: Of those, images with one label (not mixed).
        loss_sum: Over the images, nats.
        hits: Labelled images recognised.
        gradient_norm: Of the last step, before clipping; None without a step.
        seconds: Wall time.
        waited_seconds: Of it, waiting for data.
    """

    num_steps: int
    num_images: int
    num_labelled: int
    loss_sum: float
    hits: int
    gradient_norm: float | None
    seconds: float
    waited_seconds: float

    @property
    def accuracy(self) -> float | None:
        """Top-1 over the labelled images, 0 to 1."""
        return self.hits / self.num_labelled if self.num_labelled else None

    @property
    def images_per_second(self) -> float | None:
        """Images used a second of wall time."""
        return self.num_images / self.seconds if self.seconds > 0 else None

    @property
    def wait_fraction(self) -> float | None:
        """Share of the wall time spent waiting for data, 0 to 1."""
        return min(1.0, self.waited_seconds / self.seconds) if self.seconds > 0 else None


class Meter:
    """Sums over training steps.

    Args:
        device: Where the sums lie.
        clock: Monotonic seconds.
    """

    def __init__(self, device: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sums = torch.zeros(2, dtype=torch.float32, device=device)
        self._step_sums = torch.zeros(2, dtype=torch.float32, device=device)
        self._norm: float | None = None
        self._num_steps = self._num_images = self._num_labelled = 0
        self._since = clock()
        self.waited_seconds = 0.0

    @torch.no_grad()
    def add(self, loss: torch.Tensor, logits_BK: torch.Tensor, targets: torch.Tensor) -> None:
        """Add a micro-batch.

        Args:
            loss: Its share of the batch's mean loss.
            logits_BK: Scores [B, K].
            targets: Labels [B]; mixed targets [B, K] have no hits.
        """
        self._step_sums[0] += loss.detach()
        if targets.dim() == 1:
            self._step_sums[1] += (logits_BK.argmax(dim=1) == targets).sum()

    @torch.no_grad()
    def finish_step(
        self,
        norm: float | None,
        num_images: int,
        *,
        is_mixed: bool,
        is_bad: torch.Tensor | None = None,
    ) -> None:
        """Close an optimizer step.

        Args:
            norm: Of its gradients; None where it is not read yet, see `note_norm`.
            num_images: In its batch.
            is_mixed: Whether the images have no label of their own.
            is_bad: A flag on the device: where it is set, loss and hits are left out there. Its
                images are counted until `take_back`.
        """
        step_sums = self._step_sums
        if is_bad is not None:
            step_sums = torch.where(is_bad, torch.zeros_like(step_sums), step_sums)
        self._sums[0] += step_sums[0] * num_images
        self._sums[1] += step_sums[1]
        self._step_sums.zero_()
        self._norm = norm if norm is not None else self._norm
        self._num_steps += 1
        self._num_images += num_images
        self._num_labelled += 0 if is_mixed else num_images

    def note_norm(self, norm: float) -> None:
        """Take the norm of a step that was read late."""
        self._norm = norm

    def take_back(self, num_images: int, *, is_mixed: bool) -> None:
        """Count the images of a closed step as not used: it was bad."""
        self._num_steps -= 1
        self._num_images -= num_images
        self._num_labelled -= 0 if is_mixed else num_images

    def discard_step(self) -> None:
        """Forget the micro-batches of a step that was rejected."""
        self._step_sums.zero_()

    def drain(self) -> Reading:
        """Return what was summed and begin anew; waits for the device."""
        loss_sum, hits = self._sums.tolist()
        now = self._clock()
        reading = Reading(
            num_steps=self._num_steps,
            num_images=self._num_images,
            num_labelled=self._num_labelled,
            loss_sum=loss_sum,
            hits=round(hits),
            gradient_norm=self._norm,
            seconds=now - self._since,
            waited_seconds=self.waited_seconds,
        )
        self._sums.zero_()
        self._norm = None
        self._num_steps = self._num_images = self._num_labelled = 0
        self._since, self.waited_seconds = now, 0.0
        return reading
