"""Verdicts of checks: what was seen, what was expected, and what to do."""

from __future__ import annotations

from textual.content import Content

from ecotui.events import CheckReported
from ecotui.text import visible
from ecotui.widgets.marks import VERDICTS
from ecotui.widgets.tail_text import TailText


class VerdictList(TailText):
    """Checks in the order they came, each with symbol, word and what was seen."""

    def __init__(self, title: str, empty: str) -> None:
        super().__init__()
        self._empty = empty
        self._shown: tuple[CheckReported, ...] | None = None
        self.border_title = title

    def show(self, checks: tuple[CheckReported, ...]) -> None:
        """Show the verdicts."""
        if checks == self._shown:
            return
        self._shown = checks
        self.write([_lines(check) for check in checks], empty=self._empty)


def _lines(check: CheckReported) -> Content:
    mark = VERDICTS[check.verdict].before(f"{check.verdict:4}")
    parts: list[Content | tuple[str, str]] = [mark, (f"  {visible(check.what)}", "")]
    if check.expected:
        parts.append((f"\n        expected: {visible(check.expected)}", "$text-muted"))
    if check.remedy:
        parts.append((f"\n        to fix: {visible(check.remedy)}", "$text-accent"))
    return Content.assemble(*parts)
