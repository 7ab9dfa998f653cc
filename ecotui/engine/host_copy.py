"""The one copy of the state in host memory: saving writes from it, a rollback restores from it."""

from __future__ import annotations

from ecotui.engine.checkpoint import Steps
from ecotui.engine.heap import release_freed
from ecotui.engine.snapshot import Snapshot, State
from ecotui.engine.train_state import Captured


class HostCopy:
    """Holds the state of one step; each copy takes the place of the one before.

    Attributes:
        held: What it holds; None before the first copy.
        step: Optimizer steps done in it.
    """

    def __init__(self) -> None:
        self._snapshot = Snapshot()
        self.held: Captured | None = None
        self.step = 0

    def prepare(self, state: State) -> Steps[None]:
        """Make and touch the memory for copies ahead; what is held stays."""
        return self._snapshot.prepare(state)

    def take(self, captured: Captured, step: int) -> State:
        """Copy a state, and return the copy, good until the next one is taken.

        Args:
            captured: Of this moment.
            step: Optimizer steps done in it.

        Raises:
            MemoryError, RuntimeError: There is no room; nothing is held any more.
        """
        self.held = None
        taken = self._snapshot.take(captured.tensors)
        self.held, self.step = Captured(dict(taken), captured.record), step
        return taken

    def give_up(self) -> None:
        """Free the memory."""
        self._snapshot = Snapshot()
        self.held = None
        release_freed()
