"""Everything a training run is made of, built from its configuration.

Whatever is wrong with the device, the data, the model or the settings between
them shows here, before the first stage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ecotui.config import RunConfig
from ecotui.config_file import to_toml
from ecotui.durable import write_whole
from ecotui.engine.compute import (
    Compute,
    apply_process_settings,
    choose_compute,
    make_scaler,
    probe_capabilities,
    supports_fused,
)
from ecotui.engine.data.cache_choice import choose_cache, picture_cache
from ecotui.engine.data.index import DataIndex, write_split
from ecotui.engine.data.loader import EvalLoader, TrainLoader
from ecotui.engine.data.picture_cache import PictureCache
from ecotui.engine.data.supervision import Supervision
from ecotui.engine.data.transforms import Transforms, build_transforms
from ecotui.engine.emit import Emit
from ecotui.engine.environment import describe_environment
from ecotui.engine.fetching import fetch_weights
from ecotui.engine.guards.known import check_known
from ecotui.engine.loss import Mixer, Objective, make_mixer, make_objective
from ecotui.engine.model import (
    BuiltModel,
    build_model,
    make_ema,
    preset_of,
    split_head,
    wants_published,
)
from ecotui.engine.optim import FUSED_CLASSES, Schedule, make_optimizer, make_schedule
from ecotui.engine.seeds import derive_seed
from ecotui.engine.train_state import Trainable
from ecotui.engine.waiting import while_polling
from ecotui.events import HealthAlerted, LogWritten, SetupAdvanced, SplitName
from ecotui.paths import RunDir
from ecotui.preflight_register import ACCEPTABLE
from ecotui.preflight_register import check_known as check_known_checks
from ecotui.resolved_config import MeasuredSetting, ResolvedConfig, provisional, undecided
from ecotui.text import visible


@dataclass(slots=True)
class Parts:
    """What the training loop works with; all but the configuration stays what it is.

    Attributes:
        config: No `auto` is left in it. Exchanged where a setting changes in mid-run.
        trainable: What changes while training.
        forward: The network, compiled where that was asked for.
        test_loader: None where the data has no test split.
        cache: Of decoded pictures; None where there is none.
        supervision: Of the loaders: who is called while they wait, and when they fail.
        undecided: Settings whose number is provisional, until it is measured.
    """

    config: ResolvedConfig
    index: DataIndex
    built: BuiltModel
    compute: Compute
    trainable: Trainable
    forward: nn.Module
    schedule: Schedule
    objective: Objective
    mixer: Mixer | None
    transforms: Transforms
    train_loader: TrainLoader
    val_loader: EvalLoader
    test_loader: EvalLoader | None
    supervision: Supervision
    cache: PictureCache | None
    undecided: tuple[MeasuredSetting, ...] = ()

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.index.class_names)

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated and saved as best: the average where there is one."""
        ema = self.trainable.ema
        judged: nn.Module = self.trainable.network if ema is None else ema.module
        return judged

    @property
    def planned_steps(self) -> int:
        """Optimizer steps of the whole run."""
        whole = self.config.train.epochs * self.train_loader.steps_per_epoch
        limit = self.config.train.max_steps
        return whole if limit is None else min(whole, limit)

    @property
    def state_bytes(self) -> int:
        """Size of a checkpoint, about: weights, their average and two moments of the optimizer."""
        weights = self.trainable.network.state_dict().values()
        size: int = sum(tensor.numel() * tensor.element_size() for tensor in weights)
        return size * (3 if self.trainable.ema is None else 4)

    def place(self, epoch: int, batch: int) -> int:
        """Return how far a place is in the plan, in steps, for the schedule.

        Args:
            epoch: Epochs done.
            batch: Batches of the next one done.
        """
        return epoch * self.train_loader.steps_per_epoch + batch

    def exchange(self, config: ResolvedConfig, compute: Compute) -> None:
        """Take another batch size or learning rate before the training has begun.

        What depends on them is built anew; network and optimizer stay the objects they are.

        Args:
            config: With the numbers chosen.
            compute: With the micro-batch chosen.
        """
        self.close()
        self.config, self.compute = config, compute
        self.train_loader, self.val_loader, self.test_loader = _loaders(
            config,
            self.index,
            self.transforms,
            compute,
            self.supervision,
            self.built.spec.image_size,
            self.cache,
        )
        steps = self.train_loader.steps_per_epoch
        self.schedule = make_schedule(self.trainable.optimizer, config.train, steps_per_epoch=steps)

    def close(self) -> None:
        """End the loaders' workers."""
        for loader in (self.train_loader, self.val_loader, self.test_loader):
            if loader is not None:
                loader.close()


def assemble(
    config: RunConfig,
    index: DataIndex,
    emit: Emit,
    poll: Callable[[], None] = lambda: None,
    *,
    has_state: bool = False,
) -> Parts:
    """Build all parts of a run for a data set.

    Args:
        config: The request, or what an earlier attempt made of it.
        index: The data set.
        emit: Where the facts go.
        poll: Called while published weights are fetched; what it raises ends the wait.
        has_state: A checkpoint is about to be restored: no weights to start from are needed.

    Raises:
        UsageError: The model cannot be used as configured.
        EnvironmentFaultError: The device or the weights are not there.

    Emits:
        SetupAdvanced, LogWritten, HealthAlerted; the stage `weights` where any are fetched.
    """
    numbered = provisional(config, num_train=len(index.splits["train"]))
    compute = choose_compute(numbered, probe_capabilities())
    apply_process_settings(compute, config.compute)
    emit(SetupAdvanced(doing=f"building model {visible(config.model.name)}"))
    torch.manual_seed(derive_seed(config.train.seed, "weights"))
    published: Path | None = None
    if wants_published(config.model, has_state=has_state):
        preset = preset_of(config.model.name)
        published = fetch_weights(config.model.name, preset, emit, poll)
    built = _built(config, len(index.class_names), poll, published, has_state=has_state)
    for note in (*index.notes, *built.notes):
        emit(LogWritten(severity="note", message=note))
    for warning in compute.warnings:
        emit(
            HealthAlerted(
                severity="warning",
                code="unsafe_setting",
                message=warning,
                advice="leave the setting on 'auto' unless you know better",
            )
        )
    check_known(config.guards.silenced)
    check_known_checks(config.preflight.skip, "preflight.skip")
    check_known_checks(config.preflight.accept, "preflight.accept", ACCEPTABLE)
    resolved = _resolve(numbered, index, built, compute, emit, poll)
    parts = _join(resolved, index, built, compute)
    parts.undecided = undecided(config)
    return parts


def _built(
    config: RunConfig,
    num_classes: int,
    poll: Callable[[], None],
    published: Path | None,
    *,
    has_state: bool,
) -> BuiltModel:
    def build() -> BuiltModel:
        return build_model(
            config.model, config.data, num_classes, has_state=has_state, published=published
        )

    # Reading large weights takes seconds. Without them it takes no time worth a thread.
    return while_polling(build, poll) if config.model.pretrained else build()


def record(parts: Parts, run: RunDir, findings: Sequence[Mapping[str, object]] = ()) -> None:
    """Write down what was chosen: resolved.toml, split.csv, environment.json.

    Args:
        parts: Of the run.
        run: Its directory.
        findings: Of the diagnosis, as JSON has them.

    Raises:
        OSError: The run directory cannot be written.
    """
    # Whole or not at all: without it a run cannot be resumed.
    write_whole(run.resolved, to_toml(parts.config).encode())
    write_split(parts.index, run.split)
    environment = {**describe_environment(parts.compute), "diagnosis": list(findings)}
    text = json.dumps(environment, indent=1) + "\n"
    run.environment.write_text(text, encoding="utf-8")


def _join(config: ResolvedConfig, index: DataIndex, built: BuiltModel, compute: Compute) -> Parts:
    train, network = config.train, built.network
    network = network.to(compute.device)
    if compute.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if train.freeze_epochs:
        split_head(network)  # refuses at once where the backbone cannot be told apart
    kind = FUSED_CLASSES.get(train.optimizer.lower())
    fused = kind is not None and supports_fused(kind, compute.device)
    optimizer = make_optimizer(network, train, fused=fused)
    trainable = Trainable(
        network=network,
        ema=make_ema(network, train) if train.ema else None,
        optimizer=optimizer,
        scaler=make_scaler(compute),
    )
    transforms = build_transforms(built.spec, config.augment)
    compute = replace(compute, normalisation=transforms.normalisation)
    supervision = Supervision(
        config.guards.loader_patience_seconds, config.guards.first_batch_patience_seconds
    )
    cache = picture_cache(config.data, index)
    train_loader, val_loader, test_loader = _loaders(
        config, index, transforms, compute, supervision, built.spec.image_size, cache
    )
    labels, num_classes = index.labels[index.splits["train"]], len(index.class_names)
    return Parts(
        config=config,
        index=index,
        built=built,
        compute=compute,
        trainable=trainable,
        forward=_compiled(network) if config.compute.compile else network,
        schedule=make_schedule(optimizer, train, steps_per_epoch=train_loader.steps_per_epoch),
        objective=make_objective(train, labels, num_classes, compute.device),
        mixer=make_mixer(config.augment, train, num_classes),
        transforms=transforms,
        train_loader=train_loader,
        val_loader=val_loader,
        test_loader=test_loader,
        supervision=supervision,
        cache=cache,
    )


def _compiled(network: nn.Module) -> nn.Module:
    compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
    return compiled


def _loaders(
    config: ResolvedConfig,
    index: DataIndex,
    transforms: Transforms,
    compute: Compute,
    supervision: Supervision,
    image_size: int,
    cache: PictureCache | None,
) -> tuple[TrainLoader, EvalLoader, EvalLoader | None]:
    data: dict[str, Any] = {
        "workers": compute.workers,
        "max_pixels": config.data.max_pixels,
        "pin_memory": compute.device_type == "cuda",
        "supervision": supervision,
        "image_size": image_size,
        "cache": cache,
    }
    train_loader = TrainLoader(
        index,
        transforms.train,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        sampling=config.data.sampling,
        **data,
    )

    def evaluation(split: SplitName) -> EvalLoader:
        size = compute.micro_batch_size
        return EvalLoader(index, split, transforms.evaluate, batch_size=size, **data)

    has_test = len(index.splits["test"]) > 0
    return train_loader, evaluation("val"), evaluation("test") if has_test else None


def _resolve(
    config: ResolvedConfig,
    index: DataIndex,
    built: BuiltModel,
    compute: Compute,
    emit: Emit,
    poll: Callable[[], None],
) -> ResolvedConfig:
    """Return the configuration with everything that `auto` chose."""
    spec, train = built.spec, config.train
    cache = choose_cache(config.data, index, poll, image_size=spec.image_size, epochs=train.epochs)
    if cache.note:
        emit(LogWritten(severity="note", message=cache.note))
    changes = {
        "data": {
            "layout": index.layout,
            "image_size": spec.image_size,
            "interpolation": spec.interpolation,
            "crop_fraction": spec.crop_fraction,
            "cache": cache.is_on,
            "cache_side": cache.side,
        },
        "train": {
            "micro_batch_size": compute.micro_batch_size,
            "warmup_epochs": min(train.warmup_epochs, train.epochs / 2),
        },
        "compute": {
            "device": compute.device,
            "precision": compute.precision,
            "channels_last": compute.channels_last,
            "threads": compute.threads,
            "workers": compute.workers,
        },
    }
    table = config.model_dump()
    for section, values in changes.items():
        table[section].update(values)
    return ResolvedConfig.model_validate(table)
