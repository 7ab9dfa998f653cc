"""Which of the three screens of a run fits a state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ecotui.findings import Layer
    from ecotui.run_state import RunState

ScreenName = Literal["diagnostic", "preflight", "training"]


def fitting_screen(state: RunState) -> ScreenName:
    """Return the screen of the latest stage that this attempt has come to."""
    if _has_begun(state, 5, 6, 7):
        return "training"
    if _has_begun(state, 2, 3):
        return "preflight"
    return "diagnostic"


def _has_begun(state: RunState, *numbers: Layer) -> bool:
    return any(layer.layer in numbers and layer.status != "idle" for layer in state.layers)
