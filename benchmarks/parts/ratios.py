"""How much faster one is than another, from what was measured side by side."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of `one / other` over pairs that were measured in the same turn or round.

    Raises:
        ValueError: There is another number of ones than of others.
    """
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))
