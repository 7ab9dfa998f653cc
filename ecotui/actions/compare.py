"""What can be done on the compare screen."""

from __future__ import annotations

from ecotui.actions.action import Action

COMPARE = (
    Action(
        "compare.figure",
        "f",
        "next_figure",
        "Figure",
        "draw the next figure: accuracy, macro F1, loss",
        place="compare",
    ),
    Action(
        "compare.back",
        "escape,b",
        "go_back",
        "Back",
        "back to the configs and runs",
        place="compare",
    ),
)
