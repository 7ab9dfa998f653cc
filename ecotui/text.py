"""Numbers to words, and the one sanitiser of foreign strings.

File names, class names, exception text and logs come from outside; a terminal
acts on the control sequences in them. `visible` is the single place where they
are made harmless; every face and every event passes foreign text through it.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Iterable

MAX_FOREIGN_CHARACTERS = 2_000
"""A longer foreign string is cut, so that no line can flood a screen or the log."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are controls, bidi marks, zero-width, surrogates or unassigned."""

_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that show nothing, so that two names would look the same."""

_VARIATION_SELECTORS = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
"""Ranges of marks that choose a glyph and show nothing themselves."""

_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}


def visible(foreign: object, *, limit: int = MAX_FOREIGN_CHARACTERS) -> str:
    r"""Return foreign text on one line with every invisible character spelt out.

    Controls (C0, C1, DEL), bidi overrides, zero-width characters and lone
    surrogates become escapes such as ``\e``, ``\n`` or ``\u202e``; the result
    holds printable characters only and can be encoded as UTF-8.

    Args:
        foreign: Anything; its `str` is taken.
        limit: Longest result in characters; the rest becomes an ellipsis.
    """
    raw = str(foreign)
    if len(raw) <= limit and raw.isascii() and raw.isprintable():
        return raw  # Nearly all text is: a log is searched twenty times as fast.
    shown = "".join(_shown(character) for character in raw[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def is_plain(text: str) -> bool:
    """Say whether a text can be shown as it is: `visible` would change none of its characters."""
    return all(_shown(character) == character for character in text)


def visible_lines(foreign: str, *, limit: int = MAX_FOREIGN_CHARACTERS) -> list[str]:
    """Return foreign text of several lines as a list of harmless lines."""
    return [visible(line, limit=limit) for line in foreign.splitlines()]


def _shown(character: str) -> str:
    if character in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[character]
    if not _is_hidden(character):
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_hidden(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    return (
        unicodedata.category(character) in _HIDDEN_CATEGORIES
        or character in _BLANK_LETTERS
        or any(first <= ord(character) <= last for first, last in _VARIATION_SELECTORS)
    )


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return the known names most like a misspelt one, best first."""
    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.5)


def duration(seconds: float | None) -> str:
    """Return a span of time in words: ``8 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def slower(learning_rate_factor: float | None) -> str:
    """Return what a rollback does to the learning rate, to follow what else it does."""
    if learning_rate_factor is None or learning_rate_factor >= 1.0:
        return ""
    return f", with {number(learning_rate_factor, 3)} of the learning rate"


def bytes_size(num_bytes: int | float) -> str:
    """Return a size in decimal units: ``12 bytes``, ``3.4 kB``, ``1.0 GB``."""
    if num_bytes < 1_000:
        return f"{int(num_bytes)} bytes"
    units = ("kB", "MB", "GB", "TB")
    exponent = 1
    while num_bytes / 1_000**exponent >= 999.95 and exponent < len(units):
        exponent += 1
    return f"{num_bytes / 1_000**exponent:.1f} {units[exponent - 1]}"


def percent(fraction: float | None, digits: int = 2) -> str:
    """Return a fraction (0 to 1) as a percentage: ``72.34%``; ``?`` when unknown."""
    if fraction is None or not math.isfinite(fraction):
        return "?"
    return f"{100 * fraction:.{digits}f}%"


def number(value: float | None, digits: int = 4) -> str:
    """Return a measured number with a fixed count of decimals; ``?`` when unknown."""
    if value is None or not math.isfinite(value):
        return "?"
    return f"{value:.{digits}f}"


def counted(count: int, singular: str, plural: str = "") -> str:
    """Return a count with its noun: ``1 epoch``, ``20 epochs``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listed(names: Iterable[str], *, limit: int = 8) -> str:
    """Return names as one phrase, the tail summed up: ``a, b, c and 4 more``."""
    every = list(names)
    shown = ", ".join(every[:limit])
    return shown if len(every) <= limit else f"{shown} and {len(every) - limit} more"


def sentence(words: str) -> str:
    """Return words that begin with a capital letter."""
    return words[:1].upper() + words[1:]
