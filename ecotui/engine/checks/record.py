"""`preflight.json`: every verdict with its figures, what was left out, and the time it took."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ecotui.durable import write_whole
from ecotui.engine.checks.finding import Finding
from ecotui.paths import RunDir
from ecotui.plans import PreflightRecorded
from ecotui.text import visible


class Record:
    """What preflight found so far.

    Args:
        level: Quick or full.
        budget_seconds: That it may take.
    """

    def __init__(self, level: Literal["quick", "full"], budget_seconds: float) -> None:
        self._level: Literal["quick", "full"] = level
        self._budget_seconds = budget_seconds
        self._checks: list[dict[str, Any]] = []
        self._skipped: list[dict[str, str]] = []
        self._shortened: list[str] = []
        self._sections: dict[str, Mapping[str, Any]] = {}

    def add(self, finding: Finding, seconds: float, *, accepted: bool = False) -> None:
        """Keep a verdict, and how long it took to reach it."""
        self._checks.append(
            {
                "check": finding.check,
                "verdict": finding.verdict,
                "accepted": accepted,
                "what": finding.what,
                "expected": finding.expected,
                "remedy": finding.remedy,
                "figures": {name: _plain(value) for name, value in finding.figures.items()},
                "seconds": round(seconds, 4),
            }
        )

    def skip(self, check: str, why: str) -> None:
        """Keep that a check was left out."""
        self._skipped.append({"check": check, "why": why})

    def shorten(self, sentence: str) -> None:
        """Keep what was sampled or left out for lack of time, and how to have it whole."""
        self._shortened.append(sentence)

    def as_event(self, run: RunDir, seconds: float) -> PreflightRecorded:
        """Return the event that says where all of it is kept.

        Args:
            run: In whose directory it was written.
            seconds: Preflight took.
        """
        return PreflightRecorded(
            file=run.preflight.name,
            folder=visible(run.path),
            level=self._level,
            seconds=seconds,
            budget_seconds=self._budget_seconds,
            shortened=tuple(visible(sentence, limit=1_000) for sentence in self._shortened),
        )

    def put(self, section: str, content: Mapping[str, Any]) -> None:
        """Keep what another part of preflight found, under a name of its own."""
        self._sections[section] = content

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the checks that were left out."""
        return tuple(entry["check"] for entry in self._skipped)

    def write(self, path: Path, seconds: float) -> None:
        """Write all of it.

        Args:
            path: The file.
            seconds: Preflight took so far.

        Raises:
            OSError: The file cannot be written.
        """
        whole = {
            "level": self._level,
            "budget_seconds": self._budget_seconds,
            "seconds": round(seconds, 3),
            "checks": self._checks,
            "skipped": self._skipped,
            "shortened": self._shortened,
            **self._sections,
        }
        write_whole(path, (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode())


def _plain(value: object) -> object:
    """Spell what JSON has no number for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
