"""Sums of steps, told now and then."""

from __future__ import annotations

from typing import Any

import pytest

from ecotui.engine.meter import Meter
from ecotui.engine.reporting import Reporter


def test_a_reading_holds_what_happened_since_the_last_one() -> None:
    now = [100.0]
    meter = Meter(clock=lambda: now[0])
    meter.note_step(0.5, 2.0, 1.5, 3, is_mixed=False)
    meter.note_step(1.0, 1.0, 2.5, 1, is_mixed=False)
    meter.waited_seconds = 0.5
    now[0] = 102.0
    reading = meter.drain()
    assert (reading.num_steps, reading.num_images, reading.hits) == (2, 4, 3)
    assert reading.loss_sum == pytest.approx(0.5 * 3 + 1.0)
    assert reading.accuracy == 0.75
    assert reading.gradient_norm == 2.5
    assert reading.images_per_second == 2.0
    assert reading.wait_fraction == 0.25
    empty = meter.drain()
    assert (empty.num_steps, empty.num_images, empty.loss_sum) == (0, 0, 0.0)
    assert empty.gradient_norm is None
    assert empty.accuracy is None
    assert empty.images_per_second is None


def test_mixed_images_have_a_loss_and_no_accuracy() -> None:
    meter = Meter()
    meter.note_step(0.7, 0.0, 1.0, 2, is_mixed=True)
    reading = meter.drain()
    assert reading.accuracy is None
    assert reading.loss_sum == pytest.approx(1.4)


def test_no_interval_is_spent_while_no_step_can_be_stated() -> None:
    """On an accelerator the first steps are read a few steps late."""
    nothing: Any = None
    reporter = Reporter(nothing, nothing, nothing, lambda _: None)
    assert not reporter.is_due()
    reporter.meter.note_step(0.5, 1.0, 2.0, 4, is_mixed=False)
    assert reporter.is_due()
    assert not reporter.is_due()
