"""Photos that hang together through pairs of them."""

from __future__ import annotations

from collections import defaultdict


class Groups:
    """Groups that grow as pairs are added (union-find, with path halving)."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def are_joined(self, one: int, other: int) -> bool:
        """Say whether two photos hang together."""
        return self._root(one) == self._root(other)

    def join(self, one: int, other: int) -> None:
        """Let two photos, and what hangs together with them, be one group."""
        low, high = sorted((self._root(one), self._root(other)))
        self._parent[high] = low

    def members(self) -> list[list[int]]:
        """Return the groups of two and more, each ascending, by their first."""
        found: dict[int, list[int]] = defaultdict(list)
        for each in sorted(self._parent):
            found[self._root(each)].append(each)
        return [group for group in found.values() if len(group) > 1]

    def _root(self, each: int) -> int:
        parent = self._parent
        while parent.setdefault(each, each) != each:
            parent[each] = parent[parent[each]]
            each = parent[each]
        return each
