"""What can be done in a panel that has the focus."""

from __future__ import annotations

from ecotui.actions.action import Action

LOG = (
    Action("log.search", "slash", "search", "Search", "find words in the log", place="panel"),
    Action(
        "log.next",
        "n",
        "next_match",
        "Next",
        "the next line with these words",
        place="panel",
        in_footer=False,
    ),
    Action(
        "log.previous",
        "N",
        "previous_match",
        "Previous",
        "the line before with these words",
        place="panel",
        in_footer=False,
    ),
    Action("log.up", "up,k", "go(-1)", "Up", "one line up", place="panel", in_footer=False),
    Action("log.down", "down,j", "go(1)", "Down", "one line down", place="panel", in_footer=False),
    Action(
        "log.page_up",
        "pageup,ctrl+b",
        "page(-1)",
        "Page up",
        "one page up",
        place="panel",
        in_footer=False,
    ),
    Action(
        "log.page_down",
        "pagedown,ctrl+f",
        "page(1)",
        "Page down",
        "one page down",
        place="panel",
        in_footer=False,
    ),
    Action("log.top", "home,g", "top", "Top", "the first line", place="panel", in_footer=False),
    Action(
        "log.end",
        "end,G",
        "end",
        "End",
        "the last line, and follow what is new",
        place="panel",
        in_footer=False,
    ),
    Action(
        "log.choose",
        "enter",
        "choose",
        "Open",
        "more about this line",
        place="panel",
        in_footer=False,
    ),
)
"""Heard by every `LogView`."""
