"""No file of weights runs anything, fills the memory or takes its time: it is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ecotui.errors import ExitCode
from tests.faults.hostile_files import FLOATS, GOOD, HOSTILE, RUNS_CODE, archive, entry, safetensors

MAX_SECONDS, MAX_BYTES = 2.0, 200_000_000
TIMEOUT_SECONDS = 60.0
SUFFIXES = (".pth", ".safetensors", ".bin")
"""Names decide nothing: each file gets one by turns."""

INSPECT = """
import json, os, sys, time
for name in ("torch", "numpy", "safetensors", "timm", "PIL"):
    sys.modules[name] = None
from pathlib import Path
from ecotui.engine.foreign.inspection import inspect
from ecotui.errors import UsageError

for line in sys.stdin:
    path = line.rstrip("\\n")
    if os.fork():
        os.wait()
        continue
    started, lines, fault = time.process_time(), None, ""
    Path("/proc/self/clear_refs").write_text("5")
    try:
        with open(path, "rb") as file:
            inspect(file, os.path.getsize(path))
    except UsageError as error:
        lines = error.lines()
    except BaseException as error:
        fault = repr(error)
    seconds = time.process_time() - started
    status = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) * 1024
    told = {"lines": lines, "fault": fault, "seconds": seconds, "peak": peak}
    print(json.dumps(told), flush=True)
    os._exit(0)
"""
"""One process without torch, which forks for each file."""

TRUST = """
import sys, warnings
import torch
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    try:
        torch.load(path, weights_only=False)
    except Exception as error:
        print(path, repr(error))
"""

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hostile")
    made = {}
    for index, (name, recipe) in enumerate(HOSTILE.items()):
        made[name] = folder / f"{name}{SUFFIXES[index % len(SUFFIXES)]}"
        recipe(made[name], canary_of(made[name]))
    return made


def canary_of(path: Path) -> Path:
    return path.with_suffix(".touched")


def told_of(paths: list[Path]) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-c", INSPECT],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
        timeout=TIMEOUT_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.fixture(scope="module")
def verdicts(files: dict[str, Path]) -> dict[str, dict[str, Any]]:
    return dict(zip(files, told_of(list(files.values())), strict=True))


@needs_proc
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_without_torch_in_three_lines_at_once(
    name: str, files: dict[str, Path], verdicts: dict[str, dict[str, Any]]
) -> None:
    verdict = verdicts[name]
    assert verdict["fault"] == ""
    assert verdict["lines"] is not None, "it was taken for weights"
    assert [line.partition(":")[0] for line in verdict["lines"]] == ["error", "expected", "to fix"]
    assert all(line.isprintable() and len(line) < 500 for line in verdict["lines"])
    assert verdict["seconds"] < MAX_SECONDS
    assert verdict["peak"] < MAX_BYTES
    assert not canary_of(files[name]).exists()


@needs_proc
def test_the_wrapping_alone_is_not_what_is_refused(tmp_path: Path) -> None:
    archive(tmp_path / "good.pth", GOOD)
    safetensors({"a": entry(0, 16, (4,)), "b": entry(16, 32, (4,))}, FLOATS)(
        tmp_path / "good.bin", tmp_path
    )
    for verdict in told_of([tmp_path / "good.pth", tmp_path / "good.bin"]):
        assert (verdict["lines"], verdict["fault"]) == (None, "")


def test_a_loader_that_trusts_them_touches_every_canary(tmp_path: Path) -> None:
    paths = []
    for name, recipe in RUNS_CODE.items():
        paths.append(tmp_path / f"{name}.pth")
        recipe(paths[-1], canary_of(paths[-1]))
    ran = subprocess.run(
        [sys.executable, "-c", TRUST, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    untouched = [path.stem for path in paths if not canary_of(path).exists()]
    assert untouched == [], ran.stdout + ran.stderr


def test_the_command_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    evil = tmp_path / "evil.pth"
    RUNS_CODE["os_system"](evil, canary_of(evil))
    ran = subprocess.run(
        [sys.executable, "-m", "ecotui", "import-weights", str(evil)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=TIMEOUT_SECONDS,
    )
    assert ran.returncode == ExitCode.USAGE
    assert "posix.system" in ran.stderr
    assert len(ran.stderr.splitlines()) == 3
    assert list(tmp_path.glob("*")) == [evil]
