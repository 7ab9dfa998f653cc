"""The scorecard in lines, as the final summary and the status show it."""

from __future__ import annotations

from collections.abc import Iterable

from ecotui.scorecard import PERIODS, Item, ItemStatus
from ecotui.text import visible

MARKS: dict[ItemStatus, str] = {"met": "met   ", "missed": "MISSED", "open": "open  "}


def scorecard_lines(items: Iterable[Item]) -> list[str]:
    """Return one line an item, under a heading that counts them."""
    every = list(items)
    num_met = sum(item.status == "met" for item in every)
    lines = [f"scorecard: {num_met} of {len(every)} met"]
    for item in every:
        figure = f" ({visible(item.figure)})" if item.figure else ""
        period = f"{PERIODS[item.period]}:"
        lines.append(f"  {MARKS[item.status]} {period:14} {visible(item.what)}{figure}")
    return lines
