"""Where a key stands in a TOML source, for error messages.

The standard parser gives values without positions; this finds the line of a
dotted key again. It is a search for messages, not a second parser: where it
cannot tell, it says None.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*([A-Za-z0-9_\-."' ]+?)\s*=""")


def line_of(source: str, dotted: str) -> int | None:
    """Return the 1-based line on which a dotted key (`train.epochs`) is set or opened."""
    section = ""
    for count, line in enumerate(source.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            section = _plain(header.group(1))
            if section == dotted:
                return count
            continue
        key = _KEY.match(line)
        if key:
            name = _plain(key.group(1))
            whole = f"{section}.{name}" if section else name
            if whole == dotted or whole.startswith(dotted + "."):
                return count
    return None


def _plain(written: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in written.split("."))
