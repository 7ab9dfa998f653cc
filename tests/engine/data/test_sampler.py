from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecotui.engine.data.sampler import BatchesInOrder, EpochSampler, Sampling, epoch_order

seeds = st.integers(0, 2**63 - 1)
label_lists = st.lists(st.integers(0, 4), min_size=1, max_size=60)


def halves(labels: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A data set of which every second sample is in the split."""
    spread = np.repeat(np.array(labels, dtype=np.int64), 2)
    return np.arange(0, len(spread), 2, dtype=np.int64), spread


def sampler(count: int, batch_size: int, sampling: Sampling = "shuffled") -> EpochSampler:
    return EpochSampler(
        np.arange(count) + 100,
        np.zeros(count + 100, dtype=np.int64),
        batch_size=batch_size,
        seed=1,
        sampling=sampling,
    )


@given(label_lists, seeds, st.integers(0, 10_000))
def test_shuffled_is_a_permutation_and_a_function_of_seed_and_epoch(
    labels: list[int], seed: int, epoch: int
) -> None:
    ids, all_labels = halves(labels)
    order = epoch_order(ids, all_labels, seed=seed, epoch=epoch, sampling="shuffled")
    assert sorted(order.tolist()) == ids.tolist()
    again = epoch_order(ids, all_labels, seed=seed, epoch=epoch, sampling="shuffled")
    assert order.tolist() == again.tolist()


@given(label_lists, seeds, st.integers(0, 10_000))
def test_balanced_draws_classes_equally_often_and_their_samples_in_turn(
    labels: list[int], seed: int, epoch: int
) -> None:
    ids, all_labels = halves(labels)
    order = epoch_order(ids, all_labels, seed=seed, epoch=epoch, sampling="balanced")
    assert len(order) == len(ids)
    assert set(order.tolist()) <= set(ids.tolist())
    drawn = all_labels[order].tolist()
    times = [drawn.count(label) for label in set(labels)]
    assert max(times) - min(times) <= 1
    for label in set(labels):
        members = ids[all_labels[ids] == label].tolist()
        uses = [order.tolist().count(member) for member in members]
        assert max(uses) - min(uses) <= 1
    again = epoch_order(ids, all_labels, seed=seed, epoch=epoch, sampling="balanced")
    assert order.tolist() == again.tolist()


def test_the_class_that_comes_once_more_changes() -> None:
    ids, labels = halves([0, 1, 2, 0])
    more = set()
    for epoch in range(40):
        drawn = labels[epoch_order(ids, labels, seed=0, epoch=epoch, sampling="balanced")].tolist()
        more.add(max(range(3), key=drawn.count))
    assert more == {0, 1, 2}


@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
def test_epochs_and_seeds_have_orders_of_their_own(sampling: Sampling) -> None:
    ids, labels = halves([0] * 20 + [1] * 10)
    orders = {
        tuple(epoch_order(ids, labels, seed=seed, epoch=epoch, sampling=sampling).tolist())
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


@given(st.integers(0, 50), st.integers(1, 20), st.integers(0, 60))
def test_starting_late_gives_the_tail_of_the_epoch(
    count: int, batch_size: int, start_batch: int
) -> None:
    late = sampler(count, batch_size)
    whole = list(late)
    assert len(whole) == len(late) == late.batches_per_epoch
    late.begin(0, start_batch)
    assert list(late) == whole[start_batch:]
    assert len(late) == len(whole[start_batch:])


@given(st.integers(0, 50), st.integers(1, 20))
def test_batches_are_full_unless_there_is_only_one(count: int, batch_size: int) -> None:
    batches = list(sampler(count, batch_size))
    sizes = [len(batch) for batch in batches]
    if count >= batch_size:
        assert sizes == [batch_size] * (count // batch_size)
    else:
        assert sizes == ([count] if count else [])
    ids = [sample_id for batch in batches for _, sample_id in batch]
    assert len(set(ids)) == len(ids)


def test_keys_carry_the_epoch() -> None:
    one = sampler(6, 2)
    one.begin(7)
    batches = list(one)
    assert {epoch for batch in batches for epoch, _ in batch} == {7}
    one.begin(8)
    assert [[i for _, i in batch] for batch in batches] != [[i for _, i in batch] for batch in one]


def test_an_iteration_under_way_keeps_its_epoch() -> None:
    one = sampler(6, 2)
    one.begin(1)
    under_way = iter(one)
    next(under_way)
    one.begin(2)
    assert {epoch for batch in under_way for epoch, _ in batch} == {1}


@given(st.integers(0, 30), st.integers(1, 12))
def test_in_order_every_sample_comes_once(count: int, batch_size: int) -> None:
    batches = BatchesInOrder(np.arange(count) * 3, batch_size)
    listed = list(batches)
    assert len(listed) == len(batches)
    assert [key for batch in listed for key in batch] == [(0, i * 3) for i in range(count)]
    assert all(len(batch) == batch_size for batch in listed[:-1])
