"""A stylesheet of Textual's that parses each source once, however often the app asks."""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

MOST_SOURCES = 512
"""Of one look; Textual keeps 64, and the widgets of all screens have more."""


class ParsedOnce(Stylesheet):
    """Keeps what was parsed for as long as the variables, which are a theme's, stay the same.

    Textual 8.2 forgets it whenever a screen is first shown, a file of rules is read or the theme
    is looked at again, and parses everything anew: five times before the first frame.
    """

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(MOST_SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Forget what was parsed where a variable has another value now."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Put the rules of all sources together; those known already are not parsed again."""
        self.parse()
