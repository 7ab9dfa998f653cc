"""Every action there is, in one table: what `[keys]` may name, and what the tests go through."""

from __future__ import annotations

from ecotui.actions.action import Action
from ecotui.actions.compare import COMPARE
from ecotui.actions.config import CONFIG
from ecotui.actions.diagnostic import DIAGNOSTIC
from ecotui.actions.everywhere import EVERYWHERE
from ecotui.actions.home import HOME
from ecotui.actions.panels import (
    ALERTS,
    CHECKPOINTS,
    CLASSES,
    CONFUSION,
    CURVES,
    LAYERS,
    LOG,
)
from ecotui.actions.preflight import PREFLIGHT
from ecotui.actions.results import RESULTS
from ecotui.actions.training import TRAINING

ACTIONS: tuple[Action, ...] = (
    *EVERYWHERE,
    *HOME,
    *DIAGNOSTIC,
    *PREFLIGHT,
    *TRAINING,
    *RESULTS,
    *COMPARE,
    *CONFIG,
    *LOG,
    *CURVES,
    *CLASSES,
    *CONFUSION,
    *LAYERS,
    *ALERTS,
    *CHECKPOINTS,
)
BY_ID = {action.id: action for action in ACTIONS}
