"""Write the recorded logs anew: `python tests/recordings/make.py`.

Each is what an engine would write, on a clock that starts at a fixed time, so
the files and the texts made from them never change by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ecotui.events import (
    BestCheckpointChanged,
    CheckpointDropped,
    CheckpointSaved,
    ClassScore,
    CommandAnswered,
    EngineStarted,
    EpochFinished,
    EpochStarted,
    Event,
    HealthAlerted,
    Heartbeat,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleSetAside,
    SetupAdvanced,
    StageAdvanced,
    StageFinished,
    StageStarted,
    StepsTaken,
    ValidationFinished,
)
from ecotui.stream import EventWriter

FOLDER = Path(__file__).parent
CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
STEPS_PER_EPOCH = 24
STARTED_AT = 1_790_000_000.0
SECONDS_AN_EVENT = 1.5


class _Clock:
    """Every event comes a fixed time after the one before."""

    def __init__(self, start: float) -> None:
        self._now = start

    def __call__(self) -> float:
        self._now += SECONDS_AN_EVENT
        return self._now


def beginning(run_id: str, epochs: int, *, test: bool = True) -> Iterator[Event]:
    yield EngineStarted(run_id=run_id, pid=4242, host="bench", version="0.1.0")
    for doing in ("loading the libraries", "reading the data", "building the model"):
        yield SetupAdvanced(doing=doing)
    yield RunStarted(
        stages=("train", "test") if test else ("train",),
        model="regnetx_002",
        num_parameters=2_319_000,
        image_size=96,
        class_names=CLASSES,
        num_classes=len(CLASSES),
        num_train=768,
        num_val=120,
        num_test=120 if test else 0,
        epochs=epochs,
        steps_per_epoch=STEPS_PER_EPOCH,
        max_steps=None,
        batch_size=32,
        micro_batch_size=32,
        device="cpu",
        precision="fp32",
        metric="accuracy",
        seed=0,
    )
    yield StageStarted(stage="train", total=epochs * STEPS_PER_EPOCH, unit="steps")


def steps(epoch: int, epochs: int, upto: int = STEPS_PER_EPOCH) -> Iterator[Event]:
    done = (epoch - 1) * STEPS_PER_EPOCH
    yield EpochStarted(epoch=epoch, epochs=epochs, steps=STEPS_PER_EPOCH, step=done)
    for taken in range(4, upto + 1, 4):
        yield StepsTaken(
            epoch=epoch,
            step=done + taken,
            step_in_epoch=taken,
            num_steps=4,
            loss=1.8 / (1 + 0.03 * (done + taken)),
            accuracy=min(0.99, 0.2 + 0.004 * (done + taken)),
            gradient_norm=0.9,
            learning_rate=0.002,
            images_per_second=85.3,
            loader_wait_fraction=0.04,
        )


def scored(split: str, epoch: int, accuracy: float) -> ValidationFinished:
    per_class = tuple(
        ClassScore(
            name=name,
            precision=accuracy - 0.02 * index,
            recall=accuracy - 0.01 * index,
            f1=accuracy - 0.015 * index,
            support=20,
        )
        for index, name in enumerate(CLASSES)
    )
    return ValidationFinished(
        split="test" if split == "test" else "val",
        epoch=epoch,
        step=epoch * STEPS_PER_EPOCH,
        num_images=120,
        loss=1.4 - accuracy,
        accuracy=accuracy,
        accuracy_top5=0.99,
        macro_f1=accuracy - 0.0375,
        per_class=per_class,
        num_classes=len(CLASSES),
        file=f"evaluations/epoch-{epoch:06d}.json",
        seconds=3.0,
    )


def whole_epoch(epoch: int, accuracy: float, *, is_best: bool, epochs: int = 20) -> Iterator[Event]:
    yield from steps(epoch, epochs)
    step = epoch * STEPS_PER_EPOCH
    yield StageStarted(stage="validate", total=120, unit="images")
    yield StageAdvanced(stage="validate", done=64)
    yield StageAdvanced(stage="validate", done=120)
    yield StageFinished(stage="validate", seconds=3.0)
    yield scored("val", epoch, accuracy)
    if is_best:
        yield BestCheckpointChanged(
            path=f"checkpoints/best_model_epoch{epoch}_acc{100 * accuracy:.2f}",
            epoch=epoch,
            step=step,
            metric="accuracy",
            value=accuracy,
            accuracy=accuracy,
            macro_f1=accuracy - 0.0375,
        )
    yield EpochFinished(
        epoch=epoch,
        step=step,
        train_loss=1.8 / (1 + 0.03 * step),
        train_accuracy=min(0.99, 0.2 + 0.004 * step),
        seconds=18.0,
        images_per_second=84.9,
        learning_rate=0.002,
        num_set_aside=0,
    )
    yield CheckpointSaved(
        path=f"checkpoints/step-{step:010d}",
        epoch=epoch,
        step=step,
        num_bytes=27_800_000,
        seconds=0.2,
        reason="epoch",
    )
    if epoch > 2:
        yield CheckpointDropped(path=f"checkpoints/step-{(epoch - 2) * STEPS_PER_EPOCH:010d}")


def tested(epoch: int) -> Iterator[Event]:
    yield StageFinished(stage="train", seconds=60.0)
    yield StageStarted(stage="test", total=120, unit="images")
    yield StageAdvanced(stage="test", done=120)
    yield scored("test", epoch, 0.7)
    yield StageFinished(stage="test", seconds=3.0)


def clean_run() -> Iterator[Event]:
    yield from beginning("clean", 3)
    yield from whole_epoch(1, 0.5, is_best=True, epochs=3)
    yield SampleSetAside(
        path="glass/broken 17.jpg", reason="truncated file", split="train", step=27
    )
    yield HealthAlerted(
        severity="warning",
        code="class-imbalance",
        message="the largest class has 4 times the images of the smallest",
        advice="Consider train.class_weights = balanced.",
    )
    yield Heartbeat(step=27, seconds_since_progress=1.0)
    yield from whole_epoch(2, 0.725, is_best=True, epochs=3)
    yield from whole_epoch(3, 0.7, is_best=False, epochs=3)
    yield from tested(2)
    yield RunFinished(
        why="epochs",
        epochs_done=3,
        epochs_planned=3,
        step=72,
        best_checkpoint="checkpoints/best_model_epoch2_acc72.50",
        seconds=72.0,
    )


def early_stopped() -> Iterator[Event]:
    yield from beginning("early", 20, test=False)
    for epoch in range(1, 6):
        yield from whole_epoch(epoch, 0.6 + 0.01 * (epoch == 3), is_best=epoch in (1, 3))
    yield RunFinished(
        why="early_stopping",
        epochs_done=5,
        epochs_planned=20,
        step=120,
        best_checkpoint="checkpoints/best_model_epoch3_acc61.00",
        seconds=120.0,
    )


def stopped() -> Iterator[Event]:
    yield from beginning("stopped", 20)
    yield from whole_epoch(1, 0.5, is_best=True)
    yield from steps(2, 20, 8)
    yield CommandAnswered(command_id="c1", command="stop_run", accepted=True, why="")
    yield CheckpointSaved(
        path="checkpoints/step-0000000032",
        epoch=1,
        step=32,
        num_bytes=27_800_000,
        seconds=0.2,
        reason="stop",
    )
    yield RunStopped(
        reason="SIGINT", epoch=2, step=32, checkpoint="checkpoints/step-0000000032", exit_code=75
    )


def failed() -> Iterator[Event]:
    yield from beginning("failed", 20)
    yield from whole_epoch(1, 0.5, is_best=True)
    yield from steps(2, 20, 8)
    yield RunFailed(
        what="the disk is full: checkpoints/step-0000000048 could not be written",
        expected="28 MB free in the runs directory",
        remedy="free some space, or choose another disk with --runs-dir",
        exit_code=1,
        checkpoint="checkpoints/step-0000000024",
        discard=False,
    )


def engine_lost() -> Iterator[Event]:
    yield from beginning("lost", 20)
    yield from whole_epoch(1, 0.5, is_best=True)
    yield from steps(2, 20, 12)


def write(name: str, events: Iterator[Event]) -> bytes:
    path = FOLDER / f"{name}.jsonl"
    path.unlink(missing_ok=True)
    writer = EventWriter(path, wall_clock=_Clock(STARTED_AT), monotonic_clock=_Clock(0.0))
    for event in events:
        writer(event)
    writer.close()
    return path.read_bytes()


def main() -> None:
    clean = write("clean_run", clean_run())
    write("early_stopped", early_stopped())
    write("stopped", stopped())
    write("failed", failed())
    lost = write("engine_lost", engine_lost())
    (FOLDER / "torn_line.jsonl").write_bytes(lost[:-40])
    lines = clean.splitlines(keepends=True)
    lines.insert(8, b'{"kind":"moon_phase_changed","seq":9,"at":1790000012.0,"phase":"full"}\n')
    lines.insert(20, b'{"kind":"steps_taken","step":"not a number"}\n')
    (FOLDER / "from_the_future.jsonl").write_bytes(b"".join(lines))


if __name__ == "__main__":
    main()
