"""Settings put into a TOML file as a person would: its remarks, order and line ends stay.

The standard library reads TOML and writes none, and a writer of whole files would drop every
remark. This changes the lines of the settings concerned, and then reads the result: where it does
not say what the old text and the settings say together (a table in braces, for instance), nothing
is changed and the person is told what to write.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w

from ecotui.errors import UsageError
from ecotui.text import visible

Settings = Mapping[str, Mapping[str, Any]]
"""Values by section and key; None takes the key away."""

BYTE_ORDER_MARK = "\ufeff"
"""At the beginning of files of some editors on Windows. It stays there; tomllib refuses it."""

_NOT_TOML = (ValueError, RecursionError)


def edited(source: str, settings: Mapping[str, Any], *, label: str) -> str:
    """Return a TOML text with some settings changed, added or taken away.

    Args:
        source: The text.
        settings: What is to stand in it, by section; None takes a key away. Tables within
            sections are merged.
        label: What to call the file in messages.

    Raises:
        UsageError: It is not TOML, or it cannot be done line by line.
    """
    mark = BYTE_ORDER_MARK if source.startswith(BYTE_ORDER_MARK) else ""
    newline = "\r\n" if "\r\n" in source else "\n"
    body = source.removeprefix(BYTE_ORDER_MARK).replace("\r\n", "\n")
    changes = list(flat(settings))
    wanted = _wanted(body, changes, label)
    text = _rewritten(body, changes)
    if wanted is None or text is None or _table(text) != wanted:
        written = "; ".join(_told(keys, value) for keys, value in changes)
        raise UsageError(
            f"{visible(label)} is written in a way that only a person should change",
            "sections with a setting a line, such as  workers = 4  under [compute]",
            f"write these by hand: {visible(written, limit=400)}",
        )
    return mark + text.replace("\n", newline)


def flat(
    table: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the settings of a table and of those within it, each with its path.

    Args:
        table: The table.
        above: Path of the table itself.
    """
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, (*above, key))
        else:
            yield (*above, key), value


def written_value(value: object) -> str:
    """Return a value as TOML."""
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()


def _told(keys: tuple[str, ...], value: object) -> str:
    name = ".".join(_key(part) for part in keys)
    return f"no {name}" if value is None else f"{name} = {written_value(value)}"


# What the result has to say ---------------------------------------------------------------------


def _wanted(
    body: str, changes: Sequence[tuple[tuple[str, ...], object]], label: str
) -> dict[str, Any] | None:
    """Return what the old text and the changes say together; None where they contradict."""
    try:
        table = tomllib.loads(body)
    except _NOT_TOML as error:
        raise UsageError(
            f"{visible(label)} is not TOML: {visible(error)}",
            "a config that can be read",
            "correct that line",
        ) from None
    for keys, value in changes:
        inner: Any = table
        for part in keys[:-1]:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                return None
        inner.pop(keys[-1], None)
        if value is not None:
            inner[keys[-1]] = value
    return _without_empty(table)


def _table(text: str) -> dict[str, Any] | None:
    try:
        return _without_empty(tomllib.loads(text))
    except _NOT_TOML:
        return None


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Return a table without the tables in it that hold nothing: they set nothing either."""
    kept = {
        key: _without_empty(value) if isinstance(value, dict) else value
        for key, value in table.items()
    }
    return {key: value for key, value in kept.items() if value != {}}


# Lines ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Piece:
    """A heading or a setting, and the lines on which it stands."""

    start: int
    end: int
    section: tuple[str, ...]
    keys: tuple[str, ...] = ()
    """Of the setting, its section's first; none of a heading."""


def _rewritten(body: str, changes: Sequence[tuple[tuple[str, ...], object]]) -> str | None:
    # Not splitlines: it also parts lines where TOML does not, as at a form feed.
    lines = [f"{line}\n" for line in body.removesuffix("\n").split("\n")] if body else []
    try:
        for keys, value in changes:
            lines = _with(lines, keys, value)
    except _NOT_TOML:
        return None
    return "".join(lines)


def _with(lines: Sequence[str], keys: tuple[str, ...], value: object) -> list[str]:
    """Return lines with a setting changed, added or, with None, taken away.

    Raises:
        ValueError: A piece of it is not TOML.
    """
    section, last = keys[:-1], keys[-1]
    place = None if section else 0
    for piece in _pieces(lines):
        if piece.keys == keys:
            new = [] if value is None else [_replaced(lines[piece.start : piece.end], value)]
            return [*lines[: piece.start], *new, *lines[piece.end :]]
        if piece.section == section:
            place = piece.end
    if value is None:
        return list(lines)
    line = f"{_key(last)} = {written_value(value)}\n"
    if place is None:
        gap = ["\n"] if lines else []
        heading = f"[{'.'.join(_key(part) for part in section)}]\n"
        return [*lines, *gap, heading, line]
    return [*lines[:place], line, *lines[place:]]


def _pieces(lines: Sequence[str]) -> Iterator[_Piece]:
    """Yield what stands in a TOML text, in order.

    Raises:
        ValueError: It is not TOML.
    """
    section: tuple[str, ...] = ()
    start = 0
    while start < len(lines):
        written = lines[start].strip()
        if not written or written.startswith("#"):
            start += 1
        elif written.startswith("["):
            section = _path(tomllib.loads(written))
            yield _Piece(start, start + 1, section)
            start += 1
        else:
            end = _end(lines, start)
            table = tomllib.loads("".join(lines[start:end]))
            yield _Piece(start, end, section, (*section, *_path(table)))
            start = end


def _end(lines: Sequence[str], start: int) -> int:
    """Return the line after a setting, which may go over several."""
    for end in range(start + 1, len(lines) + 1):
        try:
            tomllib.loads("".join(lines[start:end]))
        except ValueError:
            continue
        return end
    raise ValueError("a setting that never ends")


def _path(table: Mapping[str, Any]) -> tuple[str, ...]:
    keys: tuple[str, ...] = ()
    value: object = table
    while isinstance(value, dict) and len(value) == 1:
        ((key, value),) = value.items()
        keys = (*keys, key)
    return keys


def _replaced(lines: Sequence[str], value: object) -> str:
    """Return the lines of a setting as one with another value and the same remark."""
    name = lines[0].partition("=")[0].rstrip()
    remark = _remark(lines[0]) if len(lines) == 1 else ""
    return f"{name} = {written_value(value)}{remark}\n"


def _remark(line: str) -> str:
    """Return the remark at the end of a setting, with the space before it."""
    whole = tomllib.loads(line)
    for place, character in enumerate(line):
        if character == "#":
            before = line[:place]
            try:
                is_remark = tomllib.loads(before) == whole
            except ValueError:
                continue
            if is_remark:
                space = before[len(before.rstrip()) :] or "  "
                return space + line[place:].rstrip()
    return ""


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).rpartition(" = ")[0]
