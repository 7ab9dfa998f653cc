"""Configurations as TOML files: found, merged, validated with the line of a mistake, written.

Knows the file format and the order of precedence; what the settings mean
stands in `ecotui.config`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, TypeAdapter, ValidationError

from ecotui.config import DEMO_PREFIX, RunConfig
from ecotui.config_faults import Layer, Table, annotation_of, told
from ecotui.errors import UsageError
from ecotui.paths import expanded, is_file, shipped_configs, user_config
from ecotui.text import nearest, visible

MAX_FILE_BYTES = 1_000_000
"""A larger file is no configuration."""

MAX_KEY_PARTS = 8
"""A key with more dots is no setting; it would be built as so many nested tables."""

_PATHS = (
    ("data", "root", "the folder of photos to train on"),
    ("data", "exclude", "the list of photos to leave out"),
    ("model", "weights", "the .safetensors file to start from"),
)
"""Settings that are paths, and what they should name."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration and where it came from.

    Attributes:
        config: The merged settings; `data.root` is absolute (or a demo's name).
        path: The config file.
        name: What the run is to be called by.
        settings: `key=value`, those that were laid over the file.
    """

    config: RunConfig
    path: Path
    name: str
    settings: Sequence[str] = ()


def load_config(
    reference: str,
    settings: Sequence[str] = (),
    *,
    user_file: Path | None = None,
    needs_data: bool = True,
) -> LoadedConfig:
    """Load a config by path or shipped name, with `--set` values on top.

    Args:
        reference: Path of a TOML file, or the name of a shipped config.
        settings: Values as `key=value`, each a TOML value, or else a string
            where the field is one.
        user_file: The user's own file; the standard place when None.
        needs_data: Refuse a config without `data.root`.

    Raises:
        UsageError: No such config, not TOML, an unknown key, a value out of range.
    """
    path = find_config(reference)
    layers = [*personal_layers(user_file), read_layer(path), settings_layer(settings)]
    config = validated(layers)
    if needs_data and not config.data.root:
        raise UsageError(
            f"data.root is not set in {visible(path)}",
            "the folder of photos to train on",
            "add --set data.root=FOLDER, or set root under [data] in a config of your own "
            "(ecotui config init --data FOLDER writes one)",
        )
    return LoadedConfig(config, path, config.name or path.stem, tuple(settings))


def personal_layers(user_file: Path | None = None) -> list[Layer]:
    """Return the user's own file as a layer, none where there is none.

    Args:
        user_file: Its path; the standard place when None.

    Raises:
        UsageError: It cannot be read, or is not TOML.
    """
    personal = user_config() if user_file is None else user_file
    return [read_layer(personal)] if is_file(personal) else []


def validated(layers: Sequence[Layer]) -> RunConfig:
    """Return the configuration that layers make, the last one on top.

    Raises:
        UsageError: An unknown key, or a value out of range.
    """
    merged: Table = {}
    for layer in layers:
        merge(merged, layer.table)
    try:
        return RunConfig.model_validate(merged)
    except ValidationError as error:
        raise told(error, layers) from None


def find_config(reference: str) -> Path:
    """Return the path of a config given by path or shipped name.

    Raises:
        UsageError: Neither exists.
    """
    path = expanded(reference)
    if is_file(path):
        return path.absolute()
    shipped = shipped_configs()
    if reference in shipped:
        return shipped[reference]
    if reference and os.path.isdir(path):
        raise UsageError(
            f"'{visible(reference)}' is a folder, not a config",
            "a TOML file or the name of a shipped config",
            f"write a config for it: ecotui config init --data {visible(reference)}",
        )
    close = nearest(reference, shipped)
    hint = f"did you mean '{close[0]}'? " if close else ""
    raise UsageError(
        f"there is no config '{visible(reference)}'",
        f"the path of a TOML file, or a shipped config: {', '.join(shipped)}",
        f"{hint}To write one for your photos: ecotui config init --data FOLDER",
    )


def to_toml(config: RunConfig) -> str:
    """Return a configuration as TOML, unset fields left out."""
    return tomli_w.dumps(_without_none(config.model_dump()))


def to_documented_toml(config: RunConfig) -> str:
    """Return a configuration as TOML with each field's documentation above it."""
    out = _documented_fields(config, "")
    for name, field in RunConfig.model_fields.items():
        section = getattr(config, name)
        if isinstance(section, BaseModel):
            doc = (type(section).__doc__ or field.description or "").strip()
            out += ["", f"# {doc}", f"[{name}]", *_documented_fields(section, name)]
    return "\n".join(out).lstrip("\n") + "\n"


def parse_file(path: Path) -> RunConfig:
    """Read a whole configuration back, as stored in a run.

    Raises:
        UsageError: The file is missing or not a valid configuration.
    """
    layer = read_layer(path)
    try:
        return RunConfig.model_validate(layer.table)
    except ValidationError as error:
        raise told(error, [layer]) from None


def _documented_fields(section: BaseModel, prefix: str) -> list[str]:
    out = []
    written = section.model_dump()
    for name, field in type(section).model_fields.items():
        value = written[name]
        if isinstance(value, dict):
            continue
        out += [f"# {line.strip()}" for line in (field.description or "").splitlines()]
        if value is None:
            out.append(f"# {name} =")
        else:
            out.append(tomli_w.dumps({name: _plain(value)}).strip())
    return out


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _without_none(table: Mapping[str, Any]) -> Table:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else _plain(value)
        for key, value in table.items()
        if value is not None
    }


def read_layer(path: Path) -> Layer:
    """Return a TOML file as a layer, the paths in it made absolute.

    Raises:
        UsageError: It cannot be read, or is not TOML.
    """
    label = visible(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(
                f"{label} is larger than 1 MB", "a TOML configuration", "name the right file"
            )
        source = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(source)
    except OSError as error:
        raise UsageError(
            f"{label} cannot be read: {visible(error.strerror)}",
            "a readable TOML file",
            "check the path and its permissions",
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{label} is not text: byte {error.start} is not UTF-8",
            "a TOML file in UTF-8",
            "save it as UTF-8, or name the right file",
        ) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a bare ValueError
        raise UsageError(
            f"{label} is not TOML: {visible(error)}",
            'lines such as  epochs = 20  and  name = "resnet18"  under [section] headings',
            "correct that line; ecotui config show digits prints a whole example",
        ) from None
    resolve_paths(table, path.absolute().parent)
    return Layer(label, table, source)


def settings_layer(settings: Sequence[str]) -> Layer:
    """Return settings written as `key=value` as a layer of a configuration.

    Raises:
        UsageError: One is not a setting, or two contradict each other.
    """
    table: Table = {}
    for setting in settings:
        key, equals, written = setting.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts) or len(parts) > MAX_KEY_PARTS:
            raise UsageError(
                f"--set {visible(setting, limit=80)} is not a setting",
                "--set key=value, such as --set train.epochs=3",
                "write the key, an equals sign and the value",
            )
        value = _setting_value(parts, written.strip())
        if not _put(table, parts, value):
            raise UsageError(
                f"--set {visible(setting, limit=80)} contradicts another --set",
                "a key is either a section or a value",
                "remove one of them",
            )
    resolve_paths(table, Path.cwd())
    return Layer("--set", table, "")


def _put(table: Table, parts: Sequence[str], value: object) -> bool:
    """Put a value at its place; False where a section stands for a value or the reverse."""
    for part in parts[:-1]:
        inner: object = table.setdefault(part, {})
        if not isinstance(inner, dict):
            return False
        table = inner
    last = parts[-1]
    if last in table and isinstance(table[last], dict) != isinstance(value, dict):
        return False
    merge(table, {last: value})
    return True


def _setting_value(parts: Sequence[str], written: str) -> object:
    """Return a TOML value, or the string itself where only that fits the field."""
    try:
        parsed = tomllib.loads(f"value = {written}")
    except (ValueError, RecursionError):
        return written
    if set(parsed) != {"value"}:
        return written
    value: object = parsed["value"]
    annotation = annotation_of(parts)
    if annotation is not None and not _fits(annotation, value) and _fits(annotation, written):
        return written
    return value


def _fits(annotation: Any, value: object) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def resolve_paths(table: Table, folder: Path) -> None:
    """Make the paths in a layer absolute: they are relative to where it stands."""
    for section, name, wanted in _PATHS:
        values = table.get(section)
        written = values.get(name) if isinstance(values, dict) else None
        if not isinstance(written, str) or not written or written.startswith(DEMO_PREFIX):
            continue
        if "\0" in written:
            shown = visible(repr(written), limit=80)
            raise UsageError(
                f"{section}.{name} = {shown} holds a NUL, which no path can",
                wanted,
                f"correct {section}.{name}",
            )
        table[section][name] = os.path.abspath(folder / expanded(written))


def merge(into: Table, table: Table) -> None:
    """Lay a table over another, section by section."""
    for key, value in table.items():
        if isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}  # a table of its own: that of the layer stays as it was given
            merge(into[key], value)
        else:
            into[key] = value
