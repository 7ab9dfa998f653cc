"""What a run looks like now: everything a face shows of it, in bounded room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ecotui.events import (
    BestCheckpointChanged,
    CheckpointSaved,
    CheckReported,
    CommandAnswered,
    DatasetDescribed,
    EngineLost,
    EpochFinished,
    ExportWritten,
    LogWritten,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleSetAside,
    ValidationFinished,
    WeightsImported,
)
from ecotui.layers import LayerState, at_rest
from ecotui.milestones import Milestones
from ecotui.outlook import Outlook
from ecotui.repair_log import Repair
from ecotui.series import Series
from ecotui.stages import StageProgress
from ecotui.standing import Alert, Standing
from ecotui.upkeep import Upkeep

__all__ = ["Ending", "Phase", "RunState", "overwritten", "replace"]

Phase = Literal["setup", "running", "finished", "stopped", "failed", "lost"]
Ending = RunFinished | RunStopped | RunFailed | EngineLost


@dataclass(frozen=True)
class RunState:
    """Everything a face shows of a run, as of the last event folded in.

    Fractions run from 0 to 1, losses are in nats, times are unix seconds. Without slots, so that
    `replace` copies all fields at once.
    """

    run_id: str = ""
    attempt: int = 0
    """0 until the engine has said anything."""
    phase: Phase = "setup"
    doing: str = ""
    """Which part of the preparation is under way, in words."""
    facts: RunStarted | None = None
    """What was built, once it is."""
    stages: tuple[StageProgress, ...] = ()
    """Open stages, the innermost last."""

    epoch: int = 0
    epochs: int = 0
    step_in_epoch: int = 0
    epoch_steps: int = 0
    """Optimizer steps in this epoch."""
    step: int = 0
    """Optimizer steps of the run done so far."""
    loss: float | None = None
    accuracy: float | None = None
    gradient_norm: float | None = None
    learning_rate: float | None = None
    images_per_second: float | None = None
    loader_wait_fraction: float | None = None
    pace_start: tuple[int, float] | None = None
    """Step and time of this attempt's first `StepsTaken`, from which the pace is worked out."""

    train_loss: Series = Series()
    train_accuracy: Series = Series()
    val_loss: Series = Series()
    val_accuracy: Series = Series()
    macro_f1: Series = Series()
    learning_rates: Series = Series()
    gradient_norms: Series = Series()

    last_epoch: EpochFinished | None = None
    validation: ValidationFinished | None = None
    """The last one."""
    best_validation: ValidationFinished | None = None
    """The one that chose the best checkpoint."""
    test: ValidationFinished | None = None
    best: BestCheckpointChanged | None = None
    checkpoints: tuple[CheckpointSaved, ...] = ()
    """Those not dropped, oldest first."""
    last_checkpoint: str | None = None
    """The last one committed, relative to the run directory."""

    checks: tuple[CheckReported, ...] = ()
    """Verdicts of this attempt, in the order they came; of the last examination after a repair."""
    layers: tuple[LayerState, ...] = at_rest()
    """The seven layers of protection, in order."""
    alerts: tuple[Alert, ...] = ()
    num_alerts: int = 0
    set_aside: tuple[SampleSetAside, ...] = ()
    num_set_aside: int = 0
    logs: tuple[LogWritten, ...] = ()
    num_logs: int = 0
    answer: CommandAnswered | None = None
    """To the last command."""
    standing: Standing = Standing()
    """Paused, saved or not, changed, resumed."""

    outlook: Outlook = Outlook()
    """What the audit found and what the run will take."""
    upkeep: Upkeep = Upkeep()
    """Incidents, rollbacks, the machine."""
    milestones: Milestones = Milestones()
    """What the success of the run is measured by."""
    description: DatasetDescribed | None = None
    export: ExportWritten | None = None
    repair: Repair = Repair()
    imported: WeightsImported | None = None
    ending: Ending | None = None
    heard_at: float = 0.0
    """When the engine was last heard of."""
    seconds_since_progress: float = 0.0
    """As of the last heartbeat; 0 after any step."""
    num_unknown_lines: int = 0
    """Lines this version did not understand; counted by who reads the log."""

    @property
    def stage(self) -> StageProgress | None:
        """The innermost open stage."""
        return self.stages[-1] if self.stages else None

    @property
    def has_come_to_train(self) -> bool:
        """Whether this attempt has come to train: epochs of an earlier one do not tell."""
        return any(layer.layer >= 5 and layer.status != "idle" for layer in self.layers)

    @property
    def step_limit(self) -> int | None:
        """Optimizer steps at which `train.max_steps` ends the run before its epochs do."""
        if self.facts is None or self.facts.max_steps is None:
            return None
        every = self.facts.epochs * self.facts.steps_per_epoch
        return self.facts.max_steps if self.facts.max_steps < every else None

    @property
    def epochs_planned(self) -> int:
        """Epochs that the run will begin unless it ends early; 0 when unknown."""
        if self.facts is None or self.step_limit is None:
            return self.epochs
        return max(self.epoch, -(-self.step_limit // max(1, self.facts.steps_per_epoch)))

    @property
    def epoch_steps_planned(self) -> int:
        """Optimizer steps that this epoch will take unless it ends early."""
        if self.step_limit is None:
            return self.epoch_steps
        left = self.step_limit - (self.step - self.step_in_epoch)
        return max(self.step_in_epoch, min(self.epoch_steps, left))

    @property
    def steps_planned(self) -> int:
        """Optimizer steps that the run will take unless it ends early; 0 when unknown."""
        if self.facts is None:
            return 0
        every = self.facts.epochs * self.facts.steps_per_epoch
        return every if self.facts.max_steps is None else min(every, self.facts.max_steps)

    @property
    def seconds_left(self) -> float | None:
        """Time the remaining steps take at the pace so far, validation included."""
        if self.pace_start is None or self.step <= self.pace_start[0]:
            return None
        seconds_a_step = (self.heard_at - self.pace_start[1]) / (self.step - self.pace_start[0])
        return max(0.0, seconds_a_step * (self.steps_planned - self.step))


if TYPE_CHECKING:  # The checker knows the names and types of what may change by this one.
    from dataclasses import replace
else:

    def replace(state: RunState, **changes: Any) -> RunState:
        """Return a state with some fields changed; `dataclasses.replace` takes 20 times as long.

        Every event makes one or two states, and a day of training has a hundred thousand.
        """
        changed = object.__new__(RunState)
        changed.__dict__.update(state.__dict__, **changes)
        return changed


def overwritten(state: RunState, **changes: Any) -> RunState:
    """Change a state that nobody else has yet, such as one just made, and return it.

    Events come by the hundred thousand, and half of what one costs is making a state.
    """
    state.__dict__.update(changes)
    return state
