"""Whether an optimizer's own kernel can clip and skip a step, so that neither costs a pass.

torch's fused optimizers read two attributes that its gradient scaler sets: `grad_scale`, by
which every gradient is divided, and `found_inf`, with which nothing is changed. The contract is
not written down for others, so it is tried out before it is relied upon.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch

_STEPS = 2


def can_fold(optimizer: torch.optim.Optimizer, device: str) -> bool:
    """Say whether steps like those of an optimizer can be clipped and skipped by its kernel.

    Tried on two weights of the same kind: one meets a bad step and then one with doubled
    gradients that are halved by the kernel, each time; the other only plain steps.

    Args:
        optimizer: Left as it is.
        device: Where it computes.
    """
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        return False
    try:
        plain, folded = (_small(optimizer, device) for _ in range(2))
        for _ in range(_STEPS):
            _set_gradient(plain, 1.0)
            plain.step()
            _set_gradient(folded, float("nan"))
            fold(folded, None, torch.ones((), device=device))
            _set_gradient(folded, 2.0)
            fold(folded, torch.full((), 2.0, device=device), None)
        one, other = (each.param_groups[0]["params"][0] for each in (plain, folded))
    except (TypeError, RuntimeError, ValueError, AssertionError, AttributeError):
        return False
    return bool(torch.equal(one, other)) and bool((one.detach() != 1.0).all())


def fold(
    optimizer: torch.optim.Optimizer, divisor: torch.Tensor | None, is_bad: torch.Tensor | None
) -> None:
    """Take a step whose gradients the kernel divides, or that it leaves undone.

    Args:
        optimizer: With gradients.
        divisor: Of the gradients, a scalar on the device; None for 1.
        is_bad: 1.0 on the device where nothing is to change, else 0.0; None for 0.
    """
    told: Any = optimizer
    told.grad_scale, told.found_inf = divisor, is_bad
    try:
        optimizer.step()
    finally:
        del told.grad_scale, told.found_inf


def _small(optimizer: torch.optim.Optimizer, device: str) -> torch.optim.Optimizer:
    taken = inspect.signature(type(optimizer)).parameters
    settings = {key: value for key, value in optimizer.defaults.items() if key in taken}
    weight = torch.nn.Parameter(torch.ones(3, device=device))
    make: Any = type(optimizer)
    made: torch.optim.Optimizer = make([weight], **{**settings, "lr": 0.1})
    return made


def _set_gradient(optimizer: torch.optim.Optimizer, value: float) -> None:
    (weight,) = optimizer.param_groups[0]["params"]
    weight.grad = torch.full_like(weight, value)
