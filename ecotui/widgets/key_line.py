"""The keys on the last line: all of them where there is room, else the weightiest and a mark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from ecotui.actions.table import BY_ID

HELP = "app.help"
MORE = "more"
_NO_ROOM_FOR = 1
"""How readily a key without an action of its own gives way: as most do."""


class Key(NamedTuple):  # a dataclass would take milliseconds of the first frame
    """A key, or several that go by one word.

    Attributes:
        bindings: With whether each can be used now, and its tooltip; one, unless they are a group.
        shown: The keys as they stand on the line.
        word: What they do.
    """

    bindings: tuple[tuple[Binding, bool, str], ...]
    shown: tuple[str, ...]
    word: str

    @property
    def id(self) -> str:
        """Of its action, or of the first of them."""
        return self.bindings[0][0].id or ""

    @property
    def gives_way(self) -> int:
        """How early it is left out; see `Action.gives_way`."""
        action = BY_ID.get(self.id)
        return _NO_ROOM_FOR if action is None else action.gives_way

    @property
    def cells(self) -> int:
        """Room that it takes."""
        # A space on both sides of the keys, one after their word.
        return cell_len("".join(self.shown)) + cell_len(self.word) + 3


class Spot(NamedTuple):
    """Where a key stands on the line, for the mouse.

    Attributes:
        start: Its first cell.
        stop: The cell after its last one.
        binding: What a click does.
        is_enabled: Whether it can be used now.
        tooltip: What it does, in more words.
    """

    start: int
    stop: int
    binding: Binding
    is_enabled: bool
    tooltip: str


class KeyLine(Widget, can_focus=False):
    """What Textual's footer shows, in one widget, and never cut in the middle of a word.

    Where there is no room for all, the keys that give way first (`Action.gives_way`) are left
    out, and the key of the help, which names them all, stands last as `? more`. A click on a key
    presses it. Textual makes a widget of every key, each with styles of its own: a fifth of the
    time that the first frame takes.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES = {"key-line--key", "key-line--word", "key-line--hovered"}  # noqa: RUF012
    DEFAULT_CSS = """
    KeyLine {
        dock: bottom;
        height: 1;
        text-wrap: nowrap;
        color: $footer-foreground;
        background: $footer-background;
        .key-line--key {
            color: $footer-key-foreground;
            background: $footer-key-background;
            text-style: bold;
        }
        .key-line--word {
            color: $footer-description-foreground;
            background: $footer-description-background;
        }
        .key-line--hovered { background: $block-hover-background; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys: list[Key] | None = None
        self._spots: list[Spot] = []
        self._hovered: Spot | None = None

    def on_mount(self) -> None:
        """Follow the keys that can be used."""
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def render(self) -> Content:
        """Return the keys for which there is room."""
        if self._keys is None:
            self._keys = self._known_keys()
        pieces: list[tuple[str, Style]] = []
        self._spots = []
        place = 0
        for key in fitting(self._keys, self.app.size.width):
            place = self._add(key, place, pieces)
        return Content.assemble(*pieces)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Press the key that was clicked."""
        spot = self._spot_at(event.x)
        if spot is None:
            return
        if spot.is_enabled:
            self.app.simulate_key(spot.binding.key)
        else:
            self.app.bell()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Show what the key under the mouse does."""
        self._hover(self._spot_at(event.x))

    def on_leave(self) -> None:
        """Forget the key that was under the mouse."""
        self._hover(None)

    def _hover(self, spot: Spot | None) -> None:
        if spot != self._hovered:
            self._hovered = spot
            self.tooltip = None if spot is None else Content(spot.tooltip)
            self.refresh()

    def _spot_at(self, x: int) -> Spot | None:
        return next((spot for spot in self._spots if spot.start <= x < spot.stop), None)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        # Where the terminal has lost the focus, no key can be used; that is not shown.
        if screen.app.app_focus and self.is_attached and screen is self.screen:
            keys = self._known_keys()
            if keys != self._keys:
                self._keys = keys
                self.refresh()

    def _add(self, key: Key, place: int, pieces: list[tuple[str, Style]]) -> int:
        """Add a key to the line; return where the next one begins."""
        last = len(key.shown) - 1
        for number, ((binding, is_enabled, tooltip), shown) in enumerate(
            zip(key.bindings, key.shown, strict=True)
        ):
            before = " " * (number == 0) + shown + " " * (number == last)
            after = f"{key.word} " if number == last else ""
            stop = place + cell_len(before) + cell_len(after)
            spot = Spot(place, stop, binding, is_enabled, tooltip or binding.description)
            self._spots.append(spot)
            pieces.append((before, self._style("key-line--key", spot)))
            pieces.append((after, self._style("key-line--word", spot)))
            place = stop
        return place

    def _style(self, part: str, spot: Spot) -> Style:
        style = self.get_visual_style(part)
        if spot == self._hovered:
            style += self.get_visual_style("key-line--hovered", partial=True)
        return style if spot.is_enabled else style + Style(dim=True)

    def _known_keys(self) -> list[Key]:
        found: dict[object, list[tuple[Binding, bool, str]]] = {}
        done: set[str] = set()
        for _, binding, enabled, tooltip in self.screen.active_bindings.values():
            if not binding.show or binding.action in done:
                continue
            done.add(binding.action)
            name = binding.group or binding.action
            found.setdefault(name, []).append((binding, enabled, tooltip))
        return [self._key(tuple(each)) for each in found.values()]

    def _key(self, bindings: tuple[tuple[Binding, bool, str], ...]) -> Key:
        first = bindings[0][0]
        is_group = len(bindings) > 1 and first.group is not None
        word = first.group.description if is_group and first.group else first.description
        shown = tuple(self.app.get_key_display(binding) for binding, _, _ in bindings)
        return Key(bindings, shown, word)


def fitting(keys: Sequence[Key], room: int) -> list[Key]:
    """Return the keys for which there is room, in their order.

    Args:
        keys: All of them.
        room: Cells.
    """
    if sum(key.cells for key in keys) <= room:
        return list(keys)
    more = [Key(key.bindings, key.shown, MORE) for key in keys if key.id == HELP]
    others = [key for key in keys if key.id != HELP]
    left = room - sum(key.cells for key in more)
    kept = set[int]()
    # The first of those that stay as long as each other; a shorter one after it may still fit.
    for place in sorted(range(len(others)), key=lambda place: others[place].gives_way):
        if others[place].cells <= left:
            kept.add(place)
            left -= others[place].cells
    return [*(others[place] for place in sorted(kept)), *more]
