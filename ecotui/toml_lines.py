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


def with_value(source: str | None, dotted: str, value: str) -> str | None:
    """Return a source in which a key has another value, every other line as it is.

    The caller parses the result: where a value spans lines, or stands in an inline table, it
    does not come out as meant.

    Args:
        source: TOML; None is handed on.
        dotted: The key, such as `train.epochs`.
        value: As TOML, on one line.
    """
    if source is None:
        return None
    section, _, name = dotted.rpartition(".")
    lines = source.splitlines()
    at = line_of(source, dotted)
    if at is not None and not lines[at - 1].lstrip().startswith("["):
        lines[at - 1] = f"{name} = {value}{_remark_of(lines[at - 1])}"
    elif not section:
        lines.insert(0, f"{name} = {value}")
    else:
        opened = _heading_of(lines, section)
        if opened is None:
            lines += [*([""] if lines else []), f"[{section}]", f"{name} = {value}"]
        else:
            lines.insert(opened + 1, f"{name} = {value}")
    return "\n".join(lines) + "\n"


def without_key(source: str | None, dotted: str) -> str | None:
    """Return a source without a key; as `with_value` where it is not on a line of its own."""
    at = None if source is None else line_of(source, dotted)
    if source is None or at is None:
        return source
    lines = source.splitlines()
    del lines[at - 1]
    return "\n".join(lines) + "\n"


def _heading_of(lines: list[str], section: str) -> int | None:
    for count, line in enumerate(lines):
        written = line[:MAX_LINE_CHARACTERS].strip()
        if written.startswith("[") and _plain(written.strip("[").partition("]")[0]) == section:
            return count
    return None


def _remark_of(line: str) -> str:
    """Return the remark at the end of a line, where no quote makes it doubtful."""
    value, hash_sign, remark = line.partition("#")
    if not hash_sign or '"' in remark or "'" in remark or value.count('"') % 2:
        return ""
    return f"  # {remark.strip()}"
