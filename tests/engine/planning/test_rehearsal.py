"""A rehearsed step is a real one; running out of memory in it is an answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ecotui.engine.planning.borrowing import borrowed
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.rehearsal import Rehearsal
from ecotui.engine.train_state import LoopState, capture
from tests.engine.harness import Harness
from tests.engine.planning.assembled import assembled, everything_of, same_everything

ENDLESS = Budget(1e9, lambda: None)


class Breaking(nn.Module):
    """Runs out of memory, or fails otherwise, from some number of images on."""

    def __init__(self, network: nn.Module, most: int, said: str) -> None:
        super().__init__()
        self.network, self.most, self.said = network, most, said

    def forward(self, images_BCHW: torch.Tensor) -> Any:
        if images_BCHW.shape[0] > self.most:
            raise RuntimeError(self.said)
        return self.network(images_BCHW)


@pytest.mark.parametrize("ema", [False, True])
def test_steps_change_the_network_and_the_loan_puts_it_back(harness: Harness, ema: bool) -> None:
    parts = assembled(harness, train={"ema": ema})
    before = everything_of(parts)
    with borrowed(parts, "a test"):
        rehearsal = Rehearsal(parts)
        rehearsal.measure(4, ENDLESS, batch_size=4, steps=2)
        rehearsal.score(4, ENDLESS, repeats=1)
        assert not same_everything(before, everything_of(parts))
    assert same_everything(before, everything_of(parts))


def test_training_after_it_is_the_same_to_the_last_bit(harness: Harness) -> None:
    """Not only what is kept is the same: so is what the next step makes of it."""

    def first_step(*, rehearsed: bool) -> torch.Tensor:
        parts = assembled(harness)
        if rehearsed:
            with borrowed(parts, "a test"):
                rehearsal = Rehearsal(parts)
                rehearsal.measure(4, ENDLESS, batch_size=8, steps=2)
                rehearsal.score(4, ENDLESS, repeats=1)
        batch = next(parts.train_loader.epoch(0))
        parts.trainable.network.train()
        images_BCHW = parts.compute.to_device(batch.images_BCHW)
        parts.objective.summed(parts.forward(images_BCHW), batch.labels_B).backward()
        parts.trainable.optimizer.step()
        return torch.cat([weight.flatten() for weight in parts.trainable.network.parameters()])

    assert torch.equal(first_step(rehearsed=True), first_step(rehearsed=False))


def test_running_out_of_memory_is_told_and_the_next_size_works(harness: Harness) -> None:
    parts = assembled(harness)
    parts.forward = Breaking(parts.forward, 4, "CUDA out of memory. Tried to allocate 2 GiB")
    with borrowed(parts, "a test"):
        rehearsal = Rehearsal(parts)
        assert rehearsal.measure(8, ENDLESS, batch_size=8, steps=1) is None
        assert all(weight.grad is None for weight in parts.trainable.network.parameters())
        found = rehearsal.measure(4, ENDLESS, batch_size=4, steps=1)
    assert found is not None
    assert found.size == 4
    assert found.pass_seconds > 0.0


def test_any_other_failure_goes_through_and_leaves_no_trace(harness: Harness) -> None:
    parts = assembled(harness)
    parts.forward = Breaking(parts.forward, 4, "shapes do not match")
    before = everything_of(parts)
    with pytest.raises(RuntimeError, match="shapes"), borrowed(parts, "a test"):
        Rehearsal(parts).measure(8, ENDLESS, batch_size=8, steps=1)
    assert same_everything(before, everything_of(parts))


@pytest.mark.parametrize(
    ("optimizer", "moments", "ema"), [("adamw", 2, False), ("sgd", 1, False), ("adamw", 2, True)]
)
def test_a_checkpoint_is_as_large_as_the_state_after_a_step(
    harness: Harness, optimizer: str, moments: int, ema: bool
) -> None:
    parts = assembled(harness, train={"optimizer": optimizer, "ema": ema})
    with borrowed(parts, "a test"):
        rehearsal = Rehearsal(parts)
        rehearsal.measure(4, ENDLESS, batch_size=4, steps=1)
        foretold = rehearsal.state_bytes()
    batch = next(parts.train_loader.epoch(0))
    images_BCHW = parts.compute.to_device(batch.images_BCHW)
    parts.objective.summed(parts.forward(images_BCHW), batch.labels_B).backward()
    parts.trainable.optimizer.step()
    tensors = capture(parts.trainable, LoopState()).tensors
    real = sum(
        tensor.numel() * tensor.element_size()
        for name, file in tensors.items()
        if name != "generators.safetensors"
        for tensor in file.values()
    )
    assert foretold == real
    weights = sum(weight.numel() * 4 for weight in parts.trainable.network.parameters())
    assert real > (1 + moments + ema) * weights


def test_where_the_time_is_over_one_step_is_timed(harness: Harness) -> None:
    parts = assembled(harness)
    polls: list[int] = []
    budget = Budget(0.0, lambda: polls.append(1))
    with borrowed(parts, "a test"):
        found = Rehearsal(parts).measure(4, budget, batch_size=4, steps=50)
    assert found is not None
    assert len(polls) == 2  # a warm-up and a step


def test_a_batch_that_does_not_divide_evenly_is_measured_in_whole_passes(harness: Harness) -> None:
    """The rest of nine in passes of eight is one image, which BatchNorm refuses."""
    parts = assembled(harness)
    sizes: list[int] = []
    parts.trainable.network.register_forward_pre_hook(
        lambda _, inputs: sizes.append(len(inputs[0]))
    )
    with borrowed(parts, "a test"):
        assert Rehearsal(parts).measure(8, ENDLESS, batch_size=9, steps=1) is not None
    assert set(sizes) == {8}
