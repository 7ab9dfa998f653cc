"""The fused kernel called by itself: the same bits as torch's own step, or not relied upon."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ecotui.engine import fused_kernel as module
from ecotui.engine import step as step_module
from ecotui.engine.folding import fold
from ecotui.engine.fused_kernel import FusedKernel, fused_kernel
from tests.engine.harness import Harness, final_weights, same

OPTIMIZERS: dict[str, Any] = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.1, fused=True, weight_decay=0.05),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.1, fused=True, amsgrad=True),
    "maximize": lambda groups: torch.optim.AdamW(groups, lr=0.1, fused=True, maximize=True),
}


def weights_and_optimizer(name: str) -> tuple[list[torch.nn.Parameter], torch.optim.Optimizer]:
    torch.manual_seed(3)
    weights = [torch.nn.Parameter(torch.randn(size)) for size in (5, 33, 1, 128)]
    groups = [{"params": weights[:2]}, {"params": weights[2:], "weight_decay": 0.0, "lr": 0.01}]
    return weights, OPTIMIZERS[name](groups)


def kept(weights: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [*weights, *(value for each in weights for value in optimizer.state[each].values())]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_bit_is_that_of_torchs_own_step(name: str) -> None:
    """Weights, moments and counts; one weight joins late, as after a freeze."""
    one, by_torch = weights_and_optimizer(name)
    other, by_kernel = weights_and_optimizer(name)
    kernel = fused_kernel(by_kernel, "cpu")
    assert kernel is not None
    told = [
        (None, None),
        (torch.tensor(3.0), None),
        (None, torch.ones(())),
        (None, torch.zeros(())),
    ]
    for number in range(12):
        generator = torch.Generator().manual_seed(number)
        for index, (mine, its) in enumerate(zip(one, other, strict=True)):
            gradient = torch.randn(mine.shape, generator=generator)
            is_frozen = index == 1 and number < 5
            mine.grad = None if is_frozen else gradient.clone()
            its.grad = None if is_frozen else gradient.clone()
        fold(by_torch, *told[number % 4])
        kernel.take(*told[number % 4])
        assert same_tensors(kept(one, by_torch), kept(other, by_kernel))
    assert float(by_kernel.state[other[0]]["step"]) == 9


def same_tensors(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(ones) == len(others) and all(
        torch.equal(one, other) for one, other in zip(ones, others, strict=True)
    )


def test_the_kernel_goes_on_from_a_state_that_was_loaded() -> None:
    weights, optimizer = weights_and_optimizer("adamw")
    kernel = FusedKernel(optimizer)
    for each in weights:
        each.grad = torch.ones_like(each)
    kernel.take(None, None)
    optimizer.load_state_dict(optimizer.state_dict())
    kernel.take(None, None)
    assert float(optimizer.state[weights[0]]["step"]) == 2


def test_an_optimizer_is_left_as_it_is_by_the_trial() -> None:
    weights, optimizer = weights_and_optimizer("adamw")
    before = [each.detach().clone() for each in weights]
    assert fused_kernel(optimizer, "cpu") is not None
    assert same_tensors(before, [each.detach() for each in weights])
    assert not optimizer.state


@pytest.mark.parametrize(
    "make",
    [
        lambda weights: torch.optim.SGD(weights, lr=0.1, fused=True),
        lambda weights: torch.optim.AdamW(weights, lr=0.1, fused=False),
        lambda weights: torch.optim.AdamW(weights, lr=torch.tensor(0.1), fused=True),
        lambda weights: type("Own", (torch.optim.AdamW,), {})(weights, lr=0.1, fused=True),
    ],
    ids=["another kind", "not fused", "a rate on the device", "a subclass"],
)
def test_what_the_kernel_does_not_do_by_itself_is_left_to_torch(make: Any) -> None:
    assert fused_kernel(make([torch.nn.Parameter(torch.ones(3))]), "cpu") is None


def test_weights_of_two_kinds_are_left_to_torch() -> None:
    weights = [torch.nn.Parameter(torch.ones(3, dtype=kind)) for kind in (torch.float, torch.half)]
    assert fused_kernel(torch.optim.AdamW(weights, fused=True), "cpu") is None


@pytest.mark.parametrize("forgets", ["grad_scale", "found_inf", "weight_decay"])
def test_a_kernel_that_means_something_else_is_not_relied_upon(
    monkeypatch: pytest.MonkeyPatch, forgets: str
) -> None:
    real = torch._fused_adamw_

    def other(*lists: Any, **named: Any) -> None:
        real(*lists, **{**named, forgets: 0.0 if forgets == "weight_decay" else None})

    monkeypatch.setitem(module._KERNELS, torch.optim.AdamW, other)
    _, optimizer = weights_and_optimizer("adamw")
    assert fused_kernel(optimizer, "cpu") is None


def test_a_kernel_of_another_torch_that_refuses_is_not_relied_upon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refusing(*_: Any, **__: Any) -> None:
        raise TypeError("unexpected keyword argument")

    monkeypatch.setitem(module._KERNELS, torch.optim.AdamW, refusing)
    assert fused_kernel(weights_and_optimizer("adamw")[1], "cpu") is None


def test_a_run_ends_with_the_same_weights_with_and_without_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = []

    class Watched(FusedKernel):
        def take(self, *told: Any) -> None:
            took.append(told)
            super().take(*told)

    monkeypatch.setattr(step_module, "fused_kernel", lambda optimizer, _: Watched(optimizer))
    settings: dict[str, Any] = {"train": {"epochs": 2}, "preflight": {"level": "off"}}
    with_it, _ = harness.train(**settings)
    assert len(took) == 8
    monkeypatch.setattr(step_module, "fused_kernel", lambda *_: None)
    without, _ = harness.train(**settings)
    assert len(took) == 8
    assert same(final_weights(with_it), final_weights(without))
