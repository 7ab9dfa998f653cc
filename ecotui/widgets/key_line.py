"""The keys on the last line: all of them where there is room, else the weightiest and a mark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey, FooterLabel, KeyGroup

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
    def is_group(self) -> bool:
        """Whether it is several keys."""
        return len(self.bindings) > 1

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
        # As FooterKey and KeyGroup pad them: a space on both sides of a key, one after its word.
        return cell_len("".join(self.shown)) + cell_len(self.word) + 3

    def widgets(self) -> Iterable[Widget]:
        """Return what draws it."""
        if self.is_group:
            parts = zip(self.bindings, self.shown, strict=True)
            keys = [_footer_key(*each, shown, "", "-grouped") for each, shown in parts]
            yield KeyGroup(*keys, classes="-compact")
            yield FooterLabel(self.word)
        else:
            yield _footer_key(*self.bindings[0], self.shown[0], self.word, "")


class KeyLine(Footer):
    """Textual's footer, but never cut in the middle of a word.

    Where there is no room for all, the keys that give way first (`Action.gives_way`) are left
    out, and the key of the help, which names them all, stands last as `? more`.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)
        self._fitted = -1

    def compose(self) -> ComposeResult:
        """Lay out the keys for which there is room."""
        if not self._bindings_ready:
            return
        self._fitted = self.app.size.width
        for key in fitting(self._keys(), self._fitted):
            yield from key.widgets()

    def on_resize(self, event: events.Resize) -> None:
        """Use the room there is now."""
        del event
        if self._bindings_ready and self._fitted != self.app.size.width:
            self.call_after_refresh(self.recompose)

    def _keys(self) -> list[Key]:
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


def _footer_key(
    binding: Binding, enabled: bool, tooltip: str, shown: str, word: str, classes: str
) -> FooterKey:
    return FooterKey(
        binding.key,
        shown,
        word,
        binding.action,
        disabled=not enabled,
        tooltip=tooltip or binding.description,
        classes=classes,
    ).data_bind(compact=Footer.compact)
