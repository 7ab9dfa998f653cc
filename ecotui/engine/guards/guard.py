"""What guards have in common: what they are shown, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ecotui.events import GuardAction, GuardTripped, Layer, Severity


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a guard found, and what it proposes.

    Attributes:
        layer: 4 to 7.
        guard: Stable name of the guard.
        severity: How much it matters.
        what: What happened, for a person.
        observed: The figure that was measured.
        limit: The figure it was held against.
        unit: Of both.
        advice: What the person can do.
        action: What the guard proposes to do now.
    """

    layer: Layer
    guard: str
    severity: Severity
    what: str
    observed: float | None
    limit: float | None
    unit: str
    advice: str
    action: GuardAction

    def quieted(self, action: GuardAction) -> Verdict:
        """Return the same finding with another act proposed."""
        return replace(self, action=action)

    def tripped(self, step: int, files: Sequence[str] = ()) -> GuardTripped:
        """Return the event that states this finding.

        Args:
            step: Optimizer steps done.
            files: Samples concerned, relative to the data root, made harmless.
        """
        return GuardTripped(
            layer=self.layer,
            guard=self.guard,
            severity=self.severity,
            what=self.what,
            observed=self.observed,
            limit=self.limit,
            unit=self.unit,
            advice=self.advice,
            action=self.action,
            step=step,
            files=tuple(files),
        )


@dataclass(frozen=True, slots=True)
class EpochCounts:
    """How much of an epoch was used so far.

    Attributes:
        num_batches: Batches taken, the skipped ones included.
        num_skipped_batches: Of them, skipped whole.
        num_samples: Samples taken, those set aside included.
        num_lost_samples: Of them, set aside.
        is_whole: Whether the epoch is over.
    """

    num_batches: int
    num_skipped_batches: int
    num_samples: int
    num_lost_samples: int
    is_whole: bool

    @property
    def lost_fraction(self) -> float:
        """Share of the samples that could not be used, 0 to 1."""
        return self.num_lost_samples / self.num_samples if self.num_samples else 0.0

    @property
    def skipped_fraction(self) -> float:
        """Share of the batches that were skipped, 0 to 1."""
        return self.num_skipped_batches / self.num_batches if self.num_batches else 0.0


@dataclass(frozen=True, slots=True)
class StepReading:
    """What is known of a step before its update.

    Attributes:
        loss: Mean over the batch, nats.
        gradient_norm: L2 norm over all gradients, before clipping.
        num_bad_in_a_row: Steps skipped directly before this one.
        is_scaled: Whether fp16 gradient scaling is on: then gradients that
            overflow are the scaler's daily work.
        best_scores: Sum of each image's highest score: not finite where one is not.
        num_bad_recently: Steps of the last 200 that were skipped, this one left out.
    """

    loss: float
    gradient_norm: float
    num_bad_in_a_row: int
    is_scaled: bool
    best_scores: float = 0.0
    num_bad_recently: int = 0


@dataclass(frozen=True, slots=True)
class EpochReading:
    """What is known of an epoch after its validation.

    Attributes:
        epoch: From 1.
        num_classes: K.
        first_loss: Mean training loss of the first reading of the run, nats.
        train_losses: Mean training loss of each epoch so far, nats.
        val_losses: Validation loss of each epoch so far, nats.
        accuracy: Of this validation, 0 to 1.
        lost_fraction: Share of this epoch's samples that could not be used, 0 to 1.
        macro_f1: Of this validation, 0 to 1; None where it is not known.
        unpredicted: Classes with photos in this validation for which no photo was taken.
        warmup_epochs: Of the learning rate.
    """

    epoch: int
    num_classes: int
    first_loss: float | None
    train_losses: tuple[float, ...]
    val_losses: tuple[float, ...]
    accuracy: float
    lost_fraction: float
    macro_f1: float | None = None
    unpredicted: tuple[str, ...] = ()
    warmup_epochs: float = 0.0
