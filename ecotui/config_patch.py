"""A few settings put into a person's config file, and taken out again; nothing else changes.

For whoever applies what a plan proposes: the command line and the app.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ecotui.config import RunConfig
from ecotui.config_faults import Layer, Table, told
from ecotui.config_file import find_config, merge, read_layer
from ecotui.durable import write_whole
from ecotui.errors import UsageError
from ecotui.paths import RunDir, expanded, shipped_configs
from ecotui.text import visible
from ecotui.toml_edit import BYTE_ORDER_MARK, edited, flat, written_value

BACKUP_SUFFIX = ".before-apply"
"""Beside the config: what it was before settings were put into it."""


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
    table = tomllib.loads(old.removeprefix(BYTE_ORDER_MARK))
    wanted: Table = {}
    merge(wanted, table)
    merge(wanted, layer.table)
    changes = tuple(
        Change(".".join(keys), _found(table, keys), written_value(value))
        for keys, value in flat(layer.table)
        if _found(table, keys) != written_value(value)
    )
    backup = path.with_name(path.name + BACKUP_SUFFIX)
    if not changes:
        return Applied(path, backup, ())
    new = edited(old, layer.table, label=str(path))
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


def _found(table: Mapping[str, Any], keys: Sequence[str]) -> str:
    value: object = table
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return ""
        value = value[key]
    return written_value(value)


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
