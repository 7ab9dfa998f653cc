"""Every check of layers 2 and 3 by its name, and the parts of preflight that can be left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ecotui.audit_categories import CATEGORIES
from ecotui.errors import UsageError
from ecotui.text import listed, nearest, visible


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check is about.

    Attributes:
        layer: 2 transforms, 3 pre-training check.
        why: Why a finding matters to the training.
    """

    layer: Literal[2, 3]
    why: str


SUMMARIES: dict[str, Subject] = {
    "transforms": Subject(2, "whatever is wrong with the pictures, the model learns it"),
    "first_batch": Subject(3, "what fails on the first batch fails on every one"),
    "image_size": Subject(2, "a model takes the size that it was built for, and no other"),
    "output_shape": Subject(3, "the loss needs one score for each class"),
}
"""The four that are told first when all is well. The first two also stand for their layer: to
leave one of them out leaves out all checks of it."""

CHECKS: dict[str, Subject] = SUMMARIES | {
    "samples": Subject(2, "nothing can be learnt from photos that cannot be read"),
    "transform_output": Subject(2, "numbers outside the usual range make a model diverge"),
    "channel_order": Subject(2, "a model that learnt red first sees another world in blue first"),
    "normalisation": Subject(2, "published weights expect the numbers that they were trained on"),
    "evaluation_transform": Subject(2, "a figure that changes by itself can rank no model"),
    "keyed_augmentation": Subject(2, "a run can only be resumed exactly where pictures come again"),
    "augmentation_strength": Subject(2, "a model cannot learn from what is no longer to be seen"),
    "loader": Subject(3, "training sees what the loader delivers, not what the folder holds"),
    "validation_order": Subject(3, "figures of single photos are kept by their place in the order"),
    "labels": Subject(3, "a label outside the classes ends the training or spoils the loss"),
    "class_mapping": Subject(3, "a class under another number makes validation meaningless"),
    "finite_numbers": Subject(3, "one NaN reaches every weight in a single step"),
    "precision": Subject(3, "a model that overflows in the chosen format learns nothing"),
    "memory": Subject(3, "a forward pass that does not fit ends the training"),
    "initial_loss": Subject(3, "an untrained model that is sure of itself is wrong somewhere"),
    "gradients": Subject(3, "a weight without a gradient never learns"),
    "batch_of_one": Subject(3, "BatchNorm has nothing to average over in a batch of one"),
    "repeatable_evaluation": Subject(3, "a figure that changes by itself can rank no model"),
    "batch_independence": Subject(3, "a photo's score must not depend on its neighbours"),
    "optimizer_step": Subject(3, "a step that changes nothing trains nothing"),
    "overfit": Subject(3, "a loop that cannot learn eight photos by heart cannot learn thousands"),
    "budget": Subject(3, "what was not looked at is not known to be sound"),
}
"""All checks of layers 2 and 3."""

PARTS = ("audit", "formats", "plan", "previews")
"""Parts of preflight that give no verdict of this kind, and can be left out as well."""


ACCEPTABLE = ("files", "plan_disk", "plan_memory", *(each.name for each in CATEGORIES))
"""Verdicts of the parts: their warnings can be accepted by name as those of checks can."""


def check_known(names: Iterable[str], key: str, more: Sequence[str] = ()) -> None:
    """Check that checks or parts of these names exist.

    Args:
        names: As the person gave them.
        key: The setting that they stand in.
        more: Further names that it may hold.

    Raises:
        UsageError: One does not.
    """
    known = (*CHECKS, *PARTS, *more)
    for name in names:
        if name not in known:
            close = nearest(name, known)
            raise UsageError(
                f"preflight has no check '{visible(name, limit=80)}' ({key})",
                f"one of {listed(known, limit=len(known))}",
                f"did you mean {listed(close)}?" if close else "correct or remove it",
            )
