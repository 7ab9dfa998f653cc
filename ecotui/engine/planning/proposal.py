"""The plan of a run: what it will take, whether that is there, and what suits it better."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w

from ecotui.config import PreflightConfig
from ecotui.config_file import merge
from ecotui.durable import write_whole
from ecotui.engine.assembly import Parts
from ecotui.engine.emit import Emit, span
from ecotui.engine.machine.memory import measure_memory
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.deciding import PROBE_FAILURES, Decision
from ecotui.engine.planning.disk_need import DiskNeed, disk_need
from ecotui.engine.planning.duration import Duration, Workload, duration_of
from ecotui.engine.planning.fitting import fastest, memory_line
from ecotui.engine.planning.survey import (
    FULL,
    QUICK,
    Survey,
    num_measurements,
    own_trial,
    survey,
)
from ecotui.engine.planning.throughput import Pace
from ecotui.events import CheckReported
from ecotui.paths import RunDir
from ecotui.plans import Bottleneck, PlanProposed
from ecotui.resolved_config import ResolvedConfig
from ecotui.text import bytes_size, visible

MAX_WORKERS = 16
"""More are not proposed: each takes some 300 MB, and a fast disk serves no more."""

FASTER_FACTOR = 1.2
"""Another micro-batch is proposed where it makes computing so much faster."""

LEAST_SAVED_SECONDS = 30.0
"""A run has to become so much shorter for faster settings to be worth a thought."""


def propose(
    parts: Parts,
    run: RunDir,
    poll: Callable[[], None],
    emit: Emit,
    *,
    preflight: PreflightConfig,
    decision: Decision,
    seconds: float,
) -> PlanProposed | None:
    """Measure what a run will take, state it, and write down the settings that suit it better.

    Args:
        parts: Of a run before its first step; the same afterwards, to the last bit.
        run: Where `plan.toml` is written, if there is something to propose.
        poll: Called between measurements; what it raises ends them.
        emit: Where the facts go.
        preflight: How much is to be measured, and how long it may take.
        decision: What was measured already.
        seconds: That measuring may take.

    Returns:
        The plan, or None where the configuration wants none.

    Emits:
        StageStarted, StageAdvanced, StageFinished; CheckReported where memory or disk are
        short; PlanProposed.
    """
    if not preflight.plans:
        return None
    effort = FULL if preflight.level == "full" else QUICK
    budget = Budget(seconds, poll)
    total = num_measurements(parts, effort, decision.exploration)
    with span(emit, "plan", total=total, unit="measurements") as stage:
        try:
            found = survey(parts, budget, effort, stage, decision.exploration)
        except PROBE_FAILURES as error:
            said = visible(f"{type(error).__name__}: {error}", limit=160)
            emit(_unmeasured(said))
            return None
        plan = _plan(parts, run, found, decision)
        plan = plan.model_copy(update={"seconds": decision.seconds + budget.spent_seconds})
        stage.done = total
    for finding in _shortages(plan, found):
        emit(finding)
    if plan.settings:
        write_whole(run.plan, plan.settings.encode())
    emit(plan)
    return plan


def _plan(parts: Parts, run: RunDir, found: Survey, decision: Decision) -> PlanProposed:
    config, pace = parts.config, found.pace
    workers = parts.compute.workers
    need = _disk(parts, run.path, found)
    peak_bytes = _peak_bytes(parts, found)
    took = duration_at(parts, found, workers)
    notes = [*decision.notes, *_notes(parts, found), *found.notes]
    settings, trial = _settings(parts, found), own_trial(parts, found)
    return PlanProposed(
        batch_size=config.train.batch_size,
        micro_batch_size=parts.compute.micro_batch_size,
        workers=workers,
        learning_rate=config.train.learning_rate,
        peak_memory_bytes=peak_bytes,
        memory_limit_bytes=found.room.limit_bytes,
        margin_fraction=found.room.margin_fraction,
        images_per_second=None if pace is None else pace.together(workers),
        bottleneck=_bottleneck(pace, workers),
        epoch_seconds=None if took is None else took.epoch_seconds,
        run_seconds=None if took is None else took.run_seconds,
        checkpoint_bytes=need.checkpoint_bytes,
        disk_needed_bytes=need.needed_bytes,
        disk_free_bytes=need.free_bytes or 0,
        settings=settings,
        spread_fraction=None if trial is None else trial.spread_fraction,
        notes=tuple(visible(note, limit=300) for note in notes),
    )


def _bottleneck(pace: Pace | None, workers: int) -> Bottleneck:
    return "unknown" if pace is None else pace.bottleneck(workers)


def _peak_bytes(parts: Parts, found: Survey) -> int | None:
    """Return the most memory of the device: of a step or of validation, whichever is more.

    On the CPU the copy of the state that is written beside training lies in the same memory,
    and so do the batches that workers have ready.
    """
    size = parts.compute.micro_batch_size
    peaks = [found.exploration.peak_bytes(size)]
    if found.scored is not None:
        peaks.append(found.scored.peak_bytes)
    known = [peak for peak in peaks if peak is not None]
    if not known or peaks[0] is None:
        return None
    return max(known) + (_host_bytes(parts, found) if parts.compute.device_type == "cpu" else 0)


def _host_bytes(parts: Parts, found: Survey) -> int:
    """Return what a run holds of main memory beside its computing."""
    side = parts.built.spec.image_size
    image_bytes = 3 * side * side * 4
    ready = 2 * parts.compute.workers * parts.config.train.batch_size * image_bytes
    copy = found.checkpoint_bytes if parts.config.checkpoint.background else 0
    return ready + copy


def duration_at(parts: Parts, found: Survey, workers: int) -> Duration | None:
    """Return how long a run takes with a number of workers; None where nothing was measured."""
    pace, scored = found.pace, found.scored
    if pace is None or scored is None:
        return None
    scoring = Pace(
        compute=scored.size / max(scored.seconds, 1e-9),
        alone=pace.alone,
        measured=pace.measured,
        shares_processors=pace.shares_processors,
        num_processors=pace.num_processors,
        threads=pace.threads,
    )
    work = Workload(
        batch_size=min(parts.config.train.batch_size, len(parts.index.splits["train"])),
        steps_per_epoch=parts.train_loader.steps_per_epoch,
        planned_steps=parts.planned_steps,
        num_val=parts.val_loader.num_images,
        num_test=0 if parts.test_loader is None else parts.test_loader.num_images,
    )
    return duration_of(
        work, training_rate=pace.together(workers), scoring_rate=scoring.together(workers)
    )


def _disk(parts: Parts, place: Path, found: Survey) -> DiskNeed:
    weights = parts.judged.state_dict().values()
    return disk_need(
        place,
        checkpoint_bytes=found.checkpoint_bytes,
        weights_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights),
        keep=parts.config.checkpoint.keep,
        epochs=parts.config.train.epochs,
    )


def _notes(parts: Parts, found: Survey) -> list[str]:
    """Say in words how the run goes."""
    notes: list[str] = []
    pace, workers = found.pace, parts.compute.workers
    if pace is None:
        notes.append("speed and duration could not be measured")
    else:
        notes.append(
            f"computing alone {pace.compute:,.1f} images a second, reading alone "
            f"{pace.reading(workers):,.1f} with {workers} workers, together "
            f"{pace.together(workers):,.1f}"
        )
        if workers and workers not in pace.measured:
            notes.append("the speed of reading is that of one process, times the workers")
    verified = found.exploration.of(parts.compute.micro_batch_size)
    if verified is None and found.exploration.trials:
        notes.append("memory was not verified with a step of this size")
    if parts.config.train.freeze_epochs:
        notes.append("epochs with a frozen backbone are faster than said here")
    notes += _host_shortage(parts, found)
    return notes


def _host_shortage(parts: Parts, found: Survey) -> list[str]:
    available = measure_memory().available
    needed = _host_bytes(parts, found)
    if parts.compute.device_type == "cpu" or available is None or available >= needed:
        return []
    return [
        f"main memory is short: {bytes_size(needed)} for the copy of the state and the batches "
        f"that are ready, {bytes_size(available)} available"
    ]


def _settings(parts: Parts, found: Survey) -> str:
    """Return settings that suit the run better, as TOML; empty where its own do."""
    table: dict[str, Any] = {}
    pace = found.pace
    if pace is not None:
        most = min(MAX_WORKERS, pace.num_processors)
        better = pace.better_workers(parts.compute.workers, most)
        if better is not None and _saved_seconds(parts, found, better) > LEAST_SAVED_SECONDS:
            table["compute"] = {"workers": better}
    micro = _better_micro_batch(parts, found)
    if micro is not None:
        table["train"] = {"micro_batch_size": micro}
    if not table:
        return ""
    text = tomli_w.dumps(table)
    _check(parts.config, text)
    return text


def _saved_seconds(parts: Parts, found: Survey, workers: int) -> float:
    own, other = (duration_at(parts, found, count) for count in (parts.compute.workers, workers))
    return 0.0 if own is None or other is None else own.run_seconds - other.run_seconds


def _better_micro_batch(parts: Parts, found: Survey) -> int | None:
    """Return a micro-batch that fits where the run's does not, or one that is much faster."""
    size, room = parts.compute.micro_batch_size, found.room
    trials = [
        each
        for each in found.exploration.trials
        if each.size <= parts.config.train.batch_size and room.holds(each.peak_bytes)
    ]
    if not trials:
        return None
    if not room.holds(_peak_bytes(parts, found)) or found.exploration.refused == size:
        line = memory_line(trials)
        largest = (
            None if line is None or room.limit_bytes is None else line.largest(room.limit_bytes)
        )
        fitting = max(each.size for each in trials) if largest is None else largest
        return min(size // 2, fitting) or None
    own, best = found.exploration.of(size), fastest(trials)
    if own is None or best.images_per_second < FASTER_FACTOR * own.images_per_second:
        return None
    return best.size


def _check(config: ResolvedConfig, text: str) -> None:
    """Make sure that the settings can be applied.

    Raises:
        ValidationError: They cannot.
    """
    table = config.model_dump()
    merge(table, tomllib.loads(text))
    ResolvedConfig.model_validate(table)


def _shortages(plan: PlanProposed, measured: Survey) -> list[CheckReported]:
    """Return a warning for what will not be enough."""
    found: list[CheckReported] = []
    if 0 < plan.disk_free_bytes < plan.disk_needed_bytes:
        found.append(
            CheckReported(
                check="plan_disk",
                layer=3,
                verdict="warn",
                what=f"the run needs {bytes_size(plan.disk_needed_bytes)} on the disk, "
                f"{bytes_size(plan.disk_free_bytes)} are free",
                expected="room for the checkpoints that are kept, one more, and the best model",
                remedy="free some space, lower checkpoint.keep, or put the runs elsewhere: "
                "--runs-dir FOLDER",
            )
        )
    limit, peak = plan.memory_limit_bytes, plan.peak_memory_bytes
    refused = measured.exploration.refused
    is_refused = refused is not None and refused <= plan.micro_batch_size
    if is_refused or not measured.room.holds(peak):
        takes = "does not fit" if peak is None else f"takes {bytes_size(peak)} of memory"
        usable = "" if limit is None else f", {bytes_size(limit)} may be used"
        found.append(
            CheckReported(
                check="plan_memory",
                layer=3,
                verdict="warn",
                what=f"a step with {plan.micro_batch_size} images a pass {takes}{usable}",
                expected=f"a step that leaves {plan.margin_fraction:.0%} of the memory free",
                remedy="lower train.micro_batch_size (the batch stays the same), or set "
                "train.batch_size = 'auto'",
            )
        )
    return found


def _unmeasured(said: str) -> CheckReported:
    return CheckReported(
        check="plan",
        layer=3,
        verdict="note",
        what=f"no plan: the network cannot take steps on made images ({said})",
        expected="",
        remedy="",
    )
