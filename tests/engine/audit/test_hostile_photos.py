from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine.data.decode import DecodeError, decode
from tests.engine.audit.hostile_photos import CASES, MAX_PIXELS, Case

Seen = dict[str, dict[str, Any]]


def state_of(folder: Path) -> dict[str, object]:
    """Return what must not change: names, kinds, times and contents."""
    state: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        is_plain = path.is_file() and not path.is_symlink()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if is_plain else ""
        state[path.name] = (status.st_mode, status.st_size, status.st_mtime_ns, content)
    return state


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hostile")
    for case in CASES:
        case.make(made / case.name)
    return made


@pytest.fixture(scope="module")
def seen(folder: Path) -> Seen:
    before = state_of(folder)
    script = Path(__file__).with_name("look_at_all.py")
    argv = [sys.executable, str(script), str(folder), str(MAX_PIXELS)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    shown = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment)
    assert shown.returncode == 0, shown.stderr
    assert state_of(folder) == before, "a file was changed"
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    return {each["name"]: each for each in found}


def test_there_are_at_least_sixty_kinds() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
def test_each_file_comes_out_as_the_table_says(case: Case, seen: Seen, folder: Path) -> None:
    told = seen[case.name]
    assert told["outcome"] in case.outcome.split(","), told
    assert set(told["traits"]) == set(case.traits) or told["outcome"] not in ("READ", "SUSPECT")
    assert case.words in told["reason"]
    assert told["seconds"] < 2.0
    assert told["reason"].isprintable() or not told["reason"]
    # The promise to a person: what is told unreadable is what the training leaves out.
    is_told_readable = told["outcome"] in ("READ", "SUSPECT")
    try:
        image = decode(folder / case.name, max_pixels=MAX_PIXELS)
    except DecodeError:
        assert not is_told_readable
    else:
        assert is_told_readable
        assert list(image.size) == told["size"]
