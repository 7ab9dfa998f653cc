"""Stands in for the engine: takes the lock, says what it is told to, and ends as it is told to.

Started as `python stand_in_engine.py HOW RUN_DIR [--owner-pid PID]`. Knows no
torch, so it starts in a fraction of a second.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecotui import lock
from ecotui.commands import DetachRun, StopRun, read_commands
from ecotui.events import (
    CheckpointSaved,
    CommandAnswered,
    DatasetDescribed,
    EngineStarted,
    EpochStarted,
    ExportWritten,
    Heartbeat,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    SetupAdvanced,
    StepsTaken,
)
from ecotui.paths import RunDir
from ecotui.stream import EventWriter


def begin(run: RunDir, emit: EventWriter, *, owner: str) -> None:
    begun = run.events.read_bytes().count(b'{"kind":"engine_started"')
    emit(
        EngineStarted(
            run_id=run.run_id,
            pid=os.getpid(),
            host="here",
            version=f"owner {owner}",
            attempt=begun + 1,
        )
    )
    emit(SetupAdvanced(doing="pretending"))


def start(emit: EventWriter) -> None:
    emit(
        RunStarted(
            stages=("train",),
            model="stand_in",
            num_parameters=1,
            image_size=8,
            class_names=("a", "b"),
            num_classes=2,
            num_train=8,
            num_val=2,
            num_test=0,
            epochs=2,
            steps_per_epoch=4,
            max_steps=None,
            batch_size=2,
            micro_batch_size=2,
            device="cpu",
            precision="fp32",
            metric="accuracy",
            seed=0,
        )
    )
    emit(EpochStarted(epoch=1, epochs=2, steps=4, step=0))


def save(emit: EventWriter, step: int) -> str:
    path = f"checkpoints/step-{step:010d}"
    emit(CheckpointSaved(path=path, epoch=0, step=step, num_bytes=1, seconds=0.1, reason="stop"))
    return path


def step(emit: EventWriter, count: int) -> None:
    emit(
        StepsTaken(
            epoch=1,
            step=count,
            step_in_epoch=count,
            num_steps=1,
            loss=1.0,
            accuracy=0.5,
            gradient_norm=1.0,
            learning_rate=0.1,
            images_per_second=10.0,
            loader_wait_fraction=0.0,
        )
    )


def finish(emit: EventWriter) -> None:
    emit(
        RunFinished(
            why="epochs",
            epochs_done=2,
            epochs_planned=2,
            step=8,
            best_checkpoint=None,
            seconds=1.0,
        )
    )


def fail(emit: EventWriter, *, discard: bool) -> None:
    emit(
        RunFailed(
            what="there is no folder /nowhere",
            expected="a folder of photos",
            remedy="correct data.root",
            exit_code=2 if discard else 1,
            checkpoint=None,
            discard=discard,
        )
    )


def wait_for_stop(
    run: RunDir,
    emit: EventWriter,
    *,
    obeys: bool = True,
    accepts: bool = True,
    answers: bool = True,
    owner: int | None = None,
) -> None:
    """Train for ever, two heartbeats a second, until asked to stop.

    With an owner it goes on after a DetachRun, and stops where the owner dies without one.
    """
    is_owned = owner is not None
    offset, count = run.commands.stat().st_size if run.commands.exists() else 0, 0
    while True:
        found, offset = read_commands(run.commands, offset)
        for command in found:
            why = f"seen to: {command.kind}" if accepts else "not \x1b[31mnow"
            if answers:
                emit(
                    CommandAnswered(
                        command_id=command.id, command=command.kind, accepted=accepts, why=why
                    )
                )
            if isinstance(command, StopRun) and obeys:
                path = save(emit, count)
                emit(RunStopped(reason=command.reason, epoch=1, step=count, checkpoint=path))
                return
            if isinstance(command, DetachRun) and owner is None:
                finish(emit)
                return
            if isinstance(command, DetachRun):
                is_owned = False
        if is_owned and os.getppid() != owner:
            path = save(emit, count)
            emit(RunStopped(reason="its owner has died", epoch=1, step=count, checkpoint=path))
            return
        count += 1
        step(emit, count)
        emit(Heartbeat(step=count, seconds_since_progress=0.0))
        time.sleep(0.05)


def leave(signum: int, _: object) -> None:
    os._exit(128 + signum)


def do_job(run: RunDir, emit: EventWriter) -> None:
    job = json.loads(run.job.read_text())
    if job["kind"] == "describe":
        emit(
            DatasetDescribed(
                layout="classes",
                class_names=("cat", "dog\\n"),
                num_classes=2,
                num_train=80,
                num_val=20,
                num_test=0,
                smallest_class=10,
                largest_class=90,
                median_width=640,
                median_height=480,
            )
        )
    if job["kind"] == "export":
        Path(job["output"]).parent.mkdir(parents=True, exist_ok=True)
        Path(job["output"]).write_text("weights")
        emit(ExportWritten(path=job["output"], format=job["format"], source="best", num_bytes=7))
    emit(
        RunFinished(
            why="job", epochs_done=0, epochs_planned=0, step=0, best_checkpoint=None, seconds=0.1
        )
    )


def owner_pid() -> int:
    return int(sys.argv[sys.argv.index("--owner-pid") + 1])


TRAINING: dict[str, Callable[[], dict[str, Any]]] = {
    "trains": dict,
    "saves and trains": dict,
    "refuses": lambda: {"accepts": False},
    "busy": lambda: {"answers": False},
    "deaf": lambda: {"obeys": False},
    "has an owner": lambda: {"owner": owner_pid()},
}
"""Ways to train until it is asked to stop, with what is special about each."""


def play(how: str, run: RunDir, emit: EventWriter) -> None:
    if how == "discards":
        fail(emit, discard=True)
        return
    start(emit)
    step(emit, 1)
    if how.startswith("saves"):
        save(emit, 1)
    if how in TRAINING:
        wait_for_stop(run, emit, **TRAINING[how]())
    match how:
        case "finishes":
            finish(emit)
        case "fails":
            fail(emit, discard=False)
        case "raises":
            raise RuntimeError("a bug\x1b[31m in red")
        case "aborts":
            save(emit, 1)
            os.abort()
        case "exits":
            sys.exit(3)
        case "runs out of time":
            emit(RunStopped(reason="time_limit", epoch=0, step=1, checkpoint=save(emit, 1)))


def main() -> None:
    how, run = sys.argv[1], RunDir(Path(sys.argv[2]))
    if how == "never begins":
        time.sleep(60)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, leave)
    held = lock.acquire(run.lock)
    emit = EventWriter(run.events)
    (run.path / "argv.json").write_text(json.dumps(sys.argv[3:]))
    begin(run, emit, owner=sys.argv[4] if "--owner-pid" in sys.argv else "none")
    if json.loads(run.job.read_text())["kind"] == "train":
        play(how, run, emit)
    else:
        do_job(run, emit)
    emit.close()
    held.release()


if __name__ == "__main__":
    main()
