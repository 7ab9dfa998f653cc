"""Faults looked into, once each: the cause told, and all that is known written down."""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from ecotui.engine.assembly import Parts
from ecotui.engine.buffers import KeptBuffers, KeptGenerators
from ecotui.engine.data.loader import Batch
from ecotui.engine.emit import Emit
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.investigation import Findings, Investigation, Trial
from ecotui.engine.optim import learning_rate
from ecotui.engine.records import Records
from ecotui.engine.step import Gradients
from ecotui.engine.train_state import LoopState
from ecotui.events import LogWritten
from ecotui.healing import Cause, IncidentRecorded
from ecotui.paths import RunDir
from ecotui.text import visible

MAX_STEPS = 50
MAX_FILES = 20

_ADVICE: dict[Cause, str] = {
    "data": "look at the files that are named; ecotui quarantine lists what was set aside",
    "precision": "set compute.precision = 'fp32', or 'bf16' instead of 'fp16'",
    "hardware": "a passing fault: if it comes again, look at the memory and the temperature of "
    "this machine (ecotui doctor)",
    "model": "lower train.learning_rate, or start from other weights",
    "unknown": "see the record of the incident, and engine.log",
}


@dataclass(frozen=True, slots=True)
class PastStep:
    """A step as the record of an incident tells it.

    Attributes:
        step: Optimizer steps done before it.
        loss: Mean over the batch, nats.
        norm: Of the gradients, before clipping.
        rate: Largest learning rate.
    """

    step: int
    loss: float
    norm: float
    rate: float


class Incidents:
    """Looks into faults of one run and writes each down.

    Args:
        parts: Everything built.
        run: Where the records go.
        loop: Counts them.
        emit: Where the facts go.
    """

    def __init__(self, parts: Parts, run: RunDir, loop: LoopState, emit: Emit) -> None:
        self._parts = parts
        self._run = run
        self._loop = loop
        self._emit = emit
        self._records = Records(emit)
        self._investigation = Investigation(parts)
        self._past: deque[PastStep] = deque(maxlen=MAX_STEPS)

    @property
    def past(self) -> list[PastStep]:
        """The last steps of this attempt, the oldest first."""
        return list(self._past)

    def note_step(self, step: int, gradients: Gradients) -> None:
        """Remember what a step measured, for the record of a later incident."""
        rate = learning_rate(self._parts.trainable.optimizer)
        self._past.append(PastStep(step, gradients.loss, gradients.norm, rate))

    def look_into(
        self,
        verdict: Verdict,
        batch: Batch,
        step: int,
        buffers: KeptBuffers,
        generators: KeptGenerators,
    ) -> Findings | None:
        """Run a rejected batch again, write down what that told, and return it.

        Returns:
            None where the run has looked into enough of them.

        Emits:
            IncidentRecorded.
        """
        if not self._is_left():
            return None
        found = self._investigation.look_into(batch, step, buffers, generators)
        names = [self._name(each) for each in batch.sample_ids]
        blamed = [names[at] for at in found.bad_positions] or names
        details = {
            "as_is": _told(found.as_is),
            "in_fp32": None if found.in_fp32 is None else _told(found.in_fp32),
            "samples": [
                {"id": sample_id, "file": name, "fails_alone": at in found.bad_positions}
                for at, (sample_id, name) in enumerate(zip(batch.sample_ids, names, strict=True))
            ],
        }
        self._record(verdict, step, found.cause, found.what, blamed, details)
        return found

    def record(self, verdict: Verdict, step: int, cause: Cause, what: str) -> None:
        """Write down a fault that no batch can be run again for.

        Emits:
            IncidentRecorded.
        """
        if self._is_left():
            self._record(verdict, step, cause, what, [], {})

    def measure(self, batch: Batch, step: int) -> None:
        """Write down each layer's norms for a batch, as somebody has asked for.

        Emits:
            LogWritten.
        """
        path = self._run.incidents / f"norms-step-{step:08d}.json"
        told = {"step": step, **_told(self._investigation.norms_of(batch, step))}
        self._records.write(path, json.dumps(_plain(told), indent=1) + "\n")
        relative = path.relative_to(self._run.path)
        self._emit(
            LogWritten(severity="note", message=f"each layer's gradient norms are in {relative}")
        )

    def _is_left(self) -> bool:
        return self._loop.num_incidents < self._parts.config.guards.max_incidents

    def _record(
        self,
        verdict: Verdict,
        step: int,
        cause: Cause,
        what: str,
        files: list[str],
        details: dict[str, Any],
    ) -> None:
        self._loop.num_incidents += 1
        name = f"{self._loop.num_incidents:03d}-{verdict.guard}-step-{step}"
        path = self._run.incidents / f"{name}.json"
        record = {
            "incident": name,
            "layer": verdict.layer,
            "guard": verdict.guard,
            "step": step,
            "epoch": self._loop.epoch + 1,
            "found": verdict.what,
            "cause": cause,
            "what": what,
            "advice": _ADVICE[cause],
            "precision": self._parts.compute.precision,
            "micro_batch_size": self._parts.compute.micro_batch_size,
            **details,
            "last_steps": [
                {"step": past.step, "loss": past.loss, "norm": past.norm, "rate": past.rate}
                for past in self._past
            ],
        }
        self._records.write(path, json.dumps(_plain(record), indent=1) + "\n")
        self._emit(
            IncidentRecorded(
                incident=name,
                layer=verdict.layer,
                guard=verdict.guard,
                step=step,
                cause=cause,
                what=what,
                advice=_ADVICE[cause],
                files=tuple(files[:MAX_FILES]),
                file=str(path.relative_to(self._run.path)),
            )
        )

    def _name(self, sample_id: int) -> str:
        return visible(self._parts.index.names[sample_id])


def _told(trial: Trial) -> dict[str, Any]:
    return {
        "loss": trial.loss,
        "error": trial.error,
        "gradient_norms": trial.norms,
        "activations": {
            name: {"min": low, "max": high, "not_finite": count}
            for name, (low, high, count) in trial.ranges.items()
        },
    }


def _plain(value: Any) -> Any:
    """Spell numbers that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
