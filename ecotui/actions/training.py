"""What can be done on the training screen."""

from __future__ import annotations

from typing import NamedTuple

from ecotui.actions.action import Action, with_run


class Tab(NamedTuple):
    """One tab of the training screen.

    Attributes:
        id: Of what it shows.
        key: As it stands on the keyboard.
        word: What it is called.
        short: The same where there is little room.
        help: What it shows.
    """

    id: str
    key: str
    word: str
    short: str
    help: str


TABS = (
    Tab("overview", "O", "Overview", "View", "what matters on one page"),
    Tab("charts", "C", "Charts", "Chart", "loss, accuracy, macro F1 and learning rate"),
    Tab("alerts", "A", "Alerts", "Alert", "every alert, to be filtered and opened"),
    Tab("checkpoints", "K", "Checkpoints", "Ckpt", "what is saved: resume from it, export, delete"),
    Tab("classes", "L", "Classes", "Class", "each class, and what it is taken for"),
    Tab("machine", "M", "Machine", "Mach", "processors, memory, disk, waiting for photos"),
    Tab("health", "H", "Health", "Hlth", "signs of health, layers and the scorecard"),
)


def _going_to(tab: Tab) -> Action:
    return Action(
        f"training.{tab.id}",
        tab.key,
        f"tab('{tab.id}')",
        tab.word,
        tab.help,
        place="training",
        when=with_run,
        in_footer=False,
    )


TRAINING: tuple[Action, ...] = (
    *map(_going_to, TABS),
    Action(
        "training.next_tab",
        "right_square_bracket",
        "turn(1)",
        "Next tab",
        "the next tab",
        place="training",
        when=with_run,
        in_footer=False,
    ),
    Action(
        "training.previous_tab",
        "left_square_bracket",
        "turn(-1)",
        "Previous tab",
        "the tab before",
        place="training",
        when=with_run,
        in_footer=False,
    ),
)
