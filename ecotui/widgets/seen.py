"""Which parts of the state changed since they were last shown, told by their identity.

`RunState` is frozen and its tuples are replaced only when something in them changes, so that two
states share what did not: comparing identities costs nothing, however long the tuples are.
"""

from __future__ import annotations

_PLAIN = (str, int, float, bool, type(None))


class Seen:
    """Remembers the parts that were shown last.

    Example:
        if self._seen.are_new(state.checkpoints, state.best):
            self._draw(state.checkpoints, state.best)
    """

    def __init__(self) -> None:
        self._parts: tuple[object, ...] | None = None

    def are_new(self, *parts: object) -> bool:
        """Say whether any part is another one than at the last call, and remember them.

        Text, numbers and None count by their value, everything else by its identity.
        """
        before, self._parts = self._parts, parts
        if before is None or len(before) != len(parts):
            return True
        return not all(_is_same(old, new) for old, new in zip(before, parts, strict=True))

    def forget(self) -> None:
        """Have the next call say yes."""
        self._parts = None


def _is_same(old: object, new: object) -> bool:
    if old is new:
        return True
    # Equal is not the same for 1 and True, nor for a tuple that was made anew.
    return isinstance(old, _PLAIN) and type(old) is type(new) and old == new
