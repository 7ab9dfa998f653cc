"""Everything that is looked at between building a run and training it, in order, in one budget."""

from __future__ import annotations

from ecotui.config import PreflightConfig
from ecotui.engine.assembly import Parts
from ecotui.engine.audit.audit_job import audit_stage
from ecotui.engine.checks.acceptance import accepting
from ecotui.engine.checks.budget import Budget
from ecotui.engine.checks.material import Material
from ecotui.engine.checks.record import Record
from ecotui.engine.control import Control
from ecotui.engine.emit import Emit
from ecotui.engine.planning.deciding import Decision
from ecotui.engine.planning.proposal import propose
from ecotui.engine.preflight import MORE_TIME, preflight
from ecotui.engine.train_state import LoopState
from ecotui.paths import RunDir

AUDIT_SHARE = 0.5
"""Of the time left, that the audit may take: what the checks find weighs no less, and a part of
the photos tells most of what all of them would."""

CHECKS_SHARE = 0.6
"""Of the time left then, that the checks may take where a plan follows."""


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

    All of them share one budget, and what `auto` took to measure counts: each part gets what
    is left, or a share of it, does less where that is little, and says so.

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

    Emits:
        What the parts state, and PreflightRecorded at the end, however it ends.
    """
    if config.level == "off":
        return
    budget = Budget(max(0.0, config.budget_seconds - decision.seconds))
    record = Record(config.level, config.budget_seconds)
    plans = config.plans and loop == LoopState()  # a later attempt is not borrowed from
    try:
        seconds = budget.left * AUDIT_SHARE
        audit_stage(parts, run, config, control, emit, record=record, seconds=seconds)
        share = Budget(budget.left * (CHECKS_SHARE if plans else 1.0))
        material = Material(parts, run, config, control, share, is_trained=loop.step > 0)
        preflight(material, emit, record)
        if plans and not budget.left:
            record.skip("plan", "there was no time left")
            record.shorten(f"plan: memory, speed and duration. {MORE_TIME}")
        elif plans:
            plan = propose(
                parts,
                run,
                lambda: control.poll(loop.step),
                accepting(emit, config.accept),
                preflight=config,
                decision=decision,
                seconds=budget.left,
            )
            if plan is not None:
                record.put("plan", plan.model_dump(mode="json", exclude={"kind"}))
        elif "plan" in config.skip:
            record.skip("plan", "left out by preflight.skip")
    finally:
        spent = budget.spent + decision.seconds
        record.write(run.preflight, spent)
        emit(record.as_event(run, spent))
