"""What went wrong and what was done about it, newest at the bottom and in view."""

from __future__ import annotations

from textual.content import Content

from ecotui.events import (
    GuardRecovered,
    LoaderRebuilt,
    RunResumed,
    SampleSetAside,
    SavingFailed,
    SavingRestored,
)
from ecotui.healing import IncidentRecorded, RunRolledBack
from ecotui.narration import remarks
from ecotui.state import Alert, RunState
from ecotui.text import counted, visible
from ecotui.widgets.marks import RECOVERED, SET_ASIDE, SEVERITIES, Mark
from ecotui.widgets.tail_text import TailText


class HealthLog(TailText):
    """Alerts, guards, resumptions, trouble with saving and samples set aside, as they came."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[object, ...] = ()
        self.border_title = "Health alerts"

    def show(self, state: RunState) -> None:
        """Show the alerts and the samples set aside."""
        alerts, aside = state.alerts, state.set_aside
        if self._shown and self._shown[0] is alerts and self._shown[1] is aside:
            return
        self._shown = (alerts, aside)
        told = sorted([*alerts, *aside], key=lambda event: event.seq)
        self.write([_line(event) for event in told], empty="none so far")
        self.border_subtitle = (
            f"{counted(state.num_alerts, 'alert')}, {state.num_set_aside:,} set aside"
        )


def _line(event: Alert | SampleSetAside) -> Content:
    if isinstance(event, SampleSetAside):
        return SET_ASIDE.before(f"set aside: {visible(event.path)} ({visible(event.reason)})")
    words = visible(" ".join(remarks(event, RunState())))
    word, colon, rest = words.partition(": ")
    return Content.assemble(_mark(event).before(word + colon), rest)


def _mark(event: Alert) -> Mark:
    match event:
        case GuardRecovered() | SavingRestored():
            return RECOVERED
        case SavingFailed():
            return SEVERITIES["critical"]
        case LoaderRebuilt() | IncidentRecorded() | RunRolledBack():
            return SEVERITIES["warning"]
        case RunResumed():
            return SEVERITIES["note" if event.exactness in (None, "E2") else "warning"]
        case _:
            return SEVERITIES[event.severity]
