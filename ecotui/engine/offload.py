"""What is trained, moved off the accelerator while a run is paused, and back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import nn

from ecotui.engine.compute import is_out_of_memory
from ecotui.engine.heap import release_freed
from ecotui.engine.train_state import Trainable

Move = Callable[[torch.Tensor, torch.device], torch.Tensor]


class Offload:
    """Moves every tensor of a run to host memory and back, each staying the object it is.

    Optimizer, guards and compiled code hold on to the tensors themselves, so only
    what a tensor holds is exchanged. Copies change no bit.

    Args:
        trainable: Network, its average and optimizer state.
        device: Where they are computed.
        move: Copies a tensor to a device; another one in tests.
    """

    def __init__(self, trainable: Trainable, device: str, move: Move | None = None) -> None:
        self._trainable = trainable
        self._device_type = torch.device(device).type
        self._is_host = move is None and self._device_type == "cpu"
        self._move = move or _copied
        self._homes: list[tuple[torch.Tensor, torch.device]] = []

    def free(self) -> bool:
        """Move everything to host memory and empty the device's caches.

        Returns:
            Whether anything was moved: nothing is on the CPU, and not where the device
            cannot exchange what a tensor holds, in which case all is as before.
        """
        self._trainable.optimizer.zero_grad(set_to_none=True)
        host = torch.device("cpu")
        try:
            for tensor in _every_tensor(self._trainable):
                if tensor.device.type == self._device_type and not self._is_host:
                    self._homes.append((tensor, tensor.device))
                    tensor.data = self._move(tensor, host)
        except RuntimeError:
            self.take_back()
        empty_cache(self._device_type)
        return bool(self._homes)

    def take_back(self) -> bool:
        """Move everything back, or nothing where there is no room, and say which."""
        try:
            for tensor, home in self._homes:
                tensor.data = self._move(tensor, home)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            for tensor, _ in self._homes:
                tensor.data = self._move(tensor, torch.device("cpu"))
            empty_cache(self._device_type)
            return False
        self._homes.clear()
        return True


def _every_tensor(trainable: Trainable) -> Iterator[torch.Tensor]:
    """Yield each tensor once, also one that two modules share."""
    modules: list[nn.Module] = [trainable.network]
    if trainable.ema is not None:
        modules.append(trainable.ema.module)
    held = itertools.chain.from_iterable(
        itertools.chain(module.parameters(), module.buffers()) for module in modules
    )
    optimizer = trainable.optimizer
    states = itertools.chain(optimizer.state.values(), optimizer.param_groups)
    kept = (value for state in states for value in state.values())
    seen: set[int] = set()
    for tensor in itertools.chain(held, kept):
        if isinstance(tensor, torch.Tensor) and id(tensor) not in seen:
            seen.add(id(tensor))
            yield tensor


def _copied(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    return tensor.detach().to(device)


def empty_cache(device_type: str) -> None:
    """Give back what torch keeps of the device's memory for later."""
    if device_type == "cuda":
        torch.cuda.empty_cache()
    elif device_type == "mps":
        torch.mps.empty_cache()
    else:
        release_freed()
