"""How much the gradients of a step are shortened, worked out on the device.

Clipping is a training setting: it is the same with guards on or off.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ecotui.config import TrainConfig

_DECAY = 0.97
_WARMUP_STEPS = 25
_MAX_DEVIATIONS = 2.5
_LEAST_DEVIATION = 1e-6


class Clipping:
    """What the norm of the gradients is divided by.

    Args:
        config: Largest norm, and the mode.
        device: Of the norms.
        state: What an earlier attempt knew of norms; empty at the beginning.

    Source:
        ZClip (arXiv 2504.02507): mean and variance of the norm as moving averages with a
        decay of 0.97, begun with 25 plain steps; a norm above 2.5 deviations is brought back to
        mean + 2.5 deviations * (2.5 / z). What is averaged is the clipped norm, so that a spike
        does not draw the average along; a norm that is not finite never enters it.
    """

    def __init__(self, config: TrainConfig, device: str, state: Sequence[float] = ()) -> None:
        self._limit = config.clip_gradient_norm
        self._known: torch.Tensor | None = None
        if config.clip_mode == "adaptive":
            known = list(state) or [0.0, 0.0, 0.0]
            self._known = torch.tensor(known, dtype=torch.float32, device=device)

    def state(self) -> list[float]:
        """Return what is to be saved: steps seen, mean and variance; waits for the device."""
        return [] if self._known is None else [float(each) for each in self._known.tolist()]

    def leaves_alone(self, norm: float) -> bool:
        """Say whether gradients of this norm are not shortened, and nothing is learned from it."""
        return self._known is None and (self._limit is None or norm <= self._limit)

    @torch.no_grad()
    def divisor(self, norm: torch.Tensor) -> torch.Tensor | None:
        """Return what all gradients are to be divided by, at least 1; None for never.

        Args:
            norm: L2 norm of all gradients, a scalar on the device.
        """
        if self._known is None:
            return None if self._limit is None else torch.clamp(norm / self._limit, min=1.0)
        target = self._adapted(norm, self._known)
        if self._limit is not None:
            target = torch.clamp(target, max=self._limit)
        self._learn(torch.where(torch.isfinite(norm), target, norm), self._known)
        return torch.clamp(norm / torch.clamp(target, min=_LEAST_DEVIATION), min=1.0)

    def _adapted(self, norm: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Return the norm that a step may have by what its predecessors had."""
        count, mean, variance = known.unbind()
        deviation = variance.sqrt().clamp(min=_LEAST_DEVIATION)
        score = (norm - mean) / deviation
        lowered = mean + _MAX_DEVIATIONS * deviation * (_MAX_DEVIATIONS / score)
        stands_out = (count >= _WARMUP_STEPS) & (score > _MAX_DEVIATIONS)
        return torch.where(stands_out, lowered, norm)

    def _learn(self, norm: torch.Tensor, known: torch.Tensor) -> None:
        count, mean, variance = known.unbind()
        # The first steps count alike, the later ones by the decay.
        share = torch.clamp(1.0 / (count + 1.0), min=1.0 - _DECAY)
        new_mean = mean + share * (norm - mean)
        new_variance = (1.0 - share) * (variance + share * (norm - mean) ** 2)
        learned = torch.stack((count + 1.0, new_mean, new_variance))
        known.copy_(torch.where(torch.isfinite(norm), learned, known))
