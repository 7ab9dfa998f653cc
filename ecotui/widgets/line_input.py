"""A line to type in that lets through to the terminal only what can be seen."""

from __future__ import annotations

from textual.widgets import Input

from ecotui.text import is_plain


class LineInput(Input):
    """An input without controls and bidi marks, whether they were pasted or come from a name.

    The terminal would act on them: Textual's own input draws its value as it is.
    """

    def validate_value(self, value: str) -> str:
        """Return a value without what cannot be seen."""
        return value if is_plain(value) else "".join(filter(is_plain, value))
