"""Whole runs on a disk that fills up: told, waited for, and no bit of the weights changed."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from ecotui.commands import StopRun, append_command
from ecotui.engine import checkpoint, saving
from ecotui.errors import ExitCode
from ecotui.events import (
    CheckpointSaved,
    Event,
    HealthAlerted,
    LogWritten,
    RunFailed,
    SavingFailed,
    SavingRestored,
)
from ecotui.paths import RunDir
from ecotui.stream import EventWriter, Tail
from tests.engine.harness import Harness, final_weights, of, same
from tests.engine.injector import OUT_OF_MEMORY
from tests.engine.test_resumption import EVERYTHING
from tests.faults.broken_disk import full


def read(run: RunDir) -> list[Event]:
    events: list[Event] = []
    tail = Tail(run.events)
    while found := tail.read():
        events += [event for _, event in found]
    return events


@pytest.mark.parametrize("background", [True, False])
def test_a_disk_that_fills_up_in_a_run_changes_no_bit_of_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    """Full from the first epoch's validation until saving has failed, and then some."""
    monkeypatch.setattr(saving, "RETRY_SECONDS", 0.1)
    whole, _ = harness.train(**EVERYTHING)
    run = harness.new(**EVERYTHING, checkpoint={"background": background})
    writer = EventWriter(run.events, ballast_path=run.ballast)
    assert run.ballast.is_file()
    filled = full(run.path)
    seen: list[str] = []

    def hook(event: Event) -> None:
        writer(event)
        seen.append(event.kind)
        is_validating = getattr(event, "stage", "") == "validate"
        if is_validating and not {"saving_failed", "full"} & set(seen):
            seen.append("full")
            filled.__enter__()
        if event.kind == "saving_failed":
            assert not run.ballast.exists()
            filled.__exit__(None, None, None)

    _, code = harness.run(run, hook)
    assert code == ExitCode.DONE
    assert same(final_weights(run), final_weights(whole))
    told = read(run)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    kinds = [event.kind for event in told]
    assert kinds.count("saving_failed") == kinds.count("saving_restored") == 1
    assert kinds[-1] == "run_finished"
    assert kinds.count("epoch_finished") == 3
    alerts = {alert.code for alert in of(HealthAlerted, told)}
    assert "records_not_written" in alerts
    assert any("reports of progress are missing" in said.message for said in of(LogWritten, told))
    assert not run.ballast.exists()


def test_a_stop_on_a_full_disk_is_told_with_the_room_of_the_ballast(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "POLL_SECONDS", 0.001)
    run = harness.new(**EVERYTHING)
    writer = EventWriter(run.events, ballast_path=run.ballast)
    filled = full(run.path / "checkpoints")
    saved: list[str] = []

    def hook(event: Event) -> None:
        writer(event)
        if isinstance(event, CheckpointSaved):
            saved.append(event.path)
            filled.__enter__()
        if event.kind == "saving_failed":
            append_command(run.commands, StopRun())

    try:
        _, code = harness.run(run, hook)
    finally:
        filled.__exit__(None, None, None)
    assert code == ExitCode.ERROR
    (failed,) = of(RunFailed, read(run))
    assert failed.checkpoint == saved[-1]
    assert saved[-1] in failed.expected
    assert "No space left" in failed.what
    assert not failed.discard
    assert harness.run(run, attempt=2)[1] == ExitCode.DONE


def failing(patch: pytest.MonkeyPatch, name: str, error: Exception, times: int) -> list[int]:
    """Let a function of the checkpoints raise in its second step, so many times from its third
    call on; returns the calls."""
    calls: list[int] = []
    real = getattr(checkpoint, name)

    def written(*arguments: Any) -> Any:
        calls.append(len(calls))
        yield
        if 2 <= calls[-1] < 2 + times:
            raise error
        return (yield from real(*arguments))

    patch.setattr(checkpoint, name, written)
    return calls


FAILURES = [
    (MemoryError(), "memory ran out"),
    (RuntimeError(OUT_OF_MEMORY), "memory ran out"),
    (OSError(errno.EMFILE, "too many open files"), "too many open files"),
]


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize(("error", "said"), FAILURES)
def test_a_save_for_which_there_is_no_memory_is_waited_for_and_changes_no_bit(
    harness: Harness,
    monkeypatch: pytest.MonkeyPatch,
    background: bool,
    error: Exception,
    said: str,
) -> None:
    monkeypatch.setattr(saving, "RETRY_SECONDS", 0.01)
    whole, _ = harness.train(**EVERYTHING)
    with monkeypatch.context() as patch:
        calls = failing(patch, "commit_in_steps", error, 3)
        run, events = harness.train(**EVERYTHING, checkpoint={"background": background})
    assert len(calls) > 5
    (failed,) = of(SavingFailed, events)
    assert failed.what.endswith(f"could not be saved, twice: {said}")
    assert ("end other programs" in failed.remedy) == ("memory" in said)
    assert len(of(SavingRestored, events)) == 1
    assert same(final_weights(run), final_weights(whole))


def test_a_save_that_fails_once_is_written_from_the_start_without_a_word(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = failing(monkeypatch, "commit_in_steps", MemoryError(), 1)
    _, events = harness.train(train={"epochs": 3}, preflight={"level": "off"})
    assert len(calls) > 3
    assert of(SavingFailed, events) == []


@pytest.mark.parametrize(("error", "said"), FAILURES)
def test_a_checkpoint_that_cannot_be_read_back_for_now_ends_no_run(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    failing(monkeypatch, "verify_in_steps", error, 1)
    run, events = harness.train(**EVERYTHING)
    told = [each.message for each in of(LogWritten, events) if "looked after" in each.message]
    assert told == [
        f"checkpoints cannot be looked after now: {said}; that is made up for after the next save"
    ]
    for path in checkpoint.list_steps(run.checkpoints):
        checkpoint.verify(path)
