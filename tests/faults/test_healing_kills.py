"""An engine that is killed in the middle of healing goes on, and heals, in the next attempt."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import safetensors.torch
import torch

from ecotui.engine import checkpoint
from ecotui.events import RunFinished
from ecotui.healing import RunRolledBack
from ecotui.paths import RunDir
from tests.faults.conftest import MakeDirectories
from tests.faults.engines import EngineServer
from tests.faults.watching import Watch

END_SECONDS = 120.0
KILLS = 3

ACTIONS: list[tuple[str, str]] = [
    ("one nan", "skip"),
    ("one nan", "undo"),
    ("one nan", "look into"),
    ("file", "set aside"),
    ("memory", "shrink"),
    ("nan", "go back"),
    ("nan", "restore"),
    ("nan", "cut"),
    ("nan", "void"),
]
"""What falls ill, and the action that is died in."""

SETTINGS: dict[str, Any] = {
    "train": {"epochs": 2},
    "guards": {"max_lost_fraction": 0.9},
    "checkpoint": {"interval_seconds": 1e9},
}


def weights(run: RunDir) -> dict[str, torch.Tensor]:
    (newest, *_) = checkpoint.list_steps(run.checkpoints)
    checkpoint.verify(newest)
    found: dict[str, torch.Tensor] = safetensors.torch.load_file(newest / "model.safetensors")
    return found


def killed(
    server: EngineServer, make: MakeDirectories, illness: str, action: str, when: str, kills: int
) -> Watch:
    """Kill one run so many times inside an action, then let it come to its end."""
    watch = Watch(make(**SETTINGS).new())
    patches = (f"falls_ill:{illness}", f"dies_in:{when}:{action}")
    deaths = 0
    for _ in range(kills):
        watch.begin_attempt()
        code = server.start(watch.run, patches=patches).wait(END_SECONDS)
        assert code in (0, -signal.SIGKILL), watch.run.log.read_text()
        if code == 0:
            # What was done before the death is saved: nothing is left to do.
            break
        deaths += 1
    # Only what is saved in the middle of it is not done again, and not died in again.
    assert deaths == kills or (deaths and action in ("go back", "cut", "void", "shrink"))
    watch.begin_attempt()
    code = server.start(watch.run, patches=patches[:1]).wait(END_SECONDS)
    watch.read()
    assert code == 0, watch.run.log.read_text()[-3000:]
    return watch


def assert_whole(watch: Watch) -> None:
    """Finished, finite, no gap in the log, and no more rollbacks than a run may have."""
    assert [event.seq for event in watch.events] == list(range(1, len(watch.events) + 1))
    assert any(isinstance(event, RunFinished) for event in watch.events)
    assert all(torch.isfinite(each).all() for each in weights(watch.run).values())
    backs = [event for event in watch.events if isinstance(event, RunRolledBack)]
    assert all(event.num_rollbacks <= 3 for event in backs)
    rows = watch.run.metrics.read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["1", "2"]


def test_a_death_while_the_files_of_a_rollback_are_changed_is_got_over(
    server: EngineServer, directories: MakeDirectories
) -> None:
    assert_whole(killed(server, directories, "nan", "cut", "after", 1))


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("illness", "action"), ACTIONS)
def test_three_deaths_in_each_action_are_got_over(
    server: EngineServer, directories: MakeDirectories, illness: str, action: str, when: str
) -> None:
    assert_whole(killed(server, directories, illness, action, when, KILLS))
