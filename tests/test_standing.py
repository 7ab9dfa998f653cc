"""How a run stands beside its training."""

from __future__ import annotations

from functools import reduce

from ecotui.events import (
    AnyEvent,
    CheckpointDropped,
    CheckpointVerified,
    ConfigChanged,
    EngineStarted,
    FirstStepTaken,
    RunContinued,
    RunPaused,
    RunResumed,
    SavingFailed,
    SavingRestored,
    TimedPart,
)
from ecotui.narration import progress, remarks
from ecotui.state import RunState, fold

STARTED = EngineStarted(run_id="a", pid=1, host="h", version="0", attempt=1)


def told(*events: AnyEvent) -> RunState:
    return reduce(fold, (STARTED, *events), RunState())


def failed_save() -> SavingFailed:
    return SavingFailed(
        step=7,
        what="No space left on device",
        remedy="free some space",
        last_checkpoint="checkpoints/step-0000000005-00000000",
        waits=True,
    )


def test_a_pause_lasts_until_it_is_over_and_the_progress_says_so() -> None:
    paused = told(RunPaused(step=3, why="asked to"))
    assert paused.standing.paused is not None
    assert progress(paused).endswith("paused: asked to")
    assert fold(paused, RunContinued(step=3, seconds=4.0)).standing.paused is None


def test_not_saving_lasts_until_the_state_is_saved_again() -> None:
    state = told(failed_save())
    assert state.standing.not_saving == failed_save()
    assert progress(state).endswith("NOT SAVING")
    assert state.num_alerts == 1
    (line,) = remarks(failed_save(), state)
    assert line.startswith("critical: not saving: step 7: No space left on device; training waits")
    assert "step-0000000005" in line
    restored = fold(state, SavingRestored(step=7))
    assert restored.standing.not_saving is None
    assert "NOT SAVING" not in progress(restored)


def test_a_later_attempt_starts_unpaused_and_remembers_what_was_changed() -> None:
    change = ConfigChanged(key="train.epochs", old="20", new="30", step=9, why="ecotui extend")
    state = told(change, RunPaused(step=9, why="asked to"), failed_save())
    assert state.epochs == 30
    again = fold(state, STARTED.model_copy(update={"attempt": 2}))
    assert again.standing.paused is None
    assert again.standing.not_saving is None
    assert again.standing.changes == (change,)


def test_what_was_verified_is_known_until_it_is_dropped_or_found_bad() -> None:
    state = told(
        CheckpointVerified(path="a", ok=True, what=""),
        CheckpointVerified(path="b", ok=True, what=""),
        CheckpointVerified(path="c", ok=True, what=""),
        CheckpointDropped(path="a"),
        CheckpointVerified(path="b", ok=False, what="another digest"),
    )
    assert state.standing.verified == ("c",)


def test_a_resumption_tells_what_is_other_than_before_line_by_line() -> None:
    resumed = RunResumed(
        attempt=2,
        from_step=9,
        epoch=1,
        checkpoint="checkpoints/step-9",
        note="not bit-exact",
        exactness="E1",
        differences=("threads: 1 -> 2", "torch: 2.14 -> 2.15"),
    )
    first, *others = remarks(resumed, told(resumed))
    assert first.startswith("resumed from step 9 (attempt 2")
    assert others == [
        "  other than before: threads: 1 -> 2",
        "  other than before: torch: 2.14 -> 2.15",
    ]
    assert told(resumed).standing.resumed == resumed


def test_the_wait_for_the_first_step_is_told_by_part_and_kept_until_the_next_attempt() -> None:
    parts = (TimedPart(name="diagnose", seconds=3.04), TimedPart(name="[b]model", seconds=0.4))
    event = FirstStepTaken(seconds=3.44, parts=parts)
    assert remarks(event, RunState()) == [
        "the first step was done after 3.4 s: diagnose 3.0 s, [b]model 0.4 s"
    ]
    assert told(event).standing.first_step == event
    again = STARTED.model_copy(update={"attempt": 2})
    assert told(event, again).standing.first_step is None
    kept = told(event.model_copy(update={"parts": parts * 100})).standing.first_step
    assert kept is not None
    assert len(kept.parts) == 32
