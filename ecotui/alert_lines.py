"""The lines of the log of alerts, as rows: read one at a time, filtered by the thousand.

A line is the JSON of an event. It is looked at as data, without the classes of the events: a
log holds tens of thousands of them, of versions to come as well.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from ecotui.guard_register import recovery_words
from ecotui.log_lines import Lines
from ecotui.text import slower

AlertLevel = Literal["critical", "warning", "note"]
_MAX_DIGITS = 18
"""Of a number in a kept line: more is none of ours."""
LEVELS: tuple[AlertLevel, ...] = ("note", "warning", "critical")
"""The mildest first."""
_LEVEL_OF: dict[str, AlertLevel] = {
    "saving_failed": "critical",
    "loader_rebuilt": "warning",
    "incident_recorded": "warning",
    "run_rolled_back": "warning",
}
_NAME_OF = {
    "saving_failed": "saving_failed",
    "saving_restored": "saving_failed",
    "loader_rebuilt": "loader_rebuilt",
    "sample_set_aside": "bad_input",
}
_OVER = frozenset({"guard_recovered", "saving_restored"})
_ACTIONS = {
    "skip_sample": "the sample was set aside",
    "skip_batch": "the batch was skipped",
    "shrink_micro_batch": "it was tried again in smaller parts",
    "rollback": "the run went back to a sound state",
    "pause": "the run was paused",
    "stop": "the run was stopped",
}


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert, as it is shown.

    Attributes:
        kind: Of the event.
        seq: Its number in the run; -1 where the line cannot be read.
        at: When, unix seconds.
        level: How grave it is.
        is_over: Whether it says that something is over.
        layer: Of protection; None for one that belongs to none.
        name: Of the guard or the alert, one page of the documentation each; may be empty.
        step: Optimizer steps done; None where that says nothing.
        what: What happened.
        advice: What to do; may be empty.
        done: What was done about it, in words; may be empty.
        figures: What was seen and the limit, in words; may be empty.
        files: Samples concerned.
        record: The whole record of an incident, relative to the run; may be empty.
    """

    kind: str = ""
    seq: int = -1
    at: float = 0.0
    level: AlertLevel = "note"
    is_over: bool = False
    layer: int | None = None
    name: str = ""
    step: int | None = None
    what: str = ""
    advice: str = ""
    done: str = ""
    figures: str = ""
    files: tuple[str, ...] = ()
    record: str = ""


@lru_cache(4_096)
def row_of(line: str) -> AlertRow:
    """Return the row of a line; one that is no event is its own text."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return AlertRow(what=line)
    if not isinstance(told, dict):
        return AlertRow(what=line)
    kind = _text(told, "kind")
    aside = kind == "sample_set_aside"
    loader = kind in ("loader_rebuilt", "sample_set_aside")
    return AlertRow(
        kind=kind,
        seq=_whole(told, "seq", -1) or 0,
        at=_real(told, "at") or 0.0,
        level=_level(told, kind),
        is_over=kind in _OVER,
        layer=4 if loader else _whole(told, "layer"),
        name=_text(told, "guard") or _text(told, "code") or _NAME_OF.get(kind, ""),
        step=_whole(told, "step", _whole(told, "from_step")),
        what=_what(told, kind),
        advice=_text(told, "advice") or _text(told, "remedy"),
        done=_ACTIONS.get(_text(told, "action"), ""),
        figures=_figures(told),
        files=(_text(told, "path"),) if aside else _texts(told, "files"),
        record=_text(told, "file") if kind == "incident_recorded" else "",
    )


def _what(told: dict[str, Any], kind: str) -> str:
    what = _text(told, "what") or _text(told, "message")
    match kind:
        case "sample_set_aside":
            return f"set aside: {_text(told, 'path')} ({_text(told, 'reason')})"
        case "saving_failed":
            return f"not saving: {what}"
        case "saving_restored":
            return "saving again"
        case "incident_recorded":
            return f"looked into: {what}"
        case "run_rolled_back":
            factor = _real(told, "learning_rate_factor")
            return f"back to step {_whole(told, 'to_step')}{slower(factor)}: {what}"
        case "guard_recovered":
            return recovery_words(_text(told, "guard"), what)
        case "run_resumed":
            return f"resumed: {_text(told, 'note')}"
    return what


def _level(told: dict[str, Any], kind: str) -> AlertLevel:
    severity = _text(told, "severity")
    if severity in ("critical", "warning"):
        return "critical" if severity == "critical" else "warning"
    if kind == "run_resumed":
        return "note" if told.get("exactness") in (None, "E2") else "warning"
    return _LEVEL_OF.get(kind, "note")


def _figures(told: dict[str, Any]) -> str:
    seen, limit, unit = _real(told, "observed"), _real(told, "limit"), _text(told, "unit")
    if seen is None:
        return ""
    of = "" if limit is None else f", limit {limit:g}"
    return f"seen {seen:g}{of} {unit}".rstrip()


def _text(told: dict[str, Any], key: str) -> str:
    value = told.get(key)
    return value if isinstance(value, str) else ""


def _texts(told: dict[str, Any], key: str) -> tuple[str, ...]:
    value = told.get(key)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _whole(told: dict[str, Any], key: str, otherwise: int | None = None) -> int | None:
    value = told.get(key)
    return value if type(value) is int else otherwise


def _real(told: dict[str, Any], key: str) -> float | None:
    value = told.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None else None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts are shown.

    Attributes:
        level: This one and graver ones.
        words: Each of them stands somewhere in the alert; empty for any.
        layer: Of this layer alone; None for all.
    """

    level: AlertLevel = "note"
    words: str = ""
    layer: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether every alert passes."""
        return self == Filter()

    def keeps(self, line: str) -> bool:
        """Say whether an alert is shown."""
        if self.words:
            folded = line.casefold()
            if not all(word in folded for word in self.words.casefold().split()):
                return False
        if self.level == "note" and self.layer is None:
            return True
        row = row_of(line)
        is_grave = LEVELS.index(row.level) >= LEVELS.index(self.level)
        return is_grave and self.layer in (None, row.layer)


class Filtered:
    """The lines that a filter keeps, found by and by.

    Args:
        source: All lines; may grow, and lose its oldest ones.
        keeps: Says which stay.
    """

    def __init__(self, source: Lines, keeps: Callable[[str], bool]) -> None:
        self._source = source
        self._keeps = keeps
        self._kept = array("Q")
        self._upto = 0
        self._gone = 0

    def __len__(self) -> int:
        """Return how many were found so far."""
        return len(self._kept)

    def line(self, index: int) -> str:
        """Return a line by its number among those found.

        Raises:
            IndexError: There is none.
        """
        if not 0 <= index < len(self._kept):
            raise IndexError(index)
        return self._source.line(self._kept[index] - self._dropped())

    def look(self, most: int) -> bool:
        """Look through so many lines more, and say whether others are left."""
        dropped = self._dropped()
        total = dropped + len(self._source)
        if total < self._upto or dropped < self._gone:
            self._forget()  # It was emptied: another run.
        self._gone = dropped
        at = max(self._upto, dropped)
        end = min(total, at + most)
        for index in range(at, end):
            try:
                is_kept = self._keeps(self._source.line(index - dropped))
            except IndexError:  # Dropped at this very moment.
                continue
            if is_kept:
                self._kept.append(index)
        self._upto = end
        while self._kept and self._kept[0] < dropped:
            self._kept.pop(0)
        return end < total

    def _dropped(self) -> int:
        found = getattr(self._source, "num_dropped", 0)
        return found if isinstance(found, int) else 0

    def _forget(self) -> None:
        self._kept = array("Q")
        self._upto, self._gone = 0, 0


def _unheard(line: str) -> None:
    """Keep nothing."""
    del line


class Acknowledged:
    """Which alerts a person has seen; of the app alone, the run knows nothing of it."""

    def __init__(self) -> None:
        self._single: set[int] = set()
        self._upto = -1
        self._num_before = 0
        self._keep: Callable[[str], None] = _unheard

    def begin(self, noted: Iterable[str], keep: Callable[[str], None]) -> None:
        """Take up another run.

        Args:
            noted: What was kept of it before, line by line.
            keep: Takes every further line.
        """
        self._single, self._upto, self._num_before = set(), -1, 0
        self._keep = _unheard
        for line in noted:
            match line.split():
                case [seq] if _is_number(seq):
                    self.add(int(seq))
                case ["all", upto, count] if _is_number(upto) and _is_number(count):
                    self.add_all(int(upto), int(count))
        self._keep = keep

    def has(self, seq: int) -> bool:
        """Say whether an alert was seen."""
        return seq <= self._upto or seq in self._single

    def add(self, seq: int) -> None:
        """Note that one was seen."""
        if not self.has(seq):
            self._single.add(seq)
            self._keep(str(seq))

    def add_all(self, upto: int, count: int) -> None:
        """Note that all were seen, the last of them by its number, so many in all."""
        if upto <= self._upto:
            return
        self._upto, self._num_before = upto, count
        self._single = {seq for seq in self._single if seq > upto}
        self._keep(f"all {upto} {count}")

    def num_left(self, count: int) -> int:
        """Return how many of so many were not seen yet."""
        return max(0, count - self._num_before - len(self._single))


def _is_number(written: str) -> bool:
    return written.isascii() and written.isdecimal() and len(written) <= _MAX_DIGITS
