"""One batch size after another, until they no longer fit, take too long, or gain nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.fitting import Trial, memory_line, pass_line
from ecotui.engine.planning.memory import Room
from ecotui.engine.planning.rehearsal import Rehearsal

Limit = Literal["memory", "time", "speed", "none"]
"""What ended an exploration."""

GAIN_FRACTION = 0.02
"""A larger size has to be faster by so much. Ludwig doubles until the median of five steps
falls; a speed that stands still is taken for the same, as it only costs memory."""


@dataclass(slots=True)
class Exploration:
    """What was found out about sizes, smallest first.

    Attributes:
        trials: Of the sizes that fitted.
        limit: What ended it.
        refused: The smallest size that does not fit, measured or predicted.
        beyond: What that one took, where it ran but left less than the margin.
    """

    trials: list[Trial] = field(default_factory=list)
    limit: Limit = "none"
    refused: int | None = None
    beyond: Trial | None = None

    def of(self, size: int) -> Trial | None:
        """Return the trial of a size, if it was measured."""
        return next((each for each in self.all_trials if each.size == size), None)

    @property
    def all_trials(self) -> list[Trial]:
        """Every size that ran, within the limit or not."""
        return self.trials if self.beyond is None else [*self.trials, self.beyond]

    def peak_bytes(self, size: int) -> int | None:
        """Return the memory of a step of some size: measured, or from the fit."""
        measured = self.of(size)
        if measured is not None:
            return measured.peak_bytes
        line = memory_line(self.all_trials)
        return None if line is None else round(line.at(size))

    def add(self, trial: Trial) -> None:
        """Keep a trial in order of size."""
        self.trials.append(trial)
        self.trials.sort(key=lambda each: each.size)


@dataclass(frozen=True, slots=True)
class Explorer:
    """Measures sizes within limits.

    Attributes:
        rehearsal: Takes the steps.
        room: Memory that may be used.
        budget: Time that may be used.
        batch_size: Images a step; None where a step is one pass.
        steps: Timed steps of each size.
        on_trial: Called after each.
    """

    rehearsal: Rehearsal
    room: Room
    budget: Budget
    batch_size: int | None
    steps: int
    on_trial: Callable[[], None]

    def explore(
        self,
        sizes: Iterable[int],
        *,
        wants_speed: bool = False,
        found: Exploration | None = None,
    ) -> Exploration:
        """Measure sizes in ascending order.

        No size is tried that the fit so far says will not fit: on the CPU the system
        would kill the process.

        Args:
            sizes: Ascending.
            wants_speed: End where a larger size is no faster.
            found: Of smaller sizes, to go on from.
        """
        found = found or Exploration()
        for size in sizes:
            found.limit = self._obstacle(found, size)
            if found.limit != "none":
                break
            before = max((each.images_per_second for each in found.trials), default=0.0)
            trial = self.try_size(found, size)
            if trial is None:
                break
            if wants_speed and trial.images_per_second < before * (1.0 + GAIN_FRACTION):
                found.limit = "speed"
                break
        return found

    def try_size(self, found: Exploration, size: int) -> Trial | None:
        """Measure a size and keep what it took; None where it does not fit."""
        batch_size = max(size, self.batch_size or size)
        trial = self.rehearsal.measure(size, self.budget, batch_size=batch_size, steps=self.steps)
        self.on_trial()
        if trial is None or not self.room.holds(trial.peak_bytes):
            found.limit, found.refused, found.beyond = "memory", size, trial
            return None
        found.add(trial)
        return trial

    def _obstacle(self, found: Exploration, size: int) -> Limit:
        if not found.trials:
            return "none"
        memory, passing = memory_line(found.trials), pass_line(found.trials)
        if memory is not None and not self.room.holds(memory.at(size)):
            found.refused = size
            return "memory"
        last = found.trials[-1]
        evenly = last.pass_seconds * size / last.size
        pass_seconds = evenly if passing is None else min(evenly, max(0.0, passing.at(size)))
        passes = 2 if (self.batch_size or size) > size else 1
        expected = 2 * (passes * pass_seconds + last.update_seconds)
        return "none" if self.budget.allows(expected) else "time"
