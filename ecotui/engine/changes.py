"""Settings that change while a run goes on: in effect, written down and stated at once."""

from __future__ import annotations

from typing import Any

from ecotui.config import RunConfig
from ecotui.config_file import to_toml
from ecotui.durable import write_whole
from ecotui.engine.assembly import Parts
from ecotui.engine.emit import Emit
from ecotui.engine.exactness import config_facts
from ecotui.events import ConfigChanged
from ecotui.paths import RunDir
from ecotui.resolved_config import ResolvedConfig
from ecotui.resume_settings import differences
from ecotui.turns import Exactness


class Changes:
    """Puts changed settings of one run into effect.

    Args:
        parts: Their configuration and schedule are exchanged.
        run: Whose `resolved.toml` a later attempt starts from.
        facts: What manifests say of the run; the configuration in it is kept up.
        emit: Where the facts go.
    """

    def __init__(self, parts: Parts, run: RunDir, facts: dict[str, Any], emit: Emit) -> None:
        self._parts = parts
        self._run = run
        self._facts = facts
        self._emit = emit

    def put(
        self,
        section: str,
        values: dict[str, Any],
        *,
        step: int,
        why: str,
        exactness: Exactness | None = None,
    ) -> None:
        """Change settings of a section, from the next step on.

        Args:
            section: Such as `train`.
            values: By name.
            step: Optimizer steps done.
            why: Who or what changes them.
            exactness: That the run has from here on at best; None where it stays as it is.

        Raises:
            ValidationError: The settings are not possible together; nothing has changed.
            OSError: They cannot be written down; nothing has changed.

        Emits:
            ConfigChanged.
        """
        old = self._parts.config
        new = changed(old, section, values)
        changes = differences(old, new)
        if not changes:
            return
        write_whole(self._run.resolved, to_toml(new).encode())
        self._parts.config = new
        self._parts.schedule.follow(new.train)
        self._facts.update(config_facts(new))
        if exactness is not None:
            self._facts["exactness"] = min(exactness, self._facts.get("exactness", exactness))
        state_changes(old, new, step=step, why=why, emit=self._emit)


def changed(config: ResolvedConfig, section: str, values: dict[str, Any]) -> ResolvedConfig:
    """Return a configuration with other values in a section.

    Raises:
        ValidationError: They are not possible together.
    """
    table = config.model_dump()
    table[section].update(values)
    return ResolvedConfig.model_validate(table)


def state_changes(old: RunConfig, new: RunConfig, *, step: int, why: str, emit: Emit) -> None:
    """State each setting that is another one now.

    Emits:
        ConfigChanged.
    """
    for each in differences(old, new):
        emit(ConfigChanged(key=each.key, old=each.old, new=each.new, step=step, why=why))
