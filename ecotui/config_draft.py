"""A configuration as it is being edited: field by field, judged as it is typed, and written.

A draft is never half valid: an edit that the configuration would not take is refused with the
words that the command line has for it. Nothing is written here but text.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import tomli_w
from pydantic import BaseModel

from ecotui.config import RunConfig
from ecotui.config_faults import Layer, Table, annotation_of
from ecotui.config_file import (
    LoadedConfig,
    find_config,
    merge,
    personal_layers,
    read_layer,
    resolve_paths,
    settings_layer,
    validated,
)
from ecotui.errors import UsageError
from ecotui.notify_settings import WEBHOOK_KEY, masked
from ecotui.paths import RunDir, shipped_configs
from ecotui.toml_lines import with_value, without_key

UNSET = "unset"


@dataclass(frozen=True, slots=True)
class Field:
    """A setting, as it stands in a draft.

    Attributes:
        key: Dotted, such as `train.epochs`.
        about: Its documentation.
        value: In effect, as it is written in TOML; `unset` where there is none.
        default: Likewise, where nothing sets it.
        choices: The words it may be, where those are all there is or some of it.
        is_edited: Whether it was changed in this draft.
    """

    key: str
    about: str
    value: str
    default: str
    choices: tuple[str, ...] = ()
    is_edited: bool = False

    @property
    def section(self) -> str:
        """The part of the configuration it belongs to; empty for the name of the run."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its name in the section."""
        return self.key.rpartition(".")[2]


@dataclass(frozen=True)
class Draft:
    """A configuration and the edits made to it.

    Attributes:
        name: What a run of it is to be called by.
        path: Of the file it comes from; None where there is none yet.
        is_shipped: The file belongs to ecotui or to a run, and is never written.
        source: Text of the file.
        table: Its settings, paths absolute.
        edits: Settings changed, as typed; an empty text takes a setting out.
    """

    name: str
    path: Path | None = None
    is_shipped: bool = False
    source: str = ""
    table: Table = field(default_factory=dict)
    edits: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, reference: str) -> Draft:
        """Return a draft of a config by path or shipped name.

        Raises:
            UsageError: There is none, or it is not valid.
        """
        path = find_config(reference)
        layer = read_layer(path)
        made = cls(
            name=path.stem,
            path=path,
            is_shipped=path in shipped_configs().values(),
            source=layer.source,
            table=layer.table,
        )
        made.config.model_dump()
        return made

    @classmethod
    def of_run(cls, run: RunDir) -> Draft:
        """Return a draft of what a run was asked to do, for another run like it.

        Raises:
            UsageError: Its request cannot be read.
        """
        layer = read_layer(run.config)
        name = run.run_id.rsplit("-", 3)[0] or run.run_id
        made = cls(name=name, path=run.config, is_shipped=True, table=layer.table)
        made.config.model_dump()
        return made

    @cached_property
    def config(self) -> RunConfig:
        """The configuration with every edit, over the user's own file.

        Raises:
            UsageError: It is not valid.
        """
        return validated([*personal_layers(), self._layer()])

    def edited(self, key: str, written: str) -> Draft:
        """Return the draft with one more edit; an empty text goes back to the default."""
        return replace(self, edits={**self.edits, key: written})

    def reverted(self, key: str) -> Draft:
        """Return the draft without what was edited of a setting."""
        return replace(self, edits={name: text for name, text in self.edits.items() if name != key})

    def fault(self, key: str, written: str) -> str:
        """Return what is wrong with an edit, in words; empty where it can be taken."""
        try:
            self.edited(key, written).config.model_dump()
        except UsageError as error:
            is_value = "is not possible" in error.what
            told = error.expected if is_value and error.expected else error.what
            return told.removeprefix(": ")
        return ""

    def fields(self) -> list[Field]:
        """Return every setting, in the order of the documentation."""
        return list(_fields(self.config, RunConfig(), "", self.edits))

    def loaded(self) -> LoadedConfig:
        """Return what a run of it starts from.

        Raises:
            UsageError: It is not valid, or names no photos.
        """
        config = self.config
        if not config.data.root:
            raise UsageError(
                "data.root is not set", "the folder of photos to train on", "edit data.root"
            )
        return LoadedConfig(config, self.path or Path(self.name), config.name or self.name)

    def text(self, target: Path) -> str:
        """Return the draft as a TOML file: the lines of its source as they are, where that can be.

        Args:
            target: Where it is to be written; paths in another folder are written whole.
        """
        whole = _unset(self._layer().table, self.edits)
        stays = self.path is not None and self.path.parent == target.parent
        told = self.source if stays else _without_paths(self.source, self.table)
        for key, written in self.edits.items():
            told = (
                with_value(told, key, _toml(_at(whole, key))) if written else without_key(told, key)
            )
        with contextlib.suppress(tomllib.TOMLDecodeError):
            if told is not None and _meaning(told, target.parent) == whole:
                return told
        return tomli_w.dumps(whole)

    def _layer(self) -> Layer:
        changed = settings_layer([f"{key}={text}" for key, text in self.edits.items() if text])
        table: Table = {}
        merge(table, self.table)
        merge(table, changed.table)
        return Layer("", _unset(table, self.edits), "")


def _unset(table: Table, edits: Mapping[str, str]) -> Table:
    """Return a table without the settings that an edit took out."""
    taken_out = {key for key, written in edits.items() if not written}
    return _without(table, taken_out, "")


def _without(table: Table, keys: set[str], prefix: str) -> Table:
    return {
        name: _without(value, keys, f"{prefix}{name}.") if isinstance(value, dict) else value
        for name, value in table.items()
        if f"{prefix}{name}" not in keys
    }


def _without_paths(source: str, table: Table) -> str | None:
    """Return a source whose relative paths are whole, for a file in another folder."""
    told: str | None = source
    with contextlib.suppress(tomllib.TOMLDecodeError):
        for key, value in _leaves(tomllib.loads(source), ""):
            whole = _at(table, key)
            if whole != value:
                told = with_value(told, key, _toml(whole))
    return told


def _meaning(source: str, folder: Path) -> Table:
    """Return what a source says where it lies in a folder, its paths absolute."""
    table = tomllib.loads(source)
    resolve_paths(table, folder)
    return table


def _leaves(table: Table, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in table.items():
        key = f"{prefix}{name}"
        found += _leaves(value, f"{key}.") if isinstance(value, dict) else [(key, value)]
    return found


def _at(table: Table, key: str) -> Any:
    inner: Any = table
    for part in key.split("."):
        inner = inner.get(part) if isinstance(inner, dict) else None
    return inner


def _fields(
    section: BaseModel, default: BaseModel, prefix: str, edits: Mapping[str, str]
) -> list[Field]:
    found: list[Field] = []
    for name, info in type(section).model_fields.items():
        key, value = f"{prefix}{name}", getattr(section, name)
        if isinstance(value, BaseModel):
            found += _fields(value, getattr(default, name), f"{key}.", edits)
            continue
        shown = masked(value) if key == WEBHOOK_KEY else value
        about = " ".join((info.description or "").split())
        usual = _toml(getattr(default, name))
        choices = _choices(annotation_of(key.split(".")))
        found.append(Field(key, about, _toml(shown), usual, choices, is_edited=key in edits))
    return found


def _toml(value: object) -> str:
    """Return a value as it is written in TOML, on one line."""
    if value is None:
        return UNSET
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return tomli_w.dumps({"v": value}).strip().removeprefix("v = ")


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(str(each) for each in get_args(annotation))
    if annotation is bool:
        return ("true", "false")
    parts = [part for each in get_args(annotation) for part in _choices(each)]
    return tuple(dict.fromkeys(parts))
