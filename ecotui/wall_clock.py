"""Spans of wall-clock time as people and schedulers write them."""

from __future__ import annotations

import re
import time

from ecotui.errors import UsageError
from ecotui.text import visible

_WITH_DAYS = re.compile(r"(\d{1,5})-(\d{1,2})(?::(\d{1,2})(?::(\d{1,2}))?)?")
_CLOCK = re.compile(r"(?:(\d{1,5}):)?(\d{1,5}):(\d{1,2})")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,6})?")


def parse_span(written: str) -> float:
    """Return a span in seconds, above zero.

    Args:
        written: `SECONDS`, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS`.

    Raises:
        UsageError: It is none of these, or zero.
    """
    text = written.strip()
    seconds = 0.0
    if _SECONDS.fullmatch(text):
        seconds = float(text)
    elif found := _WITH_DAYS.fullmatch(text):
        days, hours, minutes, rest = (int(part or 0) for part in found.groups())
        seconds = ((days * 24 + hours) * 60 + minutes) * 60.0 + rest
    elif found := _CLOCK.fullmatch(text):
        hours, minutes, rest = (int(part or 0) for part in found.groups())
        seconds = (hours * 60 + minutes) * 60.0 + rest
    if seconds <= 0:
        raise UsageError(
            f"'{visible(written, limit=40)}' is no span of time",
            "seconds, MM:SS, HH:MM:SS or D-HH:MM:SS, above zero",
            "write --time-limit 23:50:00 for ten minutes less than a day",
        )
    return seconds


def end_of(time_limit: str | None, *, now: float | None = None) -> float | None:
    """Return when a time limit that begins now is over, unix seconds; None without one.

    Raises:
        UsageError: The limit is no span of time.
    """
    if time_limit is None:
        return None
    return (time.time() if now is None else now) + parse_span(time_limit)
