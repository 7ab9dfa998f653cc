"""Cells of one style told as one: a terminal is sent the style of a run once, not once a cell."""

from __future__ import annotations

from collections.abc import Iterable

Cell = tuple[str, str]
"""What stands in a cell, and its style."""


def joined(cells: Iterable[Cell]) -> list[Cell]:
    """Return the runs of a row of cells.

    A blank shows no colour, so that it goes with whatever stands before it. Written cell by cell,
    a row of a plot takes ten times the bytes.

    Example:
        >>> joined([("o", "red"), (" ", "blue"), ("o", "red"), ("x", "blue")])
        [('o o', 'red'), ('x', 'blue')]
    """
    found: list[Cell] = []
    for text, style in cells:
        if found and (style == found[-1][1] or text == " "):
            found[-1] = (found[-1][0] + text, found[-1][1])
        elif found and found[-1][0].isspace():
            found[-1] = (found[-1][0] + text, style)
        else:
            found.append((text, style))
    return found
