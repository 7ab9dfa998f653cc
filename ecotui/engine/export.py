"""The best weights of a run in a form that others load."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import safetensors.torch
import torch

from ecotui.engine import checkpoint
from ecotui.engine.emit import Emit
from ecotui.errors import EcoError, UsageError
from ecotui.events import ExportWritten, SetupAdvanced
from ecotui.jobs import ExportJob
from ecotui.paths import RunDir
from ecotui.text import visible


def export(job: ExportJob, emit: Emit) -> None:
    """Write a run's best model as a plain state dict or as a folder for timm.

    Raises:
        UsageError: The run has no best model, or the target exists.
        EcoError: The best model's files are damaged.

    Emits:
        SetupAdvanced, ExportWritten.
    """
    run, target = RunDir(Path(job.run_path)), Path(job.output)
    best = checkpoint.find_best(run.checkpoints)
    if best is None:
        raise UsageError(
            f"run {visible(run.run_id)} has no best model yet",
            "a run that has finished at least one validation",
            "let it train for an epoch, then export again",
        )
    if target.exists():
        raise UsageError(
            f"{visible(target)} exists already",
            "a path that is free",
            "choose another one with --output, or remove it",
        )
    emit(SetupAdvanced(doing=f"checking {best.name}"))
    try:
        checkpoint.verify(best)
    except checkpoint.BadCheckpointError as error:
        raise EcoError(
            f"{visible(best)} is damaged: {visible(error)}",
            "the files that were saved",
            "restore the folder from a copy, or resume the run to save it again",
        ) from error
    num_bytes = _write(best, target, job.format)
    emit(
        ExportWritten(
            path=visible(target), format=job.format, source=best.name, num_bytes=num_bytes
        )
    )


def _write(best: Path, target: Path, form: str) -> int:
    """Write under a hidden name beside the target, then rename: whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    writing = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        if form == "pth":
            torch.save(safetensors.torch.load_file(best / "model.safetensors"), writing)
        else:
            shutil.copytree(best, writing)
        os.replace(writing, target)
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        writing.unlink(missing_ok=True)
        raise
    files = [target] if target.is_file() else list(target.iterdir())
    return sum(file.stat().st_size for file in files)
