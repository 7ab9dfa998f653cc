"""Starts on folders of photos that came to nothing: what was typed for them, and what went wrong.

A run that fails before it begins anything leaves no directory, and with it would go every setting
that a person gave it. They are kept here until the app is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ecotui.paths import RunDir

if TYPE_CHECKING:  # The home is drawn before any configuration is known.
    from ecotui.config_draft import Draft


class KeptStart(NamedTuple):  # a dataclass would take milliseconds of the first frame
    """A start on a folder of photos.

    Attributes:
        folder: Of the photos.
        draft: The settings that it was started with.
        run: That was started; None where it could not be made.
        fault: Why it failed, in lines; empty where that is not known.
    """

    folder: Path
    draft: Draft
    run: RunDir | None
    fault: tuple[str, ...] = ()


class KeptStarts:
    """The starts of this session of the app whose runs have not come to anything, by folder."""

    def __init__(self) -> None:
        self._kept: dict[Path, KeptStart] = {}

    def begin(self, draft: Draft, run: RunDir | None, fault: Sequence[str] = ()) -> None:
        """Note what is started, where it is a folder of photos and no config of its own.

        Args:
            draft: The settings.
            run: That is started with them; None where it could not be made.
            fault: Why it could not, in lines.
        """
        root = draft.table.get("data", {}).get("root")
        if draft.path is None and isinstance(root, str):
            self._put(KeptStart(Path(root), draft, run, tuple(fault)))

    def end(self, run: RunDir | None, fault: Sequence[str]) -> None:
        """Note how a run ended: it holds the settings itself, unless it came to nothing.

        Args:
            run: That ended.
            fault: Why it came to nothing, in lines; empty where it did not.
        """
        for kept in self._of_run(run):
            if fault:
                self._put(kept._replace(fault=tuple(fault)))
            else:
                del self._kept[kept.folder]

    def of(self, folder: Path) -> KeptStart | None:
        """Return what was started on a folder, where it came to nothing."""
        return self._kept.get(folder)

    def has_failed(self, run: RunDir | None) -> bool:
        """Say whether a run is one that came to nothing, and whose settings are kept."""
        return any(kept.fault for kept in self._of_run(run))

    @property
    def last_failed(self) -> KeptStart | None:
        """The start that failed last; None where none did."""
        return next((kept for kept in reversed(self._kept.values()) if kept.fault), None)

    def _put(self, kept: KeptStart) -> None:
        self._kept.pop(kept.folder, None)  # Put in anew: the last one comes last.
        self._kept[kept.folder] = kept

    def _of_run(self, run: RunDir | None) -> list[KeptStart]:
        return [kept for kept in self._kept.values() if run is not None and kept.run == run]
