"""A few settings put into a person's config file, and taken out again; nothing else changes.

The file is edited as text, so that comments and order stay; what comes out is read again, and
must say what the old one and the new settings say together. For whoever applies what a plan
proposes: the command line and the app.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from ecotui.config import RunConfig
from ecotui.config_faults import Layer, Table, told
from ecotui.config_file import find_config, merge, read_layer
from ecotui.durable import write_whole
from ecotui.errors import UsageError
from ecotui.paths import RunDir, expanded, shipped_configs
from ecotui.text import visible

BACKUP_SUFFIX = ".before-apply"
"""Beside the config: what it was before settings were put into it."""

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that was changed.

    Attributes:
        key: With its section, `compute.workers`.
        old: As TOML; empty where it was not set.
        new: As TOML.
    """

    key: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What was changed in a config file.

    Attributes:
        path: The file; of a link, what it leads to.
        backup: What it was before.
        changes: The settings; none where they were set so already, and nothing was written.
    """

    path: Path
    backup: Path
    changes: tuple[Change, ...]


def apply_fragment(reference: str, fragment: str) -> Applied:
    """Put the settings of a TOML file into a config file.

    Args:
        reference: Path of the config.
        fragment: Path of the file, or of a run's or a preflight's directory with a `plan.toml`.

    Raises:
        UsageError: A shipped config, no such file, or settings that make no valid config.
    """
    path = _own_config(reference)
    source = expanded(fragment)
    layer = read_layer(RunDir(source).plan if source.is_dir() else source)
    old = _read(path)
    table = tomllib.loads(old.removeprefix(_BOM))
    wanted: Table = {}
    merge(wanted, table)
    merge(wanted, layer.table)
    changes = tuple(
        Change(".".join(keys), _found(table, keys), _written(value))
        for keys, value in _flat(layer.table)
        if _found(table, keys) != _written(value)
    )
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    if not changes:
        return Applied(path, backup, ())
    new = edited(old, layer.table)
    if new is None or tomllib.loads(new.removeprefix(_BOM)) != wanted:
        raise UsageError(
            f"{visible(path)} is written in a way that cannot be changed from outside",
            "sections with a setting a line, such as  workers = 4  under [compute]",
            "put the settings in by hand: "
            + ", ".join(f"{visible(each.key)} = {visible(each.new)}" for each in changes),
        )
    try:
        RunConfig.model_validate(wanted)
    except ValidationError as error:
        raise told(error, [Layer(visible(path), table, old), layer]) from None
    _write(backup, old, like=path)
    _write(path, new, like=path)
    return Applied(path, backup, changes)


def undo(reference: str) -> Path:
    """Exchange a config file with what it was before settings were put into it.

    Doing it twice gives back what there was: nothing is lost.

    Args:
        reference: Path of the config.

    Returns:
        The config file.

    Raises:
        UsageError: There is nothing to undo.
    """
    path = _own_config(reference)
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    if not backup.is_file():
        raise UsageError(
            f"there is no {visible(backup)}: nothing was applied to this config",
            "a config into which ecotui has put settings",
            "ecotui config apply FRAGMENT CONFIG puts some into it",
        )
    now, before = _read(path), _read(backup)
    _write(backup, now, like=path)
    _write(path, before, like=path)
    return path


def edited(source: str, settings: Mapping[str, Any]) -> str | None:
    """Return a TOML text with some settings changed or added; None where that cannot be.

    Args:
        source: The text; its comments, order and line ends stay.
        settings: By section.
    """
    newline = "\r\n" if "\r\n" in source else "\n"
    mark = _BOM if source.startswith(_BOM) else ""
    lines = source.removeprefix(_BOM).replace("\r\n", "\n").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for keys, value in _flat(settings):
        try:
            lines = _with(lines, keys, value)
        except ValueError:
            return None
    try:
        tomllib.loads("".join(lines))
    except ValueError:
        return None
    return mark + "".join(lines).replace("\n", newline)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A heading or a setting, and the lines on which it stands."""

    start: int
    end: int
    section: tuple[str, ...]
    keys: tuple[str, ...] = ()
    """Of the setting, its section's first; none of a heading."""


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


def _with(lines: Sequence[str], keys: tuple[str, ...], value: object) -> list[str]:
    section, last = keys[:-1], keys[-1]
    place = None if section else 0
    for piece in _pieces(lines):
        if piece.keys == keys:
            name = lines[piece.start].partition("=")[0].rstrip()
            comment = _comment(lines[piece.start]) if piece.end == piece.start + 1 else ""
            new = f"{name} = {_written(value)}{comment}\n"
            return [*lines[: piece.start], new, *lines[piece.end :]]
        if piece.section == section:
            place = piece.end
    if place is None:
        gap = ["\n"] if lines else []
        heading = f"[{'.'.join(_key(part) for part in section)}]\n"
        return [*lines, *gap, heading, f"{_key(last)} = {_written(value)}\n"]
    return [*lines[:place], f"{_key(last)} = {_written(value)}\n", *lines[place:]]


def _comment(line: str) -> str:
    """Return the comment at the end of a setting, with the space before it."""
    whole = tomllib.loads(line)
    for place, character in enumerate(line):
        if character == "#":
            try:
                is_comment = tomllib.loads(line[:place]) == whole
            except ValueError:
                continue
            if is_comment:
                return "  " + line[place:].rstrip()
    return ""


def _flat(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[Any, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, (*above, key))
        else:
            yield (*above, key), value


def _found(table: Mapping[str, Any], keys: Sequence[str]) -> str:
    value: object = table
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return ""
        value = value[key]
    return _written(value)


def _key(key: str) -> str:
    return tomli_w.dumps({key: 0}).rpartition(" = ")[0]


def _written(value: object) -> str:
    return tomli_w.dumps({"x": value}).removeprefix("x = ").strip()


def _own_config(reference: str) -> Path:
    found = find_config(reference)
    path = Path(os.path.realpath(found))
    shipped = {os.path.realpath(each) for each in shipped_configs().values()}
    if os.fspath(path) in shipped:
        raise UsageError(
            f"{visible(found.stem)} is a config that comes with ecotui: it is never changed",
            "a config of your own",
            f"make one: ecotui config show {visible(found.stem)} > mine.toml",
        )
    return path


def _read(path: Path) -> str:
    read_layer(path)  # tells what is wrong with the file
    return path.read_bytes().decode("utf-8")


def _write(path: Path, text: str, *, like: Path) -> None:
    try:
        write_whole(path, text.encode(), mode=stat.S_IMODE(like.stat().st_mode))
    except OSError as error:
        raise UsageError(
            f"{visible(path)} cannot be written: {visible(error.strerror or error)}",
            "a config in a folder that this user may write to, on a disk with room",
            "copy it to such a folder first",
        ) from None
