"""A later attempt at a run: from its newest valid checkpoint, or anew where there is none."""

from __future__ import annotations

import hashlib
from typing import Any

from ecotui.engine.assembly import Parts
from ecotui.engine.emit import Emit
from ecotui.engine.environment import describe_environment
from ecotui.engine.exactness import compare, config_facts
from ecotui.engine.records import cut_metrics
from ecotui.engine.restoring import newest_restorable
from ecotui.engine.train_state import LoopState
from ecotui.errors import EcoError, UsageError
from ecotui.events import HealthAlerted, RunResumed
from ecotui.paths import RunDir
from ecotui.text import counted, listed, visible


def facts_of(parts: Parts, run: RunDir) -> dict[str, Any]:
    """Return what a manifest says of a run, for a later attempt to compare."""
    started_from = {"weights": parts.built.weights_sha256} if parts.built.weights_sha256 else {}
    return {
        **started_from,
        "run_id": run.run_id,
        "environment": describe_environment(parts.compute),
        "data": hashlib.sha256(run.split.read_bytes()).hexdigest(),
        "classes": [visible(name) for name in parts.index.class_names],
        "exactness": "E2",
        **config_facts(parts.config),
    }


def resume(parts: Parts, run: RunDir, facts: dict[str, Any], attempt: int, emit: Emit) -> LoopState:
    """Restore the newest valid checkpoint and say how exact the continuation is.

    Args:
        parts: Everything built, from the run's resolved configuration.
        run: The run directory.
        facts: Of this attempt, from `facts_of`; gets the exactness of the continuation.
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
        cut_metrics(run.metrics, 0)
        note = "no checkpoint had been saved: the run begins anew"
        emit(
            RunResumed(
                attempt=attempt, from_step=0, epoch=0, checkpoint=None, note=note, exactness="E2"
            )
        )
        return LoopState()
    saved = found.facts
    if "weights" in saved:  # of the file that the run began with; nobody reads it again
        facts["weights"] = saved["weights"]
    loop = found.apply(parts.trainable)
    place = _same_place(loop.batch_in_epoch, saved, parts)
    if place != loop.batch_in_epoch:
        loop.passed_over = []  # places of batches that are not cut like that any more
    loop.batch_in_epoch = place
    parts.schedule.factor = loop.learning_rate_factor
    parts.schedule.set_step(parts.place(loop.epoch, loop.batch_in_epoch))
    cut_metrics(run.metrics, loop.epoch)
    continuation = compare(saved, facts)
    facts["exactness"] = continuation.exactness
    emit(
        RunResumed(
            attempt=attempt,
            from_step=loop.step,
            epoch=loop.epoch,
            checkpoint=str(found.path.relative_to(run.path)),
            note=continuation.note,
            exactness=continuation.exactness,
            differences=continuation.differences,
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


def _same_place(batches: int, saved: dict[str, Any], parts: Parts) -> int:
    """Return which batch of the epoch is next, after a change of the batch size too.

    Batches are cut from one order of the samples, so the place is a sample. Where it
    does not fall on the beginning of a batch of the new size, that batch is begun
    anew: no sample of the epoch is left out, fewer than one batch are seen twice.
    """
    now = parts.config.train.batch_size
    then = saved.get("config", {}).get("train.batch_size", now)
    if then == now:
        return batches
    return min(batches * int(then) // now, parts.train_loader.steps_per_epoch)
