"""What is saved when: the state at intervals, the best model, and what may go again."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from timm.models._hub import save_config_for_hf  # the public save_for_hf writes weights too
from torch import nn

from ecotui.engine import checkpoint
from ecotui.engine.emit import Emit
from ecotui.engine.evaluate import Evaluation
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.tensors import encode_tensors, snapshot
from ecotui.engine.train_state import LoopState, Trainable, collect_files
from ecotui.events import BestCheckpointChanged, CheckpointDropped, CheckpointSaved

Reason = Literal["interval", "epoch", "request", "stop", "end", "time_limit"]


class Saver:
    """Saves checkpoints of one run and tells when the next one is due.

    Args:
        run_path: The run directory.
        trainable: What is saved.
        emit: Where the facts go.
        interval_seconds: Longest time between two checkpoints.
        keep: How many of the newest stay.
        facts: What every manifest says: config, data and environment.
    """

    def __init__(
        self,
        run_path: Path,
        trainable: Trainable,
        emit: Emit,
        *,
        interval_seconds: float,
        keep: int,
        facts: dict[str, Any],
    ) -> None:
        self._run_path = run_path
        self._folder = run_path / "checkpoints"
        self._trainable = trainable
        self._emit = emit
        self._interval_seconds = interval_seconds
        self._keep = keep
        self._facts = facts
        self._last_saved = time.monotonic()
        self.last_path: str | None = None
        newest = checkpoint.list_steps(self._folder)
        if newest:
            self.last_path = self._relative(newest[0])

    def is_due(self) -> bool:
        """Say whether the interval has passed since the last checkpoint."""
        return time.monotonic() - self._last_saved >= self._interval_seconds

    def attend(self, poll: Callable[[], None]) -> None:
        """Wait here, looking at requests, where nothing can be saved."""

    def finish(self) -> str | None:
        """Return the path of the last committed checkpoint, relative to the run."""
        return self.last_path

    def save(self, loop: LoopState, reason: Reason) -> str:
        """Commit the state of this moment and return its path, relative to the run.

        Emits:
            CheckpointSaved, then CheckpointDropped for what is kept no longer.
        """
        started = time.monotonic()
        facts = {**self._facts, "step": loop.step, "epoch": loop.epoch, "reason": reason}
        committed = checkpoint.commit(
            self._folder,
            checkpoint.step_name(self._folder, loop.step),
            collect_files(self._trainable, loop),
            facts,
        )
        self._last_saved = time.monotonic()
        self.last_path = self._relative(committed.path)
        self._emit(
            CheckpointSaved(
                path=self.last_path,
                epoch=loop.epoch,
                step=loop.step,
                num_bytes=committed.num_bytes,
                seconds=time.monotonic() - started,
                reason=reason,
            )
        )
        outdated = checkpoint.list_steps(self._folder)[self._keep :]
        for old in (*outdated, *checkpoint.other_bests(self._folder, loop.best_checkpoint)):
            checkpoint.drop(old)
            self._emit(CheckpointDropped(path=self._relative(old)))
        return self.last_path

    def save_best(
        self,
        judged: nn.Module,
        spec: InputSpec,
        class_names: Sequence[str],
        metric: str,
        evaluation: Evaluation,
        loop: LoopState,
    ) -> None:
        """Commit the best model so far as a folder that plain timm loads.

        The one before goes with the next `save`: until then the newest state
        still names it.

        Emits:
            BestCheckpointChanged.
        """
        epoch, percentage = loop.epoch + 1, 100 * evaluation.accuracy
        name = f"{checkpoint.BEST_PREFIX}epoch{epoch}_acc{percentage:.2f}"
        files = {
            "config.json": _timm_config(judged, spec, class_names),
            "model.safetensors": encode_tensors(snapshot(judged.state_dict())),
        }
        value = evaluation.metric(metric)
        facts = {
            **self._facts,
            "step": loop.step,
            "epoch": epoch,
            "metric": metric,
            "value": value,
            "accuracy": evaluation.accuracy,
            "macro_f1": evaluation.macro_f1,
        }
        committed = checkpoint.commit(self._folder, name, files, facts)
        loop.best_value, loop.best_epoch, loop.best_checkpoint = value, epoch, name
        self._emit(
            BestCheckpointChanged(
                path=self._relative(committed.path),
                epoch=epoch,
                step=loop.step,
                metric=metric,
                value=value,
                accuracy=evaluation.accuracy,
                macro_f1=evaluation.macro_f1,
            )
        )

    def best_path(self, loop: LoopState) -> Path | None:
        """Return the best model's folder, or None where none is saved yet."""
        return None if loop.best_checkpoint is None else self._folder / loop.best_checkpoint

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self._run_path))


def is_better(value: float, best: float | None, metric: str) -> bool:
    """Say whether a figure beats the best so far; a non-finite one never does."""
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    return value < best if metric == "loss" else value > best


def _timm_config(judged: nn.Module, spec: InputSpec, class_names: Sequence[str]) -> bytes:
    """Return the `config.json` from which timm builds the model with its preprocessing."""
    preprocessing = {
        "input_size": (3, spec.image_size, spec.image_size),
        "mean": spec.mean,
        "std": spec.std,
        "interpolation": spec.interpolation,
        "crop_pct": spec.crop_fraction,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        save_config_for_hf(
            judged,
            str(path),
            model_config={"label_names": list(class_names)},
            data_config=preprocessing,
        )
        record = json.loads(path.read_bytes())
    return checkpoint.encode_json(record)
