"""`ecotui doctor` and `ecotui preflight` as a person meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from ecotui.check_register import CHECKS
from ecotui.errors import ExitCode
from ecotui.events import CheckReported, EngineLost, RunFailed, RunFinished, RunStopped
from ecotui.state import Ending, RunState
from ecotui.summary import verdict_lines
from tests.engine.examining import first_on_path, put_package

Put = Callable[[str, str], None]

VERSION = "__version__ = '99.9'\n"
STAND_INS = dict.fromkeys(("numpy", "torch", "PIL", "torchvision", "timm", "safetensors"), VERSION)

FOUR_LINES = (
    "pass: transform validation passed",
    "pass: pre-training sanity check passed",
    "pass: all 12 checked images are 32x32",
    "pass: the model takes them and gives 4 x 2, a score for each of 2 classes",
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
    """Put a package of one's own, with its record, before the installed one."""

    def put(name: str, source: str) -> None:
        folder = put_package(tmp_path / "broken", name, source)
        monkeypatch.setenv("PYTHONPATH", first_on_path(folder))

    return put


def light(broken: Put) -> None:
    """Stand-ins for all heavy packages, which do what they are tried with, or say so."""
    for name, source in STAND_INS.items():
        broken(name, source)


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
    verdicts = [line.partition(":")[0] for line in lines[:-1] if not line.startswith("  ")]
    assert len(verdicts) == len(CHECKS)
    # The worst stands first.
    assert verdicts == sorted(verdicts, key=["fail", "warn", "note", "pass"].index)
    assert "fail" not in verdicts
    assert lines[-1].startswith("the environment is sound")
    assert entries(place) == ["photos", "tiny.toml"]


def test_the_cause_is_in_the_first_line_with_its_remedy(place: Path, broken: Put) -> None:
    broken("timm", "raise RuntimeError('operator torchvision::nms does not exist')")
    done = ecotui("doctor", "--runs-dir", "elsewhere")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("fail: torchvision ")
    assert "was not built for torch" in lines[0]
    assert lines[1].startswith("  expected: ")
    assert lines[2].startswith(f"  to fix: {sys.executable} -m pip install ")
    assert lines[3].startswith("  why: ")
    assert lines[4].startswith("  source: ")
    # The healthy ones beside it are not hidden.
    assert [line for line in lines if line.startswith("pass: PyTorch ")]
    # Once more at the end, where a terminal shows it.
    assert lines[-3] == f"the first cause: {lines[0].removeprefix('fail: ')}"
    assert lines[-2] == lines[2]
    assert "failed, of" in lines[-1]
    assert entries(place) == ["photos", "tiny.toml"]


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    path = Path(__file__).parent.parent / "schemas" / "doctor.schema.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


def test_the_events_are_printed_as_lines_of_json_that_fit_the_schema(
    place: Path, broken: Put, schema: Draft202012Validator
) -> None:
    light(broken)
    broken("torch", "import os; os.abort()")
    done = ecotui("doctor", "--json")
    assert done.returncode == ExitCode.ENVIRONMENT
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    for event in events:
        schema.validate(event)
    failed = [event for event in events if event.get("verdict") == "fail"]
    assert "torch" in {event["check"] for event in failed}
    assert {event["layer"] for event in failed} == {1}
    assert {event["check"] for event in events if "check" in event} == set(CHECKS)
    assert events[-1]["kind"] == "run_failed"
    assert "failed, of" in done.stderr.splitlines()[-1]


def test_the_schema_refuses_what_the_doctor_never_says(schema: Draft202012Validator) -> None:
    check = finding("fail").model_copy(update={"check": "torch", "layer": 1})
    good = check.model_dump(mode="json")
    schema.validate(good)
    for bad in (
        {**good, "check": "unheard_of"},
        {**good, "verdict": "maybe"},
        {**good, "layer": 3},
        {**good, "extra": 1},
        {key: value for key, value in good.items() if key != "remedy"},
        {**good, "kind": "epoch_started"},
        {},
    ):
        assert not schema.is_valid(bad), bad


def test_another_interpreter_is_examined_with_the_standard_library_alone(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bare environment: no ecotui, no packages at all."""
    bare = tmp_path / "bare env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    done = ecotui("doctor", "--python", str(bare / "bin" / "python"))
    assert done.returncode == ExitCode.ENVIRONMENT
    lines = done.stdout.splitlines()
    assert lines[0].startswith("fail: ")
    assert "torch is not installed" in lines[0]
    assert lines[2].startswith(f"  to fix: '{bare}/bin/python' -m pip install ")
    assert [line for line in lines if line.startswith("pass: Python 3.")]


def test_what_is_no_interpreter_is_a_mistake_of_use(place: Path) -> None:
    done = ecotui("doctor", "--python", "nowhere/python")
    assert done.returncode == ExitCode.USAGE
    assert "nowhere/python is no program" in done.stderr
    assert "no interpreter is named" in ecotui("doctor", "--python", "").stderr
    done = ecotui("doctor", "--python", "/bin/cat")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "/bin/cat does not answer as Python" in done.stdout.splitlines()[0]


def test_files_of_the_folder_are_the_cause_and_are_not_run(place: Path, broken: Put) -> None:
    light(broken)
    for name in ("torch.py", "random.py"):
        (place / name).write_text("raise SystemExit('was run')")
    done = ecotui("doctor")
    assert done.returncode == ExitCode.ENVIRONMENT
    first = done.stdout.splitlines()[0]
    assert first.startswith("fail: ")
    assert "torch.py" in first
    assert "random.py" in first
    assert "was run" not in done.stdout + done.stderr
    assert entries(place) == ["photos", "random.py", "tiny.toml", "torch.py"]


def test_hostile_surroundings_are_borne(
    place: Path, broken: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken("uv", "")
    record = tmp_path / "broken" / "uv-9.dist-info" / "METADATA"
    record.write_text("Name: uv\nVersion: \x1b]0;evil\x07\x1b[2J\n")
    home = tmp_path / "no home"
    home.mkdir(mode=0o500)
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("https_proxy", "http://person:s3cret@proxy.example:3128/way")
    monkeypatch.setenv("HTTP_PROXY", "person:s3cret@@[::bad")
    done = ecotui("doctor")
    assert done.returncode == ExitCode.DONE, done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert "person" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert "\\e]0;evil\\u0007\\e[2J" in done.stdout
    assert not list(home.iterdir())
    light(broken)  # what surrounds the packages is told whatever they are
    done = ecotui("doctor", "--json")
    assert "s3cret" not in done.stdout + done.stderr


def test_preflight_says_the_four_lines_and_trains_nothing(place: Path) -> None:
    # So small a set is warned of by the audit, which would be told first.
    well = ("--set", 'preflight.skip=["audit"]')
    done = ecotui("preflight", "tiny.toml", "--set", "train.epochs=3", *well)
    assert done.returncode == ExitCode.DONE, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert tuple(lines[:4]) == FOUR_LINES
    assert any(line.startswith("plan: ") for line in lines[4:-1])
    assert lines[-1].startswith("ready to train: ecotui --headless tiny.toml --set train.epochs=3")
    assert entries(place) == ["photos", "runs", "tiny.toml"]


def test_what_a_preflight_found_is_kept_and_said_where(place: Path) -> None:
    done = ecotui("preflight", "tiny.toml", "--json")
    assert done.returncode == ExitCode.DONE, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (recorded,) = (event for event in events if event["kind"] == "preflight_recorded")
    folder = Path(recorded["folder"])
    assert folder.parent == place / "runs" / "preflight"
    assert folder.name.startswith("tiny-")
    assert json.loads((folder / recorded["file"]).read_bytes())["checks"]
    pictures = [event["path"] for event in events if event["kind"] == "preview_written"]
    assert pictures
    assert all((folder / path).is_file() for path in pictures)
    assert f"kept in {folder}: preflight.json, previews/" in done.stderr
    # It is no run.
    assert folder.name not in ecotui("runs").stdout


def test_preflight_where_the_data_are_not_there_is_told_in_three_lines(place: Path) -> None:
    done = ecotui("preflight", "tiny.toml", "--set", "data.root=nowhere")
    assert done.returncode == ExitCode.USAGE
    told = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert told == ["error", "expected", "to fix"]
    assert "nowhere" in done.stderr
    assert entries(place) == ["photos", "tiny.toml"]


def test_preflight_in_a_broken_environment_leaves_nothing(place: Path, broken: Put) -> None:
    light(broken)
    broken("torch", "import os; os.abort()")
    done = ecotui("preflight", "tiny.toml")
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "SIGABRT" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("failed")
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
