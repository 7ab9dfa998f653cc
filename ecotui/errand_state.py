"""How a short job beside the run stands: an export, an examination, a repair."""

from __future__ import annotations

from dataclasses import dataclass

from ecotui.jobs import Job
from ecotui.paths import RunDir
from ecotui.run_state import RunState


@dataclass(frozen=True, slots=True)
class ErrandState:
    """A job and what its engine said of it.

    Attributes:
        job: What is to be done.
        state: As of the last batch of its events; `state.ending` says how it went.
        run: Where it is done, and what it names lies; None before it has begun. It stays until
            the next errand, or until the app is left.
        fault: Why it could not be begun or followed, in three lines; empty otherwise.
    """

    job: Job
    state: RunState
    run: RunDir | None = None
    fault: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to come."""
        return bool(self.fault) or self.state.ending is not None
