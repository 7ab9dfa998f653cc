"""Events of what becomes of a run on its way: saved, paused, changed, resumed."""

from __future__ import annotations

from typing import Literal

from ecotui.envelope import Event, Record

Exactness = Literal["E2", "E1", "E0"]
"""How exact a continuation is. `E2`: bit-equal to a run never interrupted. `E1`: the same samples
in the same order with the same augmentation, computed otherwise to the last bits. `E0`: a valid
continuation of another plan."""


class RunResumed(Event):
    """A later attempt goes on from a checkpoint; what was stated of later steps is void."""

    kind: Literal["run_resumed"] = "run_resumed"
    attempt: int
    from_step: int
    """Optimizer steps that the checkpoint holds."""
    epoch: int
    """Epochs done."""
    checkpoint: str | None
    """Relative to the run directory; null where none was there, and the run begins anew."""
    note: str
    """How exact the continuation is, in words."""
    exactness: Exactness | None = None
    """Of this continuation; null in logs of versions that did not measure it."""
    differences: tuple[str, ...] = ()
    """What is not as it was when the checkpoint was saved, one phrase each; at most 20."""


class RunPaused(Event):
    """The engine stands still between two steps."""

    kind: Literal["run_paused"] = "run_paused"
    step: int
    why: str
    """Who asked for it, or what the engine waits for."""
    memory_freed: bool = False
    """Whether model and optimizer were moved off the accelerator."""


class RunContinued(Event):
    """A pause is over."""

    kind: Literal["run_continued"] = "run_continued"
    step: int
    seconds: float
    """Length of the pause."""


class ConfigChanged(Event):
    """A setting is another from here on; `resolved.toml` says so too."""

    kind: Literal["config_changed"] = "config_changed"
    key: str
    """Such as `train.learning_rate`."""
    old: str
    """As TOML writes it."""
    new: str
    step: int
    why: str
    """Who or what changed it: a command, the flags of a resumption, an engine out of memory."""


class TimedPart(Record):
    """A part of a wait.

    Attributes:
        name: What was done, in words.
        seconds: How long it took.
    """

    name: str
    seconds: float


class FirstStepTaken(Event):
    """The first step of this attempt is done and read; what the time before it went into.

    On CUDA steps are read a few steps late: these count among the first batch.
    """

    kind: Literal["first_step_taken"] = "first_step_taken"
    seconds: float
    """Since the attempt was asked for."""
    parts: tuple[TimedPart, ...]
    """In order of their beginning; together all of it."""


class CheckpointSaved(Event):
    """A checkpoint is committed: it can be loaded from now on."""

    kind: Literal["checkpoint_saved"] = "checkpoint_saved"
    path: str
    """Relative to the run directory."""
    epoch: int
    """Epochs done."""
    step: int
    num_bytes: int
    seconds: float
    """From the wish to save to the commit."""
    reason: Literal["interval", "epoch", "request", "stop", "end", "time_limit", "rollback"]
    stall_seconds: float = 0.0
    """Of it, how long training stood still."""


class CheckpointVerified(Event):
    """A committed checkpoint was read back from the disk and compared with its manifest."""

    kind: Literal["checkpoint_verified"] = "checkpoint_verified"
    path: str
    """Relative to the run directory."""
    ok: bool
    what: str
    """What is wrong with it; empty where nothing is."""


class CheckpointDropped(Event):
    """A checkpoint was removed by the retention rule."""

    kind: Literal["checkpoint_dropped"] = "checkpoint_dropped"
    path: str


class BestCheckpointChanged(Event):
    """A new best model is saved."""

    kind: Literal["best_checkpoint_changed"] = "best_checkpoint_changed"
    path: str
    """Relative to the run directory."""
    epoch: int
    step: int
    metric: str
    value: float
    accuracy: float
    macro_f1: float


class SavingFailed(Event):
    """A checkpoint could not be written, twice: the run is not protected until it can be."""

    kind: Literal["saving_failed"] = "saving_failed"
    step: int
    """Of the state that could not be saved."""
    what: str
    """What the system said, in words."""
    remedy: str
    last_checkpoint: str | None
    """What stands, relative to the run directory."""
    waits: bool
    """Whether training stands still until there is room."""


class SavingRestored(Event):
    """Checkpoints can be written again, and the state is saved."""

    kind: Literal["saving_restored"] = "saving_restored"
    step: int


class LoaderRebuilt(Event):
    """The processes that read photos had died or hung, and were started anew at the same batch."""

    kind: Literal["loader_rebuilt"] = "loader_rebuilt"
    step: int
    what: str
    """What had happened: which worker, which signal, which file it was at."""
    workers_before: int
    workers: int
    """How many read now."""
    rebuilds_left: int
