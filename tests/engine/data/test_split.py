from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.data.split import ids_of, stratified_split

fractions = st.tuples(st.floats(0.01, 0.98), st.floats(0.0, 0.98)).filter(lambda f: sum(f) < 1.0)
class_sizes = st.lists(st.integers(2, 40), min_size=2, max_size=6)


@given(class_sizes, fractions, st.integers(0, 2**63 - 1))
def test_each_class_is_shared_out_by_the_fractions(
    sizes: list[int], shares: tuple[float, float], seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    np.random.Generator(np.random.PCG64(seed)).shuffle(labels)
    names = [f"class {label}" for label in range(len(sizes))]
    assigned = stratified_split(
        labels, names, seed=seed, val_fraction=shares[0], test_fraction=shares[1]
    )
    assert set(assigned.tolist()) <= {"train", "val", "test"}
    for label, size in enumerate(sizes):
        got = assigned[labels == label].tolist()
        assert got.count("train") >= 1
        assert got.count("val") >= 1
        assert abs(got.count("val") - size * shares[0]) <= 1
        assert got.count("test") <= size * shares[1] + 0.5


def test_the_seed_decides_who_goes_where() -> None:
    labels = np.repeat(np.arange(2), 20)

    def val_ids(seed: int) -> list[int]:
        assigned = stratified_split(
            labels, ["a", "b"], seed=seed, val_fraction=0.2, test_fraction=0.1
        )
        return [int(sample_id) for sample_id in ids_of(assigned, "val")]

    assert val_ids(1) == val_ids(1)
    assert val_ids(1) != val_ids(2)
    assert val_ids(1) == sorted(val_ids(1))


def test_two_classes_of_one_size_are_split_differently() -> None:
    labels = np.repeat(np.arange(2), 20)
    assigned = stratified_split(labels, ["a", "b"], seed=0, val_fraction=0.3, test_fraction=0.0)
    assert assigned[:20].tolist() != assigned[20:].tolist()


def test_photos_added_to_one_class_leave_the_others_alone() -> None:
    before = np.repeat([0, 1], [10, 10])
    after = np.repeat([0, 1], [13, 10])
    names = ["a", "b\udcff"]
    first = stratified_split(before, names, seed=4, val_fraction=0.2, test_fraction=0.2)
    second = stratified_split(after, names, seed=4, val_fraction=0.2, test_fraction=0.2)
    assert first[before == 1].tolist() == second[after == 1].tolist()


def test_a_class_of_two_gives_one_to_each_side() -> None:
    assigned = stratified_split(
        np.array([0, 0, 1, 1]), ["a", "b"], seed=0, val_fraction=0.9, test_fraction=0.05
    )
    assert sorted(assigned[:2].tolist()) == ["train", "val"]
    assert sorted(assigned[2:].tolist()) == ["train", "val"]
