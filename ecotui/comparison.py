"""Runs side by side: what each reached, and the settings in which they differ."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ecotui.events import EngineLost, RunFinished
from ecotui.notify_settings import WEBHOOK_KEY, masked
from ecotui.paths import RunDir
from ecotui.run_state import RunState
from ecotui.runs_table import glance
from ecotui.series import Series
from ecotui.text import counted, duration, number, percent, visible

MAX_RUNS = 8
MISSING = "-"
MAX_CONFIG_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of the runs.

    Attributes:
        run: Its directory.
        state: As its log has it, without the steps between epochs.
        settings: Values as text, by dotted key.
    """

    run: RunDir
    state: RunState
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure or a setting of every run.

    Attributes:
        name: What it is.
        values: One a run, in words.
        best: Places of the runs that do best in it; empty where none does.
    """

    name: str
    values: tuple[str, ...]
    best: frozenset[int] = frozenset()


def read_run(run: RunDir) -> ComparedRun:
    """Return a run as it stands now."""
    return ComparedRun(run, glance(run), settings_of(run))


def figure_rows(runs: Sequence[ComparedRun]) -> list[Row]:
    """Return what each run reached, the best of each figure marked."""
    states = [run.state for run in runs]
    return [
        Row("ended", tuple(map(_ended, states))),
        _row(states, "accuracy", lambda s: s.best.accuracy if s.best else None, percent),
        _row(states, "macro F1", lambda s: s.best.macro_f1 if s.best else None, number),
        _row(states, "loss", _best_loss, number, low_is_good=True),
        _row(states, "test accuracy", lambda s: s.test.accuracy if s.test else None, percent),
        _row(states, "test macro F1", lambda s: s.test.macro_f1 if s.test else None, number),
        Row("best epoch", tuple(str(s.best.epoch) if s.best else MISSING for s in states)),
        Row("epochs", tuple(f"{_done(s)}/{s.epochs}" if s.epochs else MISSING for s in states)),
        _row(states, "time", _seconds, duration, low_is_good=True),
        Row("alerts", tuple(f"{state.num_alerts:,}" for state in states)),
        Row("model", tuple(_fact(s, "model") for s in states)),
        Row("parameters", tuple(_millions(s) for s in states)),
        Row("device", tuple(_fact(s, "device") for s in states)),
    ]


def setting_rows(runs: Sequence[ComparedRun]) -> list[Row]:
    """Return the settings in which not all runs agree, by dotted key."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    rows = [Row(key, tuple(run.settings.get(key, MISSING) for run in runs)) for key in keys]
    return [row for row in rows if len(set(row.values)) > 1]


def curve_of(run: ComparedRun, series: Series) -> tuple[tuple[float, float], ...]:
    """Return a series over epochs: batches may differ in size, and so may steps."""
    facts = run.state.facts
    steps = facts.steps_per_epoch if facts is not None and facts.steps_per_epoch else 1
    return tuple((step / steps, value) for step, value in series.points)


def settings_of(run: RunDir) -> dict[str, str]:
    """Return the settings a run has in effect, or as asked for; none where neither can be read.

    A webhook is masked: its address is a secret.
    """
    for path in (run.resolved, run.config):
        try:
            if path.stat().st_size <= MAX_CONFIG_BYTES:
                return dict(_flat(tomllib.loads(path.read_text(encoding="utf-8")), ""))
        except (OSError, ValueError, RecursionError):
            continue
    return {}


def _flat(table: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            found += _flat(value, f"{key}.")
        else:
            shown = masked(str(value)) if key == WEBHOOK_KEY else value
            found.append((visible(key), visible(shown, limit=120)))
    return found


def _row(
    states: Sequence[RunState],
    name: str,
    figure: Callable[[RunState], float | None],
    words: Callable[[float], str],
    *,
    low_is_good: bool = False,
) -> Row:
    values = [figure(state) for state in states]
    known = [value for value in values if value is not None]
    best: frozenset[int] = frozenset()
    if len(set(known)) > 1:
        top = min(known) if low_is_good else max(known)
        best = frozenset(place for place, value in enumerate(values) if value == top)
    told = tuple(MISSING if value is None else words(value) for value in values)
    return Row(name, told, best)


def _ended(state: RunState) -> str:
    if isinstance(state.ending, RunFinished):
        return {"early_stopping": "early stopping", "max_steps": "step limit"}.get(
            state.ending.why, "all epochs"
        )
    return "lost" if isinstance(state.ending, EngineLost) else str(state.phase)


def _best_loss(state: RunState) -> float | None:
    return None if state.best_validation is None else state.best_validation.loss


def _test_accuracy(state: RunState) -> float | None:
    return None if state.test is None else state.test.accuracy


def _test_macro_f1(state: RunState) -> float | None:
    return None if state.test is None else state.test.macro_f1


def _seconds(state: RunState) -> float | None:
    return state.ending.seconds if isinstance(state.ending, RunFinished) else None


def _done(state: RunState) -> int:
    return 0 if state.last_epoch is None else state.last_epoch.epoch


def _fact(state: RunState, name: str) -> str:
    return MISSING if state.facts is None else visible(getattr(state.facts, name), limit=60)


def _millions(state: RunState) -> str:
    if state.facts is None:
        return MISSING
    return f"{state.facts.num_parameters / 1e6:,.2f} M"


def told_of(runs: Sequence[ComparedRun]) -> str:
    """Return in how many settings the runs differ, in words."""
    count = len(setting_rows(runs))
    return f"{counted(count, 'setting')} {'differs' if count == 1 else 'differ'}"
