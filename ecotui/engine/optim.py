"""Optimizer and learning-rate schedule, both timm's."""

from __future__ import annotations

from typing import Any

import torch
from timm.optim import create_optimizer_v2, list_optimizers
from timm.scheduler import create_scheduler_v2
from torch import nn

from ecotui.errors import UsageError
from ecotui.resolved_config import ResolvedTrain
from ecotui.text import listed, nearest, visible

FUSED_CLASSES: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
"""Optimizers of torch that may have a fused kernel, by timm's name."""


class Schedule:
    """The learning rate as a function of the place in the plan.

    The place is counted in steps of a plan of `steps_per_epoch`: epochs done times that,
    plus batches of the epoch done. So it means the same after a change of the batch size,
    and without any state of its own.

    Args:
        optimizer: Whose parameter groups get the rate.
        config: The plan: peak, shape and length.
        steps_per_epoch: Batches of an epoch.

    Attributes:
        factor: By which every rate is multiplied, from the next `set_step` on; healing lowers it.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, config: ResolvedTrain, *, steps_per_epoch: int
    ) -> None:
        self._optimizer = optimizer
        self._steps_per_epoch = steps_per_epoch
        self._step = 0
        self.factor = 1.0
        self.follow(config)

    def follow(self, config: ResolvedTrain) -> None:
        """Take another plan, at the same place: the next step has the rate it asks for there."""
        self._rate = config.learning_rate
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate
            group.pop("initial_lr", None)  # timm's schedulers take the peak from it
        self._scheduler = _scheduler(self._optimizer, config, self._steps_per_epoch)
        self.set_step(self._step)

    def set_step(self, step: int) -> None:
        """Set the rate of every parameter group for the step after `step` done ones of the plan."""
        self._step = step
        groups = self._optimizer.param_groups
        if self._scheduler is not None:
            self._scheduler.step_update(num_updates=step)
        else:
            for group in groups:
                group["lr"] = self._rate
        if self.factor != 1.0:
            for group in groups:
                group["lr"] *= self.factor


def make_optimizer(
    network: nn.Module, config: ResolvedTrain, *, fused: bool
) -> torch.optim.Optimizer:
    """Return a timm optimizer over all parameters, biases and norms without weight decay.

    Args:
        network: Its parameters must still require gradients: frozen ones are left out.
        config: Name, rates and decay.
        fused: Whether to ask for the fused kernel.

    Raises:
        UsageError: timm knows no such optimizer, or it refuses the settings.
    """
    known = list_optimizers()
    if config.optimizer.lower() not in known:
        close = nearest(config.optimizer, known)
        raise UsageError(
            f"there is no optimizer '{visible(config.optimizer)}' in timm",
            f"one of its {len(known)} names",
            f"did you mean {listed(close)}?" if close else "set train.optimizer = 'adamw'",
        )
    if not any(weight.requires_grad for weight in network.parameters()):
        raise UsageError(
            "no weight of the model can be trained: all are frozen",
            "a model whose weights ask for gradients",
            "--set model.name=... another model; the code of this one freezes its layers",
        )
    extra: dict[str, Any] = {"fused": True} if fused else {}
    try:
        optimizer: torch.optim.Optimizer = create_optimizer_v2(
            network,
            opt=config.optimizer,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
            layer_decay=config.layer_decay,
            **extra,
        )
    except (TypeError, ValueError, AssertionError, ImportError) as error:
        raise UsageError(
            f"optimizer '{visible(config.optimizer)}' cannot be built: {visible(error)}",
            "an optimizer that takes these settings",
            "set train.optimizer = 'adamw', or remove train.layer_decay",
        ) from error
    return optimizer


def make_schedule(
    optimizer: torch.optim.Optimizer, config: ResolvedTrain, *, steps_per_epoch: int
) -> Schedule:
    """Return the schedule, set to the first step; the rate changes every step."""
    return Schedule(optimizer, config, steps_per_epoch=steps_per_epoch)


def _scheduler(
    optimizer: torch.optim.Optimizer, config: ResolvedTrain, steps_per_epoch: int
) -> Any:
    """Return timm's scheduler, or None for a constant rate."""
    if config.scheduler == "none":
        return None
    scheduler, _ = create_scheduler_v2(
        optimizer,
        sched=config.scheduler,
        num_epochs=config.epochs,
        decay_epochs=max(1.0, config.epochs / 3),
        min_lr=config.min_learning_rate,
        warmup_lr=config.warmup_learning_rate,
        warmup_epochs=config.warmup_epochs,
        step_on_epochs=False,
        updates_per_epoch=steps_per_epoch,
    )
    return scheduler


def learning_rate(optimizer: torch.optim.Optimizer) -> float:
    """Return the largest learning rate over the parameter groups."""
    return max(float(group["lr"]) for group in optimizer.param_groups)
