"""Checkpoints written while training goes on: in order, one at a time, told when they are true."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from ecotui.commands import StopRun, append_command
from ecotui.engine import checkpoint, commits, saving
from ecotui.engine.machine.memory import Memory
from ecotui.engine.saving import Saver
from ecotui.engine.train_state import LoopState, Trainable
from ecotui.errors import ExitCode
from ecotui.events import (
    BestCheckpointChanged,
    CheckpointDropped,
    CheckpointSaved,
    CheckpointVerified,
    Event,
    HealthAlerted,
    LogWritten,
    RunFailed,
    RunResumed,
)
from tests.engine.harness import Harness, final_weights, of, same
from tests.engine.test_resumption import EVERYTHING, stop_at

BEHIND = {"checkpoint": {"background": True}}
PATIENCE_SECONDS = 30.0


class NoScaler:
    def state_dict(self) -> dict[str, Any]:
        return {}


class Bench:
    """A saver of a tiny model, whose events and threads can be looked at."""

    def __init__(self, path: Path, **settings: Any) -> None:
        torch.manual_seed(0)
        self.network = nn.Linear(50, 50)
        self.optimizer = torch.optim.AdamW(self.network.parameters())
        self.loop = LoopState()
        self.events: list[Event] = []
        self.threads: list[int] = []
        self.path = path
        path.mkdir(exist_ok=True)
        self.folder = path / "checkpoints"
        trainable = Trainable(self.network, None, self.optimizer, NoScaler())
        told: dict[str, Any] = {"interval_seconds": 1e9, "keep": 2, "facts": {}, "background": True}
        self.saver = Saver(path, trainable, self.emit, **(told | settings))

    def emit(self, event: Event) -> None:
        self.events.append(event)
        self.threads.append(threading.get_ident())

    def step(self) -> None:
        self.step_without_attending()
        self.saver.attend(lambda: None)

    def step_without_attending(self) -> None:
        self.network(torch.ones(1, 50)).sum().backward()
        self.optimizer.step()
        self.loop.step += 1

    def weights(self, path: str) -> torch.Tensor:
        loaded = safetensors.torch.load_file(self.path / path / "model.safetensors")
        weight: torch.Tensor = loaded["weight"]
        return weight

    def plan_best(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Scores:
            accuracy, macro_f1 = 0.5, 0.4

            def metric(self, name: str) -> float:
                return 0.5

        monkeypatch.setattr(saving, "timm_config", lambda *_: b"{}")
        scores: Any = Scores()
        spec: Any = None
        self.saver.save_best(self.network, spec, (), "accuracy", scores, self.loop)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    """On a busy machine the threads of a small model wait for one another most of the time."""
    torch.set_num_threads(1)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "run")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Holds every commit back until it is opened."""
    opened = threading.Event()
    real = checkpoint.commit_in_steps

    def held(*arguments: Any) -> Any:
        while not opened.is_set():
            time.sleep(0.001)
            yield
        return (yield from real(*arguments))

    monkeypatch.setattr(checkpoint, "commit_in_steps", held)
    return opened


def test_training_goes_on_while_a_copy_is_written(bench: Bench, gate: threading.Event) -> None:
    bench.step()
    bench.saver.finish()
    wanted = bench.network.weight.detach().clone()
    assert bench.saver.save(bench.loop, "request") is None
    bench.step()
    assert of(CheckpointSaved, bench.events) == []
    gate.set()
    path = bench.saver.finish()
    assert path is not None
    assert torch.equal(bench.weights(path), wanted)
    (saved,) = of(CheckpointSaved, bench.events)
    assert (saved.path, saved.step, saved.reason) == (path, 1, "request")
    assert 0 <= saved.stall_seconds <= saved.seconds
    assert of(CheckpointVerified, bench.events)[0].model_dump(include={"path", "ok", "what"}) == {
        "path": path,
        "ok": True,
        "what": "",
    }


def test_events_come_from_the_writing_thread_when_nobody_waits(bench: Bench) -> None:
    bench.step()
    bench.saver.finish()
    bench.saver.save(bench.loop, "request")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not of(CheckpointVerified, bench.events):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert threading.get_ident() not in bench.threads


def test_an_interval_is_put_off_while_one_is_in_flight_and_a_wish_waits(
    bench: Bench, gate: threading.Event
) -> None:
    bench.saver._interval_seconds = 0.0
    bench.step()
    bench.saver.finish()
    assert bench.saver.is_due()
    bench.saver.save(bench.loop, "epoch")
    assert not bench.saver.is_due()
    assert bench.saver.save(bench.loop, "interval") is None
    bench.step()
    threading.Timer(0.05, gate.set).start()
    bench.saver.save(bench.loop, "request")
    bench.saver.finish()
    first, second = of(CheckpointSaved, bench.events)
    assert [(first.reason, first.step), (second.reason, second.step)] == [
        ("epoch", 1),
        ("request", 2),
    ]
    assert second.stall_seconds > first.stall_seconds


@pytest.mark.parametrize("reason", ["stop", "end", "time_limit"])
def test_the_last_state_is_waited_for_and_its_path_is_returned(bench: Bench, reason: Any) -> None:
    bench.step()
    path = bench.saver.save(bench.loop, reason)
    assert path == bench.saver.last_path
    assert path is not None
    assert checkpoint.verify(bench.path / path)["reason"] == reason


def test_without_background_training_waits_and_no_memory_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "run", background=False)
    bench.step()
    path = bench.saver.save(bench.loop, "interval")
    assert path is not None
    (saved,) = of(CheckpointSaved, bench.events)
    assert saved.stall_seconds == saved.seconds > 0
    assert set(bench.threads) == {threading.get_ident()}
    assert bench.saver._copy.held is None


def test_where_memory_is_short_it_says_so_and_training_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "measure_memory", lambda: Memory(10**9, 10**8, None))
    bench.step()
    assert bench.saver.save(bench.loop, "epoch") is not None
    (told,) = of(LogWritten, bench.events)
    assert "training waits" in told.message


def test_a_copy_that_finds_no_memory_is_done_without(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.step()
    bench.saver.finish()

    def refuse(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(bench.saver._copy, "take", refuse)
    assert bench.saver.save(bench.loop, "epoch") is not None
    assert len(of(LogWritten, bench.events)) == 1


def test_the_best_is_written_before_the_state_that_names_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.step()
    bench.plan_best(monkeypatch)
    first = bench.loop.best_checkpoint
    assert first == "best_model_epoch1_acc50.00"
    bench.saver.save(bench.loop, "epoch")
    bench.saver.finish()
    kinds = [event.kind for event in bench.events]
    assert kinds.index("best_checkpoint_changed") < kinds.index("checkpoint_saved")
    bench.step()
    bench.plan_best(monkeypatch)
    second = bench.loop.best_checkpoint
    assert second == "best_model_epoch1_acc50.00-2"
    assert first is not None
    assert (bench.folder / first).is_dir()
    assert bench.saver.best_path(bench.loop) == bench.folder / first  # until the new one is there
    bench.saver.save(bench.loop, "epoch")
    path = bench.saver.finish()
    assert path is not None
    assert not (bench.folder / first).exists()
    assert torch.equal(bench.weights(f"checkpoints/{second}"), bench.weights(path))
    assert checkpoint.verify(bench.path / path)["best"] == second


def test_a_best_without_a_later_state_is_written_at_the_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.step()
    bench.plan_best(monkeypatch)
    assert of(BestCheckpointChanged, bench.events) == []
    bench.saver.finish()
    (changed,) = of(BestCheckpointChanged, bench.events)
    assert checkpoint.verify(bench.path / changed.path)["step"] == 1


def test_one_that_is_so_much_older_is_kept_to_go_back_to(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "run", background=False, keep=2, spare_steps=10)

    def kept_at(number: int) -> list[int]:
        bench.loop.step = number - 1
        bench.step()
        bench.saver.save(bench.loop, "request")
        return sorted(checkpoint.step_of(path) for path in bench.folder.glob("step-*"))

    kept = {number: kept_at(number) for number in range(2, 41, 2)}
    assert kept[8] == [6, 8]  # nothing can be that old yet
    assert kept[10] == [6, 8, 10]
    assert kept[16] == [6, 12, 14, 16]
    for number in range(22, 41, 2):
        assert {number, number - 2} <= set(kept[number])
        assert len(kept[number]) <= 4
        assert any(10 <= number - each < 20 for each in kept[number])


@pytest.mark.parametrize("reason", ["end", "request"])
def test_a_state_that_is_not_finite_is_never_saved(bench: Bench, reason: Any) -> None:
    bench.step()
    first = bench.saver.save(bench.loop, "end")
    with torch.no_grad():
        bench.network.weight[3, 3] = float("nan")
    bench.saver.save(bench.loop, reason)
    assert bench.saver.finish() == first
    assert [path.name for path in bench.folder.glob("step-*")] == [Path(str(first)).name]
    (told,) = of(HealthAlerted, bench.events)
    assert (told.code, told.severity) == ("nonfinite_state", "critical")
    assert "weight" in told.message
    assert bench.saver.take_refusal()
    assert not bench.saver.take_refusal()


def test_the_manifest_says_what_is_in_it(bench: Bench) -> None:
    bench.step()
    first = bench.saver.save(bench.loop, "end")
    second = bench.saver.save(bench.loop, "end")
    assert first is not None
    assert second is not None
    facts = checkpoint.verify(bench.path / first)
    assert (facts["finite"], facts["parent"], facts["step"]) == (True, None, 1)
    assert facts["tensors"] == 2 + 6 + 3  # weights, AdamW's, generators
    facts = checkpoint.verify(bench.path / second)
    assert (facts["finite"], facts["parent"]) == (True, first)
    for path in (bench.path / second).iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert (bench.path / second).stat().st_mode & 0o777 == 0o700


def test_what_reads_back_otherwise_is_set_aside_told_and_saved_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.step()
    first = bench.saver.save(bench.loop, "request") or bench.saver.finish()
    real = checkpoint.verify_in_steps

    def spoilt(path: Path) -> Any:
        (path / "loop.json").write_bytes(b"{}")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "verify_in_steps", spoilt)
        bench.saver.save(bench.loop, "request")
        bench.saver.finish()
    assert [told.ok for told in of(CheckpointVerified, bench.events)] == [True, False]
    assert of(HealthAlerted, bench.events)[0].code == "damaged_checkpoint"
    assert bench.saver.last_path == first
    assert bench.saver.is_due()
    bench.saver.save(bench.loop, "interval")
    bench.saver.finish()
    assert not bench.saver.is_due()


def test_the_last_sound_checkpoint_is_never_dropped_for_damaged_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "run", background=False, keep=1)
    bench.step()
    sound = bench.saver.save(bench.loop, "epoch")
    real = checkpoint.verify_in_steps

    def spoilt(path: Path) -> Any:
        (path / "loop.json").write_bytes(b"{}")
        return real(path)

    monkeypatch.setattr(checkpoint, "verify_in_steps", spoilt)
    for _ in range(3):
        bench.saver.save(bench.loop, "epoch")
    assert [bench.path / sound] == checkpoint.list_steps(bench.folder) if sound else False
    assert of(CheckpointDropped, bench.events) == []


def test_hints_are_for_people_and_may_lie_or_be_gone(bench: Bench) -> None:
    bench.step()
    path = bench.saver.save(bench.loop, "end")
    assert path is not None
    assert (bench.folder / commits.LATEST_HINT).read_text() == f"{Path(path).name}\n"
    (bench.folder / commits.LATEST_HINT).write_text("../../etc/passwd\n")
    assert checkpoint.newest_valid(bench.folder)[0] == bench.path / path
    (bench.folder / commits.LATEST_HINT).unlink()
    assert checkpoint.newest_valid(bench.folder)[0] == bench.path / path


def test_an_event_that_cannot_be_told_ends_the_run_from_the_loop(bench: Bench) -> None:
    bench.step()
    bench.saver.finish()

    class LogIsGoneError(Exception):
        pass

    def refuse(event: Event) -> None:
        raise LogIsGoneError

    bench.saver._writer._emit = refuse
    bench.saver.save(bench.loop, "request")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while bench.saver._background.is_busy:
        assert time.monotonic() < deadline
    with pytest.raises(LogIsGoneError):
        bench.saver.attend(lambda: None)


def test_memory_is_made_ready_after_the_first_step_and_used_again(bench: Bench) -> None:
    bench.saver.attend(lambda: None)
    assert not bench.saver._is_prepared
    bench.step()
    bench.saver.finish()
    kept = bench.saver._copy._snapshot._kept["optim.safetensors"]["0.exp_avg"]
    place = kept.data_ptr()
    bench.saver.save(bench.loop, "request")
    bench.saver.finish()
    assert bench.saver._copy._snapshot._kept["optim.safetensors"]["0.exp_avg"].data_ptr() == place


@pytest.mark.parametrize("place", [0, 1, 2, -1])
def test_a_run_saved_in_the_background_resumes_bit_for_bit(harness: Harness, place: int) -> None:
    """From the state of a stop, and from states that were written while training went on."""
    whole, _ = harness.train(**EVERYTHING)
    every_step = {"interval_seconds": 1e-6, "keep": 100, "background": True}
    run = harness.new(**EVERYTHING, checkpoint=every_step)

    def stop(event: Event) -> None:
        if getattr(event, "step", 0) >= 9 and not run.commands.exists():
            append_command(run.commands, StopRun())

    events, code = harness.run(run, stop)
    assert code == ExitCode.RESUMABLE
    wanted = checkpoint.list_steps(run.checkpoints)[place]
    for path in checkpoint.list_steps(run.checkpoints):
        if path > wanted:
            checkpoint.drop(path)
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE, events[-1]
    assert of(RunResumed, events)[0].checkpoint == f"checkpoints/{wanted.name}"
    assert same(final_weights(run), final_weights(whole))


def test_saving_in_the_background_changes_no_bit_and_leaves_the_same(harness: Harness) -> None:
    one, _ = harness.train(**EVERYTHING)
    other, events = harness.train(
        **EVERYTHING, checkpoint={"background": True, "interval_seconds": 1e-6}
    )
    assert same(final_weights(one), final_weights(other))
    kinds = [event.kind for event in events]
    assert kinds[-1] == "run_finished"
    best = checkpoint.find_best(other.checkpoints)
    theirs = checkpoint.find_best(one.checkpoints)
    assert best is not None
    assert theirs is not None
    assert best.name == theirs.name
    files = [safetensors.torch.load_file(path / "model.safetensors") for path in (best, theirs)]
    assert same(*files)


def test_a_run_that_fails_between_best_and_state_keeps_the_best(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecotui.engine.epoch_protection import EpochProtection

    def give_up(*_: Any) -> None:
        raise RuntimeError("no sense in going on")

    monkeypatch.setattr(EpochProtection, "judge_epoch", give_up)
    run = harness.new(**BEHIND)
    events, code = harness.run(run)
    assert code == ExitCode.ERROR
    assert len(of(BestCheckpointChanged, events)) == 1
    assert len(of(RunFailed, events)) == 1
    assert checkpoint.find_best(run.checkpoints) is not None


def test_a_state_of_channels_last_weights_is_laid_out_as_they_are(harness: Harness) -> None:
    """torch's fused AdamW walks through memory: another layout mixes the elements up."""
    settings: dict[str, Any] = {
        "compute": {"channels_last": True},
        "train": {"epochs": 2, "optimizer": "adamw", "learning_rate": 0.05},
    }
    whole, _ = harness.train(**settings)
    run = harness.new(**settings, checkpoint={"interval_seconds": 1e-6, "keep": 100})
    harness.run(run, stop_at(run, 3))
    _, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert same(final_weights(run), final_weights(whole))
