"""The limits of the protection while training, each a setting."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ecotui.settings import Fraction, Positive, Section


class GuardConfig(Section):
    """Limits of the protection while training (layers 4 to 7)."""

    warn_lost_fraction: Fraction = 0.05
    """Share of an epoch's samples that could not be used, above which it warns. 0 to 1."""
    max_lost_fraction: Fraction = 0.20
    """Share of an epoch's samples that could not be used, above which the run stops. 0 to 1."""
    judge_after_batches: Annotated[int, Field(ge=1)] = 50
    """Batches of an epoch after which these shares are judged; at its end in any case."""
    max_errors_in_a_row: Annotated[int, Field(ge=1)] = 10
    """Batches that fail in a row before the run stops: then it is not the data."""
    max_nonfinite_in_a_row: Annotated[int, Field(ge=1)] = 3
    """Steps with a loss or gradient that is not finite in a row, before the run stops."""
    first_epoch_accuracy: Fraction = 0.10
    """Validation accuracy that the first epoch should pass (or 3 times chance, if less)."""
    rising_epochs: Annotated[int, Field(ge=1)] = 3
    """Epochs of rising validation loss, with falling training loss, that count as over-fitting."""
    loader_patience_seconds: Positive = 60.0
    """Without a batch for so long (or ten times what the slowest ones took, if that is more), the
    processes that read photos count as hung and are started anew. Seconds."""
    first_batch_patience_seconds: Positive = 1800.0
    """The same for the first batch after they were started. Seconds."""
    silenced: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of guards that tell, but act no more."""
