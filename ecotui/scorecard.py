"""What success was meant to be, item by item: met, missed or still open, each with its figure.

Source of the items: the founding notebook. First minutes: the checks pass and the first
epoch begins. First epoch: it completes, the loss falls, accuracy is above 10%, under 5% of
the samples are skipped. Whole run: it completes, the best accuracy is above its target,
nothing that is not finite was let through, and it can be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ecotui.events import ConfigChanged
from ecotui.state import RunState
from ecotui.text import counted, number, percent

ItemStatus = Literal["met", "missed", "open"]
Period = Literal["first_minutes", "first_epoch", "whole_run"]
PERIODS: dict[Period, str] = {
    "first_minutes": "first minutes",
    "first_epoch": "first epoch",
    "whole_run": "whole run",
}
FEW_LOST_FRACTION = 0.05
FIRST_ACCURACY = 0.10
"""After the first epoch, of 30 classes: three times chance."""
_CHANGES_THAT_COUNT = ("train.", "compute.", "data.")


@dataclass(frozen=True, slots=True)
class Item:
    """One measure of success.

    Attributes:
        name: Stable.
        period: Of the run, that it is about.
        status: `open` where it cannot be told yet.
        what: What is wanted.
        figure: What was seen; empty before anything was.
    """

    name: str
    period: Period
    status: ItemStatus
    what: str
    figure: str = ""


def scorecard(state: RunState) -> tuple[Item, ...]:
    """Return every item, in the order in which a run meets them."""
    return (*_first_minutes(state), *_first_epoch(state), *_whole_run(state))


def first_accuracy_limit(num_classes: int, at_least: float = FIRST_ACCURACY) -> float:
    """Return the accuracy that a first epoch should pass.

    The lower of 10% and three times chance, and chance itself at least: with few classes
    three times chance would be out of reach.
    """
    chance = 1.0 / max(1, num_classes)
    return max(chance, min(at_least, 3.0 * chance))


def _first_minutes(state: RunState) -> Iterator[Item]:
    for name, layer, what in (
        ("transforms", 2, "the transforms fit the model"),
        ("pre_training_check", 3, "the pre-training check passes"),
    ):
        yield _checked(state, name, layer, what)
    has_begun = _has_trained(state)
    status = _settled(is_met=has_begun, is_missed=_has_failed(state))
    yield Item("first_epoch_begins", "first_minutes", status, "the first epoch begins")


def _checked(state: RunState, name: str, layer: int, what: str) -> Item:
    verdicts = [check for check in state.checks if check.layer == layer]
    failures = [check for check in verdicts if check.verdict == "fail"]
    if failures:
        return Item(name, "first_minutes", "missed", what, failures[0].what)
    is_off = state.facts is not None and "preflight" not in state.facts.stages
    # The checks come one by one: they have passed once training begins, and a later attempt that
    # checks again takes nothing back before it finds something.
    is_again = state.attempt > 1 and not state.has_come_to_train and _has_trained(state)
    if is_again and not is_off:
        return Item(name, "first_minutes", "met", what, "by the attempt before")
    if verdicts and (_has_trained(state) or state.ending is not None):
        return Item(name, "first_minutes", "met", what, counted(len(verdicts), "check"))
    return Item(name, "first_minutes", "open", what, "not checked: preflight is off" * is_off)


def _first_epoch(state: RunState) -> Iterator[Item]:
    seen, done = state.milestones, state.milestones.first_epoch
    is_lost = _has_failed(state)
    completes = _settled(is_met=done is not None, is_missed=is_lost)
    yield Item("first_epoch_completes", "first_epoch", completes, "it completes")
    before, after = seen.first_loss, None if done is None else done.train_loss
    has_fallen = before is not None and after is not None and after < before
    fell = _settled(is_met=has_fallen, is_missed=done is not None)
    figure = "" if done is None else f"{number(before)} to {number(after)}"
    yield Item("loss_falls", "first_epoch", fell, "the loss falls", figure)
    yield _first_score(state)
    lost = None if done is None else done.lost_fraction
    is_few = lost is not None and lost < FEW_LOST_FRACTION
    few = _settled(is_met=is_few, is_missed=lost is not None)
    what = f"under {percent(FEW_LOST_FRACTION, 0)} of the samples are skipped"
    yield Item("few_lost", "first_epoch", few, what, "" if lost is None else percent(lost, 1))


def _first_score(state: RunState) -> Item:
    accuracy, facts = state.milestones.first_accuracy, state.facts
    limit = first_accuracy_limit(facts.num_classes) if facts is not None else FIRST_ACCURACY
    what = f"accuracy above {percent(limit, 1)}"
    if accuracy is None:
        return Item("first_accuracy", "first_epoch", "open", what)
    status = _settled(is_met=accuracy > limit, is_missed=True)
    return Item("first_accuracy", "first_epoch", status, what, percent(accuracy))


def _whole_run(state: RunState) -> Iterator[Item]:
    is_done = state.phase == "finished"
    completes = _settled(is_met=is_done, is_missed=_has_failed(state))
    yield Item(
        "completes",
        "whole_run",
        completes,
        "it completes",
        f"epoch {_epoch(state)} of {state.epochs_planned}" if state.epochs else "",
    )
    yield _best_score(state, is_done=is_done)
    seen = state.milestones
    caught = f"{seen.num_caught} caught before the update" if seen.num_caught else ""
    if seen.num_let_through:
        caught = f"{seen.num_let_through} let through"
    is_broken = seen.num_let_through > 0
    finite = _settled(is_met=is_done and not is_broken, is_missed=is_broken)
    what = "no value that is not finite was let through"
    yield Item("finite", "whole_run", finite, what, caught)
    yield _repeatable(state, is_done=is_done)


def _best_score(state: RunState, *, is_done: bool) -> Item:
    target = None if state.facts is None else state.facts.target_accuracy
    best = None if state.best is None else state.best.accuracy
    figure = "" if best is None else percent(best)
    if target is None:
        what = "best accuracy above its target (none is set: train.target_accuracy)"
        return Item("best_accuracy", "whole_run", "open", what, figure)
    what = f"best accuracy above {percent(target)}"
    status = _settled(is_met=best is not None and best > target, is_missed=is_done)
    return Item("best_accuracy", "whole_run", status, what, figure)


def _repeatable(state: RunState, *, is_done: bool) -> Item:
    """Judge whether the same configuration gives the same weights again, on the same machine."""
    what = "it can be repeated to the last bit"
    facts, inexact = state.facts, state.milestones.inexact
    changes = [each for each in state.standing.changes if _counts(each)]
    why = ""
    if facts is not None and not facts.deterministic:
        why = "compute.deterministic is off"
    elif inexact:
        why = f"resumed: {inexact}"
    elif changes:
        why = f"{changes[0].key} was changed at step {changes[0].step}"
    if why:
        return Item("reproducible", "whole_run", "missed", what, why)
    digest = state.milestones.digest
    figure = "" if facts is None else f"seed {facts.seed}"
    figure += f", weights {digest[:12]}" if digest else ""
    # Without the digest nobody could tell whether a repetition gave the same.
    status = _settled(is_met=is_done and bool(digest), is_missed=False)
    return Item("reproducible", "whole_run", status, what, figure)


def _counts(change: ConfigChanged) -> bool:
    return change.key.startswith(_CHANGES_THAT_COUNT) and change.step > 0


def _has_trained(state: RunState) -> bool:
    """Say whether the run has begun to train, in whichever attempt."""
    return state.epoch >= 1 or state.milestones.first_loss is not None


def _epoch(state: RunState) -> int:
    """Return the epoch begun last; after a resumption, the one it goes on with."""
    resumed = state.standing.resumed
    is_to_go_on = resumed is not None and resumed.epoch == state.epoch
    return min(state.epochs_planned, state.epoch + is_to_go_on)


def _has_failed(state: RunState) -> bool:
    return state.phase in ("failed", "lost")


def _settled(*, is_met: bool, is_missed: bool) -> ItemStatus:
    return "met" if is_met else "missed" if is_missed else "open"
