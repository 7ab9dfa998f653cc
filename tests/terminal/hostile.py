"""Forty strings that a terminal, markup or a screen could stumble over, and what may be sent to it.

For tests of screens to go through: `HOSTILE` as names of files, classes and runs, `fill` to put
them into the events of a recording, `offences` to look through what reached the terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from itertools import cycle

from ecotui.events import AnyEvent, CheckReported, GuardTripped
from ecotui.stream import decode
from ecotui.text import visible

HOSTILE = (
    "\x1b[31mred",
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]52;c;cHduZWQ=\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1bP+q544e\x1b\\",
    "\x1b_Gf=100;AAAA\x1b\\",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[?1049l",
    "\x1b[?1000h",
    "\x1b[?2004h",
    "\x1bc",
    "\x1b",
    "\x9b31mC1",
    "\x9d0;title\x9c",
    "\x90q\x9c",
    "\x07bell",
    "back\x08\x08\x08space",
    "carriage\rreturn",
    "line\nfeed",
    "tab\ttab",
    "form\x0cfeed\x0bvt",
    "nul\x00nul",
    "\x7fdelete",
    "shift\x0eout\x0fin",
    "\u202eoverride",
    "\u2066isolate\u2069",
    "zero\u200bwidth\u200d\ufeff",
    "combining" + "\u0301" * 60,
    "\ud83d lone surrogate",
    "\udcff byte",
    "\u2028separator\u2029",
    "[/",
    "[/bold]",
    "[@click=app.quit]click[/]",
    "[bold red on white]bold[/]",
    "[link=file:///etc/passwd]x[/link]",
    "日本語 " + "宽" * 40,
    "x" * 3_000,
)

_PLACES = ("cardboard", "glass", "truncated file", "Python 3.11.9", "regnetx_002", "paper", "trash")
"""Words of the recordings that stand for something from outside."""


def fill(events: Iterable[AnyEvent], strings: Iterable[str] = HOSTILE) -> list[AnyEvent]:
    """Return events whose names and texts from outside are hostile, each place another one.

    They pass the border that every event passes on its way into the log: `text.visible`.
    """
    return _filled(events, [visible(each, limit=200) for each in strings])


def fill_raw(events: Iterable[AnyEvent], strings: Iterable[str] = HOSTILE) -> list[AnyEvent]:
    """Return the same as a log would hold that was not written by an honest engine."""
    # What cannot be written as UTF-8 cannot stand in a log.
    sound = [each for each in strings if each.isprintable() or each.isascii() or _is_text(each)]
    return _filled(events, sound)


def _is_text(string: str) -> bool:
    return not any(0xD800 <= ord(each) <= 0xDFFF for each in string)


def _filled(events: Iterable[AnyEvent], strings: list[str]) -> list[AnyEvent]:
    turn = cycle(strings)
    found = list[AnyEvent]()
    for event in events:
        line = event.model_dump_json()
        for place in _PLACES:
            if place in line:
                line = line.replace(place, json.dumps(next(turn))[1:-1])
        changed = decode(line.encode())
        assert changed is not None, line
        found.append(changed)
        if isinstance(changed, CheckReported | GuardTripped):
            # As many again as there are strings, so that each of them is seen somewhere.
            copies = [changed.model_copy(update={"what": each}) for each in strings]
            found += copies if not _is_there(found[:-1], changed) else []
    return found


def _is_there(found: list[AnyEvent], event: CheckReported | GuardTripped) -> bool:
    return any(each.kind == event.kind and each.layer == event.layer for each in found)


_ALLOWED = (
    re.compile(rb"\x1b\[[0-9;]*m"),  # SGR: colours and emphasis
    re.compile(rb"\x1b\[[0-9;]*H"),  # cursor position
    re.compile(rb"\x1b\[\??(25|1000|1002|1003|1004|1006|1015|1016|1049|2004|2026|2048|2031)[hl]"),
    re.compile(rb"\x1b\[\?(2026|2048)\$p"),  # asks for synchronised output, in-band resizing
    re.compile(rb"\x1b\[[<>=]?[0-9]*u"),  # the Kitty keyboard protocol
    re.compile(rb"\x1b\[\?[0-9;]*u"),
    re.compile(rb"\x1b\[[0-9]*[ABCDGJK]"),  # moving and erasing
    re.compile(rb"\x1b\[\?7[hl]"),
    re.compile(rb"\x1b\[\?4m"),
    re.compile(rb"\x1b\]22;[a-z-]+\x07"),  # the shape of the mouse pointer
)
"""What Textual itself sends; anything else has come through from a string."""
_SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.?)",
    re.S,
)
_CONTROLS = re.compile(rb"[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f]")


def offences(stream: bytes, allow: Callable[[bytes], bool] = lambda _: False) -> list[bytes]:
    """Return what stands in a stream of bytes to a terminal and has no business there.

    Args:
        stream: Everything that was written to it.
        allow: Further sequences that are meant, such as a copy that a test asked for.
    """
    found = [
        sequence
        for sequence in _SEQUENCE.findall(stream)
        if not any(each.fullmatch(sequence) for each in _ALLOWED) and not allow(sequence)
    ]
    return found + _CONTROLS.findall(_SEQUENCE.sub(b"", stream))
