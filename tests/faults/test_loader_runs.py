"""Whole runs whose loaders are disturbed: the final weights are those of a quiet one."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pytest

from ecotui.commands import StopRun, append_command
from ecotui.engine.control import Control, StopRequested
from ecotui.engine.data import supervision
from ecotui.errors import ExitCode
from ecotui.events import (
    CheckpointSaved,
    Event,
    Heartbeat,
    LoaderRebuilt,
    RunFailed,
    RunStopped,
    SampleSetAside,
    StageStarted,
    StepsTaken,
)
from ecotui.narration import progress
from ecotui.state import RunState, fold
from tests.engine.conftest import answering, photo_folder, write_photo  # noqa: F401
from tests.engine.conftest import harness as harness_of_the_engine
from tests.engine.harness import Harness, copy_of, final_weights, of, same
from tests.faults.loading import DECODE, at_file, worker_pids, zombies

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]
harness = harness_of_the_engine

EVERYTHING: dict[str, Any] = {
    "train": {"epochs": 3, "ema": True, "ema_decay": 0.9, "learning_rate": 5e-3},
    "model": {"drop_rate": 0.3},
    "augment": {"mixup": 0.3, "cutmix": 0.3, "random_erasing": 0.3},
    "preflight": {"level": "off"},
}
PATIENCE = {"loader_patience_seconds": 0.7, "first_batch_patience_seconds": 0.7}


class Dying:
    """A hook that kills workers at chosen events."""

    def __init__(self) -> None:
        self.moments = ["steps_taken", "validate", "epoch_started"]

    def __call__(self, event: Event) -> None:
        moment = event.stage if isinstance(event, StageStarted) else event.kind
        is_later = getattr(event, "epoch", 2) > 1
        if self.moments and moment == self.moments[0] and is_later and worker_pids():
            self.moments.pop(0)
            for pid in worker_pids():
                os.kill(pid, signal.SIGKILL)


def test_workers_killed_while_training_and_validating_change_no_weight(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "GOOD_BATCHES", 1)
    # Epochs enough for each moment to come while there are workers, however steps are reported.
    settings = EVERYTHING | {"train": EVERYTHING["train"] | {"epochs": 6}}
    whole, _ = harness.train(**settings)
    run = harness.new(**settings, compute={"workers": 2})
    dying = Dying()
    events, code = harness.run(run, dying)
    assert code == ExitCode.DONE, events[-1]
    assert dying.moments == []
    rebuilt = of(LoaderRebuilt, events)
    # All loaders' workers were killed each time: each loader finds out at its turn.
    assert len(rebuilt) >= 2
    assert "SIGKILL" in rebuilt[0].what
    assert rebuilt[0].step > 0
    assert same(final_weights(run), final_weights(whole))
    assert (worker_pids(), zombies()) == ([], [])


def test_a_loader_that_cannot_go_on_leaves_a_state_to_resume(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = harness.train(**EVERYTHING)
    run = harness.new(**EVERYTHING, compute={"workers": 2})
    flag = harness.path / "broken"

    def die_where_broken() -> None:
        if flag.exists():
            os._exit(9)

    def break_it(event: Event) -> None:
        if isinstance(event, StepsTaken) and event.step >= 6:
            flag.touch()

    with monkeypatch.context() as broken:
        broken.setattr(*DECODE, at_file("", die_where_broken))
        events, code = harness.run(run, break_it)
    assert code == ExitCode.ERROR
    failed, saved = of(RunFailed, events)[0], of(CheckpointSaved, events)[-1]
    assert failed.checkpoint == saved.path
    assert saved.step >= 6
    assert "left with status 9" in failed.what
    assert "ecotui resume" in failed.remedy
    assert [each.rebuilds_left for each in of(LoaderRebuilt, events)] == [2, 1, 0]
    assert worker_pids() == []

    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE, events[-1]
    assert same(final_weights(run), final_weights(whole))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_pipe_among_the_photos_is_set_aside_by_name(harness: Harness, workers: int) -> None:
    harness.data_root = copy_of(harness.data_root, harness.path / "photos-and-pipe")
    os.mkfifo(harness.data_root / "cat" / "pipe.png")
    _, events = harness.train(
        compute={"workers": workers}, guards={"max_lost_fraction": 1.0}, data={"val_fraction": 0.3}
    )
    (aside,) = of(SampleSetAside, events)
    assert (aside.path, aside.reason) == ("cat/pipe.png", "this is not a regular file")
    assert not of(LoaderRebuilt, events)


def test_a_photo_that_never_ends_is_set_aside_and_the_run_is_done(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(path.name for path in sorted(harness.data_root.rglob("*.png")))
    only = harness.path / "one-of-a-name"
    copy_of(harness.data_root, only)
    (only / "cat" / "default" / name).rename(only / "cat" / "endless.png")
    harness.data_root = only
    monkeypatch.setattr(*DECODE, at_file("endless.png", lambda: time.sleep(1e6)))
    guards = {**PATIENCE, "max_lost_fraction": 1.0}
    # Preflight reads its samples itself, without workers that could be left behind.
    off = {"level": "off"}
    _, events = harness.train(compute={"workers": 2}, guards=guards, preflight=off)
    (aside,) = of(SampleSetAside, events)
    assert (aside.path, aside.reason) == ("cat/endless.png", "reading it never ended")
    assert all("cat/endless.png" in each.what for each in of(LoaderRebuilt, events))


def test_a_stop_is_heard_while_the_loader_hangs_and_the_silence_is_told(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heartbeat's figure grows though the engine listens all the while."""
    monkeypatch.setattr(*DECODE, at_file("", lambda: time.sleep(1e6)))
    run = harness.new(compute={"workers": 1}, preflight={"level": "off"})
    silences: list[float] = []
    asked_at: list[float] = []
    poll = Control.poll

    def noting_poll(self: Control, step: int, **how: bool) -> None:
        poll(self, step, **how)
        silences.append(self.progress.silence_seconds())
        if silences[-1] > 1.0 and not run.commands.exists():
            append_command(run.commands, StopRun())
            asked_at.append(time.monotonic())

    monkeypatch.setattr(Control, "poll", noting_poll)
    events, code = harness.run(run)
    assert code == ExitCode.RESUMABLE
    assert time.monotonic() - asked_at[0] < 5.0
    assert len(of(RunStopped, events)) == 1
    assert sorted(silences[-4:]) == silences[-4:]
    state = fold(RunState(), Heartbeat(step=0, seconds_since_progress=61.0))
    assert "no progress for 1 min 01 s" in progress(state)


def test_a_stop_raised_amid_a_rebuild_is_not_a_fault(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends a run may end its workers too: SLURM signals every process of a job."""
    run = harness.new(compute={"workers": 2}, preflight={"level": "off"})
    poll = Control.poll
    asked: list[int] = []

    def stopping_poll(self: Control, step: int, **how: bool) -> None:
        if asked:
            raise StopRequested("received SIGTERM")
        poll(self, step, **how)

    def end_all(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "validate":
            for pid in worker_pids():
                os.kill(pid, signal.SIGTERM)
            asked.append(1)

    monkeypatch.setattr(Control, "poll", stopping_poll)
    events, code = harness.run(run, end_all)
    assert code == ExitCode.RESUMABLE
    assert not of(LoaderRebuilt, events)
