"""What was measured of formats on this machine, in the user's cache, so that it is done once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecotui.durable import write_whole
from ecotui.engine.planning.format_trial import Format, Trial
from ecotui.paths import user_cache
from ecotui.text import visible

MOST_FILES = 200
"""Kept; the oldest go first. A file takes about 1 kB."""

_PRECISIONS = ("fp32", "bf16", "fp16")


def recall(facts: Mapping[str, Any]) -> list[Trial] | None:
    """Return what was measured under the same circumstances; None where nothing was.

    Args:
        facts: All that the measurement depends on.
    """
    try:
        told = json.loads(_path(facts).read_bytes())
        if told["facts"] != _plain(facts):
            return None
        return [trial_of(each) for each in told["trials"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not a file of ours: it is measured again


def keep(facts: Mapping[str, Any], trials: Sequence[Trial]) -> None:
    """Keep what was measured; a cache that cannot be written is gone without."""
    path = _path(facts)
    record = {"facts": _plain(facts), "trials": [as_told(each) for each in trials]}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(record, indent=1) + "\n").encode())
        files = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in files[:-MOST_FILES]:
            old.unlink()


def as_told(trial: Trial) -> dict[str, Any]:
    """Return a trial as JSON holds it."""
    return {
        "format": [trial.format.precision, trial.format.channels_last],
        "step_seconds": trial.step_seconds,
        "loss": trial.loss if math.isfinite(trial.loss) else None,
        "norm": trial.norm if math.isfinite(trial.norm) else None,
        "fault": trial.fault,
    }


def trial_of(told: Any) -> Trial:
    """Return a trial from JSON.

    Raises:
        ValueError: It is none.
        KeyError: Likewise.
        TypeError: Likewise.
    """
    precision, layout = told["format"]
    if precision not in _PRECISIONS or not isinstance(layout, bool):
        raise ValueError("no format")
    loss, norm = (math.nan if told[key] is None else float(told[key]) for key in ("loss", "norm"))
    fault = visible(str(told["fault"]), limit=200)
    return Trial(Format(precision, layout), float(told["step_seconds"]), loss, norm, fault)


def _path(facts: Mapping[str, Any]) -> Path:
    text = json.dumps(facts, sort_keys=True)
    return user_cache() / "formats" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _plain(facts: Mapping[str, Any]) -> Any:
    """Return facts as they come back from JSON."""
    return json.loads(json.dumps(facts))
