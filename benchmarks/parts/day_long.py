"""A day of training with trouble in it, as a log: made the same every time it is made.

100,000 events as an engine states them, of which 50,000 are alerts: what a reader must open
in seconds. `benchmarks/long_log.py` measures it, and tests open it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from ecotui.events import (
    CheckpointDropped,
    CheckpointSaved,
    CheckpointVerified,
    ClassScore,
    EngineStarted,
    EpochFinished,
    EpochStarted,
    Event,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    Heartbeat,
    LogWritten,
    RunStarted,
    SampleSetAside,
    SetupAdvanced,
    StageAdvanced,
    StageFinished,
    StageStarted,
    StepsTaken,
    ValidationFinished,
)
from ecotui.healing import IncidentRecorded, MachineMeasured, RunRolledBack

NUM_EVENTS = 100_000
STEPS_AN_EPOCH = 482
ALERTS_AN_EPOCH = 500
"""Of 1,000 events: one after every step, and some more at once."""
CLASSES = tuple(f"class {number:02}" for number in range(30))
_BEGAN = 1_790_000_000.0


def write(path: Path, num_events: int = NUM_EVENTS) -> Path:
    """Write the log of a run that still goes on; about a day of it at the full number."""
    with path.open("wb") as file:
        for seq, event in zip(range(1, num_events + 1), events(), strict=False):
            stamp = {"seq": seq, "at": _BEGAN + seq * 0.864, "since_start": seq * 0.864}
            file.write(event.model_copy(update=stamp).model_dump_json().encode() + b"\n")
    return path


def events() -> Iterator[Event]:
    """Yield what an engine states, without end, not stamped yet."""
    chance = random.Random(8)
    yield EngineStarted(run_id="day", pid=1, host="here", version="0")
    yield SetupAdvanced(doing="building the model")
    yield _started()
    yield StageStarted(stage="train", total=10_000 * STEPS_AN_EPOCH, unit="steps")
    step, epoch = 0, 0
    while True:
        epoch += 1
        yield EpochStarted(epoch=epoch, epochs=10_000, steps=STEPS_AN_EPOCH, step=step)
        for place in range(STEPS_AN_EPOCH):
            step += 1
            yield _progress(epoch, step, place, chance)
            yield _alert(epoch, step, chance)
        for _ in range(ALERTS_AN_EPOCH - STEPS_AN_EPOCH):
            yield _alert(epoch, step, chance)
        yield from _end_of(epoch, step, chance)


def _started() -> RunStarted:
    return RunStarted(
        stages=("train",),
        model="mobilenetv4_conv_small",
        num_parameters=2_532_638,
        image_size=224,
        class_names=CLASSES,
        num_classes=len(CLASSES),
        num_train=16_000,
        num_val=2_000,
        num_test=2_000,
        epochs=10_000,
        steps_per_epoch=STEPS_AN_EPOCH,
        max_steps=None,
        batch_size=32,
        micro_batch_size=32,
        device="cpu",
        precision="bf16",
        metric="accuracy",
        seed=0,
    )


def _progress(epoch: int, step: int, place: int, chance: random.Random) -> Event:
    if place % 20 == 7:
        return Heartbeat(step=step, seconds_since_progress=0.4)
    if place % 20 == 13:
        return MachineMeasured(
            step=step,
            cpu_fraction=0.97,
            memory_used_bytes=9_000_000_000 + step * 1_000,
            memory_total_bytes=16_000_000_000,
            engine_memory_bytes=2_000_000_000,
            disk_free_bytes=80_000_000_000,
        )
    if place % 20 == 17:
        return StageAdvanced(stage="train", done=step)
    return StepsTaken(
        epoch=epoch,
        step=step,
        step_in_epoch=place,
        num_steps=1,
        loss=2.0 / epoch + chance.random() * 0.1,
        accuracy=min(0.99, 0.4 + epoch * 0.005 + chance.random() * 0.05),
        gradient_norm=0.8 + chance.random(),
        learning_rate=5e-4,
        images_per_second=812.5 + chance.random(),
        loader_wait_fraction=0.03,
    )


def _alert(epoch: int, step: int, chance: random.Random) -> Event:
    files = tuple(f"images/train/{chance.choice(CLASSES)}/{step}_{each}.jpg" for each in range(8))
    roll = chance.random()
    if roll < 0.45:
        return GuardTripped(
            layer=chance.choice((4, 5, 6)),
            guard=chance.choice(("nonfinite_loss", "loss_spike", "gradient_norm", "batch_samples")),
            severity=chance.choice(("note", "warning", "warning", "critical")),
            what=f"the loss of step {step:,} is {chance.random() * 100:.1f} times the usual",
            observed=chance.random() * 100,
            limit=10.0,
            unit="times the median",
            advice="look at the files named, and lower the learning rate",
            action="skip_batch",
            step=step,
            files=files,
        )
    if roll < 0.6:
        return GuardRecovered(layer=5, guard="loss_spike", what="the loss is as before", step=step)
    if roll < 0.8:
        return HealthAlerted(
            severity=chance.choice(("note", "warning")),
            code="slow_loader",
            message=f"the loader kept the device waiting for {chance.random():.0%} of the time",
            advice="more workers, or a faster disk",
        )
    if roll < 0.95:
        return SampleSetAside(
            path=files[0],
            reason="broken data stream when reading image file",
            split="train",
            step=step,
        )
    if roll < 0.99:
        return IncidentRecorded(
            incident=f"incident-{step}",
            layer=6,
            guard="gradient_norm",
            step=step,
            cause="unknown",
            what="the gradient could not be reproduced",
            advice="see the file",
            files=files,
            file=f"incidents/{step}.json",
        )
    if roll < 0.9995:
        return HealthAlerted(
            severity="critical",
            code="memory_low",
            message="the memory left is less than a batch takes",
            advice="close other programs, or resume with --smaller",
        )
    return RunRolledBack(
        from_step=step,
        to_step=max(0, step - 5),
        epoch=epoch,
        source="memory",
        guard="loss_spike",
        what="went back five steps",
        num_skipped_batches=5,
        learning_rate_factor=0.5,
        num_rollbacks=1,
        rollbacks_left=2,
    )


def _end_of(epoch: int, step: int, chance: random.Random) -> Iterator[Event]:
    for number in range(2):
        yield LogWritten(severity="note", message=f"epoch {epoch:,}, remark {number}")
    yield StageStarted(stage="validate", total=63, unit="batches")
    for done in range(0, 63, 8):
        yield StageAdvanced(stage="validate", done=done)
    yield StageFinished(stage="validate", seconds=4.0)
    scores = tuple(
        ClassScore(name=name, precision=0.8, recall=0.7, f1=0.75, support=66) for name in CLASSES
    )
    yield ValidationFinished(
        split="val",
        epoch=epoch,
        step=step,
        num_images=2_000,
        loss=1.0 + chance.random(),
        accuracy=0.7 + chance.random() * 0.1,
        accuracy_top5=0.95,
        macro_f1=0.7,
        per_class=scores,
        num_classes=len(CLASSES),
        file=f"evaluations/epoch-{epoch:06}.json",
        seconds=4.0,
    )
    path = f"checkpoints/step-{step:010d}-abcd"
    yield CheckpointSaved(
        path=path, epoch=epoch, step=step, num_bytes=31_000_000, seconds=0.3, reason="epoch"
    )
    yield CheckpointVerified(path=path, ok=True, what="")
    yield CheckpointDropped(path=f"checkpoints/step-{step - 4 * STEPS_AN_EPOCH:010d}-abcd")
    yield EpochFinished(
        epoch=epoch,
        step=step,
        train_loss=2.0 / epoch,
        train_accuracy=0.6,
        seconds=864.0,
        images_per_second=812.0,
        learning_rate=5e-4,
        num_set_aside=epoch,
    )
