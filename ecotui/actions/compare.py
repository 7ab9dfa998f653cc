"""What can be done on the compare screen."""

from __future__ import annotations

from ecotui.actions.action import Action

COMPARE: tuple[Action, ...] = ()
