"""The fused kernel of torch's Adam and AdamW, called without the bookkeeping around it.

`Optimizer.step` looks at every weight in Python before it calls the kernel. Where the weights are
small that takes as long as the kernel: 0.4 of 1.0 ms for the 80 weights of timm's test_vit, and
0.6 of 5.1 ms for the 152 of vit_tiny (measured, CPU). The kernel and its numbers are the same, so
that every bit of the weights is. Neither is written down for others: it is tried out beside
`Optimizer.step` before it is relied upon.
"""

from __future__ import annotations

from typing import Any

import torch

from ecotui.engine.folding import fold

_KERNELS: dict[type[torch.optim.Optimizer], Any] = {
    kind: getattr(torch, name)
    for kind, name in ((torch.optim.Adam, "_fused_adam_"), (torch.optim.AdamW, "_fused_adamw_"))
    if hasattr(torch, name)
}
_TRIED_STEPS = 3
_TRIED_SIZES = (3, 17)
"""Numbers of the weights it is tried with: less than a vector, and more."""


class FusedKernel:
    """Takes an optimizer's steps by its kernel alone.

    Args:
        optimizer: A fused Adam or AdamW of torch.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._kernel = _KERNELS[type(optimizer)]

    @torch.no_grad()
    def take(self, divisor: torch.Tensor | None, is_bad: torch.Tensor | None) -> None:
        """Take a step whose gradients the kernel divides, or that it leaves undone.

        Where a weight has no moments yet (the first step, or one that was frozen), torch takes
        the step and makes them.

        Args:
            divisor: Of the gradients, a scalar on the device; None for 1.
            is_bad: 1.0 on the device where nothing is to change, else 0.0; None for 0.
        """
        held = [self._held(group) for group in self._optimizer.param_groups]
        if not all(all(states) for _, states in held):
            fold(self._optimizer, divisor, is_bad)
            return
        for group, (weights, states) in zip(self._optimizer.param_groups, held, strict=True):
            if weights:
                self._take(group, weights, states, divisor, is_bad)

    def _held(
        self, group: dict[str, Any]
    ) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
        """Return the weights of a group that have gradients, and what is kept of each."""
        state = self._optimizer.state
        weights = [weight for weight in group["params"] if weight.grad is not None]
        return weights, [state.get(weight) or {} for weight in weights]

    def _take(
        self,
        group: dict[str, Any],
        weights: list[torch.Tensor],
        states: list[dict[str, torch.Tensor]],
        divisor: torch.Tensor | None,
        is_bad: torch.Tensor | None,
    ) -> None:
        counts = [each["step"] for each in states]
        torch._foreach_add_(counts, 1)
        beta1, beta2 = group["betas"]
        self._kernel(
            weights,
            [weight.grad for weight in weights],
            [each["exp_avg"] for each in states],
            [each["exp_avg_sq"] for each in states],
            [each["max_exp_avg_sq"] for each in states] if group["amsgrad"] else [],
            counts,
            amsgrad=group["amsgrad"],
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
            grad_scale=divisor,
            found_inf=is_bad,
        )
        if is_bad is not None:
            torch._foreach_sub_(counts, [is_bad] * len(counts))


def fused_kernel(optimizer: torch.optim.Optimizer, device: str) -> FusedKernel | None:
    """Return the kernel of an optimizer whose steps it takes bit for bit, or None.

    Args:
        optimizer: Left as it is.
        device: Where it computes.
    """
    if type(optimizer) not in _KERNELS or not _is_plain(optimizer):
        return None
    try:
        return FusedKernel(optimizer) if _agrees(optimizer, device) else None
    except (TypeError, RuntimeError, ValueError, AssertionError, AttributeError, KeyError):
        return None


def _is_plain(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether the kernel can take all weights of a group at once, with plain numbers."""
    for group in optimizer.param_groups:
        kinds = {(weight.dtype, weight.device) for weight in group["params"]}
        numbers = (group["lr"], *group["betas"], group["weight_decay"], group["eps"])
        is_plain = all(isinstance(number, int | float) for number in numbers)
        if len(kinds) > 1 or not group["fused"] or not is_plain:
            return False
    return True


def _agrees(optimizer: torch.optim.Optimizer, device: str) -> bool:
    """Take plain, clipped and skipped steps both ways, and compare all that they leave."""
    by_torch, by_kernel = (_like(optimizer, device) for _ in range(2))
    kernel = FusedKernel(by_kernel)
    generator = torch.Generator().manual_seed(1)
    yes, no = torch.ones((), device=device), torch.zeros((), device=device)
    divisors = (None, torch.full((), 1.7, device=device))
    for number in range(_TRIED_STEPS):
        for divisor in divisors:
            for is_bad in (None, no, yes):
                gradients = [torch.randn(size, generator=generator) for size in _TRIED_SIZES]
                for each in (by_torch, by_kernel):
                    each.param_groups[0]["lr"] = 0.1 / (number + 1)
                    for weight, gradient in zip(
                        each.param_groups[0]["params"], gradients, strict=True
                    ):
                        weight.grad = gradient.to(device, copy=True)
                fold(by_torch, divisor, is_bad)
                kernel.take(divisor, is_bad)
    return all(
        torch.equal(one, other)
        for one, other in zip(_tensors(by_torch), _tensors(by_kernel), strict=True)
    )


def _like(optimizer: torch.optim.Optimizer, device: str) -> torch.optim.Optimizer:
    group = optimizer.param_groups[0]
    taken = {key: group[key] for key in ("betas", "eps", "weight_decay", "amsgrad", "maximize")}
    weights = [
        torch.nn.Parameter(torch.linspace(-1.0, 1.0, size).to(device)) for size in _TRIED_SIZES
    ]
    make: Any = type(optimizer)
    made: torch.optim.Optimizer = make(weights, lr=0.1, fused=True, **taken)
    return made


def _tensors(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    weights = optimizer.param_groups[0]["params"]
    return [*weights, *(each for weight in weights for each in optimizer.state[weight].values())]
