"""What a guard's verdict leads to: told, undone, counted, or the end of the run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ecotui.engine.emit import Emit
from ecotui.engine.guards.guard import Verdict
from ecotui.engine.train_state import LoopState
from ecotui.errors import EcoError, ExitCode
from ecotui.events import GuardRecovered, GuardTripped
from ecotui.text import number

MAX_NAMED_FILES = 20


class Recovery:
    """Undoes what a rejected step left behind, and states every verdict.

    Args:
        network: Its buffers (BatchNorm's running statistics) are put back when a
            batch is rejected: the forward pass has changed them already, and one
            batch that is not finite would leave every later evaluation NaN.
        loop: Its counts of bad steps in a row are kept up here.
        emit: Where the facts go.
    """

    def __init__(self, network: nn.Module, loop: LoopState, emit: Emit) -> None:
        self._buffers = list(network.buffers())
        self._kept = [buffer.detach().clone() for buffer in self._buffers]
        self._loop = loop
        self._emit = emit
        self._last_bad: Verdict | None = None

    @torch.no_grad()
    def remember(self) -> None:
        """Keep the buffers as they are before a forward pass."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)

    @torch.no_grad()
    def put_back(self) -> None:
        """Make the buffers what they were before the forward pass."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            buffer.copy_(kept)

    def act(
        self,
        verdict: Verdict,
        files: Sequence[str] = (),
        exit_code: ExitCode = ExitCode.HEALTH,
    ) -> None:
        """State a verdict, and end the run where it says so.

        Args:
            verdict: What the guard found.
            files: Samples concerned, relative to the data root, made harmless.
            exit_code: Of a run that ends here.

        Raises:
            EcoError: The guard gave up.

        Emits:
            GuardTripped.
        """
        self._emit(
            GuardTripped(
                layer=verdict.layer,
                guard=verdict.guard,
                severity=verdict.severity,
                what=verdict.what,
                observed=verdict.observed,
                limit=verdict.limit,
                unit=verdict.unit,
                advice=verdict.advice,
                action=verdict.action,
                step=self._loop.step,
                files=tuple(files[:MAX_NAMED_FILES]),
            )
        )
        if verdict.action == "skip_batch":
            self._last_bad = verdict
        if verdict.action == "stop":
            raise EcoError(verdict.what, _expected(verdict), verdict.advice, exit_code)

    def note_good_step(self) -> None:
        """Count from zero again, and say so after a bad step.

        Emits:
            GuardRecovered.
        """
        self._loop.num_bad_in_a_row = self._loop.num_errors_in_a_row = 0
        if self._last_bad is not None:
            self._emit(
                GuardRecovered(
                    layer=self._last_bad.layer,
                    guard=self._last_bad.guard,
                    what="the next step was sound",
                    step=self._loop.step,
                )
            )
            self._last_bad = None


def _expected(verdict: Verdict) -> str:
    if verdict.limit is None:
        return "finite numbers"
    is_count = verdict.unit.endswith("in a row")
    limit = f"fewer than {verdict.limit:.0f}" if is_count else f"at most {number(verdict.limit, 2)}"
    return f"{limit} {verdict.unit}"
