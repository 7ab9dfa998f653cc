r"""Lists of photos to leave out: a relative path a line, safe for any file name.

A list is printable text in UTF-8. What could not stand in a line is written as in a string of
Python or C: a backslash as `\\`, a line feed as `\n`, a carriage return as `\r`, and any other
byte that is a control character, not UTF-8, a leading `#` or a space at an end of the name as
`\x` and two hexadecimal digits. Empty lines, and those that begin with `#`, say nothing.
"""

from __future__ import annotations

import os
import re

_ESCAPE = re.compile(rb"\\(\\|n|r|x[0-9a-fA-F]{2})")
_PLAIN = {b"\\": b"\\", b"n": b"\n", b"r": b"\r"}


def written(name: bytes) -> str:
    """Return a file's relative path as it stands in a list."""
    decoded = os.fsdecode(name)
    inner = "".join(_escaped(character) for character in decoded)
    if inner[:1] in ("#", " "):
        inner = f"\\x{ord(inner[0]):02x}{inner[1:]}"
    return f"{inner[:-1]}\\x20" if inner.endswith(" ") else inner


def read(line: bytes) -> bytes | None:
    r"""Return the path that a line means; None for a line that says nothing.

    Args:
        line: Without its line feed; a carriage return at its end is dropped. A backslash
            that begins no escape stands for itself.
    """
    kept = line.rstrip(b"\r")
    if not kept.strip() or kept.startswith(b"#"):
        return None
    return _ESCAPE.sub(_meant, kept.strip(b" "))


def _escaped(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character == "\n":
        return "\\n"
    if character == "\r":
        return "\\r"
    if character.isprintable():
        return character
    raw = os.fsencode(character)
    return "".join(f"\\x{byte:02x}" for byte in raw)


def _meant(match: re.Match[bytes]) -> bytes:
    kind = match.group(1)
    return bytes([int(kind[1:], 16)]) if kind.startswith(b"x") else _PLAIN[kind]
