"""How a run fares: good signs, warning signs and critical ones, each with figure and advice.

The words and limits of the computed signs are those of the founding notebook's guide. What
a guard has found and not seen the end of is a sign as well, in the register's words.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from ecotui.alert_register import ALERT_REGISTER, page_of
from ecotui.events import GuardRecovered, GuardTripped, HealthAlerted, RunFailed, Severity
from ecotui.run_state import RunState
from ecotui.series import Series
from ecotui.text import bytes_size, counted, duration, listed, number, percent

Level = Literal["good", "warning", "critical"]
LEVELS: tuple[Level, ...] = ("critical", "warning", "good")
"""The gravest first."""
SOME_LOST_FRACTION = 0.05
MANY_LOST_FRACTION = 0.20
FREQUENT_NONFINITE = 3
"""So many values that are not finite are no passing fault."""
PLATEAU_EPOCHS = 5
PLATEAU_GAIN = 0.01
RISING_EPOCHS = 3
STALL_SECONDS = 60.0
MAX_GUARD_SIGNS = 10
_LEVEL_OF: dict[Severity, Level] = {"warning": "warning", "critical": "critical"}
_NOT_SIGNS = frozenset({"early_stopping", "first_epoch", "falling_loss"})
"""Guards that judge one moment, which the scorecard holds."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that tells how a run fares.

    Attributes:
        level: How it fares by it.
        name: Stable; that of the guard where one found it.
        what: In words.
        figure: What it is told from; may be empty.
        advice: What to do; empty where nothing is to be done.
        page: Section of the documentation; may be empty.
    """

    level: Level
    name: str
    what: str
    figure: str = ""
    advice: str = ""
    page: str = ""


def health(state: RunState) -> tuple[Sign, ...]:
    """Return the signs of a run, the gravest first; none before it trains."""
    found = [*_guards(state), *_critical(state), *_warnings(state), *_good(state)]
    signs: dict[str, Sign] = {}
    for sign in sorted(found, key=lambda sign: LEVELS.index(sign.level)):
        signs.setdefault(sign.name, sign)
    return tuple(signs.values())


def worst(signs: tuple[Sign, ...]) -> Level | None:
    """Return the level of the gravest sign; None where there is none."""
    return signs[0].level if signs else None


def _good(state: RunState) -> Iterator[Sign]:
    fell = _moved(state.train_loss)
    if fell is not None and fell[1] < fell[0]:
        yield Sign(
            "good", "loss_falls", "the loss falls", f"{number(fell[0])} to {number(fell[1])}"
        )
    rose = _moved(state.val_accuracy) or _moved(state.train_accuracy)
    if rose is not None and rose[1] > rose[0]:
        figure = f"{percent(rose[0])} to {percent(rose[1])}"
        yield Sign("good", "accuracy_rises", "accuracy rises", figure)
    if state.checkpoints and state.standing.not_saving is None:
        last = state.checkpoints[-1]
        figure = f"step {last.step:,}, {bytes_size(last.num_bytes)}"
        yield Sign("good", "checkpoints_saved", "checkpoints are saved", figure)
    best, seen = state.best, state.validation
    if best is not None and seen is not None and best.epoch == seen.epoch:
        figure = f"best in epoch {best.epoch}: {percent(best.accuracy)}"
        yield Sign("good", "validation_improves", "validation improves", figure)


def _warnings(state: RunState) -> Iterator[Sign]:
    lost = state.milestones.lost_fraction
    if lost is not None and SOME_LOST_FRACTION < lost <= MANY_LOST_FRACTION:
        yield Sign(
            "warning",
            "batch_samples",
            "some samples could not be used",
            f"{percent(lost, 1)} of the last epoch",
            "some corrupt photos are acceptable; quarantine.jsonl names them",
            page_of("batch_samples"),
        )
    if _stands_still(state.val_loss):
        yield Sign(
            "warning",
            "loss_plateau",
            "the loss stands still",
            f"no better validation loss for {PLATEAU_EPOCHS} epochs",
            "more epochs, or another learning rate",
            page_of("loss_plateau"),
        )
    if _over_fits(state):
        yield Sign(
            "warning",
            "rising_validation_loss",
            "validation loss rises while training loss falls",
            f"for {RISING_EPOCHS} epochs",
            "over-fitting: early stopping answers it (train.early_stopping_epochs)",
            page_of("rising_validation_loss"),
        )
    if 0 < state.milestones.num_caught < FREQUENT_NONFINITE:
        yield Sign(
            "warning",
            "nonfinite",
            "a value was not finite, and was skipped",
            _times(state.milestones.num_caught),
            "now and then it is a hard batch; if it comes often, lower train.learning_rate",
            page_of("nonfinite_loss"),
        )


def _critical(state: RunState) -> Iterator[Sign]:
    seen, standing = state.milestones, state.standing
    if seen.num_caught >= FREQUENT_NONFINITE or seen.num_let_through:
        yield Sign(
            "critical",
            "nonfinite",
            "loss or gradients are often not finite",
            _times(seen.num_caught + seen.num_let_through),
            "stop, and lower train.learning_rate",
            page_of("nonfinite_loss"),
        )
    if seen.lost_fraction is not None and seen.lost_fraction > MANY_LOST_FRACTION:
        yield Sign(
            "critical",
            "batch_samples",
            "many samples could not be used",
            f"{percent(seen.lost_fraction, 1)} of the last epoch",
            "it is the data: --set preflight.level=full names every bad file",
            page_of("batch_samples"),
        )
    if standing.not_saving is not None:
        yield Sign(
            "critical",
            "saving_failed",
            "checkpoints cannot be written",
            standing.not_saving.what,
            standing.not_saving.remedy,
            page_of("saving_failed"),
        )
    if _is_stalled(state):
        yield Sign(
            "critical",
            "stall",
            "no progress",
            f"for {duration(state.seconds_since_progress)}",
            "see the end of engine.log: ecotui logs RUN",
            page_of("stall"),
        )
    yield from _endings(state)


def _endings(state: RunState) -> Iterator[Sign]:
    if state.phase == "lost":
        yield Sign(
            "critical",
            "engine_lost",
            "the engine is gone without a last word",
            _where(state),
            "often it is memory: resume with a smaller micro-batch (train.micro_batch_size=1 in "
            "the worst case) and fewer compute.workers",
        )
    if isinstance(state.ending, RunFailed):
        ending = state.ending
        yield Sign("critical", "run_failed", ending.what, _where(state), ending.remedy)


def _guards(state: RunState) -> Iterator[Sign]:
    """Return what guards found in this attempt and have not seen the end of, the newest first."""
    over: set[str] = set()
    count = 0
    for alert in reversed(state.alerts):
        if isinstance(alert, GuardRecovered):
            over.add(alert.guard)
        name = alert.guard if isinstance(alert, GuardTripped) else ""
        name = alert.code if isinstance(alert, HealthAlerted) else name
        if not name or name in over or name in _NOT_SIGNS or name.startswith("nonfinite"):
            continue
        over.add(name)
        sign = _sign_of(alert, name) if isinstance(alert, GuardTripped | HealthAlerted) else None
        if sign is not None and count < MAX_GUARD_SIGNS:
            count += 1
            yield sign


def _sign_of(alert: GuardTripped | HealthAlerted, name: str) -> Sign | None:
    level = _LEVEL_OF.get(alert.severity)
    if level is None:
        return None
    told = alert.what if isinstance(alert, GuardTripped) else alert.message
    entry = ALERT_REGISTER.get(name)
    title = told if entry is None else entry.title
    figure = "" if entry is None else told
    return Sign(level, name, title, figure, alert.advice, page_of(name))


def _moved(series: Series) -> tuple[float, float] | None:
    """Return the means of the first and the last quarter of a series; None where it is short."""
    values = [value for _, value in series.points]
    if len(values) < 2:
        return None
    size = max(1, len(values) // 4)
    return fmean(values[:size]), fmean(values[-size:])


def _stands_still(series: Series) -> bool:
    values = [value for _, value in series.points]
    if len(values) < 2 * PLATEAU_EPOCHS:
        return False
    before, after = min(values[:-PLATEAU_EPOCHS]), min(values[-PLATEAU_EPOCHS:])
    return after > before - PLATEAU_GAIN * abs(before)


def _over_fits(state: RunState) -> bool:
    val = [value for _, value in state.val_loss.points][-RISING_EPOCHS - 1 :]
    if len(val) <= RISING_EPOCHS or any(
        later <= earlier for earlier, later in itertools.pairwise(val)
    ):
        return False
    since = state.val_loss.points[-RISING_EPOCHS - 1][0]
    train = [value for step, value in state.train_loss.points if step >= since]
    return len(train) >= 2 and train[-1] < train[0]


def _is_stalled(state: RunState) -> bool:
    is_at_work = state.phase in ("setup", "running") and state.standing.paused is None
    return is_at_work and state.seconds_since_progress >= STALL_SECONDS


def _where(state: RunState) -> str:
    return f"in epoch {state.epoch}, step {state.step:,}" if state.step else ""


def _times(count: int) -> str:
    return f"{counted(count, 'time')} so far"


def summed_up(signs: tuple[Sign, ...]) -> str:
    """Return the signs in one phrase: how many of each level, and the gravest by name."""
    if not signs:
        return "nothing to tell yet"
    counts = [f"{sum(sign.level == level for sign in signs)} {level}" for level in LEVELS]
    grave = [sign.what for sign in signs if sign.level == signs[0].level]
    return f"{', '.join(counts)}: {listed(grave, limit=3)}"
