"""What can be done on the home screen."""

from __future__ import annotations

from ecotui.actions.action import Action

HOME: tuple[Action, ...] = ()
