"""Kills a run again and again until it ends by itself, and looks for anything lost."""

from __future__ import annotations

import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ecotui.config_file import parse_file, to_toml
from ecotui.events import TERMINAL_KINDS
from ecotui.paths import RunDir
from tests.faults import keeping
from tests.faults.engines import Engine, EngineServer, send, start_fresh, survivors_of
from tests.faults.watching import DROPPING, WRITING, Place, Watch, places

PLACES: tuple[Place, ...] = (
    "step",
    "save",
    "retention",
    "evaluation",
    "loader start",
    "engine start",
)
WORKERS = (0, 1, 2)
LONGEST_DELAY_SECONDS = 0.06
END_SECONDS = 120.0


@dataclass(slots=True)
class Tally:
    """What a campaign has done and found.

    Attributes:
        landed: Kills by the place where they landed.
        faults: What was lost or differs, in words; the first one ends the campaign.
        lost_seconds: Training thrown away by each kill.
        num_runs: Runs begun.
        num_fresh: Attempts that were not forked.
        num_verified: Checkpoints read and compared with their manifests.
    """

    landed: Counter[Place] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    lost_seconds: list[float] = field(default_factory=list)
    num_runs: int = 0
    num_fresh: int = 0
    num_verified: int = 0

    @property
    def num_kills(self) -> int:
        """Kills that met a living engine."""
        return self.landed.total()

    def lacks(self, quota: int) -> list[Place]:
        """Return the places where fewer kills than that have landed."""
        return [place for place in PLACES if self.landed[place] < quota]

    def table(self) -> str:
        """Return the campaign in a few lines of text."""
        lines = [f"{place:<14}{self.landed[place]:>5}" for place in PLACES]
        seconds = sorted(self.lost_seconds) or [0.0]
        lines += [
            f"{'kills':<14}{self.num_kills:>5} in {self.num_runs} runs",
            f"{'fresh':<14}{self.num_fresh:>5} attempts, the others forked",
            f"{'lost':<14}{len(self.faults):>5} of {self.num_verified} checkpoints looked at",
            f"{'thrown away':<14}{statistics.median(seconds):>5.2f} s, at most {seconds[-1]:.2f} s",
        ]
        return "\n".join(lines)


class Campaign:
    """Kills runs of one configuration.

    Args:
        server: Forks the engines.
        make_run: Makes a fresh run directory.
        chance: Decides aims, delays and workers.
        patches: What is wrong with the engines; see `patches`.
        aims: Places that are aimed at.
        fresh_fraction: Share of attempts in an interpreter of their own, 0 to 1.
    """

    def __init__(
        self,
        server: EngineServer,
        make_run: Callable[[], RunDir],
        chance: random.Random,
        patches: tuple[str, ...] = (),
        aims: tuple[Place, ...] = PLACES,
        fresh_fraction: float = 0.0,
    ) -> None:
        self._server = server
        self._make_run = make_run
        self._chance = chance
        self._patches = patches
        self._aims = aims
        self._fresh_fraction = fresh_fraction
        self.tally = Tally()

    def kill_runs(self, whole: RunDir, num_kills: int, quota: int = 0) -> Tally:
        """Kill one run after another until something is lost, or all is done.

        Args:
            whole: A run of the same configuration that was never interrupted.
            num_kills: At least so many.
            quota: At least so many in each place.
        """
        tally = self.tally
        while not tally.faults and (tally.num_kills < num_kills or tally.lacks(quota)):
            lacking = sum(quota - tally.landed[place] for place in tally.lacks(quota))
            self._one_run(whole, max(num_kills, tally.num_kills + lacking), quota)
        return tally

    def _one_run(self, whole: RunDir, num_kills: int, quota: int) -> None:
        """Take one run to its end through at most so many kills, and compare it.

        Args:
            whole: A run of the same configuration that was never interrupted.
            num_kills: When to leave the run in peace.
            quota: Places with fewer kills so far are aimed at first.
        """
        run, tally = self._make_run(), self.tally
        watch = Watch(run)
        sessions: set[int] = set()
        tally.num_runs += 1
        while not tally.faults:
            is_peaceful = tally.num_kills >= num_kills
            aim = None if is_peaceful else self._aim(quota)
            engine = self._start(watch)
            sessions.add(engine.pid)
            if aim is not None and self._kill(engine, watch, aim):
                self._look(watch)
                continue
            code = engine.wait(END_SECONDS)
            watch.read()
            if code != 0:
                tally.faults.append(f"ended with {code}: {watch.events[-1]}")
            break
        if not tally.faults:
            tally.faults += keeping.differences(watch, whole)
        if left := survivors_of(sessions, 2.0):
            tally.faults.append(f"processes {left} outlived their engine")

    def _aim(self, quota: int) -> Place:
        return self._chance.choice(self.tally.lacks(quota) or self._aims)

    def _start(self, watch: Watch) -> Engine:
        _choose_workers(watch.run, self._chance.choice(WORKERS))
        watch.begin_attempt()
        if self._chance.random() < self._fresh_fraction:
            self.tally.num_fresh += 1
            return start_fresh(watch.run)
        return self._server.start(watch.run, patches=self._patches)

    def _kill(self, engine: Engine, watch: Watch, aim: Place) -> bool:
        """Kill an engine near a place; False where the run came to its end before."""
        if not self._reach(engine, watch, aim):
            return False
        if not send(engine, signal.SIGKILL):
            return False
        killed_at = time.time()
        code = engine.wait(END_SECONDS)
        watch.read()
        if code != -signal.SIGKILL:
            return False
        if watch.attempt and watch.attempt[-1].kind in TERMINAL_KINDS:
            return False
        found = places(watch)
        self.tally.landed[aim if aim in found else _first(found)] += 1
        self.tally.lost_seconds += keeping.thrown_away(watch, killed_at)
        return True

    def _reach(self, engine: Engine, watch: Watch, aim: Place) -> bool:
        """Wait until an engine is about where it is to be killed."""
        skipped = self._chance.randrange(3)
        saves, epochs = "checkpoint_saved", "epoch_started"
        match aim:
            case "engine start":
                watch.wait_until(engine, lambda: watch.count("engine_started") > 0)
            case "loader start":
                watch.wait_until(engine, lambda: watch.count(epochs) > 0)
            case "step":
                watch.wait_until(engine, lambda: watch.count("steps_taken") > skipped)
            case "save":
                watch.wait_until(engine, lambda: watch.count(saves) >= skipped)
                watch.wait_until(engine, lambda: watch.has_entry(WRITING))
            case "retention":
                watch.wait_until(engine, lambda: watch.count(saves) > skipped)
                # Over within a millisecond, so that there is no waiting after it.
                return watch.wait_until(engine, lambda: watch.has_entry(DROPPING))
            case "evaluation":
                watch.wait_until(engine, lambda: watch.is_in_stage("validate"))
        time.sleep(self._chance.uniform(0.0, LONGEST_DELAY_SECONDS))
        return engine.poll() is None

    def _look(self, watch: Watch) -> None:
        lost, num_verified = keeping.lost(watch)
        self.tally.faults += lost
        self.tally.num_verified += num_verified


def _first(found: set[Place]) -> Place:
    order: tuple[Place, ...] = ("retention", "save", "evaluation", "loader start", "engine start")
    return next((place for place in order if place in found), "step")


def _choose_workers(run: RunDir, workers: int) -> None:
    """Write another number of workers into the files that an attempt may start from."""
    for path in (run.config, run.resolved):
        if path.is_file():
            _rewrite(path, workers)


def _rewrite(path: Path, workers: int) -> None:
    config = parse_file(path)
    compute = config.compute.model_copy(update={"workers": workers})
    path.write_text(to_toml(config.model_copy(update={"compute": compute})))
