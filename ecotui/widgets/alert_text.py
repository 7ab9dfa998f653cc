"""An alert as one line of a log, and as all that is known of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from textual.content import Content

from ecotui.alert_lines import AlertRow
from ecotui.alert_register import ALERT_REGISTER, page_of
from ecotui.findings import LAYER_NAMES
from ecotui.text import listed, sentence, visible
from ecotui.widgets.marks import RECOVERED, SET_ASIDE, SEVERITIES, Mark

UNSEEN = "•"
_WORD_CELLS = 9
_LAYER_CELLS = 12


def mark_of(row: AlertRow) -> tuple[Mark, str]:
    """Return the mark of an alert and its word."""
    if row.is_over:
        return RECOVERED, "over"
    if row.kind == "sample_set_aside":
        return SET_ASIDE, "set aside"
    return SEVERITIES[row.level], row.level


def clock(at: float) -> str:
    """Return the time of day of an alert."""
    return time.strftime("%H:%M:%S", time.localtime(at)) if 0 < at < 2**40 else "--:--:--"


def line_of(row: AlertRow, *, is_seen: bool) -> Content:
    """Return an alert on one line: seen or not, time, level, layer, what, files, advice."""
    mark, word = mark_of(row)
    new = " " if is_seen else UNSEEN
    style = "$foreground-muted" if is_seen else mark.style
    parts: list[Content | tuple[str, str]] = [
        (f"{new} ", "bold"),
        (f"{clock(row.at)} ", "$foreground-muted"),
        (f"{mark.symbol} {word:{_WORD_CELLS}} ", style),
        (f"{layer_words(row):{_LAYER_CELLS}}", "$foreground-muted"),
        (_words(row), ""),
    ]
    if row.advice:
        parts.append((f". {sentence(visible(row.advice))}", "$foreground-muted"))
    return Content.assemble(*parts)


def layer_words(row: AlertRow) -> str:
    """Return number and name of an alert's layer; empty where it has none."""
    name = LAYER_NAMES.get(row.layer) if row.layer else None  # type: ignore[call-overload]
    return "" if name is None else f"{row.layer} {name}"


def _words(row: AlertRow) -> str:
    done = f"; {row.done}" if row.done else ""
    is_told = row.kind == "sample_set_aside"
    named = f" [{listed(map(visible, row.files), limit=3)}]" if row.files and not is_told else ""
    return f"{visible(row.what)}{done}{named}"


def detail_lines(row: AlertRow) -> Iterator[Content]:
    """Yield all that is known of an alert, and what its page says of it."""
    entry = ALERT_REGISTER.get(row.name)
    mark, word = mark_of(row)
    title = f": {entry.title}" if entry is not None else ""
    yield Content.styled(f"{mark.symbol} {word}{title}", f"bold {mark.style}")
    yield Content(sentence(visible(row.what)))
    at = clock(row.at)
    step = "" if row.step is None else f", step {row.step:,}"
    layer = f", layer {layer_words(row)}" if layer_words(row) else ""
    yield Content.styled(f"at {at}{step}{layer}", "$foreground-muted")
    yield from _told("Figures", visible(row.figures))
    yield from _told("Done about it", row.done)
    if row.files:
        yield Content.styled("Files", "bold $text-primary")
        yield from (Content(f"  {visible(path)}") for path in row.files)
    yield from _told("Advice", sentence(visible(row.advice)))
    if entry is not None:
        yield from _told("Why it matters", sentence(entry.why))
        yield Content.styled("What you can do", "bold $text-primary")
        yield from (Content(f"  {at}. {each}") for at, each in enumerate(entry.remedies, start=1))
    yield from _told("Page", page_of(row.name))
    yield from _told("Record", visible(row.record))


def _told(name: str, words: str) -> Iterator[Content]:
    if words:
        yield Content.assemble((f"{name}: ", "bold $text-primary"), words)
