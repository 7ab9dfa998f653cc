"""What can be done on the diagnostic screen."""

from __future__ import annotations

from ecotui.actions.action import Action

DIAGNOSTIC: tuple[Action, ...] = ()
