"""What is pending until the engine has answered, or done it."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.asking import (
    PAUSING,
    RESUMING,
    SAVING,
    STOPPING,
    STOPPING_LATER,
    Asking,
    words_of,
)
from ecotui.commands import (
    AnyCommand,
    Command,
    ContinueRun,
    DetachRun,
    ExtendRun,
    MeasureNorms,
    PauseRun,
    SaveCheckpoint,
    SetLearningRate,
    SilenceGuard,
    StopRun,
)
from ecotui.events import (
    CheckpointSaved,
    CommandAnswered,
    EngineStarted,
    RunContinued,
    RunPaused,
)

COMMANDS: tuple[Command, ...] = (
    StopRun(),
    StopRun(after_epoch=True),
    PauseRun(),
    PauseRun(free_memory=True),
    ContinueRun(),
    SaveCheckpoint(),
    SetLearningRate(learning_rate=3e-4),
    ExtendRun(epochs=30),
    SilenceGuard(guard="early_stopping"),
    SilenceGuard(guard="early_stopping", silent=False),
    MeasureNorms(),
    DetachRun(),
)


def test_every_command_is_among_them() -> None:
    (union, _) = get_args(AnyCommand)
    assert {type(command) for command in COMMANDS} == set(get_args(union))


def answer(command: Command, *, accepted: bool = True) -> CommandAnswered:
    return CommandAnswered(command_id=command.id, command=command.kind, accepted=accepted, why="so")


def saved(reason: Any) -> CheckpointSaved:
    return CheckpointSaved(
        path="checkpoints/step-1", epoch=0, step=1, num_bytes=1, seconds=0.1, reason=reason
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.kind)
def test_everything_sent_is_pending_in_words_and_a_refusal_ends_it(command: Command) -> None:
    asking = Asking().sent(command)
    assert asking.words == words_of(command) != ""
    left, refused, done = asking.settled([answer(command, accepted=False)], is_paused=False)
    assert left == Asking()
    assert [each.command_id for each in refused] == [command.id]
    assert done == ()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.kind)
def test_accepting_is_doing_only_for_what_needs_no_time(command: Command) -> None:
    left, refused, done = Asking().sent(command).settled([answer(command)], is_paused=False)
    takes_time = command.kind in {"stop_run", "pause_run", "continue_run", "save_checkpoint"}
    assert bool(left.commands) == takes_time
    assert bool(done) == (not takes_time)
    assert refused == ()


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (PauseRun(), RunPaused(step=1, why="asked to")),
        (ContinueRun(), RunContinued(step=1, seconds=1.0)),
        (SaveCheckpoint(), saved("request")),
    ],
)
def test_what_takes_time_ends_with_its_event(command: Command, event: Any) -> None:
    assert Asking().sent(command).settled([event], is_paused=False).asking == Asking()


def test_a_checkpoint_saved_for_another_reason_answers_nothing() -> None:
    assert Asking().sent(SaveCheckpoint()).settled([saved("epoch")], is_paused=False).asking.words


def test_a_pause_that_the_run_stands_in_already_is_done_once_accepted() -> None:
    command = PauseRun()
    assert Asking().sent(command).settled([answer(command)], is_paused=True).asking == Asking()


def test_somebody_elses_answer_changes_nothing() -> None:
    asking = Asking().sent(SaveCheckpoint())
    assert asking.settled([answer(StopRun(), accepted=False)], is_paused=False).asking == asking


def test_a_later_command_of_the_same_kind_takes_the_place_of_the_first() -> None:
    asking = Asking().sent(StopRun(after_epoch=True))
    assert asking.words == STOPPING_LATER
    assert asking.sent(StopRun()).words == STOPPING


def test_the_weightiest_is_named_first_and_the_others_counted() -> None:
    asking = Asking().sent(SaveCheckpoint()).sent(ExtendRun(epochs=3)).sent(PauseRun())
    assert asking.words == f"{PAUSING} (and 2 others)"
    assert asking.kinds == {"save_checkpoint", "extend_run", "pause_run"}


def test_only_the_very_same_request_is_a_repetition() -> None:
    asking = Asking().sent(SetLearningRate(learning_rate=0.1)).sent(StopRun(reason="one"))
    assert asking.would_repeat(SetLearningRate(learning_rate=0.1))
    assert asking.would_repeat(StopRun(reason="another"))
    assert not asking.would_repeat(SetLearningRate(learning_rate=0.2))
    assert not asking.would_repeat(StopRun(after_epoch=True))


def test_a_resumption_is_pending_until_a_later_attempt_begins() -> None:
    def started(attempt: int) -> EngineStarted:
        return EngineStarted(run_id="r", pid=1, host="h", version="0", attempt=attempt)

    asking = Asking(resuming_after=1)
    assert asking.words == RESUMING
    assert asking.settled([started(1)], is_paused=False).asking.words == RESUMING
    assert asking.settled([started(2)], is_paused=False).asking.words == ""


@given(st.lists(st.sampled_from(COMMANDS), max_size=12), st.data())
def test_whatever_is_asked_and_answered_nothing_is_pending_for_ever(
    sent: list[Command], data: st.DataObject
) -> None:
    asking = Asking()
    for command in sent:
        asking = asking.sent(command.model_copy(update={"id": data.draw(st.uuids()).hex}))
    assert len(asking.commands) == len({command.kind for command in sent})
    refusals = [answer(command, accepted=False) for command in asking.commands]
    left, refused, _ = asking.settled(refusals, is_paused=False)
    assert left.words == ""
    assert len(refused) == len(asking.commands)


def test_a_guards_name_from_outside_is_made_harmless() -> None:
    assert "\\e[31m" in words_of(SilenceGuard(guard="\x1b[31m"))
    assert words_of(SaveCheckpoint()) == SAVING
