"""What an engine of the fork server can be made to do wrong, or be spared.

The saboteurs are the controls: with one of them the same test has to fail.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch

from ecotui.engine import (
    buffers,
    checkpoint,
    incidents,
    relief,
    reporting,
    restoring,
    rollback,
    saving,
    step,
    step_protection,
    training_job,
)
from ecotui.engine.data import dataset, loader
from ecotui.engine.data.dataset import Batch
from ecotui.engine.diagnose import Diagnosis

PIECE_BYTES = 262_144
"""Written and flushed at once by the saboteur, which takes its time as a slow disk does."""


def take_the_environment_for_healthy() -> None:
    """Spare the seconds that the children of the diagnosis need to import torch."""
    replaced: Any = training_job
    assert hasattr(replaced, "diagnose")
    replaced.diagnose = lambda *args, **kwargs: Diagnosis(checks=())


def restore_no_generators() -> None:
    """Saboteur: dropout goes on with other random numbers than it would have."""
    replaced: Any = restoring
    assert hasattr(replaced, "unpack_generators")
    replaced.unpack_generators = lambda *args, **kwargs: None


def give_loaders_no_generator() -> None:
    """Saboteur: every pass of a loader draws from the process's own generator.

    So does torch's DataLoader where it is given none.
    """
    epoch, passes = loader.TrainLoader.epoch, loader.EvalLoader.__iter__

    def drawing_epoch(self: loader.TrainLoader, *args: Any, **kwargs: Any) -> Iterator[Batch]:
        torch.empty((), dtype=torch.int64).random_()
        return epoch(self, *args, **kwargs)

    def drawing_pass(self: loader.EvalLoader) -> Iterator[Batch]:
        torch.empty((), dtype=torch.int64).random_()
        return passes(self)

    train, evaluation = cast("Any", loader.TrainLoader), cast("Any", loader.EvalLoader)
    train.epoch, evaluation.__iter__ = drawing_epoch, drawing_pass


def write_in_place() -> None:
    """Saboteur: the state is written over the one before, file by file, and then gets its name."""
    replaced: Any = checkpoint
    commit = replaced.commit_in_steps

    def commit_in_place(parent: Path, name: str, *rest: Any) -> Any:
        live = checkpoint.list_steps(parent)
        if not name.startswith("step-") or not live:
            return (yield from commit(parent, name, *rest))
        written = yield from commit(parent.with_name("aside"), name, *rest)
        seen = parent / ".tmp-in-place"  # what a kill is aimed at
        seen.mkdir(exist_ok=True)
        for file in sorted(written.path.iterdir()):
            # Not emptied first: a restored tensor may still lie in the file's own pages.
            target = os.open(live[0] / file.name, os.O_WRONLY | os.O_CREAT, 0o644)
            content = memoryview(file.read_bytes())
            for start in range(0, len(content), PIECE_BYTES):
                os.write(target, content[start : start + PIECE_BYTES])
                os.fsync(target)
                yield
            os.ftruncate(target, len(content))
            os.close(target)
        renamed = live[0].rename(parent / name)
        seen.rmdir()
        shutil.rmtree(written.path)
        return checkpoint.Committed(renamed, written.num_bytes)

    replaced.commit_in_steps = commit_in_place


def die_at_change(number: str) -> None:
    """Die at the n-th change of a file of the run: right before it, but a new file is there, empty.

    Opening a file for writing, and making, renaming and removing one, are changes. What the
    engine's children do does not count.
    """
    run, own_pid = Path(sys.argv[1]), os.getpid()
    left = int(number)

    def on_operation(name: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        path = _changed(name, args, run)
        if path is None or os.getpid() != own_pid:
            return
        left -= 1
        if left == 0:
            if name == "open" and path.is_absolute():
                _leave_empty(path, args[2])
            os.kill(own_pid, signal.SIGKILL)

    sys.addaudithook(on_operation)


def _leave_empty(path: Path, flags: int) -> None:
    if flags & os.O_CREAT and not path.exists():
        path.touch()
    elif flags & os.O_TRUNC:
        os.truncate(path, 0)


def _changed(name: str, args: tuple[Any, ...], run: Path) -> Path | None:
    """Return what an operation is about to change of a run, or None."""
    if name == "open":
        if not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return None
    elif name not in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"):
        return None
    if not isinstance(args[0], str | Path):
        return None
    path = Path(args[0])
    # A relative name is one within an open folder, which only checkpoints are written through.
    return path if not path.is_absolute() or path.is_relative_to(run) else None


def fall_ill(kind: str) -> None:
    """Let something go wrong that the engine heals, at the same place in every attempt."""
    illnesses: dict[str, Callable[[], None]] = {
        "nan": lambda: _spoil_steps((9, 10, 11), float("nan")),
        "one nan": lambda: _spoil_steps((9,), float("nan")),
        "memory": _run_out_of_memory,
        "file": _lose_a_file,
    }
    illnesses[kind]()


def _spoil_steps(steps: tuple[int, ...], value: float) -> None:
    measure = step.Stepper.measure

    def measured(self: step.Stepper, batch: Batch, number: int) -> torch.Tensor:
        found = measure(self, batch, number)
        return found * value if number in steps else found

    replaced: Any = step.Stepper
    replaced.measure = measured


def _run_out_of_memory() -> None:
    measure = step.Stepper.measure

    def measured(self: step.Stepper, batch: Batch, number: int) -> torch.Tensor:
        if number >= 9 and self._parts.compute.micro_batch_size > 4:
            raise RuntimeError("CUDA out of memory (injected)")
        return measure(self, batch, number)

    replaced: Any = step.Stepper
    replaced.measure = measured


def _lose_a_file() -> None:
    read = dataset.PhotoDataset._read

    def lost(self: dataset.PhotoDataset, epoch: int, sample_id: int, asked_id: int) -> Any:
        if sample_id % 40 == 7:
            return dataset.Failure(sample_id, "the file does not exist")
        return read(self, epoch, sample_id, asked_id)

    replaced: Any = dataset.PhotoDataset
    replaced._read = lost


_ACTIONS: dict[str, tuple[Any, str]] = {
    "skip": (step_protection.StepProtection, "_answered"),
    "undo": (buffers.KeptBuffers, "put_back"),
    "set aside": (reporting.Reporter, "set_aside"),
    "look into": (incidents.Incidents, "_record"),
    "shrink": (relief.Relief, "shrink"),
    "go back": (rollback.Rollback, "go_back"),
    "restore": (restoring.Restorable, "apply"),
    "cut": (rollback, "cut_metrics"),
    "void": (saving.Saver, "void_later"),
}
"""What recovery does, by the function that does it."""


def die_in(argument: str) -> None:
    """Die in an action of recovery: `before:ACTION` or `after:ACTION`, at its first call."""
    when, _, action = argument.partition(":")
    owner, name = _ACTIONS[action]
    real = getattr(owner, name)
    own_pid = os.getpid()

    def acting(*args: Any, **kwargs: Any) -> Any:
        # An evaluation names files too, and an attempt begins with restoring a state.
        is_meant = os.getpid() == own_pid and not (action == "restore" and _is_resuming())
        is_meant = is_meant and not (action == "set aside" and not args[1])
        if is_meant and when == "before":
            os.kill(own_pid, signal.SIGKILL)
        found = real(*args, **kwargs)
        if is_meant:
            os.kill(own_pid, signal.SIGKILL)
        return found

    setattr(owner, name, acting)


def _is_resuming() -> bool:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "resume":
            return True
    return False


def apply(name: str) -> None:
    """Apply a patch by its name; what follows a colon is its argument."""
    key, _, argument = name.partition(":")
    if key == "dies_at_change":
        die_at_change(argument)
    elif key == "dies_in":
        die_in(argument)
    elif key == "falls_ill":
        fall_ill(argument)
    else:
        PATCHES[key]()


PATCHES: dict[str, Callable[[], None]] = {
    "healthy_environment": take_the_environment_for_healthy,
    "generators_not_restored": restore_no_generators,
    "loader_without_generator": give_loaders_no_generator,
    "writes_in_place": write_in_place,
}
