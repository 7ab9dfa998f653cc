"""What can be done on the training screen."""

from __future__ import annotations

from ecotui.actions.action import Action

TRAINING: tuple[Action, ...] = ()
