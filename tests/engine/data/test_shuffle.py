from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ecotui.engine.data.shuffle import shuffled


@given(st.integers(0, 200), st.integers(0, 2**63 - 1))
def test_it_is_a_permutation_and_a_function_of_the_seed(count: int, seed: int) -> None:
    order = shuffled(count, seed)
    assert sorted(order.tolist()) == list(range(count))
    assert order.tolist() == shuffled(count, seed).tolist()


def test_seeds_give_different_orders() -> None:
    orders = {tuple(shuffled(20, seed).tolist()) for seed in range(50)}
    assert len(orders) == 50


def test_every_place_is_equally_likely() -> None:
    firsts = [int(shuffled(4, seed)[0]) for seed in range(2_000)]
    for value in range(4):
        assert 400 < firsts.count(value) < 600


def test_the_order_of_old_runs_stays() -> None:
    # A change here would change the split and the order of a run that is resumed.
    assert shuffled(8, 42).tolist() == [0, 1, 4, 2, 6, 5, 7, 3]
