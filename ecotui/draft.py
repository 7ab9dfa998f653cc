"""The config that is being prepared for a run: which file it is, and what was changed in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecotui.config_file import LoadedConfig


@dataclass(frozen=True, slots=True)
class Draft:
    """A config on its way to a run, as screens see it.

    Attributes:
        loaded: As it stands in the file now, with what was set on the command line.
        path: The file that changes go into. It is there only once there was a change, where the
            config itself is not the person's own: a shipped one, or that of a run.
        is_copy: Whether that is another file than the one the config came from.
        left_out: Photos that its exclusion list leaves out, made harmless for showing.
        changes: What was changed since it was chosen, in words, the last one at the end; the
            next undoing takes that one back.
    """

    loaded: LoadedConfig
    path: Path
    is_copy: bool = False
    left_out: frozenset[str] = frozenset()
    changes: tuple[str, ...] = ()
