"""What stands in the place of a state while no run is shown.

Importing the real one brings pydantic and every event along, which takes longer than drawing the
home (benchmarks/first_frame.py); it is imported once there is a run.
"""

from __future__ import annotations


class NoRun:
    """A `RunState` of a run never begun: the fields that the home reads, the others when asked.

    Attributes:
        attempt: 0, as before an engine has said anything.
        ending: Nothing has ended.
        run_id: Of no run.
    """

    attempt = 0
    ending = None
    run_id = ""

    def __getattr__(self, name: str) -> object:
        """Return any other field as it is in a real state; this is what the import waits for."""
        from ecotui.run_state import RunState

        return getattr(RunState(), name)


NO_RUN = NoRun()
