"""A later attempt at a run: from its newest valid checkpoint, or anew where there is none."""

from __future__ import annotations

import csv
import hashlib
import io
from typing import Any

from ecotui.durable import write_whole
from ecotui.engine.assembly import Parts
from ecotui.engine.emit import Emit
from ecotui.engine.environment import describe_environment
from ecotui.engine.restoring import newest_restorable
from ecotui.engine.train_state import LoopState
from ecotui.errors import EcoError, UsageError
from ecotui.events import HealthAlerted, RunResumed
from ecotui.paths import RunDir
from ecotui.text import counted, listed, visible

EXACT = "same machine, versions and data: bit-exact"


def facts_of(parts: Parts, run: RunDir) -> dict[str, Any]:
    """Return what a manifest says of a run, for a later attempt to compare."""
    return {
        "run_id": run.run_id,
        "environment": describe_environment(parts.compute),
        "config": hashlib.sha256(run.resolved.read_bytes()).hexdigest(),
        "data": hashlib.sha256(run.split.read_bytes()).hexdigest(),
        "classes": [visible(name) for name in parts.index.class_names],
    }


def resume(parts: Parts, run: RunDir, facts: dict[str, Any], attempt: int, emit: Emit) -> LoopState:
    """Restore the newest valid checkpoint and say how exact the continuation is.

    Args:
        parts: Everything built, from the run's resolved configuration.
        run: The run directory.
        facts: Of this attempt, from `facts_of`.
        attempt: 2 for the first resumption.
        emit: Where the facts go.

    Raises:
        EcoError: There are checkpoints, and all are damaged.
        UsageError: The classes are no longer those of the run.

    Emits:
        HealthAlerted for each damaged checkpoint; RunResumed.
    """
    found, refused = newest_restorable(
        run.checkpoints, parts.trainable, lambda saved: _check_classes(saved, facts, parts)
    )
    for told in refused:
        emit(
            HealthAlerted(
                severity="critical",
                code="damaged_checkpoint",
                message=f"a checkpoint cannot be used and was passed over: {visible(told)}",
                advice="an older one is taken; look at the disk",
            )
        )
    if found is None:
        if refused:
            raise EcoError(
                f"all {counted(len(refused), 'checkpoint')} of the run are damaged or do not fit "
                f"it: {visible(refused[0], limit=300)}",
                "at least one that can be loaded",
                f"see {visible(run.checkpoints / 'quarantine')}, or start a new run",
            )
        note = "no checkpoint had been saved: the run begins anew"
        emit(RunResumed(attempt=attempt, from_step=0, epoch=0, checkpoint=None, note=note))
        return LoopState()
    loop = found.apply(parts.trainable)
    parts.schedule.set_step(loop.step)
    _cut_metrics(run, loop.epoch)
    emit(
        RunResumed(
            attempt=attempt,
            from_step=loop.step,
            epoch=loop.epoch,
            checkpoint=str(found.path.relative_to(run.path)),
            note=_exactness(found.facts, facts),
        )
    )
    return loop


def _check_classes(saved: dict[str, Any], facts: dict[str, Any], parts: Parts) -> None:
    if saved.get("classes") != facts["classes"]:
        raise UsageError(
            f"the classes in {visible(parts.index.root)} are not those the run was trained on",
            f"the classes {listed(map(str, saved.get('classes', ())))}",
            "put the folders back as they were, or start a new run",
        )


def _exactness(saved: dict[str, Any], facts: dict[str, Any]) -> str:
    then, now = saved.get("environment", {}), facts["environment"]
    other = [key for key in now if then.get(key) != now[key]]
    if saved.get("data") != facts["data"]:
        other.append("files of the data set")
    return f"not bit-exact: other {listed(other)} than before" if other else EXACT


def _cut_metrics(run: RunDir, epochs_done: int) -> None:
    """Drop the rows of epochs that are about to be trained again."""
    if not run.metrics.is_file():
        return
    with run.metrics.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    kept = [row for row in rows if row and int(row[0]) <= epochs_done]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *kept])
    write_whole(run.metrics, text.getvalue().encode())
