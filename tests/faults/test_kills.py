"""Killed at any moment, a run loses no announced checkpoint and ends with the same bits."""

from __future__ import annotations

import os
import random
import statistics
import sys
import time

import pytest

from ecotui.paths import RunDir
from tests.faults.campaign import Campaign, Tally
from tests.faults.conftest import Directories, MakeDirectories
from tests.faults.engines import EngineServer
from tests.faults.watching import Place

FAST_KILLS = 12
TORTURE_KILLS = int(os.environ.get("ECOTUI_TORTURE_KILLS", "200"))
TORTURE_SEED = int(os.environ.get("ECOTUI_TORTURE_SEED", "0")) or time.time_ns() % 1_000_000
QUOTA = 5
FRESH_FRACTION = 0.05
USUAL_LOSS_SECONDS, LONGEST_LOSS_SECONDS = 2.0, 10.0
"""Generous: the interval is a tenth of a second, but a slow machine stalls now and then."""


def check(tally: Tally) -> None:
    assert tally.faults == [], tally.table()
    assert statistics.median(tally.lost_seconds) < USUAL_LOSS_SECONDS
    assert max(tally.lost_seconds) < LONGEST_LOSS_SECONDS


def test_twelve_kills_lose_nothing(server: EngineServer, made: Directories, whole: RunDir) -> None:
    tally = Campaign(server, made.new, random.Random(1)).kill_runs(whole, FAST_KILLS, quota=1)
    check(tally)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(
    server: EngineServer,
    made: Directories,
    whole: RunDir,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chance = random.Random(TORTURE_SEED)
    campaign = Campaign(server, made.new, chance, fresh_fraction=FRESH_FRACTION)
    started = time.monotonic()
    tally = campaign.kill_runs(whole, TORTURE_KILLS, quota=QUOTA)
    took = f"{time.monotonic() - started:.0f} s, ECOTUI_TORTURE_SEED={TORTURE_SEED}"
    with capsys.disabled():
        sys.stdout.write(f"\n{tally.table()}\n{took}\n")
    check(tally)


MID_RUN: tuple[Place, ...] = ("step", "evaluation")
"""Where a kill leaves a checkpoint behind, and steps to do after it."""


def test_control_generators_that_are_not_restored_give_other_bits(
    server: EngineServer, made: Directories, whole: RunDir
) -> None:
    patches = ("generators_not_restored",)
    campaign = Campaign(server, made.new, random.Random(1), patches, aims=MID_RUN)
    tally = campaign.kill_runs(whole, 4)
    assert "model.safetensors differs in its bits" in tally.faults, tally.table()


@pytest.mark.torture
def test_control_loaders_without_a_generator_of_their_own_give_other_bits(
    server: EngineServer, made: Directories
) -> None:
    patches = ("loader_without_generator",)
    whole = made.new("whole")
    assert server.start(whole, patches=patches).wait(120) == 0
    campaign = Campaign(server, made.new, random.Random(1), patches, aims=MID_RUN)
    tally = campaign.kill_runs(whole, 4)
    assert "model.safetensors differs in its bits" in tally.faults, tally.table()


@pytest.mark.torture
def test_control_a_writer_in_place_loses_checkpoints(
    server: EngineServer, directories: MakeDirectories, whole: RunDir
) -> None:
    often = directories(checkpoint={"interval_seconds": 1e-3, "keep": 1})
    patches = ("writes_in_place",)
    campaign = Campaign(server, often.new, random.Random(1), patches, aims=("save",))
    tally = campaign.kill_runs(whole, 60)
    assert tally.faults, tally.table()
    assert "is damaged" in tally.faults[0]
