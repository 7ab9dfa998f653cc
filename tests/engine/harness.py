"""Runs jobs in the test's own process, on small photos, and keeps what they stated."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from ecotui.config import RunConfig
from ecotui.config_file import to_toml
from ecotui.engine import checkpoint
from ecotui.engine.control import Control, StopFlag
from ecotui.engine.deadline import Deadline
from ecotui.engine.runner import run_job
from ecotui.errors import ExitCode
from ecotui.events import Event
from ecotui.jobs import TrainJob
from ecotui.paths import RunDir

Hook = Callable[[Event], None]


class Harness:
    """Runs a job in a directory of its own and keeps what it stated."""

    def __init__(self, path: Path, data_root: Path) -> None:
        self.path, self.data_root = path, data_root
        self.count = 0

    def new(self, job: Any = None, **sections: dict[str, Any]) -> RunDir:
        self.count += 1
        run = RunDir(self.path / f"run-{self.count}")
        run.path.mkdir()
        run.job.write_text((job or TrainJob()).model_dump_json())
        run.config.write_text(to_toml(self.config(**sections)))
        return run

    def config(self, **sections: dict[str, Any]) -> RunConfig:
        table: dict[str, Any] = {
            "data": {"root": str(self.data_root), "image_size": 32, "val_fraction": 0.25},
            "model": {"name": "test_resnet", "pretrained": False},
            "train": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3},
            "compute": {"workers": 0, "threads": 1},
            "checkpoint": {"background": False},
            # Tests of their own look at these, the longest of all.
            "preflight": {"skip": ["augmentation_strength", "overfit", "previews"]},
        }
        for name, values in sections.items():
            table.setdefault(name, {}).update(values)
        return RunConfig.model_validate(table)

    def run(
        self,
        run: RunDir,
        hook: Hook | None = None,
        *,
        attempt: int = 1,
        settings: Sequence[str] = (),
        deadline: Deadline | None = None,
    ) -> tuple[list[Event], ExitCode]:
        events: list[Event] = []

        def emit(event: Event) -> None:
            events.append(event)
            if hook is not None:
                hook(event)

        heard = run.commands.stat().st_size if attempt > 1 and run.commands.exists() else 0
        control = Control(run.commands, heard, emit, StopFlag(), deadline=deadline)
        code = run_job(run, control, emit, attempt=attempt, settings=settings)
        return events, code

    def train(self, **sections: dict[str, Any]) -> tuple[RunDir, list[Event]]:
        run = self.new(**sections)
        events, code = self.run(run)
        assert code == ExitCode.DONE, events[-1]
        return run, events


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def final_weights(run: RunDir) -> dict[str, torch.Tensor]:
    (newest, *_) = checkpoint.list_steps(run.checkpoints)
    checkpoint.verify(newest)
    weights: dict[str, torch.Tensor] = safetensors.torch.load_file(newest / "model.safetensors")
    return weights


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def copy_of(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target
