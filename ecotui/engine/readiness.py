"""Everything that is looked at between building a run and training it, in order."""

from __future__ import annotations

from ecotui.config import PreflightConfig
from ecotui.engine.assembly import Parts
from ecotui.engine.audit.audit_job import audit_stage
from ecotui.engine.control import Control
from ecotui.engine.emit import Emit
from ecotui.engine.planning.deciding import Decision
from ecotui.engine.planning.proposal import propose
from ecotui.engine.preflight import preflight
from ecotui.engine.train_state import LoopState
from ecotui.paths import RunDir


def check_readiness(
    parts: Parts,
    run: RunDir,
    config: PreflightConfig,
    control: Control,
    emit: Emit,
    *,
    decision: Decision,
    loop: LoopState,
) -> None:
    """Audit the data, check transforms, batches and loop, and measure what the run will take.

    Args:
        parts: Of the run.
        run: Its directory.
        config: What to check, and for how long.
        control: Looked at between two pieces of work.
        emit: Where the facts go.
        decision: What `auto` has chosen by measuring.
        loop: Where the training stands: a plan is made before its first step only.

    Raises:
        EcoError: A check failed; exit code 3.
    """
    asked = parts.config.model_copy(update={"preflight": config})
    audit_stage(asked, parts.index, parts.built.spec, run, control, emit)
    preflight(parts, run, config, control, emit, is_trained=loop.step > 0)
    if loop == LoopState():  # a later attempt is not borrowed from
        propose(
            parts,
            run,
            lambda: control.poll(loop.step),
            emit,
            preflight=config,
            decision=decision,
        )
