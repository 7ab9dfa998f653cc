"""Sums of steps, read seldom."""

from __future__ import annotations

import pytest
import torch

from ecotui.engine.meter import Meter


def test_a_reading_holds_what_happened_since_the_last_one() -> None:
    now = [100.0]
    meter = Meter("cpu", clock=lambda: now[0])
    logits_BK = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    meter.add(torch.tensor(0.5), logits_BK, torch.tensor([0, 1, 1]))
    meter.finish_step(1.5, 3, is_mixed=False)
    meter.add(torch.tensor(1.0), logits_BK[:1], torch.tensor([0]))
    meter.finish_step(2.5, 1, is_mixed=False)
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
    assert empty.accuracy is None
    assert empty.images_per_second is None


def test_micro_batches_add_up_to_one_step() -> None:
    meter = Meter("cpu")
    for _ in range(4):
        meter.add(torch.tensor(0.25), torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    meter.finish_step(1.0, 8, is_mixed=False)
    reading = meter.drain()
    assert reading.num_steps == 1
    assert reading.loss_sum / reading.num_images == pytest.approx(1.0)
    assert reading.hits == 8


def test_mixed_images_have_a_loss_and_no_accuracy() -> None:
    meter = Meter("cpu")
    meter.add(torch.tensor(0.7), torch.zeros(2, 3), torch.full((2, 3), 1 / 3))
    meter.finish_step(1.0, 2, is_mixed=True)
    reading = meter.drain()
    assert reading.accuracy is None
    assert reading.loss_sum == pytest.approx(1.4)


def test_a_rejected_step_leaves_no_trace() -> None:
    meter = Meter("cpu")
    meter.add(torch.tensor(float("nan")), torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    meter.discard_step()
    meter.add(torch.tensor(0.5), torch.zeros(2, 3), torch.ones(2, dtype=torch.int64))
    meter.finish_step(1.0, 2, is_mixed=False)
    reading = meter.drain()
    assert (reading.num_steps, reading.hits) == (1, 0)
    assert reading.loss_sum == pytest.approx(1.0)
