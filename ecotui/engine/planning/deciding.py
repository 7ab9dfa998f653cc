"""What a new run's configuration leaves to a measurement: format, batch size, learning rate.

The choice is written into `resolved.toml`, from which a later attempt and a
repetition take it: no number is measured twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ecotui.config import DEFAULT_BATCH_SIZE, ComputeConfig
from ecotui.engine.assembly import Parts
from ecotui.engine.changes import changed
from ecotui.engine.emit import Emit, span
from ecotui.engine.heap import release_freed
from ecotui.engine.planning.borrowing import borrowed
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.data_path import images_per_second_alone
from ecotui.engine.planning.exploring import Exploration, Explorer
from ecotui.engine.planning.fitting import Trial, fastest, memory_line
from ecotui.engine.planning.formats import Wish, choose_formats, open_formats
from ecotui.engine.planning.memory import room_on
from ecotui.engine.planning.range_test import MOST_STEPS, run_range_test, suggested_rate
from ecotui.engine.planning.rehearsal import Rehearsal
from ecotui.events import LogWritten
from ecotui.resolved_config import largest_batch
from ecotui.text import counted, visible

FIRST_SIZE = 8
"""Smaller batches are not chosen: BatchNorm and the gradient are too noisy with fewer images."""

LARGEST_SIZE = 4_096
"""Above it the learning rate rules that people know no longer hold. Source: Goyal et al. (2017)
found ImageNet's error to rise beyond 8,192; half of that stays clear of it."""

STEPS = 5
"""Timed of each size. Source: Ludwig's batch size tuner."""

DECIDING_SHARE = 0.5
"""Of the budget of preflight, for what `auto` leaves open; the rest is for audit and checks."""

BATCH_SHARE = 0.4
"""Of that, for the batch size; the range test needs the rest."""

PROBE_FAILURES = (RuntimeError, ValueError, AssertionError, MemoryError)
"""What a network may raise on a batch. Preflight names it; here it only ends the measuring."""


@dataclass(slots=True)
class Decision:
    """What was found out on the way to a choice, for the plan to go on from.

    Attributes:
        exploration: Of batch sizes; None where the size was given.
        notes: What was chosen and why, a sentence each.
        seconds: That it took.
    """

    exploration: Exploration | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def decide(
    parts: Parts, poll: Callable[[], None], emit: Emit, *, asked: ComputeConfig | None = None
) -> Decision:
    """Choose what the configuration leaves open, and put it into the parts of the run.

    Weights, generators and all else are the same afterwards, to the last bit: a run with
    these numbers given trains the same.

    Args:
        parts: Of a new run. Configuration, loaders and schedule are exchanged.
        poll: Called between steps; what it raises ends the measuring.
        emit: Where the facts go.
        asked: The request of a new run, with the formats that are left to be measured.

    Emits:
        StageStarted, StageAdvanced, StageFinished, LogWritten; nothing where all is given.
    """
    decision = Decision()
    budget = Budget(DECIDING_SHARE * parts.config.preflight.budget_seconds, poll)
    wish = None if asked is None else _open_formats(parts, asked)
    if wish is not None and wish.known is not None:
        decision.notes.append(choose_formats(parts, wish, budget))
        wish = None
    if parts.undecided or wish is not None:
        with span(emit, "choose", total=0, unit="trials") as stage:
            if wish is not None:
                decision.notes.append(choose_formats(parts, wish, budget, stage.advance))
            _decide_numbers(parts, budget, decision, stage.advance)
    decision.seconds = budget.spent_seconds
    for note in decision.notes:
        emit(LogWritten(severity="note", message=note))
    return decision


def _decide_numbers(
    parts: Parts, budget: Budget, decision: Decision, on_trial: Callable[[], None]
) -> None:
    """Choose what depends on the format: the batch size, and the learning rate after it."""
    if "batch_size" in parts.undecided:
        has_more = "learning_rate" in parts.undecided
        share = budget.part(BATCH_SHARE) if has_more else budget
        _decide_batch_size(parts, share, decision, on_trial)
    if "learning_rate" in parts.undecided:
        _decide_learning_rate(parts, budget, decision)
        on_trial()
    parts.undecided = ()


def _open_formats(parts: Parts, asked: ComputeConfig) -> Wish | None:
    """Return which formats are worth measuring; none where the network fails on made images."""
    try:
        return open_formats(parts, asked)
    except PROBE_FAILURES:
        return None  # preflight says why


def _decide_batch_size(
    parts: Parts, budget: Budget, decision: Decision, on_trial: Callable[[], None]
) -> None:
    most = min(largest_batch(len(parts.index.splits["train"])), LARGEST_SIZE)
    told = parts.compute.micro_batch_size
    # Whoever sets the micro-batch, or MPS, which is safe with little only, has set the pace.
    if told != parts.config.train.batch_size:
        told = min(told, most)
        size = told * max(1, min(most, DEFAULT_BATCH_SIZE) // told)
        decision.notes.append(
            f"train.batch_size = {size}: the usual one, as the micro-batch of {told} sets the pace"
        )
        _take(parts, size, told)
        return
    chosen: Trial | None = None
    try:
        with borrowed(parts, "batch size"):
            explorer = Explorer(
                Rehearsal(parts), room_on(parts.compute.device), budget, None, STEPS, on_trial
            )
            decision.exploration = explorer.explore(_doubling(most), wants_speed=True)
            _refine(explorer, decision.exploration, most)
    except PROBE_FAILURES as error:
        said = visible(f"{type(error).__name__}: {error}", limit=160)
        decision.notes.append(f"a batch size could not be measured ({said})")
    finally:
        release_freed()
    if decision.exploration is not None and decision.exploration.trials:
        chosen = fastest(decision.exploration.trials)
    if chosen is None:
        _take_smallest(parts, decision, most)
        return
    decision.notes.append(_reason(chosen, decision.exploration, most))
    _take(parts, chosen.size, chosen.size)


def _take_smallest(parts: Parts, decision: Decision, most: int) -> None:
    """Take what has the best chance where not even the first size could be measured."""
    size = min(FIRST_SIZE, most)
    found = decision.exploration
    is_memory = found is not None and found.limit == "memory"
    micro = 1 if is_memory else size
    why = f"memory does not hold {size} images at once" if is_memory else "nothing was measured"
    decision.notes.append(
        f"train.batch_size = {size}, in micro-batches of {counted(micro, 'image')}: {why}"
    )
    _take(parts, size, micro)


def _reason(chosen: Trial, found: Exploration | None, most: int) -> str:
    limit = "none" if found is None else found.limit
    why = {
        "speed": "larger ones train no faster",
        "memory": "larger ones do not fit into memory with the margin",
        "time": "the budget did not allow to try larger ones",
        "none": f"at most {most} are chosen, a fifth of the training images",
    }[limit]
    return (
        f"train.batch_size = {chosen.size}, measured: {chosen.images_per_second:,.1f} images a "
        f"second; {why}"
    )


def _doubling(most: int) -> Iterator[int]:
    size = min(FIRST_SIZE, most)
    while size <= most:
        yield size
        size *= 2


def _refine(explorer: Explorer, found: Exploration, most: int) -> None:
    """Between the last size that fitted and the first that did not, try quarter steps.

    The next quarter above the one that is kept is then beyond the limit, so no more than a
    quarter of the last size's images is left unused.
    """
    line = memory_line(found.trials)
    limit = explorer.room.limit_bytes
    if found.limit != "memory" or not found.trials or line is None or limit is None:
        return
    last = found.trials[-1].size
    quarter = max(1, last // 4)
    largest = line.largest(limit)
    steps = 3 if largest is None else min(3, (largest - last) // quarter)
    for number in range(steps, 0, -1):
        size = last + number * quarter
        if size > most:
            continue
        if explorer.try_size(found, size) is not None:
            return


def _decide_learning_rate(parts: Parts, budget: Budget, decision: Decision) -> None:
    fallback = parts.config.train.learning_rate
    rate: float | None = None
    why = "the loss did not fall clearly at any rate"
    try:
        step_seconds = _step_seconds(parts, budget, decision.exploration)
        curve = run_range_test(parts, budget, step_seconds=step_seconds)
        rate = suggested_rate(curve)
        if not curve.losses:
            why = f"the budget does not hold a range test of {MOST_STEPS} steps"
    except PROBE_FAILURES as error:
        why = visible(f"{type(error).__name__}: {error}", limit=160)
    finally:
        release_freed()
    if rate is None:
        decision.notes.append(f"train.learning_rate = {fallback:g}, the usual one: {why}")
        _put(parts, {"learning_rate": fallback})
        return
    rate = max(rate, parts.config.train.min_learning_rate)
    decision.notes.append(
        f"train.learning_rate = {rate:g}, from a range test: the middle of the longest fall of "
        "the loss"
    )
    _put(parts, {"learning_rate": rate})


def _step_seconds(parts: Parts, budget: Budget, found: Exploration | None) -> float:
    """Return what a step on real photos takes, about."""
    batch_size, micro = parts.config.train.batch_size, parts.compute.micro_batch_size
    trial = None if found is None else found.of(micro)
    if trial is None:
        with borrowed(parts, "a step"):
            trial = Rehearsal(parts).measure(micro, budget, batch_size=batch_size, steps=1)
    reading = images_per_second_alone(parts, budget.part(0.05), most=16) or 1.0
    if trial is None:
        return budget.left_seconds
    computing = trial.pass_seconds * -(-batch_size // micro) + trial.update_seconds
    return computing + batch_size / (reading * max(1, parts.compute.workers))


def _take(parts: Parts, batch_size: int, micro: int) -> None:
    parts.compute = replace(parts.compute, micro_batch_size=micro)
    _put(parts, {"batch_size": batch_size, "micro_batch_size": micro})


def _put(parts: Parts, values: dict[str, object]) -> None:
    parts.exchange(changed(parts.config, "train", values), parts.compute)
