"""The keys that work at this moment, from the bindings themselves, grouped by where they work."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

from ecotui.actions.action import Action, Situation
from ecotui.actions.everywhere import EVERYWHERE
from ecotui.screens.dialogs.keys import KeyGroup, KeyRow

MOVING = KeyGroup(
    "Moving about",
    (
        KeyRow("Tab, Shift+Tab", "next or previous panel"),
        KeyRow("arrows, PgUp, PgDn", "scroll the panel"),
    ),
)


def key_groups(
    screen: Screen[object], situation: Situation, keys_of: Callable[[Action], str]
) -> list[KeyGroup]:
    """Return what the keys do here: in the panel, on the screen, everywhere, and not now.

    Args:
        screen: In view.
        situation: Decides what is possible.
        keys_of: Returns the keys of an action as they stand on the keyboard.
    """
    panel, here, everywhere = dict[str, KeyRow](), dict[str, KeyRow](), dict[str, KeyRow]()
    for active in screen.active_bindings.values():
        if not active.binding.tooltip:
            continue
        group = _group_of(active.node, screen, (panel, here, everywhere))
        row = _row(screen.app, active.binding)
        before = group.get(row.does)
        group[row.does] = KeyRow(f"{before.key}, {row.key}", row.does) if before else row
    idle = [
        KeyRow(keys_of(action), action.help, is_possible=False)
        for action in EVERYWHERE
        if action.keys and not action.is_possible(situation)
    ]
    return [
        KeyGroup("In this panel", tuple(panel.values())),
        KeyGroup("On this screen", tuple(here.values())),
        KeyGroup("Everywhere", (*everywhere.values(), *idle)),
        MOVING,
    ]


def help_text(widget: Widget | None) -> str:
    """Return what a panel says of itself, or what is around it; empty where nothing does."""
    nodes = [] if widget is None else list(widget.ancestors_with_self)
    return next((text for node in nodes if (text := getattr(node, "HELP", None))), "")


def _group_of(
    node: DOMNode, screen: Screen[object], groups: tuple[dict[str, KeyRow], ...]
) -> dict[str, KeyRow]:
    panel, here, everywhere = groups
    if isinstance(node, App):
        return everywhere
    return here if node is screen else panel


def _row(app: App[object], binding: Binding) -> KeyRow:
    return KeyRow(app.get_key_display(binding), binding.tooltip)
