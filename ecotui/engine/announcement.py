"""What a run states of itself before its first stage: the model, the data, and what will come."""

from __future__ import annotations

from ecotui.engine.assembly import Parts
from ecotui.engine.model import count_parameters
from ecotui.events import RunStarted
from ecotui.text import visible

MAX_EVENT_CLASSES = 100


def announce(parts: Parts) -> RunStarted:
    """Return the event that says what is about to be trained, on what."""
    index, train = parts.index, parts.config.train
    return RunStarted(
        stages=_stages(parts),
        model=visible(parts.config.model.name),
        num_parameters=count_parameters(parts.trainable.network),
        image_size=parts.built.spec.image_size,
        class_names=tuple(visible(name) for name in index.class_names[:MAX_EVENT_CLASSES]),
        num_classes=parts.num_classes,
        num_train=len(index.splits["train"]),
        num_val=len(index.splits["val"]),
        num_test=len(index.splits["test"]),
        epochs=train.epochs,
        steps_per_epoch=parts.train_loader.steps_per_epoch,
        max_steps=train.max_steps,
        batch_size=train.batch_size,
        micro_batch_size=parts.compute.micro_batch_size,
        device=parts.compute.device,
        precision=parts.compute.precision,
        metric=train.metric,
        seed=train.seed,
        target_accuracy=train.target_accuracy,
        deterministic=parts.config.compute.deterministic,
    )


def _stages(parts: Parts) -> tuple[str, ...]:
    before = {"off": (), "quick": ("preflight",), "full": ("audit", "preflight")}
    planned = ("plan",) if parts.config.preflight.plans else ()
    after = () if parts.test_loader is None else ("test",)
    config = parts.config.preflight
    looks = (name for name in before[config.level] if name not in config.skip)
    return (*looks, *planned, "train", "validate", *after)
