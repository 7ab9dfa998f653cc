"""The exact state of a training run as tensors and JSON.

Everything that the next step depends on: weights and buffers, their moving
average, optimizer, gradient scaler, generators and the loop's counters. The
schedule is a function of the step, and order and augmentation are functions of
(seed, epoch, sample), so none of them needs saving.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from ecotui.engine.checkpoint import Content, encode_json
from ecotui.engine.generators import pack_generators
from ecotui.engine.snapshot import State
from ecotui.engine.tensors import TensorFile, Tensors

MODEL_FILE = "model.safetensors"
EMA_FILE = "ema.safetensors"
OPTIMIZER_FILE = "optim.safetensors"
GENERATORS_FILE = "generators.safetensors"
LOOP_FILE = "loop.json"
GROUP_MARK = "group-"
SPELT = frozenset({"loss_sum", "first_loss", "train_losses", "val_losses"})


@dataclass(slots=True)
class LoopState:
    """Where the loop stands; plain numbers and strings only.

    Attributes:
        step: Optimizer steps done.
        epoch: Epochs done, validation included.
        batch_in_epoch: Batches of the current epoch done.
        loss_sum: Of the current epoch's images so far, nats.
        hits: Images of the current epoch recognised so far.
        num_images: Images of the current epoch used so far.
        num_labelled: Of those, how many had one label (were not mixed).
        best_value: Of the chosen metric; None before the first validation.
        best_epoch: Epoch of `best_value`.
        best_checkpoint: Its folder's name.
        set_aside: Ids of samples that could not be used.
        seconds: Trained in earlier attempts.
        num_bad_in_a_row: Steps rejected directly before, their numbers not being finite.
        num_errors_in_a_row: Batches that raised directly before.
        num_batches: Of the current epoch, the skipped ones included.
        num_skipped_batches: Of the current epoch.
        num_samples: Taken in the current epoch, the lost ones included.
        num_lost_samples: Of them, set aside or in a skipped batch.
        first_loss: Mean training loss of the first reading of the run, nats.
        train_losses: Of the last epochs, oldest first, nats; `inf` where not finite.
        val_losses: Likewise, of the validations.
        recent_losses: Of the last steps, oldest first, nats; finite, and no spikes.
        recent_norms: Of their gradients before clipping; finite.
        spike_steps: Steps in a row whose loss stood out, up to now.
        bad_steps: Of the last ones, those that were rejected for numbers not finite.
        first_bad_step: First step of the present series of rejected ones.
        sound_step: At which the state was last seen to be finite.
        num_overflows_in_a_row: Steps that the scaler of fp16 skipped directly before.
        clip_state: What adaptive clipping knows of earlier norms.
        told: Findings that were told already and are not over.
        num_rollbacks: Of the run so far.
        learning_rate_factor: By which the schedule's rate is lowered.
        passed_over: Places of batches that are left out, first and end of each range.
        quarantined: Ids of samples that are used no more.
        num_incidents: Looked into so far.
        micro_batch_wanted: Before memory ran out; 0 where it never did.
        steps_since_shrink: Good ones, since the micro-batch was made smaller.
        num_growths: How often it was made larger again.
    """

    step: int = 0
    epoch: int = 0
    batch_in_epoch: int = 0
    loss_sum: float = 0.0
    hits: int = 0
    num_images: int = 0
    num_labelled: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    best_checkpoint: str | None = None
    set_aside: list[int] = field(default_factory=list)
    seconds: float = 0.0
    num_bad_in_a_row: int = 0
    num_errors_in_a_row: int = 0
    num_batches: int = 0
    num_skipped_batches: int = 0
    num_samples: int = 0
    num_lost_samples: int = 0
    first_loss: float | None = None
    train_losses: list[float] = field(default_factory=list)
    val_losses: list[float] = field(default_factory=list)
    recent_losses: list[float] = field(default_factory=list)
    recent_norms: list[float] = field(default_factory=list)
    spike_steps: int = 0
    bad_steps: list[int] = field(default_factory=list)
    first_bad_step: int = 0
    sound_step: int = 0
    num_overflows_in_a_row: int = 0
    clip_state: list[float] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    num_rollbacks: int = 0
    learning_rate_factor: float = 1.0
    passed_over: list[list[int]] = field(default_factory=list)
    quarantined: list[int] = field(default_factory=list)
    num_incidents: int = 0
    micro_batch_wanted: int = 0
    steps_since_shrink: int = 0
    num_growths: int = 0

    def begin_epoch(self) -> None:
        """Forget the sums of the epoch before."""
        self.batch_in_epoch = self.hits = self.num_images = self.num_labelled = 0
        self.num_batches = self.num_skipped_batches = 0
        self.num_samples = self.num_lost_samples = 0
        self.loss_sum = 0.0


@dataclass(frozen=True, slots=True)
class Trainable:
    """The parts of a run that change while it trains.

    Attributes:
        network: The model.
        ema: timm's moving average, or None.
        optimizer: Over the network's parameters.
        scaler: Of gradients; switched off except in fp16.
    """

    network: nn.Module
    ema: Any
    optimizer: torch.optim.Optimizer
    scaler: Any


@dataclass(frozen=True, slots=True)
class Captured:
    """Everything that a checkpoint of this moment holds.

    Attributes:
        tensors: By file and name, the very ones that training works with.
        record: The rest, as the content of `loop.json`.
    """

    tensors: dict[str, Tensors]
    record: bytes


def capture(trainable: Trainable, loop: LoopState) -> Captured:
    """Gather the state of this moment without copying its tensors."""
    optimizer_tensors, groups = _pack_optimizer(trainable.optimizer)
    generators, generator_record = pack_generators()
    record = {
        "loop": _with_spelt_floats(asdict(loop)),
        "optimizer_groups": groups,
        "generators": generator_record,
        "scaler": trainable.scaler.state_dict(),
    }
    tensors = {
        MODEL_FILE: dict(trainable.network.state_dict()),
        OPTIMIZER_FILE: optimizer_tensors,
        GENERATORS_FILE: generators,
    }
    if trainable.ema is not None:
        tensors[EMA_FILE] = dict(trainable.ema.module.state_dict())
    return Captured(tensors, encode_json(record))


def as_files(tensors: State, record: bytes) -> dict[str, Content]:
    """Return the files of a checkpoint; the tensors are read as the files are."""
    return {**{name: TensorFile(held) for name, held in tensors.items()}, LOOP_FILE: record}


def collect_files(trainable: Trainable, loop: LoopState) -> dict[str, Content]:
    """Return the files of a checkpoint of this very moment, to be written before the next step."""
    captured = capture(trainable, loop)
    return as_files(captured.tensors, captured.record)


def _with_spelt_floats(record: dict[str, Any]) -> dict[str, Any]:
    """Spell the figures that may be infinite or NaN, for which JSON has no number."""
    spelt = dict(record)
    for name in SPELT:
        value = record[name]
        spelt[name] = [repr(v) for v in value] if isinstance(value, list) else repr(value)
    return spelt


def _pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[Tensors, list[dict[str, Any]]]:
    """Flatten an optimizer: tensors by `index.name`, groups and numbers as JSON."""
    state = optimizer.state_dict()
    tensors: Tensors = {}
    groups: list[dict[str, Any]] = []
    for number, group in enumerate(state["param_groups"]):
        # Some of timm's optimizers (lamb) count their steps in a tensor of the group.
        held = {key: value for key, value in group.items() if isinstance(value, torch.Tensor)}
        tensors.update({f"{GROUP_MARK}{number}.{key}": value for key, value in held.items()})
        groups.append({key: value for key, value in group.items() if _is_plain(value)})
    numbers: dict[str, Any] = {}
    for index, entry in state["state"].items():
        for name, value in entry.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                numbers[f"{index}.{name}"] = value
    return tensors, [*groups, {"numbers": numbers}]


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, bool | int | float | str)
