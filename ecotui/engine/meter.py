"""Loss and accuracy of training steps, summed up and told now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


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
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._loss_sum = self._hits = 0.0
        self._norm: float | None = None
        self._num_steps = self._num_images = self._num_labelled = 0
        self._since = clock()
        self.waited_seconds = 0.0

    def note_step(
        self, loss: float, hits: float, norm: float, num_images: int, *, is_mixed: bool
    ) -> None:
        """Add an optimizer step.

        Args:
            loss: Mean over its batch, nats.
            hits: Images recognised.
            norm: Of its gradients, before clipping.
            num_images: In its batch.
            is_mixed: Whether the images have no label of their own.
        """
        self._loss_sum += loss * num_images
        self._hits += hits
        self._norm = norm
        self._num_steps += 1
        self._num_images += num_images
        self._num_labelled += 0 if is_mixed else num_images

    @property
    def has_steps(self) -> bool:
        """Whether there is anything to drain."""
        return self._num_steps > 0

    def drain(self) -> Reading:
        """Return what was summed, and begin anew."""
        now = self._clock()
        reading = Reading(
            num_steps=self._num_steps,
            num_images=self._num_images,
            num_labelled=self._num_labelled,
            loss_sum=self._loss_sum,
            hits=round(self._hits),
            gradient_norm=self._norm,
            seconds=now - self._since,
            waited_seconds=self.waited_seconds,
        )
        self._loss_sum = self._hits = 0.0
        self._norm = None
        self._num_steps = self._num_images = self._num_labelled = 0
        self._since, self.waited_seconds = now, 0.0
        return reading
