"""Every tensor of a run leaves the device and comes back, the same object with the same bits."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

from ecotui.engine.offload import Offload
from ecotui.engine.train_state import Trainable


class Device:
    """Stands for an accelerator: counts what is moved, and may be full."""

    def __init__(self) -> None:
        self.moves: Counter[int] = Counter()
        self.room = 1_000

    def move(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        if self.room == 0:
            self.room = 1_000
            raise RuntimeError("CUDA out of memory")
        self.room -= 1
        self.moves[id(tensor)] += 1
        return tensor.detach().clone()


def trainable() -> Trainable:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    return Trainable(network, None, optimizer, None)


def tensors_of(made: Trainable) -> list[torch.Tensor]:
    states = [value for state in made.optimizer.state.values() for value in state.values()]
    held = [*made.network.parameters(), *made.network.buffers()]
    return held + [value for value in states if isinstance(value, torch.Tensor)]


def test_every_tensor_goes_and_comes_back_once_as_the_same_object() -> None:
    made, device = trainable(), Device()
    before = [(id(tensor), tensor.detach().clone()) for tensor in tensors_of(made)]
    offload = Offload(made, "cpu", move=device.move)
    assert offload.free()
    assert device.moves == Counter(place for place, _ in before)
    assert all(weight.grad is None for weight in made.network.parameters())
    assert offload.take_back()
    assert set(device.moves.values()) == {2}
    after = tensors_of(made)
    assert [id(tensor) for tensor in after] == [place for place, _ in before]
    assert all(torch.equal(now, then) for now, (_, then) in zip(after, before, strict=True))
    assert offload.take_back()
    assert set(device.moves.values()) == {2}


def test_where_there_is_no_room_everything_stays_in_host_memory_and_can_be_asked_again() -> None:
    made, device = trainable(), Device()
    before = [tensor.detach().clone() for tensor in tensors_of(made)]
    offload = Offload(made, "cpu", move=device.move)
    offload.free()
    device.room = 3
    assert not offload.take_back()
    assert offload.take_back()
    assert all(torch.equal(*pair) for pair in zip(tensors_of(made), before, strict=True))


def test_on_the_cpu_nothing_is_moved() -> None:
    made = trainable()
    places = [tensor.data_ptr() for tensor in tensors_of(made)]
    assert not Offload(made, "cpu").free()
    assert [tensor.data_ptr() for tensor in tensors_of(made)] == places
