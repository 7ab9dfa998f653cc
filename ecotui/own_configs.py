"""The user's own configs: TOML files where one works, and those kept beside the user's settings.

Looked for without reading what a setting means, so that the home may list them at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from ecotui.paths import is_file, user_config
from ecotui.text import visible

SECTIONS = frozenset(
    [
        *("name", "data", "augment", "model", "train", "compute"),
        *("checkpoint", "preflight", "guards", "watch", "notify"),
    ]
)
"""What a configuration is made of; a TOML file with anything else on top is something else."""
MAX_FILES = 200
"""TOML files looked at in a folder."""
MAX_FILE_BYTES = 100_000
FOLDER = "configs"
"""Beside the user's `config.toml`."""


@dataclass(frozen=True, slots=True)
class OwnConfig:
    """A config of the user's.

    Attributes:
        path: Of its file.
        about: What it trains, in a line.
    """

    path: Path
    about: str


def own_configs() -> list[OwnConfig]:
    """Return the configs of the working directory and of the user's folder, by name."""
    folders = (Path.cwd(), user_config().parent / FOLDER)
    return [found for folder in folders for found in _in(folder)]


def first_remark(source: str) -> str:
    """Return the first sentence of the remark that a config opens with."""
    lines = source.splitlines()
    remark = " ".join(line.lstrip("# ") for line in takewhile(lambda each: each[:1] == "#", lines))
    return visible(remark.partition(". ")[0].rstrip("."), limit=100)


def _in(folder: Path) -> Iterator[OwnConfig]:
    try:
        names = sorted(islice(folder.glob("*.toml"), MAX_FILES))
    except OSError:
        return
    for path in names:
        about = _about(path)
        if about is not None:
            yield OwnConfig(path, about)


def _about(path: Path) -> str | None:
    """Return what a config trains; None for a file that is none."""
    import tomllib  # The first frame asks for remarks only, and waits for no parser.

    try:
        if not is_file(path) or path.stat().st_size > MAX_FILE_BYTES:
            return None
        source = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(source)
    except (OSError, ValueError, RecursionError):
        return None
    if not table or not set(table) <= SECTIONS:
        return None
    return _trains(table) or first_remark(source)


def _trains(table: dict[str, object]) -> str:
    data, model = table.get("data"), table.get("model")
    root = data.get("root", "") if isinstance(data, dict) else ""
    name = model.get("name", "") if isinstance(model, dict) else ""
    words = [visible(name, limit=40), f"on {visible(root, limit=60)}" if root else ""]
    return " ".join(filter(None, words))
