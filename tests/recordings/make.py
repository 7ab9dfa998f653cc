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
    CheckReported,
    ClassScore,
    CommandAnswered,
    EngineStarted,
    EpochFinished,
    EpochStarted,
    Event,
    GuardAction,
    GuardRecovered,
    GuardTripped,
    HealthAlerted,
    Heartbeat,
    Layer,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleSetAside,
    SetupAdvanced,
    Severity,
    StageAdvanced,
    StageFinished,
    StageStarted,
    StepsTaken,
    ValidationFinished,
    Verdict,
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
    yield started(epochs, test=test)
    yield StageStarted(stage="train", total=epochs * STEPS_PER_EPOCH, unit="steps")


def started(epochs: int, *, test: bool = True) -> RunStarted:
    return RunStarted(
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


def verdict(
    check: str, layer: Layer, verdict: Verdict, what: str, expected: str = "", remedy: str = ""
) -> CheckReported:
    return CheckReported(
        check=check, layer=layer, verdict=verdict, what=what, expected=expected, remedy=remedy
    )


def diagnosed(run_id: str) -> Iterator[Event]:
    yield EngineStarted(run_id=run_id, pid=4242, host="bench", version="0.1.0")
    yield StageStarted(stage="diagnose", total=6, unit="checks")
    checks = (
        verdict("python", 1, "pass", "Python 3.11.9"),
        verdict("packages", 1, "pass", "torch 2.2.2, torchvision 0.17.2, timm 1.0.31"),
        verdict("numpy_bridge", 1, "pass", "NumPy 1.26.4 to torch and back"),
        verdict("device", 1, "note", "no CUDA and no MPS: the CPU trains, with 2 cores"),
        verdict("memory", 1, "pass", "7.8 GB of memory, 5.1 GB of it free"),
        verdict(
            "disk",
            1,
            "warn",
            "1.2 GB free in the runs directory",
            "2.0 GB, for the checkpoints",
            "free some space, or choose another disk with --runs-dir",
        ),
    )
    for done, check in enumerate(checks, start=1):
        yield check
        yield StageAdvanced(stage="diagnose", done=done)
    yield StageFinished(stage="diagnose", seconds=9.0)
    for doing in ("loading the libraries", "reading the data", "building the model"):
        yield SetupAdvanced(doing=doing)


def preflighted() -> Iterator[Event]:
    yield StageStarted(stage="preflight", total=4, unit="checks")
    yield verdict("transforms", 2, "pass", "transform validation passed")
    yield StageAdvanced(stage="preflight", done=1)
    yield verdict("first_batch", 3, "pass", "pre-training sanity check passed")
    yield StageAdvanced(stage="preflight", done=2)
    yield verdict("image_size", 3, "pass", "all 8 checked images are 96x96")
    yield StageAdvanced(stage="preflight", done=3)
    told = "the model takes the images and gives a score for 6 classes"
    yield verdict("output_shape", 3, "pass", told)
    yield StageAdvanced(stage="preflight", done=4)
    yield StageFinished(stage="preflight", seconds=4.0)


def tripped(
    layer: Layer, guard: str, what: str, advice: str, severity: Severity, action: GuardAction
) -> GuardTripped:
    return GuardTripped(
        layer=layer,
        guard=guard,
        severity=severity,
        what=what,
        observed=None,
        limit=None,
        unit="",
        advice=advice,
        action=action,
        step=28 + layer,
        files=("glass/glass 3.jpg", "paper/paper 8.jpg") if action == "skip_batch" else (),
    )


def trips() -> Iterator[Event]:
    yield SampleSetAside(
        path="glass/broken 17.jpg", reason="truncated file", split="train", step=27
    )
    told = "the labels of the batch are out of range"
    yield tripped(4, "labels", told, "Look at the class folders.", "warning", "skip_batch")
    told = "the loss is not finite"
    yield tripped(5, "loss_finite", told, "Lower train.learning_rate.", "warning", "skip_batch")
    told = "the gradients are not finite"
    yield tripped(6, "gradients", told, "Set compute.precision = fp32.", "warning", "skip_batch")
    yield GuardRecovered(layer=6, guard="gradients", what="the gradients are finite", step=36)
    told = "the validation loss has risen for 3 epochs"
    yield tripped(7, "val_loss", told, "Consider more augmentation.", "warning", "none")


def full_run() -> Iterator[Event]:
    """Every stage and every part of a screen: checks, trips of each layer, an end."""
    yield from diagnosed("full")
    yield started(3)
    yield from preflighted()
    yield StageStarted(stage="train", total=3 * STEPS_PER_EPOCH, unit="steps")
    yield from whole_epoch(1, 0.5, is_best=True, epochs=3)
    yield from steps(2, 3, 12)
    yield from trips()
    yield from whole_epoch(2, 0.725, is_best=True, epochs=3)
    yield from whole_epoch(3, 0.7, is_best=False, epochs=3)
    yield from tested(2)
    yield RunFinished(
        why="epochs",
        epochs_done=3,
        epochs_planned=3,
        step=72,
        best_checkpoint="checkpoints/best_model_epoch2_acc72.50",
        seconds=90.0,
    )


def refused(what: str, expected: str, remedy: str, exit_code: int) -> RunFailed:
    return RunFailed(
        what=what,
        expected=expected,
        remedy=remedy,
        exit_code=exit_code,
        checkpoint=None,
        discard=True,
    )


def sick_environment() -> Iterator[Event]:
    yield EngineStarted(run_id="sick", pid=4242, host="bench", version="0.1.0")
    yield StageStarted(stage="diagnose", total=2, unit="checks")
    yield verdict("python", 1, "pass", "Python 3.11.9")
    told = ("NumPy 2.0.2 cannot be used by torch 2.2.0", "NumPy below 2", "pip install 'numpy<2'")
    yield verdict("numpy_bridge", 1, "fail", *told)
    yield refused(*told, exit_code=5)


def preflight_failed() -> Iterator[Event]:
    yield from diagnosed("refused")
    yield started(3)
    yield StageStarted(stage="preflight", total=4, unit="checks")
    told = ("the transforms make images of 448x448", "96x96, as the model takes", "set one size")
    yield verdict("transforms", 2, "fail", *told)
    yield refused(*told, exit_code=3)


def guard_stopped() -> Iterator[Event]:
    yield from diagnosed("unwell")
    yield started(3)
    yield from preflighted()
    yield StageStarted(stage="train", total=3 * STEPS_PER_EPOCH, unit="steps")
    yield from whole_epoch(1, 0.5, is_best=True, epochs=3)
    told = "the loss was not finite three times in a row"
    yield tripped(5, "loss_finite", told, "Lower train.learning_rate.", "critical", "stop")
    yield RunFailed(
        what=told,
        expected="a finite loss",
        remedy="lower train.learning_rate, then resume",
        exit_code=4,
        checkpoint="checkpoints/step-0000000024",
        discard=False,
    )


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
    write("full_run", full_run())
    write("sick_environment", sick_environment())
    write("preflight_failed", preflight_failed())
    write("guard_stopped", guard_stopped())
    lost = write("engine_lost", engine_lost())
    (FOLDER / "torn_line.jsonl").write_bytes(lost[:-40])
    lines = clean.splitlines(keepends=True)
    lines.insert(8, b'{"kind":"moon_phase_changed","seq":9,"at":1790000012.0,"phase":"full"}\n')
    lines.insert(20, b'{"kind":"steps_taken","step":"not a number"}\n')
    (FOLDER / "from_the_future.jsonl").write_bytes(b"".join(lines))


if __name__ == "__main__":
    main()
