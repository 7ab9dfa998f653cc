"""How long an epoch and a run take, from measured speeds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Workload:
    """What there is to be done.

    Attributes:
        batch_size: Images a step.
        steps_per_epoch: Of the training.
        planned_steps: Of the whole run.
        num_val: Images that are scored after each epoch.
        num_test: Images that are scored at the end.
    """

    batch_size: int
    steps_per_epoch: int
    planned_steps: int
    num_val: int
    num_test: int

    @property
    def num_epochs(self) -> float:
        """Epochs of the run; the last may be cut short."""
        return self.planned_steps / max(1, self.steps_per_epoch)


@dataclass(frozen=True, slots=True)
class Duration:
    """How long it takes, in seconds.

    Attributes:
        epoch_seconds: Of a whole epoch, with its validation.
        run_seconds: Of the run, with all validations and the test.
    """

    epoch_seconds: float
    run_seconds: float


def duration_of(
    work: Workload, *, training_rate: float, scoring_rate: float, save_seconds: float = 0.0
) -> Duration:
    """Return how long a run takes.

    Args:
        work: What there is to be done.
        training_rate: Images a second, reading included.
        scoring_rate: Likewise, of validation.
        save_seconds: That training waits for each epoch's checkpoint.
    """
    step_seconds = work.batch_size / training_rate
    after_seconds = work.num_val / scoring_rate + save_seconds
    validations = -(-work.planned_steps // max(1, work.steps_per_epoch))
    run_seconds = work.planned_steps * step_seconds + validations * after_seconds
    return Duration(
        epoch_seconds=work.steps_per_epoch * step_seconds + after_seconds,
        run_seconds=run_seconds + work.num_test / scoring_rate,
    )
