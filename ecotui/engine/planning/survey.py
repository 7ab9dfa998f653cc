"""Everything that a plan is made from, measured on the parts of a run that is about to begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ecotui.engine.assembly import Parts
from ecotui.engine.compute import probe_capabilities
from ecotui.engine.emit import Stage
from ecotui.engine.heap import release_freed
from ecotui.engine.planning.borrowing import borrowed
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.data_path import images_per_second_alone, images_per_second_with
from ecotui.engine.planning.exploring import Exploration, Explorer
from ecotui.engine.planning.fitting import Trial, pass_line
from ecotui.engine.planning.memory import Room, room_on
from ecotui.engine.planning.rehearsal import Rehearsal, Scored
from ecotui.engine.planning.throughput import Pace
from ecotui.text import listed

QUICK_SECONDS = 2.0
"""Of the quick form, after a first step: what nobody minds to wait before hours of training."""

OWN_SECONDS = 10.0
"""In the quick form, for steps of the run's own size on top of that. From the smallest sizes
alone a line foretells whatever disturbed one of four steps, times sixteen."""

FIRST_STEPS = 2
"""Timed of sizes that only show how memory and time grow."""

SMALLEST_SIZE = 2
"""BatchNorm cannot train on one image."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        is_full: Whether neighbours of the chosen sizes are measured too.
        steps: Timed of each size.
        photos: Read to time the reading.
        worker_seconds: Timed for each number of workers.
    """

    is_full: bool
    steps: int
    photos: int
    worker_seconds: float


QUICK = Effort(is_full=False, steps=5, photos=8, worker_seconds=0.0)
FULL = Effort(is_full=True, steps=5, photos=64, worker_seconds=2.0)


@dataclass(slots=True)
class Survey:
    """What was measured; what could not be is None.

    Attributes:
        room: Memory that may be used.
        exploration: Of sizes, that of the run's micro-batch among them where it could be.
        scored: A validation batch.
        pace: Of computing and reading.
        checkpoint_bytes: Of one checkpoint.
        notes: What was left out or went wrong, a sentence each.
    """

    room: Room
    exploration: Exploration
    scored: Scored | None = None
    pace: Pace | None = None
    checkpoint_bytes: int = 0
    notes: list[str] = field(default_factory=list)


def survey(
    parts: Parts, whole: Budget, effort: Effort, stage: Stage, known: Exploration | None = None
) -> Survey:
    """Measure a run.

    Args:
        parts: Of the run, before its first step; the same afterwards, to the last bit.
        whole: Less is measured where it is short, which is noted. The quick form takes only a
            few seconds of it.
        effort: How much is measured.
        stage: Progress.
        known: Sizes that were measured already.

    Raises:
        Exception: What the network raises on made images.
    """
    found = Survey(
        room_on(parts.compute.device), known or Exploration(), checkpoint_bytes=parts.state_bytes
    )
    try:
        with borrowed(parts, "survey"):
            rehearsal = Rehearsal(parts)
            rehearsal.warm_up(_warm_up_size(parts), whole)
            own = whole.part(0.5) if effort.is_full else whole.at_most(OWN_SECONDS)
            _measure_sizes(parts, rehearsal, found, own, effort, stage.advance)
            if rehearsal.optimizer.state:
                found.checkpoint_bytes = rehearsal.state_bytes()
            budget = whole if effort.is_full else whole.at_most(QUICK_SECONDS)
            _measure_scoring(parts, rehearsal, found, budget, effort)
            stage.advance()
    finally:
        release_freed()
    _measure_reading(parts, found, budget, effort, stage.advance)
    return found


def num_measurements(parts: Parts, effort: Effort, known: Exploration | None) -> int:
    """Return how many measurements a survey has, for its progress; some may be left out."""
    micro = parts.compute.micro_batch_size
    if known is not None and known.of(micro) is not None:
        sizes = 0
    elif parts.config.compute.compile:
        sizes = 1
    else:
        batch_size = parts.config.train.batch_size
        sizes = len(sizes_to_measure(micro, batch_size, is_full=effort.is_full))
    counts = worker_counts(parts.compute.workers, probe_capabilities().num_cpus)
    return sizes + 2 + (len(counts) if effort.is_full else 0)


def own_trial(parts: Parts, found: Survey) -> Trial | None:
    """Return what a pass of the run's micro-batch takes: measured, or from the fit."""
    size = parts.compute.micro_batch_size
    measured, trials = found.exploration.of(size), found.exploration.all_trials
    if measured is not None or not trials:
        return measured
    line, last = pass_line(trials), trials[-1]
    # From one size alone: each image costs the same, which is on the safe side.
    seconds = last.pass_seconds * size / last.size if line is None else line.at(size)
    return Trial(size, found.exploration.peak_bytes(size), seconds, last.update_seconds)


def sizes_to_measure(micro: int, batch_size: int, *, is_full: bool) -> list[int]:
    """Return the sizes that are measured for a micro-batch, ascending.

    Two smaller ones to see how memory and time grow, the size itself, which verifies what they
    say, and in the full form those between, and the next one up that the batch allows.
    """
    sizes = {SMALLEST_SIZE, 2 * SMALLEST_SIZE, micro}
    if is_full:
        sizes |= {SMALLEST_SIZE << power for power in range(2, 16)}
        sizes = {size for size in sizes if size <= micro}
        sizes |= {min(2 * micro, max(micro, batch_size))}
    return sorted(size for size in sizes if size <= micro or is_full) if micro > 1 else [1]


def _warm_up_size(parts: Parts) -> int:
    """Return the smallest size that there is a use for: compiling a network takes a minute."""
    micro = parts.compute.micro_batch_size
    return micro if parts.config.compute.compile else min(SMALLEST_SIZE, micro)


def _measure_sizes(
    parts: Parts,
    rehearsal: Rehearsal,
    found: Survey,
    budget: Budget,
    effort: Effort,
    on_trial: Callable[[], None],
) -> None:
    micro, batch_size = parts.compute.micro_batch_size, parts.config.train.batch_size
    if found.exploration.of(micro) is not None:
        return
    explorer = Explorer(rehearsal, found.room, budget, batch_size, effort.steps, on_trial)
    sizes = sizes_to_measure(micro, batch_size, is_full=effort.is_full)
    if parts.config.compute.compile:
        sizes = [micro]  # each other size would be compiled anew, which takes a minute
    if effort.is_full:
        found.exploration = explorer.explore(sizes)
    else:
        first = replace(explorer, steps=FIRST_STEPS, budget=budget.at_most(QUICK_SECONDS / 2))
        found.exploration = first.explore([size for size in sizes if size < micro])
        if found.exploration.limit in ("none", "time"):
            found.exploration = explorer.explore([micro], found=found.exploration)
    if found.exploration.limit == "time":
        tried = [str(each.size) for each in found.exploration.trials]
        what = "memory and speed" if len(tried) > 1 else "the speed"
        found.notes.append(
            f"{what} of a micro-batch of {micro} extrapolated from {listed(tried)}: "
            "there was no time for more (--set preflight.level=full takes it)"
        )


def _measure_scoring(
    parts: Parts, rehearsal: Rehearsal, found: Survey, budget: Budget, effort: Effort
) -> None:
    """Score a batch of the size that validation uses, or a smaller one where time is short."""
    size = min(parts.compute.micro_batch_size, max(1, parts.val_loader.num_images))
    trial = own_trial(parts, found)
    refused = found.exploration.refused
    fits = refused is None or size < refused
    # A forward pass is about a third of a step.
    is_affordable = trial is None or budget.allows(trial.pass_seconds)
    if not fits or not is_affordable:
        size = min(size, *(each.size for each in found.exploration.trials), SMALLEST_SIZE)
    found.scored = rehearsal.score(size, budget, repeats=effort.steps)


def _measure_reading(
    parts: Parts, found: Survey, budget: Budget, effort: Effort, on_trial: Callable[[], None]
) -> None:
    trial = own_trial(parts, found)
    alone = images_per_second_alone(parts, budget.part(0.25), most=effort.photos)
    on_trial()
    if trial is None or alone is None:
        return
    num_processors = probe_capabilities().num_cpus
    measured: dict[int, float] = {}
    left_out: list[int] = []
    counts = worker_counts(parts.compute.workers, num_processors) if effort.is_full else []
    for workers in counts:
        # Starting workers takes as long again, with photos that are slow to read much longer.
        wait_seconds = (2 * workers + 2) * parts.config.train.batch_size / (alone * workers)
        if not budget.allows(wait_seconds + effort.worker_seconds):
            left_out.append(workers)
            continue
        rate = images_per_second_with(parts, workers, budget, seconds=effort.worker_seconds)
        on_trial()
        if rate is not None:
            measured[workers] = rate
    if left_out:
        found.notes.append(f"no time was left to measure {', '.join(map(str, left_out))} workers")
    per_image = trial.pass_seconds / trial.size
    per_image += trial.update_seconds / parts.config.train.batch_size
    found.pace = Pace(
        compute=1.0 / max(per_image, 1e-9),
        alone=alone,
        measured=measured,
        shares_processors=parts.compute.device_type == "cpu",
        num_processors=num_processors,
        threads=parts.compute.threads,
    )


def worker_counts(configured: int, num_processors: int) -> list[int]:
    """Return the numbers of workers that are measured: the run's own, and doublings."""
    counts = {1 << power for power in range(8) if 1 << power <= num_processors}
    return sorted(counts | ({configured} if configured else set()))
