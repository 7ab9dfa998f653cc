"""The findings of an examination as a file: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from ecotui.durable import write_whole
from ecotui.errors import EcoError
from ecotui.events import CheckReported
from ecotui.paths import expanded
from ecotui.text import counted, visible

FORMAT = 1
"""Of the JSON file."""
_FIELDS = ("check", "layer", "verdict", "what", "expected", "remedy", "why", "source", "fix")
_ORDER = ("fail", "warn", "note", "pass")
_MARKUP = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>#|"})


def as_json(checks: Sequence[CheckReported]) -> str:
    """Return findings as JSON, the worst first."""
    told = [{name: getattr(check, name) for name in _FIELDS} for check in _ordered(checks)]
    return json.dumps({"format": FORMAT, "checks": told}, indent=2) + "\n"


def as_markdown(checks: Sequence[CheckReported], title: str) -> str:
    """Return findings as Markdown, the worst first; what others wrote is no markup in it."""
    found = _ordered(checks)
    counts = [f"{sum(each.verdict == word for each in found)} {word}" for word in _ORDER]
    lines = [f"# {title}", "", f"{counted(len(found), 'check')}: {', '.join(counts)}.", ""]
    for check in found:
        lines.append(f"- **{check.verdict}** {_plain(check.what)}")
        told = (
            ("expected", check.expected),
            ("to fix", check.remedy),
            ("why", check.why),
            ("source", check.source),
            ("mended by", shlex.join(check.fix) if check.fix else ""),
        )
        lines += [f"  - {name}: {_plain(words)}" for name, words in told if words]
    return "\n".join(lines) + "\n"


def path_fault(written: str) -> str:
    """Say what is wrong with a path to write a report to; empty where nothing is."""
    if not written or "\0" in written:
        return "a path, such as findings.md or findings.json"
    path = _whole(written)
    if path.suffix.lower() not in (".md", ".json"):
        return "a name that ends in .md or .json"
    if os.path.lexists(path):
        return f"{visible(path.name, limit=60)} exists already"
    return "" if path.parent.is_dir() else f"there is no folder {visible(path.parent, limit=60)}"


def write_report(checks: Sequence[CheckReported], written: str, title: str) -> Path:
    """Write findings into a file, and return its path.

    Args:
        checks: The findings.
        written: Path that a person typed; `.json` gives JSON, anything else Markdown.
        title: Of the Markdown.

    Raises:
        EcoError: It cannot be written.
    """
    path = _whole(written)
    is_json = path.suffix.lower() == ".json"
    text = as_json(checks) if is_json else as_markdown(checks, title)
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise EcoError(
            f"{visible(path)} cannot be written: {visible(error.strerror or error)}",
            "a folder that this user may write to, on a disk with room",
            "choose another path",
        ) from None
    return path


def _whole(written: str) -> Path:
    return Path(os.path.abspath(expanded(written)))


def _ordered(checks: Sequence[CheckReported]) -> list[CheckReported]:
    return sorted(checks, key=lambda check: _ORDER.index(check.verdict))


def _plain(words: str) -> str:
    return visible(words).translate(_MARKUP)
