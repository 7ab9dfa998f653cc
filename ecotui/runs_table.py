"""What stands in a runs directory, run by run, from a partial reading of each log."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path

from ecotui import lock
from ecotui.paths import RunDir
from ecotui.state import RunState, fold
from ecotui.stream import decode
from ecotui.text import bytes_size, duration, number, percent, visible

_SKIPPED = tuple(
    f'{{"kind":"{kind}"'.encode()
    for kind in ("steps_taken", "heartbeat", "stage_advanced", "machine_measured")
)
"""Nine lines in ten, which say nothing about where a run stands; told by their first bytes."""

HEADINGS = ("RUN", "STATE", "MODEL", "EPOCH", "BEST", "AGE", "SIZE")


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run at a glance.

    Attributes:
        run: Its name.
        path: Absolute path of its directory.
        state: Phase of the run; `lost` when its engine is gone without a last word, `paused`
            while it stands still.
        is_alive: Whether an engine is at work.
        model: Name of the model; empty before it is built.
        metric: What chooses the best checkpoint.
        best: Value of the metric; None before the first best checkpoint.
        accuracy: Of the best checkpoint on the validation split, 0 to 1.
        macro_f1: Likewise.
        epoch: Epochs begun.
        epochs: Epochs planned.
        created_at: Unix seconds.
        size_bytes: Of all files of the run.
        data: What it is trained on, by the name of the folder or of the demo.
        epochs_done: Epochs trained and validated.
    """

    run: str
    path: str
    state: str
    is_alive: bool
    model: str
    metric: str
    best: float | None
    accuracy: float | None
    macro_f1: float | None
    epoch: int
    epochs: int
    created_at: float
    size_bytes: int
    data: str = ""
    epochs_done: int = 0

    def as_dict(self) -> dict[str, object]:
        """Return the row as a JSON object's fields."""
        return asdict(self)


def glance(run: RunDir) -> RunState:
    """Fold a run's log without the lines about progress, which are most of it."""
    try:
        with run.events.open("rb") as file:
            lines = (line for line in file if not line.startswith(_SKIPPED))
            events = (decode(line) for line in lines if line.endswith(b"\n"))
            return reduce(fold, (event for event in events if event is not None), RunState())
    except OSError:
        return RunState()


def row_of(run: RunDir) -> RunRow:
    """Return where a run stands."""
    is_alive = lock.is_held(run.lock)
    state = glance(run)
    is_lost = state.ending is None and not is_alive
    is_paused = state.standing.paused is not None and state.ending is None
    best = state.best
    return RunRow(
        run=run.run_id,
        path=str(run.path),
        state="lost" if is_lost else "paused" if is_paused else state.phase,
        is_alive=is_alive,
        model="" if state.facts is None else state.facts.model,
        metric="" if state.facts is None else state.facts.metric,
        best=None if best is None else best.value,
        accuracy=None if best is None else best.accuracy,
        macro_f1=None if best is None else best.macro_f1,
        epoch=state.epoch,
        epochs=state.epochs,
        created_at=run.config.stat().st_mtime,
        size_bytes=size_of(run),
        data=_data_of(run),
        epochs_done=0 if state.last_epoch is None else state.last_epoch.epoch,
    )


class Rows:
    """Rows of runs, each read again only where its log has grown or its engine has come or gone.

    Reading a hundred finished runs anew every few seconds would keep a core busy.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], RunRow]] = {}

    def of(self, runs: Sequence[RunDir]) -> list[RunRow]:
        """Return a row a run, those alive first; runs that vanish meanwhile are left out."""
        found: dict[str, tuple[tuple[object, ...], RunRow]] = {}
        for run in runs:
            try:
                is_alive, log = lock.is_held(run.lock), _stamp(run)
                known = self._known.get(str(run.path))
                stamp = (is_alive, log)
                row = known[1] if known is not None and known[0] == stamp else row_of(run)
            except OSError:  # Deleted at this very moment.
                continue
            found[str(run.path)] = (stamp, row)
        self._known = found
        rows = [row for _, row in found.values()]
        return sorted(rows, key=lambda row: not row.is_alive)


def _stamp(run: RunDir) -> tuple[int, int]:
    try:
        found = run.events.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _data_of(run: RunDir) -> str:
    """Return what a run is trained on, in a word; empty where its request cannot be read."""
    try:
        table = tomllib.loads(run.config.read_text(encoding="utf-8"))
        root = table.get("data", {}).get("root", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return Path(root.partition(":")[2] or root).name if isinstance(root, str) else ""


def size_of(run: RunDir) -> int:
    """Return the size of all files of a run, links not followed."""
    total = 0
    for folder, _, names in os.walk(run.path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:  # A checkpoint dropped at this very moment.
                continue
    return total


def table_lines(rows: Sequence[RunRow], *, now: float | None = None) -> list[str]:
    """Return the rows as lines of aligned columns.

    Args:
        rows: To show, in this order.
        now: Unix seconds, from which ages count; the present when None.
    """
    present = time.time() if now is None else now
    cells = [list(HEADINGS), *(row_cells(row, present) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def row_cells(row: RunRow, now: float | None = None) -> list[str]:
    """Return a row's cells under `HEADINGS`, harmless to show; `now` as in `table_lines`."""
    if row.best is None:
        best = "-"
    else:
        shown = percent(row.best) if row.metric == "accuracy" else number(row.best)
        best = f"{visible(row.metric)} {shown}"
    return [
        visible(row.run),
        row.state,
        visible(row.model, limit=40) or "-",
        f"{row.epoch}/{row.epochs}" if row.epochs else "-",
        best,
        duration((time.time() if now is None else now) - row.created_at),
        bytes_size(row.size_bytes),
    ]
