"""An engine that dies before any change it makes to a file leaves a run that goes on.

Random kills hardly ever meet the moment in which a small file is replaced; here each of
these moments is met in turn.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import pytest

from ecotui.paths import RunDir
from tests.faults import keeping
from tests.faults.conftest import Directories, MakeDirectories
from tests.faults.engines import EngineServer, send
from tests.faults.watching import Watch

END_SECONDS = 120.0
FROM_EPOCH = 5
"""The last one: there is little left to train, again and again."""
MOST_CHANGES = 1_000


@pytest.fixture(scope="module")
def interrupted(server: EngineServer, made: Directories) -> RunDir:
    """A run that was killed while it trained."""
    watch = Watch(made.new("interrupted"))
    engine = server.start(watch.run)
    assert watch.wait_until(engine, lambda: watch.count("epoch_started") == FROM_EPOCH)
    saved = watch.count("checkpoint_saved")
    assert watch.wait_until(engine, lambda: watch.count("checkpoint_saved") > saved)
    assert send(engine, signal.SIGKILL)
    assert engine.wait(END_SECONDS) == -signal.SIGKILL
    return watch.run


def die_at(number: int, interrupted: RunDir, server: EngineServer, folder: Path) -> Watch | None:
    """Let a copy of the run die at a change; None where it makes fewer than that."""
    run = RunDir(folder / str(number) / interrupted.run_id)
    shutil.copytree(interrupted.path, run.path)
    watch = Watch(run)
    watch.begin_attempt()
    code = server.start(run, patches=(f"dies_at_change:{number}",)).wait(END_SECONDS)
    watch.read()
    assert code in (0, -signal.SIGKILL), run.log.read_text()
    return None if code == 0 else watch


def goes_on(watch: Watch, server: EngineServer, whole: RunDir) -> list[str]:
    """Take a run up again that has died, and return what is wrong with it then."""
    faults, _ = keeping.lost(watch)
    watch.begin_attempt()
    code = server.start(watch.run).wait(END_SECONDS)
    watch.read()
    if code != 0:
        return [*faults, f"ended with {code}: {watch.events[-1]}"]
    return faults + keeping.differences(watch, whole)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_death_at_any_change_of_a_start_leaves_a_run_that_goes_on(
    server: EngineServer, interrupted: RunDir, whole: RunDir, tmp_path: Path
) -> None:
    faults: dict[int, list[str]] = {}
    for number in range(1, MOST_CHANGES):
        watch = die_at(number, interrupted, server, tmp_path)
        if watch is None or watch.count("epoch_started"):
            break
        faults[number] = goes_on(watch, server, whole)
    assert len(faults) >= 5
    assert {number: found for number, found in faults.items() if found} == {}


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_death_at_any_change_of_a_short_run_does_so_too(
    server: EngineServer,
    directories: MakeDirectories,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = directories(train={"epochs": 2})
    whole, untouched = short.new("whole"), short.new("untouched")
    assert server.start(whole).wait(END_SECONDS) == 0
    faults: dict[int, list[str]] = {}
    for number in range(1, MOST_CHANGES):
        watch = die_at(number, untouched, server, tmp_path)
        if watch is None:
            break
        faults[number] = goes_on(watch, server, whole)
        shutil.rmtree(watch.run.path.parent)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(faults)} deaths, each at another change of a file\n")
    assert len(faults) >= 50
    assert {number: found for number, found in faults.items() if found} == {}
