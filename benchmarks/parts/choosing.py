"""Which parts of a benchmark are asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def chosen(words: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return the parts that are named, or all of them; a word that is none ends the program.

    Raises:
        SystemExit: With 2; the message says what there is.
    """
    parts = list(known)
    for word in words:
        if word not in parts:
            print(
                f"error: {word!r} is no part of this\nexpected: some of {', '.join(parts)}\n"
                "to fix: correct the word, or give none to measure all",
                file=sys.stderr,
            )
            raise SystemExit(2)
    return list(words) or parts
