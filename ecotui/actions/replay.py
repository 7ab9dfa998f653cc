"""What can be done on the replay screen."""

from __future__ import annotations

from ecotui.actions.action import Action

REPLAY: tuple[Action, ...] = ()
