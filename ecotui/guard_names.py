"""The guards by name, in words: what a person may silence."""

from __future__ import annotations

GUARD_WORDS: dict[str, str] = {
    "batch_samples": "too many samples of an epoch could not be used",
    "batch_errors": "too many batches fail in a row",
    "nonfinite_loss": "the loss is not finite",
    "nonfinite_gradient": "the gradients are not finite",
    "first_epoch": "the first epoch learns next to nothing",
    "falling_loss": "the loss does not fall",
    "rising_validation_loss": "the validation loss rises while the training loss falls",
    "nonfinite_validation_loss": "the validation is not finite",
    "early_stopping": "no better checkpoint for many epochs",
}
