"""Which guards act, which only tell, and by which limits, as a reader of a run finds them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

from ecotui.alert_register import ALERT_REGISTER
from ecotui.config_file import parse_file
from ecotui.errors import EcoError
from ecotui.paths import RunDir
from ecotui.run_state import RunState


def silenced(state: RunState, run: RunDir | None) -> frozenset[str]:
    """Return the guards that act no more: by the last change, or as the run was begun."""
    for change in reversed(state.standing.changes):
        if change.key == "guards.silenced":
            return frozenset(_listed(change.new))
    try:
        if run is None:
            return frozenset()
        config = parse_file(run.resolved if run.resolved.is_file() else run.config)
        return frozenset(config.guards.silenced)
    except EcoError:  # An older run, or one that is being written: nothing is known.
        return frozenset()


def limits(name: str, state: RunState, run: RunDir | None) -> list[str]:
    """Return the settings that decide about a guard, each with its value where that is known."""
    entry = ALERT_REGISTER.get(name)
    if entry is None:
        return []
    found = {change.key: change.new for change in state.standing.changes}
    try:
        path = None if run is None else run.resolved if run.resolved.is_file() else run.config
        config = None if path is None else parse_file(path)
    except EcoError:
        config = None
    told = []
    for key in entry.limits:
        section, _, setting = key.partition(".")
        value = found.get(key, getattr(getattr(config, section, None), setting, None))
        told.append(key if value is None else f"{key} = {value}")
    return told


def _listed(written: str) -> Iterable[str]:
    try:
        found = tomllib.loads(f"names = {written}")["names"]
    except tomllib.TOMLDecodeError:
        return ()
    return [str(name) for name in found] if isinstance(found, list) else ()
