"""What an action is: its key, its words, and when it is possible; knows no screen."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, NamedTuple

Place = Literal[
    "everywhere",
    "home",
    "diagnostic",
    "preflight",
    "training",
    "results",
    "compare",
    "config",
    "panel",
]
"""Where a key is heard: everywhere, on one screen, or in the panel that has the focus."""


class Situation(NamedTuple):  # a dataclass takes a millisecond of the first frame
    """What decides whether an action is possible.

    Attributes:
        screen: Name of the screen in view.
        has_run: A run is shown.
        is_live: Its engine is at work.
        has_begun_training: It has taken at least one step.
        is_paused: It stands still.
        is_resumable: It has ended and can go on.
        is_readonly: The app takes no request.
        is_replay: What is shown is a log that is played again; there is no engine to ask.
        is_playing: It is not at its end.
        pending: Kinds of the commands that the engine has not answered yet.
    """

    screen: str = "home"
    has_run: bool = False
    is_live: bool = False
    has_begun_training: bool = False
    is_paused: bool = False
    is_resumable: bool = False
    is_readonly: bool = False
    is_replay: bool = False
    is_playing: bool = False
    pending: frozenset[str] = frozenset()


When = Callable[[Situation], bool]


def always(situation: Situation) -> bool:
    """Possible at any time."""
    del situation
    return True


def with_run(situation: Situation) -> bool:
    """Possible while a run is shown."""
    return situation.has_run


def while_live(situation: Situation) -> bool:
    """Possible while the engine of the run shown is at work."""
    return situation.has_run and situation.is_live


def when_ended(situation: Situation) -> bool:
    """Possible once the run shown has ended."""
    return situation.has_run and not situation.is_live and not situation.is_replay


def in_replay(situation: Situation) -> bool:
    """Possible while a log is played again, up to its end."""
    return situation.is_replay and situation.is_playing


def with_training(situation: Situation) -> bool:
    """Possible once the run shown has begun to train."""
    return situation.has_run and situation.has_begun_training


class Action(NamedTuple):
    """One thing that a person can do.

    Attributes:
        id: Stable name, `place.verb`, by which `[keys]` of the user's app.toml gives it others.
        keys: Keys as Textual names them, separated by commas; empty for the palette alone.
        does: Name of the method without `action_`, with arguments where it takes any:
            `stop`, `show_screen('training')`. It is looked for where the action's place is:
            on the app, the screen or the panel.
        word: One or two words for the footer.
        help: What it does, for the help and the palette: a phrase without a full stop.
        place: Where its keys are heard.
        when: Whether it is possible; impossible ones are neither shown nor heard.
        changes: Asks something of an engine or changes files; not offered with `--readonly`.
        in_footer: Whether the footer has room for it.
        gives_way: How early the footer leaves it out where it is short of room; 0 stays longest.
        outranks: Heard before the panel in focus hears the key, and in dialogs as well.
    """

    id: str
    keys: str
    does: str
    word: str
    help: str
    place: Place = "everywhere"
    when: When = always
    changes: bool = False
    in_footer: bool = True
    gives_way: int = 1
    outranks: bool = False

    def is_possible(self, situation: Situation) -> bool:
        """Say whether the action is offered now."""
        return not (self.changes and situation.is_readonly) and self.when(situation)


def named(
    actions: Sequence[Action], does: str, parameters: tuple[object, ...] = ()
) -> Action | None:
    """Return the action that a method belongs to, by its name and its arguments."""
    return next((each for each in actions if _called(each.does) == (does, parameters)), None)


@cache
def _called(does: str) -> tuple[str, tuple[object, ...]]:
    name, _, arguments = does.partition("(")
    return name, ast.literal_eval(f"({arguments[:-1]},)") if arguments[:-1] else ()
