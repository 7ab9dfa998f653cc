"""The limits of the protection while training, each a setting."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ecotui.settings import Fraction, NotNegative, Positive, Section

Count = Annotated[int, Field(ge=1)]
AnyCount = Annotated[int, Field(ge=0)]
Factor = Annotated[float, Field(gt=1.0)]


class GuardConfig(Section):
    """Limits of the protection while training (layers 4 to 7)."""

    healing: bool = True
    """Undo faults and go on: set samples aside, skip batches, roll back, use less memory. false:
    every fault ends the run, with exit code 4, or 6 where memory ran out."""
    warn_lost_fraction: Fraction = 0.05
    """Share of an epoch's samples that could not be used, or of its batches that were skipped,
    above which it warns. 0 to 1."""
    max_lost_fraction: Fraction = 0.20
    """The same share, above which the run stops. 0 to 1."""
    judge_after_batches: Count = 50
    """Batches of an epoch after which these shares are judged; at its end in any case."""
    min_skipped_batches: Count = 3
    """Fewer skipped batches in an epoch never stop the run, whatever their share."""
    max_errors_in_a_row: Count = 10
    """Batches that fail in a row before the run stops: then it is not the data."""
    max_nonfinite_in_a_row: Count = 3
    """Steps with a loss or gradient that is not finite in a row, before it goes back to an earlier
    state; also the least that counts within 200 steps."""
    max_nonfinite_fraction: Fraction = 0.01
    """Share of the last 200 steps that may be skipped for that reason before it does. 0 to 1."""
    spike_window: Annotated[int, Field(ge=20, le=10_000)] = 200
    """Steps that a loss or a gradient norm is compared with, 20 to 10,000."""
    spike_deviations: Positive = 6.0
    """Median absolute deviations above the median that make a spike of a loss."""
    spike_factor: Factor = 2.0
    """Times the median that make a spike as well; both are needed."""
    spike_min_rise: NotNegative = 0.1
    """Nats above the median that make a spike as well."""
    spike_steps: Count = 20
    """Steps in a row with a spike before the run goes back to an earlier state."""
    plateau_epochs: Count = 5
    """Epochs without a lower training loss that count as a plateau."""
    plateau_fraction: Fraction = 0.01
    """By how much the best loss of these epochs has to be lower than before, 0 to 1."""
    chance_fraction: Fraction = 0.01
    """A training loss this near to ln(classes) is what guessing gives, 0 to 1."""
    exploding_factor: Factor = 10.0
    """Gradient norm in medians of the last steps above which it counts as exploding."""
    vanishing_norm: NotNegative = 1e-7
    """Gradient norm below which it counts as vanishing."""
    min_fp16_scale: Positive = 128.0
    """Loss scale of fp16 below which it has no room left."""
    max_overflows_in_a_row: Count = 10
    """Steps in a row that the scaler of fp16 may skip."""
    check_state_every_steps: Count = 100
    """How often weights, their average and the optimizer's moments are looked at, steps."""
    max_rollbacks: AnyCount = 3
    """How often a run may go back to an earlier state before it stops."""
    rollback_steps: Count = 100
    """Where there is a choice, it goes back to at least so many steps before the fault began."""
    rollback_learning_rate_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """By which the learning rate is lowered at the second rollback and each later one. 0 to 1."""
    max_passed_over_fraction: Fraction = 0.10
    """Largest share of an epoch that is passed over after a rollback, 0 to 1; a longer fault is
    passed over whole."""
    max_incidents: AnyCount = 20
    """Faults that are looked into in a run, each with a record in `incidents/`."""
    grow_after_steps: Count = 1000
    """Good steps after which a micro-batch that was halved for memory is doubled again."""
    max_growths: AnyCount = 1
    """How often that is tried in a run; 0: never."""
    first_epoch_accuracy: Fraction = 0.10
    """Validation accuracy that the first epoch should pass (or 3 times chance, if less)."""
    rising_epochs: Count = 3
    """Epochs of rising validation loss, with falling training loss, that count as over-fitting."""
    macro_f1_fraction: Fraction = 0.75
    """Macro F1 below this share of the accuracy is far below it, 0 to 1."""
    high_rate_rise: NotNegative = 0.10
    """Rise of the training loss over the best epoch that speaks of too high a rate."""
    low_rate_fall: Fraction = 0.01
    """Fall of the training loss an epoch below which the learning rate looks too low, 0 to 1."""
    loader_patience_seconds: Positive = 60.0
    """Without a batch for so long (or ten times what the slowest ones took, if that is more), the
    processes that read photos count as hung and are started anew. Seconds."""
    first_batch_patience_seconds: Positive = 1800.0
    """The same for the first batch after they were started. Seconds."""
    silenced: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of guards that tell, but act no more."""
