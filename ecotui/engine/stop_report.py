"""Why a guard has stopped the run, and all that was tried before: one page for a person.

Written where the run ends for a guard's verdict (exit codes 4 and 6). What earlier attempts did
is read from the run's own files, so that the page is whole after a resumption too.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ecotui.alert_register import page_of
from ecotui.engine.assembly import Parts
from ecotui.engine.checkpoint import list_steps
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.incidents import Incidents
from ecotui.engine.records import Records
from ecotui.engine.rollback_budget import Begun, RollbackBudget
from ecotui.engine.train_state import LoopState
from ecotui.guard_register import GUARD_REGISTER
from ecotui.paths import RunDir
from ecotui.text import counted, visible

MAX_LAYERS = 5
"""Of an incident, whose gradient norms are named."""
MAX_STEPS = 20
MAX_RECORD_BYTES = 5_000_000


class StopReport:
    """Writes the page.

    Args:
        parts: Whose settings are named.
        run: Where it is written.
        loop: What was counted.
        budget: The rollbacks.
        incidents: Knows the last steps.
        records: Writes files that are not needed to go on.
    """

    def __init__(
        self,
        parts: Parts,
        run: RunDir,
        loop: LoopState,
        budget: RollbackBudget,
        incidents: Incidents,
        records: Records,
    ) -> None:
        self._parts, self._run, self._loop = parts, run, loop
        self._budget, self._incidents = budget, incidents
        self._records = records

    def clear(self) -> None:
        """Remove the page of an earlier attempt, which is not how this one ends."""
        with contextlib.suppress(OSError):
            self._run.stop_report.unlink(missing_ok=True)

    def write(self, verdict: Verdict, files: Sequence[str]) -> str:
        """Write the page, and return where it is; empty where it could not be written.

        Args:
            verdict: That ends the run.
            files: Samples concerned, made harmless.

        Emits:
            HealthAlerted where records cannot be written.
        """
        path = self._run.stop_report
        self._records.write(path, "\n".join(self._lines(verdict, files)) + "\n")
        return visible(path) if path.is_file() else ""

    def _lines(self, verdict: Verdict, files: Sequence[str]) -> Iterable[str]:
        told = [_incident(path) for path in sorted(self._run.incidents.glob("[0-9]*.json"))]
        incidents = [each for each in told if each is not None]
        yield f"# Why {_plain(self._run.run_id)} stopped"
        yield ""
        yield from self._what(verdict)
        yield from _section("What to do", self._remedies(verdict))
        yield from _section("What was tried", self._tried())
        yield from _section("Samples concerned", _bullets(files), "No samples are to blame.")
        lines = [line for each in incidents for line in _told(each)]
        yield from _section("Incidents", lines, "No batch was looked into.")
        yield from _section("The last steps", self._steps(), "None was taken in this attempt.")
        yield from _section("Settings", self._settings())
        yield from _section("Where to look", self._places())

    def _what(self, verdict: Verdict) -> Iterable[str]:
        loop = self._loop
        yield f"{_plain(verdict.what)}."
        yield ""
        yield f"- found by `{verdict.guard}` (layer {verdict.layer}) at step {loop.step:,}, in " + (
            f"epoch {loop.epoch + 1}"
        )
        if verdict.observed is not None and verdict.limit is not None:
            yield f"- observed: {verdict.observed:.4g} {verdict.unit}, the limit is " + (
                f"{verdict.limit:.4g}"
            )
        yield f"- more of it: {page_of(verdict.guard)}"

    def _remedies(self, verdict: Verdict) -> Iterable[str]:
        entry = GUARD_REGISTER.get(verdict.guard)
        steps = [verdict.advice, *(entry.remedies if entry is not None else ())]
        for place, step in enumerate(dict.fromkeys(steps), start=1):
            yield f"{place}. {_plain(step)}"
        yield ""
        yield f"Then go on from the last sound state: `ecotui resume {_plain(self._run.run_id)}`"

    def _tried(self) -> Iterable[str]:
        loop = self._loop
        for place, each in enumerate(self._budget.begun, start=1):
            if each.guard:
                yield f"{place}. {_rollback(each)}"
        if not self._budget.begun:
            yield "- going back to an earlier state: never"
        limit = self._parts.config.guards.max_rollbacks
        yield f"- rollbacks: {self._budget.num_spent} of {limit}"
        yield f"- skipped in this epoch: {counted(loop.num_skipped_batches, 'batch', 'batches')}"
        yield f"- samples set aside in this run: {len(loop.set_aside):,}"
        size = self._parts.compute.micro_batch_size
        if loop.micro_batch_wanted > size:
            wanted = loop.micro_batch_wanted
            yield f"- images at once, as memory ran out: {size} instead of {wanted}"
        if not self._parts.config.guards.healing:
            yield "- nothing else: guards.healing is false"

    def _steps(self) -> Iterable[str]:
        past = self._incidents.past[-MAX_STEPS:]
        if past:
            yield "| step | loss | gradient norm | learning rate |"
            yield "|--:|--:|--:|--:|"
        for each in past:
            figures = (_figure(each.loss), _figure(each.norm), f"{each.rate:.3g}")
            yield f"| {each.step:,} | {' | '.join(figures)} |"

    def _settings(self) -> Iterable[str]:
        train, compute = self._parts.config.train, self._parts.compute
        yield f"- train.learning_rate = {train.learning_rate:g}, of which " + (
            f"{self._loop.learning_rate_factor:g} is left after the rollbacks"
        )
        yield f"- train.batch_size = {train.batch_size}, images at once {compute.micro_batch_size}"
        yield f"- train.clip_gradient_norm = {train.clip_gradient_norm}, " + (
            f"train.clip_mode = {train.clip_mode!r}"
        )
        yield f"- compute.precision = {compute.precision!r} on {compute.device}"
        yield f"- model.name = {_plain(self._parts.config.model.name)}"

    def _places(self) -> Iterable[str]:
        saved = list_steps(self._run.checkpoints)
        if saved:
            yield f"- last sound state: {_plain(saved[0].relative_to(self._run.path))}"
        for path in (self._run.quarantine, self._run.rollbacks, self._run.incidents):
            if path.exists():
                yield f"- {path.name}"
        yield "- engine.log, which has the tracebacks"


def _section(title: str, lines: Iterable[str], otherwise: str = "") -> Iterable[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield from list(lines) or [otherwise]


def _bullets(names: Sequence[str]) -> list[str]:
    return [f"- {_plain(name)}" for name in names]


def _rollback(begun: Begun) -> str:
    text = f"step {begun.step:,}, {_plain(begun.what)} (`{_plain(begun.guard)}`)"
    to = begun.came_to
    if not to:
        return f"{text}: the engine died while it went back"
    text += f": back to step {to.get('to_step')} from {_plain(to.get('source'))}, " + (
        f"{to.get('num_skipped_batches')} batches passed over, learning rate times "
        f"{to.get('learning_rate_factor')}"
    )
    return text if begun.tries == 1 else f"{text} (begun {begun.tries} times)"


def _incident(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(MAX_RECORD_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return {**told, "path": path} if isinstance(told, dict) else None


def _told(incident: dict[str, Any]) -> Iterable[str]:
    """Return what an incident's record says, in a few lines."""
    path = incident["path"]
    yield f"- {path.parent.name}/{_plain(path.name)}: step {_plain(incident.get('step'))}, " + (
        f"{_plain(incident.get('found'))}"
    )
    yield f"  - cause: {_plain(incident.get('cause'))}; {_plain(incident.get('what'))}"
    yield f"  - advice: {_plain(incident.get('advice'))}"
    samples = incident.get("samples")
    alone = [
        _plain(each.get("file"))
        for each in (samples if isinstance(samples, list) else [])
        if isinstance(each, dict) and each.get("fails_alone")
    ]
    if alone:
        yield f"  - fail alone: {', '.join(alone)}"
    as_is = incident.get("as_is")
    norms = as_is.get("gradient_norms") if isinstance(as_is, dict) else None
    if isinstance(norms, dict) and norms:
        worst = sorted(norms.items(), key=lambda item: _size(item[1]), reverse=True)[:MAX_LAYERS]
        named = ", ".join(f"{_plain(name)} {_figure(_size(norm))}" for name, norm in worst)
        yield f"  - largest gradient norms: {named}"


def _size(norm: object) -> float:
    """Return a norm as a number to order by; records spell what is not finite."""
    if isinstance(norm, int | float):
        return float(norm)
    return math.inf


def _figure(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not finite"


def _plain(value: object) -> str:
    """Return foreign text that cannot be taken for Markdown."""
    text = visible(value, limit=300)
    for sign in ("\\", "`", "*", "<", "[", "|"):
        text = text.replace(sign, f"\\{sign}")
    return text
