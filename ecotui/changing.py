"""The questions that come before a change of a running run: rate, epochs, guards."""

from __future__ import annotations

from collections.abc import Iterable

from ecotui.alert_register import GUARDS
from ecotui.commands import SilenceGuard
from ecotui.errors import EcoError
from ecotui.events import GuardTripped
from ecotui.guard_standing import silenced
from ecotui.paths import RunDir
from ecotui.resuming import config_of
from ecotui.run_state import RunState
from ecotui.screens.dialogs.choice import Choice, ChoiceScreen
from ecotui.screens.dialogs.value import ValueScreen, epochs_fault, learning_rate_fault
from ecotui.text import counted


def rate_question(state: RunState, run: RunDir | None) -> ValueScreen:
    """Return the question for another peak of the learning rate."""
    peak = _setting(run, "train", "learning_rate")
    now = "" if state.learning_rate is None else f"{state.learning_rate:.3g} now. "
    told = f"{now}The peak of its schedule, which keeps its shape, from the next step on."
    value = peak or ("" if state.learning_rate is None else f"{state.learning_rate:.3g}")
    return ValueScreen("Learning rate", told, value, learning_rate_fault)


def epochs_question(state: RunState) -> ValueScreen:
    """Return the question for another total of epochs."""
    done = max(0, state.epoch - 1)
    told = f"{counted(state.epochs, 'epoch')} planned, {done} done. How many in all?"
    return ValueScreen("Epochs", told, str(state.epochs), epochs_fault(done))


def guard_question(state: RunState, run: RunDir | None) -> ChoiceScreen:
    """Return the question which guard is to act no more, or again; those that tripped first."""
    tripped = [alert.guard for alert in state.alerts if isinstance(alert, GuardTripped)]
    names = dict.fromkeys((*reversed(tripped), *GUARDS))
    silent = silenced(state, run)
    choices = [_choice(name, silent, tripped) for name in names]
    return ChoiceScreen("Silence a guard, or let it act again", choices)


def guard_command(name: str, state: RunState, run: RunDir | None) -> SilenceGuard:
    """Return the request that turns a guard's silence round."""
    return SilenceGuard(guard=name, silent=name not in silenced(state, run))


def _choice(name: str, silent: Iterable[str], tripped: Iterable[str]) -> Choice:
    does = "silenced" if name in silent else "acts"
    has = ", has tripped" if name in tripped else ""
    title = f": {GUARDS[name].title}" if name in GUARDS else ""
    return Choice(name, name, f"{does}{has}{title}")


def _setting(run: RunDir | None, section: str, name: str) -> str:
    try:
        value = None if run is None else getattr(getattr(config_of(run), section), name)
    except EcoError:
        return ""
    return f"{value:g}" if isinstance(value, float) else ""
