"""Events of what the engine found in the data, the model and the run's health."""

from __future__ import annotations

from typing import Literal

from ecotui.envelope import Event, Record, Severity, SplitName

Verdict = Literal["pass", "note", "warn", "fail"]
Layer = Literal[1, 2, 3, 4, 5, 6, 7]
GuardAction = Literal[
    "none", "skip_sample", "skip_batch", "shrink_micro_batch", "rollback", "pause", "stop"
]
"""What is done about a guard's verdict."""
LAYER_NAMES: dict[Layer, str] = {
    1: "environment",
    2: "transforms",
    3: "pre-training check",
    4: "batch",
    5: "loss",
    6: "gradients",
    7: "epoch",
}
"""The seven layers of protection, as every face names them."""


class CheckReported(Event):
    """A check of the environment, the data or the model has a verdict."""

    kind: Literal["check_reported"] = "check_reported"
    check: str
    """Stable name of the check."""
    layer: Layer = 3
    """Which layer of protection looked: 1 environment, 2 transforms, 3 pre-training check."""
    verdict: Verdict
    what: str
    """What was seen."""
    expected: str
    """What should have been seen; empty where the check passed."""
    remedy: str
    """What to do; empty where there is nothing to do."""
    why: str = ""
    """Why it matters to the training; empty where the check passed."""
    source: str = ""
    """Where that is known from: a page, an issue, a manual; empty where it was seen here."""
    fix: tuple[str, ...] = ()
    """The command that mends it, as an argument list, where a repair may run it."""
    part_of: str = ""
    """Name of the check that sums this one up, so that a face may pass over it where it passed;
    empty where it stands for itself."""


class SampleSetAside(Event):
    """A file could not be used; it is left out and the batch goes on."""

    kind: Literal["sample_set_aside"] = "sample_set_aside"
    path: str
    """Relative to the data root."""
    reason: str
    split: SplitName
    step: int


class GuardTripped(Event):
    """A guard found a limit passed, and what was done about it."""

    kind: Literal["guard_tripped"] = "guard_tripped"
    layer: Layer
    guard: str
    """Stable name of the guard, one page of the documentation each."""
    severity: Severity
    what: str
    """What happened, for a person."""
    observed: float | None
    limit: float | None
    unit: str
    """Of both figures; empty where there are none."""
    advice: str
    action: GuardAction
    step: int
    files: tuple[str, ...] = ()
    """Samples concerned, relative to the data root; at most 20."""


class GuardRecovered(Event):
    """What a guard had found is over."""

    kind: Literal["guard_recovered"] = "guard_recovered"
    layer: Layer
    guard: str
    what: str
    step: int


class ClassScore(Record):
    """How one class is recognised."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    """Images of this class in the split."""


class ValidationFinished(Event):
    """A pass over the validation or test split has ended."""

    kind: Literal["validation_finished"] = "validation_finished"
    split: SplitName
    epoch: int
    step: int
    num_images: int
    loss: float | None
    """Mean cross-entropy, nats."""
    accuracy: float
    """Top-1, 0 to 1."""
    accuracy_top5: float
    """Top-5, 0 to 1; equal to 1 by definition with five classes or fewer."""
    macro_f1: float
    """Mean F1 over the classes that occur in the split, 0 to 1."""
    per_class: tuple[ClassScore, ...]
    """In class order; at most 100, then the 100 with the lowest F1."""
    num_classes: int
    file: str
    """Per-class figures of all classes and the confusion matrix, relative to the run."""
    seconds: float


class HealthAlerted(Event):
    """Something a person should know about the run's health."""

    kind: Literal["health_alerted"] = "health_alerted"
    severity: Severity
    code: str
    """Stable name of the alert, one page of the documentation each."""
    message: str
    advice: str


class DatasetDescribed(Event):
    """A folder of photos was looked at (the describe job)."""

    kind: Literal["dataset_described"] = "dataset_described"
    layout: str
    class_names: tuple[str, ...]
    """At most 100."""
    num_classes: int
    num_train: int
    num_val: int
    num_test: int
    smallest_class: int
    largest_class: int
    median_width: int
    """Pixels, over at most 200 files."""
    median_height: int
    class_counts: tuple[int, ...] = ()
    """Images of each class named, in the same order; empty in older logs."""
