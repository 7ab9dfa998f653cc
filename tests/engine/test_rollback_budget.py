"""A run that is killed while it goes back gets no rollback back by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ecotui.engine.records import Records
from ecotui.engine.rollback_budget import MAX_TRIES, RollbackBudget, read_begun
from ecotui.engine.train_state import LoopState
from ecotui.errors import ExitCode
from ecotui.events import Event, HealthAlerted, RunFailed, RunFinished
from ecotui.healing import RunRolledBack
from tests.engine.harness import Harness, of
from tests.engine.test_recovery import Dead, _die, always, settings
from tests.faults.broken_disk import full


def attempt(
    harness: Harness, run: Any, number: int, bad: set[int], *, dies: bool
) -> tuple[list[Event], ExitCode | None]:
    """Run an attempt in which steps are NaN, and which may die inside a rollback."""
    with pytest.MonkeyPatch.context() as patch:
        always(patch, lambda step: step in bad)
        if not dies:
            return harness.run(run, attempt=number)
        patch.setattr("ecotui.engine.rollback.cut_metrics", _die)
        with pytest.raises(Dead):
            harness.run(run, attempt=number)
    return [], None


def test_other_faults_after_each_kill_use_the_budget_up(harness: Harness) -> None:
    run = harness.new(**settings(train={"epochs": 1, "batch_size": 2}))
    for number, first in enumerate((0, 1, 2), start=1):
        attempt(harness, run, number, {first, first + 1, first + 2}, dies=True)
        assert len(read_begun(run.rollbacks)) == number
    events, code = attempt(harness, run, 4, {3, 4, 5}, dies=False)
    assert code == ExitCode.HEALTH
    assert of(RunRolledBack, events) == []
    assert of(RunFailed, events)[0].what.endswith("after 3 rollbacks")


def test_the_second_one_lowers_the_rate_though_no_state_knows_of_the_first(
    harness: Harness,
) -> None:
    run = harness.new(**settings(train={"epochs": 1, "batch_size": 2}))
    attempt(harness, run, 1, {0, 1, 2}, dies=True)
    events, code = attempt(harness, run, 2, {3, 4, 5}, dies=False)
    assert code == ExitCode.DONE
    (back,) = of(RunRolledBack, events)
    assert (back.num_rollbacks, back.rollbacks_left, back.learning_rate_factor) == (2, 1, 0.5)


def test_the_same_rollback_done_once_more_counts_once(harness: Harness) -> None:
    run = harness.new(**settings(train={"epochs": 1, "batch_size": 2}))
    for number in range(1, MAX_TRIES):
        attempt(harness, run, number, {0, 1, 2}, dies=True)
    events, code = attempt(harness, run, MAX_TRIES, {0, 1, 2}, dies=False)
    assert code == ExitCode.DONE
    (back,) = of(RunRolledBack, events)
    assert (back.num_rollbacks, back.rollbacks_left, back.learning_rate_factor) == (1, 2, 1.0)
    (begun,) = read_begun(run.rollbacks)
    assert begun.tries == MAX_TRIES
    assert begun.came_to["to_step"] == back.to_step


def test_a_rollback_that_a_run_dies_in_again_and_again_is_given_up(harness: Harness) -> None:
    run = harness.new(**settings(train={"epochs": 1, "batch_size": 2}))
    for number in range(1, MAX_TRIES + 1):
        attempt(harness, run, number, {0, 1, 2}, dies=True)
    events, code = attempt(harness, run, MAX_TRIES + 1, {0, 1, 2}, dies=False)
    assert code == ExitCode.HEALTH
    assert of(RunRolledBack, events) == []


def test_it_is_written_down_before_anything_is_put_back(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.new(**settings(train={"epochs": 1, "batch_size": 2}))
    always(monkeypatch, lambda step: step in (0, 1, 2))
    monkeypatch.setattr("ecotui.engine.restoring.Restorable.apply", _die)
    with pytest.raises(Dead):
        harness.run(run)
    (begun,) = read_begun(run.rollbacks)
    assert (begun.guard, begun.step, begun.came_to) == ("nonfinite_loss", 2, {})


def test_what_could_not_be_gone_back_from_is_not_counted(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecotui.engine.rollback.Rollback._restored", lambda *_: None)
    always(monkeypatch)
    run = harness.new(**settings())
    assert harness.run(run)[1] == ExitCode.HEALTH
    assert read_begun(run.rollbacks) == []


def test_on_a_full_disk_it_is_counted_in_memory_and_told(tmp_path: Path) -> None:
    events: list[Event] = []
    loop = LoopState(step=7)
    budget = RollbackBudget(tmp_path / "rollbacks.json", loop, 2, Records(events.append))
    with full(tmp_path):
        assert [budget.begin(guard, "w") for guard in ("a", "b")] == [1, 2]
    assert not budget.is_left("c")
    assert [alert.code for alert in of(HealthAlerted, events)] == ["records_not_written"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b"[1]", b'[{"guard":"g"}]', b"[" * 9_000])
def test_a_file_that_says_nothing_is_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rollbacks.json"
    path.write_bytes(content)
    assert read_begun(path) == []
    budget = RollbackBudget(path, LoopState(num_rollbacks=2, step=9), 3, Records(lambda _: None))
    assert (budget.num_spent, budget.num_left, budget.is_left("g")) == (2, 1, True)
    assert budget.begin("g", "w") == 3
    assert len(read_begun(path)) == 3
    assert not budget.is_left("h")


def test_a_fault_that_comes_back_in_the_same_attempt_is_another_one(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, lambda step: step in (0, 1, 2))
    monkeypatch.setattr("ecotui.engine.rollback.Rollback._pass_over", lambda *_: 0)
    events, code = harness.run(harness.new(**settings(train={"epochs": 1, "batch_size": 2})))
    assert code == ExitCode.HEALTH
    assert [back.num_rollbacks for back in of(RunRolledBack, events)] == [1, 2, 3]
    assert of(RunFinished, events) == []
