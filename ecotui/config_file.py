"""Configurations as TOML files: found, merged, validated with the line of a mistake, written.

Knows the file format and the order of precedence; what the settings mean
stands in `ecotui.config`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ecotui.config import DEMO_PREFIX, RunConfig
from ecotui.errors import UsageError
from ecotui.paths import shipped_configs, user_config
from ecotui.text import listed, nearest, visible
from ecotui.toml_lines import line_of

MAX_FILE_BYTES = 1_000_000
"""A larger file is no configuration."""

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A valid configuration and where it came from.

    Attributes:
        config: The merged settings; `data.root` is absolute (or a demo's name).
        path: The config file.
        name: What the run is to be called by.
    """

    config: RunConfig
    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class _Layer:
    """One source of settings: its table, its text and what to call it in messages."""

    label: str
    table: Table
    source: str


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
    layers = []
    personal = user_config() if user_file is None else user_file
    if personal.is_file():
        layers.append(_read_layer(personal))
    layers.append(_read_layer(path))
    layers.append(_settings_layer(settings))
    merged: Table = {}
    for layer in layers:
        _merge(merged, layer.table, layer)
    try:
        config = RunConfig.model_validate(merged)
    except ValidationError as error:
        raise _told(error, layers) from None
    if needs_data and not config.data.root:
        raise UsageError(
            f"data.root is not set in {visible(path)}",
            "the folder of photos to train on",
            "add --set data.root=FOLDER, or set root under [data] in a config of your own "
            "(ecotui config init --data FOLDER writes one)",
        )
    return LoadedConfig(config, path, config.name or path.stem)


def find_config(reference: str) -> Path:
    """Return the path of a config given by path or shipped name.

    Raises:
        UsageError: Neither exists.
    """
    path = Path(reference).expanduser()
    if path.is_file():
        return path.absolute()
    shipped = shipped_configs()
    if reference in shipped:
        return shipped[reference]
    if path.is_dir():
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
    layer = _read_layer(path)
    try:
        return RunConfig.model_validate(layer.table)
    except ValidationError as error:
        raise _told(error, [layer]) from None


def _documented_fields(section: BaseModel, prefix: str) -> list[str]:
    out = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
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


def _read_layer(path: Path) -> _Layer:
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
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            f"{label} is not TOML: {visible(error)}",
            'lines such as  epochs = 20  and  name = "resnet18"  under [section] headings',
            "correct that line; ecotui config show digits prints a whole example",
        ) from None
    _resolve_root(table, path.absolute().parent)
    return _Layer(label, table, source)


def _settings_layer(settings: Sequence[str]) -> _Layer:
    table: Table = {}
    for setting in settings:
        key, equals, written = setting.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise UsageError(
                f"--set {visible(setting)} is not a setting",
                "--set key=value, such as --set train.epochs=3",
                "write the key, an equals sign and the value",
            )
        inner = table
        for part in parts[:-1]:
            following = inner.setdefault(part, {})
            if not isinstance(following, dict):
                raise UsageError(
                    f"--set {visible(setting)} contradicts another --set of '{part}'",
                    "one value a key",
                    "remove one of them",
                )
            inner = following
        inner[parts[-1]] = _setting_value(parts, written.strip())
    _resolve_root(table, Path.cwd())
    return _Layer("--set", table, "")


def _setting_value(parts: Sequence[str], written: str) -> object:
    """Return a TOML value, or the string itself where only that fits the field."""
    try:
        parsed = tomllib.loads(f"value = {written}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return written
    if set(parsed) != {"value"}:
        return written
    value: object = parsed["value"]
    annotation = _annotation_of(parts)
    if annotation is not None and not _fits(annotation, value) and _fits(annotation, written):
        return written
    return value


def _annotation_of(parts: Sequence[str]) -> Any:
    model: type[BaseModel] = RunConfig
    for part in parts[:-1]:
        field = model.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return None
        if not issubclass(field.annotation, BaseModel):
            return None
        model = field.annotation
    last = model.model_fields.get(parts[-1])
    return None if last is None else last.annotation


def _fits(annotation: Any, value: object) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def _resolve_root(table: Table, folder: Path) -> None:
    data = table.get("data")
    if not isinstance(data, dict):
        return
    root = data.get("root")
    if isinstance(root, str) and root and not root.startswith(DEMO_PREFIX):
        data["root"] = str((folder / Path(root).expanduser()).resolve())


def _merge(into: Table, table: Table, layer: _Layer) -> None:
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, layer)
        else:
            into[key] = value


def _told(error: ValidationError, layers: Iterable[_Layer]) -> UsageError:
    """Turn the first of pydantic's findings into three lines."""
    findings = error.errors(include_url=False)
    first = findings[0]
    dotted = _dotted(first)
    where = _where(dotted, layers)
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    if first["type"] == "extra_forbidden":
        return _unknown_key(dotted, where, more)
    if first["type"] == "value_error" and not _is_field(dotted):
        return UsageError(
            f"{where}{first['msg'].removeprefix('Value error, ')}{more}",
            "settings that agree with one another",
            "see what each means: ecotui config show digits",
        )
    wanted = _wanted([found for found in findings if _dotted(found) == dotted])
    given = visible(repr(first["input"]), limit=80)
    return UsageError(
        f"{where}{dotted} = {given} is not possible{more}",
        f"{wanted}. {' '.join(_description(dotted).split())}".strip(),
        f"correct {dotted}; ecotui config show digits prints every setting with its range",
    )


def _dotted(finding: ErrorDetails) -> str:
    """Return the key a finding is about, without pydantic's union branches and indices."""
    kept: list[str] = []
    model: Any = RunConfig
    for part in finding["loc"]:
        fields = getattr(model, "model_fields", None)
        if fields is None:
            break
        kept.append(visible(part, limit=80))
        field = fields.get(part)
        model = None if field is None else field.annotation
    return ".".join(kept)


def _is_field(dotted: str) -> bool:
    annotation = _annotation_of(dotted.split(".")) if dotted else None
    return annotation is not None and not (
        isinstance(annotation, type) and issubclass(annotation, BaseModel)
    )


def _description(dotted: str) -> str:
    model: Any = RunConfig
    description = ""
    for part in dotted.split("."):
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            return ""
        description, model = field.description or "", field.annotation
    return description


def _wanted(findings: Sequence[ErrorDetails]) -> str:
    """Say what a field takes, one phrase for each branch of a union."""
    phrases = [visible(found["msg"].removeprefix("Input should be ")) for found in findings]
    return " or ".join(dict.fromkeys(phrases))


def _where(dotted: str, layers: Iterable[_Layer]) -> str:
    parts = dotted.split(".")
    for layer in reversed(list(layers)):
        inner: Any = layer.table
        for part in parts:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if inner is None:
            continue
        line = line_of(layer.source, dotted)
        return f"{layer.label}{f', line {line}' if line else ''}: "
    return ""


def _unknown_key(dotted: str, where: str, more: str) -> UsageError:
    known = list(_all_keys(RunConfig, ""))
    close = nearest(dotted, known)
    last = dotted.rpartition(".")[2]
    close += [key for key in known if key.rpartition(".")[2] == last and key not in close]
    return UsageError(
        f"{where}unknown key '{dotted}'{more}",
        f"'{close[0]}'" if close else f"one of the sections {listed(RunConfig.model_fields)}",
        f"did you mean {listed(close[:3])}?"
        if close
        else "see all keys: ecotui config show digits",
    )


def _all_keys(model: type[BaseModel], prefix: str) -> Iterable[str]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _all_keys(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
