"""What can be done on the results screen."""

from __future__ import annotations

from ecotui.actions.action import Action

RESULTS: tuple[Action, ...] = ()
