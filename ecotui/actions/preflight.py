"""What can be done on the preflight screen."""

from __future__ import annotations

from ecotui.actions.action import Action

PREFLIGHT: tuple[Action, ...] = ()
