"""How exact a continuation is: what is not as it was when the checkpoint was saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from ecotui.config import RunConfig
from ecotui.resume_settings import (
    SettingChange,
    changes_between,
    exactness_of,
    flattened,
    is_without_a_trace,
)
from ecotui.text import visible
from ecotui.turns import Exactness

MAX_DIFFERENCES = 20

NOTES: dict[Exactness, str] = {
    "E2": "same machine, versions and data: bit-exact",
    "E1": "not bit-exact: the same samples in the same order, computed otherwise to the last bits",
    "E0": "not bit-exact: a valid continuation of another plan",
}
_DATA = "the files of the data set are others"


@dataclass(frozen=True, slots=True)
class Continuation:
    """How a run goes on from a checkpoint.

    Attributes:
        exactness: Compared with a run never interrupted; no better than what earlier
            resumptions left.
        note: The same in words.
        differences: What is not as it was, one phrase each.
    """

    exactness: Exactness
    note: str
    differences: tuple[str, ...]


def config_facts(config: RunConfig) -> dict[str, Any]:
    """Return what a manifest says of the configuration.

    The hash covers the settings that any bit of the training depends on.
    """
    settings = flattened(config)
    bound = {key: value for key, value in settings.items() if not is_without_a_trace(key)}
    written = json.dumps(bound, sort_keys=True).encode()
    return {"config": settings, "config_hash": hashlib.sha256(written).hexdigest()}


def compare(saved: Mapping[str, Any], facts: Mapping[str, Any]) -> Continuation:
    """Compare the facts of a checkpoint's manifest with those of this attempt.

    Args:
        saved: Of the manifest.
        facts: Of this attempt.
    """
    settings = _changed_settings(saved, facts)
    own = exactness_of(settings)
    found = [f"{each.key} is {each.new} instead of {each.old}" for each in settings]
    then, now = _flat(saved.get("environment", {})), _flat(facts["environment"])
    for key in [*now, *(key for key in then if key not in now)]:
        if then.get(key) != now.get(key) and f"compute.{key}" not in {s.key for s in settings}:
            found.append(f"{key} is {visible(now.get(key))} instead of {visible(then.get(key))}")
            own = _worst(own, "E1")
    if saved.get("data") != facts["data"]:
        found.append(_DATA)
        own = "E0"
    before = _level(saved.get("exactness"))
    level = _worst(own, before)
    note = NOTES[level] + ("" if level == own else ", since an earlier resumption")
    return Continuation(level, note, tuple(found[:MAX_DIFFERENCES]))


def _changed_settings(saved: Mapping[str, Any], facts: Mapping[str, Any]) -> list[SettingChange]:
    then = saved.get("config")
    if not isinstance(then, dict):  # Saved by a version that did not write it down.
        return []
    # A setting that came with a newer version had its default before.
    return [each for each in changes_between(then, facts["config"]) if each.key in then]


def _level(written: object) -> Exactness:
    known = ("E2", "E1", "E0")
    return cast(Literal["E2", "E1", "E0"], written) if written in known else "E2"


def _worst(one: Exactness, other: Exactness) -> Exactness:
    return min(one, other)


def _flat(environment: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in environment.items():
        if isinstance(value, dict):
            flat.update({str(name): inner for name, inner in value.items()})
        else:
            flat[str(key)] = value
    return flat
