"""What can be done in a panel that has the focus."""

from __future__ import annotations

from ecotui.actions.action import Action


def _key(
    name: str, keys: str, does: str, word: str, words: str, *, changes: bool = False
) -> Action:
    """Return an action of a panel, which its title or hint names rather than the footer."""
    return Action(name, keys, does, word, words, place="panel", changes=changes, in_footer=False)


LOG = (
    _key("log.search", "slash", "search", "Search", "find words in the log"),
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

CURVES = (
    _key("curves.zoom_in", "plus,equals_sign", "zoom_by(1)", "Zoom in", "half the steps"),
    _key("curves.zoom_out", "minus", "zoom_by(-1)", "Zoom out", "twice as many steps"),
    _key("curves.whole", "0", "whole", "Whole", "the whole run"),
    _key("curves.earlier", "left", "move(-1)", "Earlier", "earlier steps"),
    _key("curves.later", "right", "move(1)", "Later", "later steps"),
    _key("curves.follow", "f", "follow_newest", "Follow", "stay with the newest step"),
    _key("curves.log", "x", "log_scale", "Log", "logarithmic scale of loss and learning rate"),
    _key("curves.smooth", "w", "smooth", "Smooth", "smooth more, and then not at all"),
    _key("curves.alone", "v", "alone", "One", "one chart alone, then the next, then all"),
)
"""Heard by every `Curves`."""

CLASSES = (_key("classes.order", "o", "order", "Order", "another order of the classes"),)
"""Heard by every `ClassTable`."""

CONFUSION = (_key("confusion.units", "u", "units", "Units", "images, or percent of the row"),)
"""Heard by every `ConfusionMatrix`."""

LAYERS = (
    _key("layers.up", "up,k", "go(-1)", "Up", "the layer above"),
    _key("layers.down", "down,j", "go(1)", "Down", "the layer below"),
    _key("layers.open", "enter", "choose", "Open", "what this layer did, and its guards"),
)
"""Heard by the strip of the seven layers."""

ALERTS = (
    _key("alerts.level", "f", "level", "Level", "the levels shown: all, from warning, critical"),
    _key("alerts.filter", "t", "filter_text", "Text", "leave alerts that hold these words"),
    _key("alerts.everything", "e", "show_everything", "All", "every alert again"),
    _key("alerts.acknowledge", "a", "acknowledge", "Seen", "mark this alert as seen"),
    _key("alerts.acknowledge_all", "X", "acknowledge_all", "All seen", "mark every alert as seen"),
)
"""Heard by the log of alerts, beside the keys of every log."""

CHECKPOINTS = (
    _key("checkpoints.resume", "enter", "resume", "Resume", "go on from here", changes=True),
    _key("checkpoints.export", "x", "export", "Export", "export the best model", changes=True),
    _key("checkpoints.delete", "delete,D", "delete", "Delete", "remove this one", changes=True),
)
"""Heard by the table of checkpoints."""
