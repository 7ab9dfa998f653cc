"""How often a run has gone back, on the disk before it goes back: a kill gives no rollback back.

A rollback is counted in the state that it saves. Where the engine dies before that, the next
attempt begins from a state that knows nothing of it; what it was is read from here. The same
fault met again at the same step is the same rollback, done once more: it counts once, but a
rollback that a run has died in too often is not begun again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ecotui.engine.records import Records
from ecotui.engine.train_state import LoopState

MAX_TRIES = 5
"""Of one rollback, the deaths in it included."""
MAX_BYTES = 10_000_000


@dataclass(slots=True)
class Begun:
    """A rollback that was begun.

    Attributes:
        guard: Whose verdict led to it.
        step: Optimizer steps done when it was found.
        what: Why, for a person.
        tries: How often it was begun.
        came_to: Facts of where it led; empty where the engine died in it.
    """

    guard: str
    step: int
    what: str
    tries: int = 1
    came_to: dict[str, Any] = field(default_factory=dict)


class RollbackBudget:
    """Counts the rollbacks of one run, over all its attempts.

    Args:
        path: Where they are written down.
        loop: Its state counts those that it has saved.
        limit: How many there may be.
        records: Writes it.
    """

    def __init__(self, path: Path, loop: LoopState, limit: int, records: Records) -> None:
        self._path = path
        self._loop = loop
        self._limit = limit
        self._records = records
        self.begun = read_begun(path)

    @property
    def num_spent(self) -> int:
        """How many were begun so far."""
        return max(self._loop.num_rollbacks, len(self.begun))

    @property
    def num_left(self) -> int:
        """How many more may be begun."""
        return max(0, self._limit - self.num_spent)

    def is_left(self, guard: str) -> bool:
        """Say whether the run may go back for what a guard has found at this step."""
        if self._is_again(guard):
            return self.begun[-1].tries < MAX_TRIES and len(self.begun) <= self._limit
        return self.num_left > 0

    def begin(self, guard: str, what: str) -> int:
        """Write down, before anything is done, that the run goes back, and return how often now.

        Emits:
            HealthAlerted where that cannot be written; then it is counted in memory alone.
        """
        if self._is_again(guard):
            self.begun[-1].tries += 1
            self.begun[-1].came_to = {}
        else:
            # States of before this file was kept may know of more.
            unknown = self._loop.num_rollbacks - len(self.begun)
            self.begun += [Begun("", 0, "") for _ in range(unknown)]
            self.begun.append(Begun(guard, self._loop.step, what))
        self._write()
        return len(self.begun)

    def withdraw(self) -> None:
        """Take the last one back: nothing was found to go back to."""
        self.begun.pop()
        self._write()

    def finish(self, **came_to: Any) -> None:
        """Write down where the last one has led."""
        self.begun[-1].came_to = came_to
        self._write()

    def _is_again(self, guard: str) -> bool:
        """Say whether the last one was begun for the same, and no state knows of it yet."""
        last = self.begun[-1] if self.begun else None
        is_same = last is not None and (last.guard, last.step) == (guard, self._loop.step)
        return is_same and self._loop.num_rollbacks < len(self.begun)

    def _write(self) -> None:
        self._records.write(
            self._path, json.dumps([asdict(each) for each in self.begun], indent=1) + "\n"
        )


def read_begun(path: Path) -> list[Begun]:
    """Return the rollbacks that were written down; none where the file is not what it should be."""
    names = {entry.name for entry in fields(Begun)}
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(MAX_BYTES))
        found = [Begun(**{key: each[key] for key in names}) for each in told]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []
    is_plain = all(isinstance(each.tries, int) and isinstance(each.step, int) for each in found)
    return found if is_plain else []
