"""What many steps together show: a loss that has jumped, gradients that explode or vanish."""

from __future__ import annotations

from ecotui.engine.assembly import Parts
from ecotui.engine.guards import gradient as gradient_guard
from ecotui.engine.guards import spike as spike_guard
from ecotui.engine.recovery import Recovery
from ecotui.engine.rollback import Span
from ecotui.engine.step import Gradients
from ecotui.engine.train_state import LoopState

NORMS_EVERY_STEPS = 10


class Trends:
    """Follows loss and gradient norm over the steps of one run.

    Args:
        parts: Whose configuration has the limits.
        loop: Keeps the last figures, so that they are saved with the state.
        recovery: Acts on verdicts.
    """

    def __init__(self, parts: Parts, loop: LoopState, recovery: Recovery) -> None:
        self._parts = parts
        self._loop = loop
        self._recovery = recovery

    def follow(self, gradients: Gradients, step: int) -> None:
        """Take in a sound step.

        Raises:
            EcoError, RolledBack: The loss has jumped and stays up.

        Emits:
            GuardTripped, GuardRecovered.
        """
        self._follow_norm(gradients, step)
        self._follow_loss(gradients.loss, step)

    def _follow_loss(self, loss: float, step: int) -> None:
        loop, config = self._loop, self._parts.config.guards
        if not spike_guard.is_spike(loss, loop.recent_losses, config):
            loop.spike_steps = 0
            loop.recent_losses.append(loss)
            del loop.recent_losses[: -config.spike_window]
            return
        loop.spike_steps += 1
        count = loop.spike_steps
        verdict = spike_guard.inspect_spike(loss, loop.recent_losses, count, config)
        if verdict is not None:
            self._recovery.act(verdict, span=Span(step - count + 1, count), step=step)
            # Told and no more, as the guard is silenced: this is what losses are like now.
            loop.spike_steps, loop.recent_losses = 0, []

    def _follow_norm(self, gradients: Gradients, step: int) -> None:
        loop, config = self._loop, self._parts.config.guards
        loop.recent_norms.append(gradients.norm)
        del loop.recent_norms[: -config.spike_window]
        if step % NORMS_EVERY_STEPS:
            return
        found = gradient_guard.inspect_norms(
            loop.recent_norms, gradients.loss, self._parts.num_classes, config
        )
        for guard in (gradient_guard.EXPLODING, gradient_guard.VANISHING):
            is_it = found is not None and found.guard == guard
            self._recovery.tell_once(guard, found if is_it else None, step)
