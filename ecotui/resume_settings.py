"""Which settings a resumption may change, how they are laid over, and what they mean to the bits.

Pure: the command line asks before it starts an engine, the engine does it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ecotui.config import RunConfig
from ecotui.config_faults import Layer, Table, told
from ecotui.config_file import merge, settings_layer
from ecotui.errors import UsageError
from ecotui.notify_settings import WEBHOOK_KEY, masked
from ecotui.resolved_config import undecided
from ecotui.text import listed, visible
from ecotui.turns import Exactness

ALLOWED_KEYS = (
    "train.epochs",
    "train.max_steps",
    "train.learning_rate",
    "train.min_learning_rate",
    "train.batch_size",
    "train.micro_batch_size",
    "train.early_stopping_epochs",
    "train.target_accuracy",
    "data.root",
    "data.cache_gb",
)
ALLOWED_SECTIONS = ("compute", "checkpoint", "preflight", "guards", "watch", "notify")

_WITHOUT_A_TRACE = frozenset(
    {
        "name",
        "data.root",
        "data.cache_gb",
        "train.max_steps",
        "train.early_stopping_epochs",
        "train.target_accuracy",
        "compute.workers",
    }
)
"""Settings on which no bit of any step depends, beside the sections below."""
_SECTIONS_WITHOUT_A_TRACE = ("checkpoint", "preflight", "guards", "watch", "notify")
_LAST_BITS = frozenset({"train.micro_batch_size", "model.gradient_checkpointing"})
"""Settings that decide how the same step is computed, beside the section compute."""

UNSET = "unset"


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting and what became of it.

    Attributes:
        key: Such as `train.epochs`.
        old: As TOML writes it, or `unset`.
        new: Likewise.
    """

    key: str
    old: str
    new: str


def with_settings(config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """Return a run's configuration with settings of a resumption laid over.

    A micro-batch that was the whole batch stays so where only the batch size is named.

    Args:
        config: That the run has.
        settings: `key=value`, as on the command line.

    Raises:
        UsageError: A value is not possible, or the run cannot change that setting any more.
    """
    layer = settings_layer(settings)
    table: Table = config.model_dump()
    merge(table, layer.table)
    given = layer.table.get("train", {})
    was_whole = config.train.micro_batch_size == config.train.batch_size
    if was_whole and "batch_size" in given and "micro_batch_size" not in given:
        table["train"]["micro_batch_size"] = given["batch_size"]
    try:
        changed = RunConfig.model_validate(table)
    except ValidationError as error:
        raise told(error, [Layer("the run", config.model_dump(), ""), layer]) from None
    _check_measured(config, changed)
    refused = [each.key for each in differences(config, changed) if not is_allowed(each.key)]
    if refused:
        raise UsageError(
            f"{listed(refused)} cannot be changed on resume: it would be another training",
            f"one of {listed(ALLOWED_KEYS, limit=len(ALLOWED_KEYS))}, "
            f"{listed(f'{section}.*' for section in ALLOWED_SECTIONS)}",
            "leave it out, or start a new run with it: ecotui --headless CONFIG --set ...",
        )
    return changed


def _check_measured(config: RunConfig, changed: RunConfig) -> None:
    """Refuse to measure again what a run has a number for: it would not be the same training."""
    again = [name for name in undecided(changed) if name not in undecided(config)]
    if again:
        raise UsageError(
            f"train.{again[0]} = 'auto' is for a new run: this one has a number already",
            "a number",
            f"--set train.{again[0]}={getattr(config.train, again[0])}",
        )


def is_allowed(key: str) -> bool:
    """Say whether a resumption may change a setting."""
    return key in ALLOWED_KEYS or key.partition(".")[0] in ALLOWED_SECTIONS


def differences(old: RunConfig, new: RunConfig) -> list[SettingChange]:
    """Return what is another setting in the new configuration, in its order."""
    return changes_between(flattened(old), flattened(new))


def changes_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[SettingChange]:
    """Return the difference of two flattened configurations."""
    keys = [*new, *(key for key in old if key not in new)]
    return [
        SettingChange(key, written(old.get(key)), written(new.get(key)))
        for key in keys
        if old.get(key) != new.get(key)
    ]


def flattened(config: RunConfig) -> dict[str, Any]:
    """Return every setting by its dotted key, as JSON holds it, without the secrets in them."""
    flat = _flattened(config)
    flat[WEBHOOK_KEY] = masked(config.notify.webhook)
    return flat


def _flattened(config: RunConfig) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return flat


def written(value: object) -> str:
    """Return a value as TOML writes it on one line."""
    return UNSET if value is None else visible(json.dumps(value, ensure_ascii=False))


def as_settings(old: RunConfig, new: RunConfig) -> tuple[str, ...]:
    """Return the difference as `key=value`, to be laid over the old configuration again."""
    before, after = _flattened(old), _flattened(new)
    found = (change.key for change in changes_between(before, after))
    return tuple(f"{key}={json.dumps(after[key])}" for key in found)


def is_without_a_trace(key: str) -> bool:
    """Say whether no bit of any step depends on a setting."""
    return key in _WITHOUT_A_TRACE or key.partition(".")[0] in _SECTIONS_WITHOUT_A_TRACE


def exactness_of(changes: Iterable[SettingChange]) -> Exactness:
    """Return how exact a continuation with these settings changed is, all else being equal."""
    worst: Exactness = "E2"
    for change in changes:
        if is_without_a_trace(change.key):
            continue
        if change.key not in _LAST_BITS and not change.key.startswith("compute."):
            return "E0"
        worst = "E1"
    return worst
