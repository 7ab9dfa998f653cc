"""Where a key stands in a TOML source, for error messages.

The standard parser gives values without positions; this finds the line of a
dotted key again. It is a search for messages, not a second parser: where it
cannot tell, it says None.
"""

from __future__ import annotations

MAX_LINE_CHARACTERS = 500
"""A key or heading stands at the start of its line; the rest is not looked at."""


def line_of(source: str, dotted: str) -> int | None:
    """Return the 1-based line on which a dotted key (`train.epochs`) is set or opened.

    A key inside an inline table is found on the line of the table.
    """
    section = ""
    enclosing: int | None = None
    for count, line in enumerate(source.splitlines(), start=1):
        written = line[:MAX_LINE_CHARACTERS].strip()
        if written.startswith("["):
            section = _plain(written.strip("[").partition("]")[0])
            if section == dotted:
                return count
            continue
        name, equals, _ = written.partition("=")
        if not equals or written.startswith("#"):
            continue
        whole = f"{section}.{_plain(name)}" if section else _plain(name)
        if whole == dotted or whole.startswith(dotted + "."):
            return count
        if dotted.startswith(whole + "."):
            enclosing = count
    return enclosing


def _plain(written: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in written.split("."))
