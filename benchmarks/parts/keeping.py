"""Where a benchmark leaves what it found, for the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def keep(result: Path, found: Any) -> None:
    """Write what was found, in place of what was found before.

    Args:
        result: In `benchmarks/results/`, named after the script.
        found: What JSON can hold.
    """
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
