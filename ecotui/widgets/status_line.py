"""One line on top of every screen: which run, in which phase, and what was asked of it."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from ecotui.narration import STALL_SECONDS
from ecotui.state import Phase, RunState
from ecotui.text import duration, visible
from ecotui.widgets.marks import PAUSED, PHASES

_WORDS: dict[Phase, str] = {
    "setup": "preparing",
    "running": "running",
    "finished": "finished",
    "stopped": "stopped, resumable",
    "failed": "failed",
    "lost": "engine lost",
}


class StatusLine(Static):
    """Which run, in which phase, and what was asked of it and is not done yet."""

    DEFAULT_CSS = """
    StatusLine { height: 1; padding: 0 1; background: $panel; text-wrap: nowrap;
        text-overflow: ellipsis; }
    """

    def __init__(self, title: str) -> None:
        super().__init__("", markup=False)
        self._title = title
        self._shown: tuple[object, ...] = ()

    def show(self, state: RunState, pending: str, *, is_readonly: bool = False) -> None:
        """Show the run's name and phase, and what is pending, in words.

        Args:
            state: Of the run.
            pending: What was asked of it, in words; empty for nothing.
            is_readonly: Whether the app takes no request, which is said.
        """
        stalled = state.seconds_since_progress if state.ending is None else 0.0
        standing = state.standing
        shown = (
            *(state.run_id, state.phase, state.doing, state.facts, pending, stalled),
            *(standing.paused, standing.not_saving, is_readonly),
        )
        if shown == self._shown:
            return
        self._shown = shown
        is_paused = standing.paused is not None and state.ending is None
        parts = [Content.styled(self._title, "bold"), phase_of(state)]
        if is_readonly:
            parts.append(Content.styled("read only", "bold"))
        if standing.not_saving is not None and state.ending is None:
            parts.append(Content.styled(" ✗ NOT SAVING ", "$text-error bold reverse"))
        if pending:
            parts.append(Content.styled(f" {visible(pending)} ", "$text-warning bold reverse"))
        if stalled >= STALL_SECONDS and not is_paused:
            parts.append(Content.styled(f"! no progress for {duration(stalled)}", "$text-warning"))
        parts.append(Content.styled(_setting(state), "$foreground-muted"))
        self.update(Content("  ").join(parts), layout=False)


def phase_of(state: RunState) -> Content:
    """Return the mark and the words of where a run stands."""
    if state.standing.paused is not None and state.ending is None:
        return PAUSED.before("paused")
    return PHASES[state.phase].before(_phase(state))


def _phase(state: RunState) -> str:
    if state.phase == "setup" and state.doing:
        return f"preparing: {visible(state.doing, limit=40)}"
    return _WORDS[state.phase]


def _setting(state: RunState) -> str:
    run = visible(state.run_id, limit=64)
    facts = state.facts
    if facts is None:
        return run
    model = visible(facts.model, limit=40)
    return f"{run}  {model}, {facts.image_size} px, {visible(facts.device)} {facts.precision}"
