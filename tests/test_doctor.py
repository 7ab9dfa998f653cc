"""`ecotui doctor` and `ecotui preflight` as a person meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ecotui.errors import ExitCode
from ecotui.events import CheckReported, EngineLost, RunFailed, RunFinished, RunStopped
from ecotui.state import Ending, RunState
from ecotui.summary import verdict_lines

Put = Callable[[str, str], None]

FOUR_LINES = (
    "pass: transform validation passed",
    "pass: pre-training sanity check passed",
    "pass: all 12 checked images are 32x32",
    "pass: the model takes the images and gives a score for 2 classes",
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "work"
    for shade, name in enumerate(("glass", "metal")):
        (place / "photos" / name).mkdir(parents=True)
        for number in range(8):
            color = (90 * shade, 20 * number, 0)
            Image.new("RGB", (20, 16), color).save(place / "photos" / name / f"{number}.png")
    (place / "tiny.toml").write_text(
        '[data]\nroot = "photos"\nimage_size = 32\n'
        '[model]\nname = "test_resnet"\npretrained = false\n'
        "[train]\nbatch_size = 4\n[compute]\nthreads = 1\nworkers = 0\n"
    )
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put a package of one's own before the installed one."""

    def put(name: str, source: str) -> None:
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "__init__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'broken'}:{os.environ['PYTHONPATH']}")

    return put


def ecotui(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "ecotui", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def entries(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_the_doctor_finds_this_environment_sound_and_leaves_nothing(place: Path) -> None:
    done = ecotui("doctor")
    assert done.returncode == ExitCode.DONE, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    verdicts = [line for line in lines[:-1] if not line.startswith("  ")]
    assert len(verdicts) == 9
    assert {line.partition(":")[0] for line in verdicts} <= {"pass", "warn"}
    assert lines[-1].startswith("the environment is sound")
    assert entries(place) == ["photos", "tiny.toml"]


def test_a_broken_package_is_told_once_with_its_remedy(place: Path, broken: Put) -> None:
    broken("timm", "raise RuntimeError('operator torchvision::nms does not exist')")
    done = ecotui("doctor", "--runs-dir", "elsewhere")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("fail: ")
    assert "was not built for torch" in lines[0]
    assert lines[1].startswith("  expected: ")
    assert lines[2].startswith(f"  to fix: {sys.executable} -m pip install ")
    assert sum(line.startswith("fail: ") for line in lines) == 1
    # The healthy ones beside it are not hidden.
    assert [line for line in lines if line.startswith("pass: torchvision")]
    assert lines[-1] == "1 check failed"
    assert entries(place) == ["photos", "tiny.toml"]


def test_the_events_are_printed_as_lines_of_json(place: Path, broken: Put) -> None:
    broken("torch", "import os; os.abort()")
    done = ecotui("doctor", "--json")
    assert done.returncode == ExitCode.ENVIRONMENT
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    failed = [event for event in events if event.get("verdict") == "fail"]
    assert [(event["check"], event["layer"]) for event in failed] == [("torch", 1)]
    assert events[-1]["kind"] == "run_failed"
    assert done.stderr.splitlines()[-1] == "1 check failed"


def test_the_doctor_works_where_numpy_cannot_be_imported(place: Path, broken: Put) -> None:
    broken("numpy", "raise ImportError('numpy is in pieces')")
    broken("torch", "__version__ = '2.2'")
    broken("torchvision", "")
    broken("timm", "raise RuntimeError('operator torchvision::nms does not exist')")
    done = ecotui("doctor")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "numpy is in pieces" in done.stdout
    assert "was not built for torch" in done.stdout


def test_preflight_says_the_four_lines_and_trains_nothing(place: Path) -> None:
    done = ecotui("preflight", "tiny.toml", "--set", "train.epochs=3")
    assert done.returncode == ExitCode.DONE, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert tuple(lines[-5:-1]) == FOUR_LINES
    assert lines[-1].startswith("ready to train: ecotui --headless tiny.toml --set train.epochs=3")
    assert entries(place) == ["photos", "tiny.toml"]


def test_preflight_where_the_data_are_not_there_is_told_in_three_lines(place: Path) -> None:
    done = ecotui("preflight", "tiny.toml", "--set", "data.root=nowhere")
    assert done.returncode == ExitCode.USAGE
    told = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert told == ["error", "expected", "to fix"]
    assert "nowhere" in done.stderr
    assert entries(place) == ["photos", "tiny.toml"]


def test_preflight_in_a_broken_environment_leaves_nothing(place: Path, broken: Put) -> None:
    broken("torch", "import os; os.abort()")
    done = ecotui("preflight", "tiny.toml")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert done.stdout.splitlines()[-1] == "1 check failed"
    assert entries(place) == ["photos", "tiny.toml"]


@pytest.mark.parametrize("arguments", [(), ("tniy.toml",), ("tiny.toml", "--set", "train.x=1")])
def test_preflight_of_no_valid_config_is_a_mistake_of_use(
    place: Path, arguments: tuple[str, ...]
) -> None:
    assert ecotui("preflight", *arguments).returncode == ExitCode.USAGE
    assert entries(place) == ["photos", "tiny.toml"]


def finding(verdict: str) -> CheckReported:
    return CheckReported.model_validate(
        {"check": "c", "verdict": verdict, "what": "w", "expected": "e", "remedy": "r"}
    )


FINISHED = RunFinished(
    why="job", epochs_done=0, epochs_planned=0, step=0, best_checkpoint=None, seconds=1.0
)


@pytest.mark.parametrize(
    ("ending", "verdicts", "expected"),
    [
        (FINISHED, "", ["sound"]),
        (FINISHED, "warn", ["sound; 1 warning"]),
        (FINISHED, "warn warn", ["sound; 2 warnings"]),
        (
            RunFailed(
                what="w", expected="e", remedy="r", exit_code=5, checkpoint=None, discard=True
            ),
            "fail fail",
            ["2 checks failed"],
        ),
        (
            RunFailed(
                what="w\x1b", expected="e", remedy="r", exit_code=1, checkpoint=None, discard=False
            ),
            "",
            ["error: w\\e", "expected: e", "to fix: r"],
        ),
        (
            RunStopped(reason="SIGINT", epoch=0, step=0, checkpoint=None),
            "",
            ["stopped: SIGINT; not everything was checked"],
        ),
    ],
)
def test_the_end_is_told_in_words(ending: Ending, verdicts: str, expected: list[str]) -> None:
    checks = tuple(finding(verdict) for verdict in verdicts.split())
    assert verdict_lines(RunState(ending=ending, checks=checks), "sound") == expected


def test_an_engine_that_died_leaves_its_last_words() -> None:
    lost = EngineLost(last_words=("one", "two\x1b"), checkpoint=None)
    lines = verdict_lines(RunState(ending=lost), "sound")
    assert lines[0].startswith("error: the engine is gone")
    assert lines[-2:] == ["  one", "  two\\e"]
