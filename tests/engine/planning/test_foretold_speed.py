"""The speed that a quick plan foretells is that of the run, whatever its first step takes."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest
import torch
from torch import nn

from ecotui.engine.planning import proposal, survey
from ecotui.errors import ExitCode
from ecotui.events import EpochFinished
from ecotui.foresight_text import foresight_lines
from ecotui.jobs import PreflightJob
from ecotui.plans import PlanProposed
from tests.engine.checks import breaking
from tests.engine.harness import Harness, of

FIRST_SECONDS, PASS_SECONDS, IMAGE_SECONDS = 2.5, 0.1, 0.002
FACTOR = 1.5
ALONE: dict[str, Any] = {"skip": ["transforms", "first_batch", "audit", "previews"]}


def sleeping(network: nn.Module) -> nn.Module:
    """Take a known time a pass, and a long one for the first: libraries are got ready then."""
    passes = 0

    def sleep(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal passes
        passes += 1
        time.sleep(PASS_SECONDS + IMAGE_SECONDS * len(inputs[0]))
        if passes == 1:
            time.sleep(FIRST_SECONDS)

    network.register_forward_pre_hook(sleep)
    return network


def test_it_is_within_a_factor_of_what_is_measured_then(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking.network(sleeping)(monkeypatch)
    train = {"epochs": 3, "batch_size": 9}
    _, events = harness.train(train=train, preflight=ALONE)
    (plan,) = of(PlanProposed, events)
    took = statistics.median(epoch.seconds for epoch in of(EpochFinished, events))
    assert took / FACTOR < plan.epoch_seconds < FACTOR * took
    assert not any("extrapolated" in note for note in plan.notes)
    assert 0.0 <= plan.spread_fraction < 0.5
    assert "of their median" in foresight_lines(plan)[0]


def test_the_workers_proposed_are_the_fewest_that_feed_what_was_measured(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computing takes 118 ms for 9 images: 76 a second. Two workers read 80, four 160."""
    breaking.network(sleeping)(monkeypatch)
    speeds = {1: 40.0, 2: 80.0, 4: 160.0, 8: 160.0}

    def rate(parts: Any, workers: int, budget: Any, *, seconds: float) -> float:
        return speeds[workers]

    monkeypatch.setattr(survey, "images_per_second_with", rate)
    monkeypatch.setattr(survey, "images_per_second_alone", lambda parts, budget, *, most: 40.0)
    monkeypatch.setattr(survey, "probe_capabilities", _Eight)
    monkeypatch.setattr(proposal, "LEAST_SAVED_SECONDS", -1.0)
    events, code = harness.run(
        harness.new(
            PreflightJob(),
            train={"batch_size": 9},
            compute={"workers": 1},
            preflight={"level": "full", **ALONE},
        )
    )
    assert code == ExitCode.DONE, events[-1]
    (plan,) = of(PlanProposed, events)
    assert plan.bottleneck == "data"
    assert plan.images_per_second == pytest.approx(40.0, rel=0.3)
    assert plan.settings.split() == ["[compute]", "workers", "=", "2"]


class _Eight:
    num_cpus = 8
