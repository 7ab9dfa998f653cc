from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ecotui.series import Series
from ecotui.widgets.metric_chart import VAL_MARK, frame_of, plot
from ecotui.widgets.runs import joined

points = st.lists(
    st.tuples(st.integers(0, 10**9), st.floats(-1e6, 1e6, allow_nan=False)), min_size=1, max_size=60
).map(lambda found: tuple(sorted(found)))


@given(train=points, val=points, width=st.integers(4, 120), height=st.integers(2, 40))
def test_every_series_fits_its_frame(
    train: tuple[tuple[int, float], ...],
    val: tuple[tuple[int, float], ...],
    width: int,
    height: int,
) -> None:
    frame = frame_of((*train, *val), width, height)
    cells = plot(frame, Series(train), Series(val))
    assert [len(row) for row in cells] == [width] * height
    marks = sum(cell == VAL_MARK for row in cells for cell, _ in row)
    assert 1 <= marks <= len(val)


def test_a_rising_line_goes_from_bottom_left_to_top_right() -> None:
    series = Series(((0, 0.0), (100, 1.0)))
    cells = plot(frame_of(series.points, 10, 5), series, Series())
    assert cells[4][0][0] != " "
    assert cells[0][9][0] != " "
    assert cells[0][0][0] == " "
    assert cells[4][9][0] == " "


def test_a_flat_line_lies_in_the_middle() -> None:
    series = Series(((0, 2.0), (100, 2.0)))
    cells = plot(frame_of(series.points, 10, 5), series, Series())
    assert [row for row in range(5) if cells[row][5][0] != " "] == [2]


def test_a_validation_is_marked_where_it_was_measured() -> None:
    train = Series(((0, 0.0), (100, 1.0)))
    cells = plot(frame_of(train.points, 11, 3), train, Series(((50, 1.0),)))
    assert cells[0][5][0] == VAL_MARK


def test_a_row_is_told_by_the_run_and_not_by_the_cell() -> None:
    row = [(" ", "t"), ("o", "t"), (" ", "v"), ("o", "t"), ("x", "v"), (" ", "t")]
    assert joined(row) == [(" o o", "t"), ("x ", "v")]
