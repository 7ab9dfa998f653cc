"""Settings put into a TOML file as a person would: its remarks and its order stay.

The standard library reads TOML and writes none, and a writer of whole files would drop every
remark. This changes the lines of the keys concerned, and then reads the result: where it does not
say what it should (a value over several lines, a dotted key), nothing is changed and the person is
told which lines to write.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import tomli_w

from ecotui.errors import UsageError
from ecotui.text import visible

Settings = Mapping[str, Mapping[str, Any]]
"""Values by section and key; None takes the key away."""
_HEADING = re.compile(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]\s*(#.*)?")
_ANY_HEADING = re.compile(r"\s*\[")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")


def edited(source: str, settings: Settings, *, label: str) -> str:
    """Return a TOML text with some settings changed.

    Args:
        source: The text.
        settings: What is to stand in it.
        label: What to call the file in messages.

    Raises:
        UsageError: It cannot be done line by line.
    """
    lines = source.splitlines()
    for section, values in settings.items():
        for key, value in values.items():
            _put(lines, section, key, value)
    text = "\n".join(lines) + "\n"
    if not _says(text, _wanted(source, settings, label)):
        written = "; ".join(_as_lines(settings))
        raise UsageError(
            f"{visible(label)} is written in a way that only a person should change",
            "one key a line under its [section]",
            f"write these yourself: {visible(written, limit=400)}",
        )
    return text


def _as_lines(settings: Settings) -> list[str]:
    return [
        f"{section}.{line}"
        for section, values in settings.items()
        for line in tomli_w.dumps({k: v for k, v in values.items() if v is not None}).splitlines()
    ]


def _wanted(source: str, settings: Settings, label: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(source)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{visible(label)} is not TOML: {visible(error)}",
            "a config that can be read",
            "correct that line",
        ) from None
    for section, values in settings.items():
        inner = table.setdefault(section, {})
        if not isinstance(inner, dict):
            continue  # What is read back will differ, and that is told.
        for key, value in values.items():
            inner.pop(key, None)
            if value is not None:
                inner[key] = value
    return {name: value for name, value in table.items() if value != {}}


def _says(text: str, wanted: dict[str, Any]) -> bool:
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return {name: value for name, value in found.items() if value != {}} == wanted


def _put(lines: list[str], section: str, key: str, value: object) -> None:
    begin, end = _extent(lines, section)
    line = None if value is None else tomli_w.dumps({key: value}).strip()
    for at in range(begin, end):
        found = _KEY.match(lines[at])
        if found is not None and found.group(1) == key:
            lines[at : at + 1] = [] if line is None else [line + _remark(lines[at])]
            return
    if line is None:
        return
    if begin == end and not _has_section(lines, section):
        lines += ["", f"[{section}]", line] if lines else [f"[{section}]", line]
        return
    while end > begin and not lines[end - 1].strip():
        end -= 1  # The blank lines before the next section stay there.
    lines.insert(end, line)


def _has_section(lines: list[str], section: str) -> bool:
    return any(_is_heading(line, section) for line in lines)


def _is_heading(line: str, section: str) -> bool:
    found = _HEADING.fullmatch(line)
    return found is not None and found.group(1) == section


def _extent(lines: list[str], section: str) -> tuple[int, int]:
    """Return the first line after a section's heading, and the line after its last."""
    for at, line in enumerate(lines):
        if _is_heading(line, section):
            later = range(at + 1, len(lines))
            end = next((each for each in later if _ANY_HEADING.match(lines[each])), len(lines))
            return at + 1, end
    return len(lines), len(lines)


def _remark(line: str) -> str:
    """Return what a person wrote behind a value; nothing where it may be part of the value."""
    _, _, rest = line.partition("=")
    value, mark, remark = rest.partition("#")
    if not mark or '"' in rest or "'" in rest:
        return ""
    return f"{' ' * (len(value) - len(value.rstrip()) or 1)}#{remark}"
