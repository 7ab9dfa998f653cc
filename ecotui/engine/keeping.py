"""What becomes of committed checkpoints: read back once, kept while they are needed, dropped."""

from __future__ import annotations

from pathlib import Path

from ecotui.engine import checkpoint
from ecotui.engine.checkpoint import Steps
from ecotui.engine.emit import Emit
from ecotui.engine.manifest import BadCheckpointError, OtherFormatError
from ecotui.events import CheckpointDropped, CheckpointVerified, HealthAlerted
from ecotui.text import visible


class Keeper:
    """Keeps the newest checkpoints that are sound, and the best model.

    A checkpoint counts only once it was read back from the disk, so that the
    last sound one can never be dropped for one that is not.

    Args:
        folder: Where the checkpoints lie.
        keep: How many of the newest stay.
        emit: Where the facts go.
        spare_steps: Beside them, one that is so many steps older than the newest stays, to go
            back to, and one that will be in its place; 0: none.
    """

    def __init__(self, folder: Path, keep: int, emit: Emit, spare_steps: int = 0) -> None:
        self._folder = folder
        self._keep = keep
        self._spare_steps = spare_steps
        self._emit = emit
        self._sound: set[str] = set()

    def tend(self, best: str | None) -> Steps[None]:
        """Verify what was not verified yet, set aside what is damaged, drop what is outdated.

        Args:
            best: Name of the best model that the newest state knows of.

        Emits:
            CheckpointVerified, CheckpointDropped; HealthAlerted where one is damaged.
        """
        num_sound = 0
        paths = checkpoint.list_steps(self._folder)
        spares = self._spares(paths)
        for path in paths:
            if num_sound >= self._keep and path not in spares:
                self._drop(path)
            elif (yield from self._is_sound(path)):
                num_sound += 1
        others = checkpoint.other_bests(self._folder, best)
        if best is not None and (yield from self._is_sound(self._folder / best)):
            for path in others:
                self._drop(path)

    def _spares(self, paths: list[Path]) -> list[Path]:
        """Return what is kept to go back to, of checkpoints with the newest first.

        The newest that is old enough; and the oldest one after it, which will be in its place:
        without that all would be dropped before they are old enough.
        """
        newest = checkpoint.step_of(paths[0]) if paths else 0
        if not self._spare_steps or newest < self._spare_steps:
            return []
        limit = newest - self._spare_steps
        old = [path for path in paths if checkpoint.step_of(path) <= limit]
        young = [path for path in paths if checkpoint.step_of(path) > limit]
        return [*old[:1], *young[-1:]]

    def drop_later(self, step: int) -> None:
        """Drop the states of later steps than this one: they were gone back from.

        Emits:
            CheckpointDropped.
        """
        for path in checkpoint.list_steps(self._folder):
            if checkpoint.step_of(path) > step:
                self._drop(path)

    def _is_sound(self, path: Path) -> Steps[bool]:
        if path.name in self._sound:
            return True
        what = ""
        try:
            yield from checkpoint.verify_in_steps(path)
        except OtherFormatError:
            return False
        except BadCheckpointError as error:
            what = visible(error)
        told = f"{self._folder.name}/{path.name}"
        self._emit(CheckpointVerified(path=told, ok=not what, what=what))
        if what:
            self._set_aside(path, what)
            return False
        self._sound.add(path.name)
        return True

    def _set_aside(self, path: Path, what: str) -> None:
        if checkpoint.STEP_PATTERN.fullmatch(path.name):
            checkpoint.set_aside(path)
        self._emit(
            HealthAlerted(
                severity="critical",
                code="damaged_checkpoint",
                message=f"a checkpoint that was just saved is damaged: {path.name}: {what}",
                advice="it is saved again; look at the disk and at the memory of this machine",
            )
        )

    def _drop(self, path: Path) -> None:
        try:
            checkpoint.drop(path)
        except OSError:  # a disk that refuses now is asked again after the next save
            return
        self._sound.discard(path.name)
        self._emit(CheckpointDropped(path=f"{self._folder.name}/{path.name}"))
