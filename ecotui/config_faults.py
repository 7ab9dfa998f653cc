"""What is wrong with a configuration, told in three lines with the line of the mistake.

Turns pydantic's findings into words that a person who has never heard of it
can act on. Knows the fields of `ecotui.config`, and no file.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ecotui.config import RunConfig
from ecotui.errors import UsageError
from ecotui.notify_settings import WEBHOOK_KEY, masked
from ecotui.text import listed, nearest, visible
from ecotui.toml_lines import line_of

Table = dict[str, Any]
Key = tuple[str, ...]

SHOW = "ecotui config show digits"

_WANTED_BY_TYPE: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "string_unicode": "a text that can be written as UTF-8",
    "tuple_type": "a list such as [0.5, 1.0]",
    "too_long": "a list of two values",
    "missing": "a list of two values",
}
"""In a person's words, where pydantic's own speak of Python."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings.

    Attributes:
        label: What to call it in messages.
        table: Its settings.
        source: Its text, to find a line in; empty where it has none.
    """

    label: str
    table: Table
    source: str


def told(error: ValidationError, layers: Sequence[Layer]) -> UsageError:
    """Turn the first of pydantic's findings into three lines."""
    findings = error.errors(include_url=False)
    first = findings[0]
    key = _key(first)
    dotted = _shown(key)
    where = _where(key, layers)
    others = len({_key(finding) for finding in findings}) - 1
    more = f" (and {others} more)" if others else ""
    if first["type"] == "extra_forbidden":
        return _unknown_key(key, where, more)
    if first["type"] == "value_error" and not _is_field(key):
        return UsageError(
            f"{where}{first['msg'].removeprefix('Value error, ')}{more}",
            "settings that agree with one another",
            f"see what each means: {SHOW}",
        )
    given = _given(key, layers, first["input"])
    wanted = _wanted(key, [finding for finding in findings if _key(finding) == key])
    return UsageError(
        f"{where}{dotted} = {given} is not possible{more}",
        ". ".join(filter(None, [wanted, " ".join(_description(key).split())])),
        f"correct {dotted}; {SHOW} prints every setting with its range",
    )


def annotation_of(key: Sequence[str]) -> Any:
    """Return the type of the field that a key names; None where it names none."""
    model: type[BaseModel] = RunConfig
    for part in key[:-1]:
        field = model.model_fields.get(part)
        if field is None or not _is_section(field.annotation):
            return None
        model = field.annotation  # type: ignore[assignment]
    last = model.model_fields.get(key[-1])
    return None if last is None else last.rebuild_annotation()


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_field(key: Key) -> bool:
    annotation = annotation_of(key) if key else None
    return annotation is not None and not _is_section(annotation)


def _key(finding: ErrorDetails) -> Key:
    """Return the key a finding is about, without pydantic's union branches and indices."""
    kept: list[str] = []
    model: Any = RunConfig
    for part in finding["loc"]:
        fields = getattr(model, "model_fields", None)
        if fields is None:
            break
        kept.append(str(part))
        field = fields.get(part)
        model = None if field is None else field.annotation
    return tuple(kept)


def _shown(key: Key) -> str:
    return visible(".".join(key), limit=80)


def _description(key: Key) -> str:
    model: Any = RunConfig
    description = ""
    for part in key:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            return ""
        description, model = field.description or "", field.annotation
    return description


def _given(key: Key, layers: Sequence[Layer], found: object) -> str:
    """Return the value as the person gave it, short; one of a list alone would puzzle."""
    whole = next(
        (value for layer in reversed(layers) if (value := _at(layer, key)) is not None), found
    )
    if ".".join(key) == WEBHOOK_KEY:
        return repr(masked(whole)) if isinstance(whole, str) else type(whole).__name__
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return visible(short.repr(whole), limit=80)


def _wanted(key: Key, findings: Sequence[ErrorDetails]) -> str:
    """Say what a field takes, one phrase for each branch of a union."""
    phrases = [_phrase(key, finding) for finding in findings]
    return " or ".join(filter(None, dict.fromkeys(phrases)))


def _phrase(key: Key, finding: ErrorDetails) -> str:
    kind = finding["type"]
    if kind in ("model_type", "dict_type"):
        return f"a table ([{_shown(key)}])"
    if kind == "string_pattern_mismatch":  # the field's own words say it better than a pattern
        return ""
    if kind == "string_too_short":
        return "a text that is not empty"
    if kind == "string_too_long":
        return f"a text of at most {finding['ctx']['max_length']:,} characters"
    if kind in _WANTED_BY_TYPE:
        return _WANTED_BY_TYPE[kind]
    return visible(finding["msg"].removeprefix("Input should be "))


def _where(key: Key, layers: Sequence[Layer]) -> str:
    for layer in reversed(layers):
        if not key or _at(layer, key) is None:
            continue
        line = line_of(layer.source, ".".join(key))
        return f"{layer.label}{f', line {line}' if line else ''}: "
    return ""


def _at(layer: Layer, key: Key) -> Any:
    inner: Any = layer.table
    for part in key:
        inner = inner.get(part) if isinstance(inner, dict) else None
    return inner


_SHORT_NAMES = {
    "lr": "train.learning_rate",
    "wd": "train.weight_decay",
    "bs": "train.batch_size",
    "opt": "train.optimizer",
    "sched": "train.scheduler",
    "img_size": "data.image_size",
    "imgsz": "data.image_size",
}
"""What people type who come from other trainers."""


def _unknown_key(key: Key, where: str, more: str) -> UsageError:
    dotted = _shown(key)
    known = list(_all_keys(RunConfig, ""))
    meant = _SHORT_NAMES.get(key[-1])
    # A short name resembles the wrong keys: `lr` is nearer to `ema` than to `learning_rate`.
    close = [meant] if meant is not None else nearest(dotted, known)
    close += [name for name in known if name.rpartition(".")[2] == key[-1] and name not in close]
    return UsageError(
        f"{where}unknown key '{dotted}'{more}",
        f"'{close[0]}'" if close else f"one of the sections {listed(RunConfig.model_fields)}",
        f"did you mean {listed(close[:3])}?" if close else f"see all keys: {SHOW}",
    )


def _all_keys(model: type[BaseModel], prefix: str) -> Iterable[str]:
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            yield from _all_keys(field.annotation, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            yield f"{prefix}{name}"
