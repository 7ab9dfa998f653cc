"""Patience follows experience, blame needs proof, and new starts are counted."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.data import supervision
from ecotui.engine.data.pool import LoaderFault
from ecotui.engine.data.supervision import (
    MAX_REBUILDS,
    Blame,
    LoaderFaultError,
    Patience,
    Supervision,
    fewer_workers,
)
from ecotui.errors import ExitCode

DIED = LoaderFault("worker 1 died", "died", 7)


class TestPatience:
    def test_the_first_batch_of_all_has_its_own(self) -> None:
        patience = Patience(Supervision(60.0, 1800.0))
        assert patience.seconds(is_fresh=True) == 1800.0
        patience.note(0.1)
        assert patience.seconds(is_fresh=False) == 60.0
        assert patience.seconds(is_fresh=True) == 60.0

    def test_after_a_new_start_a_slow_first_batch_is_expected_again(self) -> None:
        patience = Patience(Supervision(60.0, 1800.0))
        patience.note(20.0)
        for _ in range(500):
            patience.note(0.1)
        assert patience.seconds(is_fresh=True) == 200.0
        assert patience.seconds(is_fresh=False) == 60.0

    @given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=300))
    def test_it_is_never_shorter_than_the_limit_nor_than_most_waits(
        self, waits: list[float]
    ) -> None:
        patience = Patience(Supervision(60.0, 1800.0))
        for seconds in waits:
            patience.note(seconds)
        granted = patience.seconds(is_fresh=False)
        assert granted >= 60.0
        num_longer = sum(seconds * 10 > granted for seconds in waits)
        assert num_longer <= max(1, 0.02 * len(waits))


class TestBlame:
    def test_a_sample_needs_two_faults_without_a_reading_between(self) -> None:
        blame = Blame()
        assert not blame.put(DIED)
        blame.clear(7)
        assert not blame.put(DIED)
        assert not blame.put(LoaderFault("worker 2 died", "died", 8))
        assert blame.put(DIED)

    def test_a_fault_between_batches_blames_nobody(self) -> None:
        blame = Blame()
        nowhere = LoaderFault("worker 1 died", "died")
        assert not any(blame.put(nowhere) for _ in range(5))


class TestSeries:
    def test_after_three_new_starts_the_fourth_fault_is_an_end_in_words(self) -> None:
        watch = Supervision()
        for _ in range(MAX_REBUILDS):
            watch.spend("worker 1 died")
        with pytest.raises(LoaderFaultError, match="worker 1 died") as caught:
            watch.spend("worker 1 died")
        assert caught.value.exit_code == ExitCode.ERROR
        assert len(caught.value.lines()) == 3

    def test_enough_good_batches_end_a_series(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervision, "GOOD_BATCHES", 5)
        watch = Supervision()
        watch.spend("worker 1 died")
        for _ in range(4):
            watch.note_good()
        watch.spend("worker 1 died")
        for _ in range(4):
            watch.note_good()
        assert watch.rebuilds_left == 1
        watch.note_good()
        assert watch.rebuilds_left == MAX_REBUILDS

    def test_what_is_given_back_is_never_more_than_was_taken(self) -> None:
        watch = Supervision()
        watch.spend("worker 1 died")
        watch.give_back(2)
        assert watch.rebuilds_left == MAX_REBUILDS


@pytest.mark.parametrize(
    ("kind", "counts"), [("died", [4, 2, 1, 1]), ("hung", [4, 2, 1, 1]), ("failed", [4, 2, 1, 0])]
)
def test_the_engine_never_reads_what_hung_or_killed_a_worker(kind: str, counts: list[int]) -> None:
    fault = LoaderFault("worker 1", kind)  # type: ignore[arg-type]
    for before, after in itertools.pairwise(counts):
        assert fewer_workers(before, fault) == after
