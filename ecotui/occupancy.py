"""Who works in a run directory, in words: for the log, and for a person who wants to."""

from __future__ import annotations

import time

from ecotui.errors import UsageError
from ecotui.lock import Holder
from ecotui.text import duration, visible


def who(holder: Holder | None, *, now: float | None = None) -> str:
    """Return a lock's holder in words: ``process 4711 on lab-3, for 2 h 05 min``.

    Args:
        holder: From `ecotui.lock`; None where the file did not tell.
        now: Unix seconds; the present when None. A clock that was set back gives 0 s.
    """
    if holder is None:
        return "a process that has not said who it is"
    seconds = (time.time() if now is None else now) - holder.started_at
    return f"process {holder.pid} on {visible(holder.host, limit=80)}, for {duration(seconds)}"


def occupied(run_id: str, holder: Holder | None) -> UsageError:
    """Return the three lines for somebody who wants to go on with a run that is alive."""
    return UsageError(
        f"run {run_id} is running: {who(holder)}",
        "a run that was stopped, failed or lost",
        f"watch it: ecotui attach {run_id}; or end it first: ecotui stop {run_id}",
    )
