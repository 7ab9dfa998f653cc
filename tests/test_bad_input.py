"""Bad input through the real command and the real engine.

Each case ends with its exit code and three lines, without a traceback, and
leaves nothing half made. Most engines are forked where the imports are done already: what is
looked at here comes after them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ecotui.errors import ExitCode

Prepare = Callable[[Path], list[str]]

CLASSES = ("glass", "metal", "paper")
TINY = ["--set", "model.name=test_resnet", "--set", "model.pretrained=false"]
# What is looked at here lies behind the examination of the environment, which takes seconds.
TINY += ["--set", "preflight.level=off"]
ONE_STEP = ["--set", "train.batch_size=2", "--set", "train.max_steps=1"]


def photos(place: Path, classes: tuple[str, ...] = CLASSES, count: int = 4) -> Path:
    root = place / "photos"
    for shade, name in enumerate(classes):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            color = (60 * shade, 20 * number, 0)
            Image.new("RGB", (20, 16), color).save(folder / f"{number}.png")
    return root


def config(place: Path, text: str) -> str:
    path = place / "bad.toml"
    path.write_text(text)
    return str(path)


def setting(*pairs: str, on: Callable[[Path], object] = photos) -> Prepare:
    """A whole configuration with some settings changed, on photos that are fine."""

    def prepare(place: Path) -> list[str]:
        on(place)
        arguments = [argument for pair in pairs for argument in ("--set", pair)]
        return ["smoke", "--set", "data.root=photos", *TINY, *arguments]

    return prepare


def with_runs_in_a_file(place: Path) -> list[str]:
    (place / "file").write_text("")
    return [*setting()(place), "--runs-dir", "file/runs"]


def with_an_unreadable_folder(place: Path) -> list[str]:
    photos(place).joinpath("glass").chmod(0)
    return setting(on=lambda _: None)(place)


def split(place: Path) -> None:
    for name, classes in (("train", CLASSES), ("val", CLASSES[:2])):
        photos(place, classes).rename(place / name)
    (place / "photos").mkdir()
    for name in ("train", "val"):
        (place / name).rename(place / "photos" / name)


CASES: dict[str, tuple[Prepare, ExitCode, str]] = {
    "no such config": (lambda _: ["digts"], ExitCode.USAGE, "did you mean 'digits'"),
    "not TOML": (lambda place: [config(place, "[train\nx")], ExitCode.USAGE, "line 1"),
    "unknown key": (
        lambda place: [config(place, "[train]\nepoks = 3\n")],
        ExitCode.USAGE,
        "line 2",
    ),
    "value out of range": (setting("train.epochs=0"), ExitCode.USAGE, "train.epochs"),
    "keys in conflict": (
        setting("data.sampling=balanced", "train.class_weights=balanced"),
        ExitCode.USAGE,
        "keep one of them",
    ),
    "no such data root": (setting("data.root=nowhere"), ExitCode.USAGE, "nowhere"),
    "no images": (
        setting(on=lambda place: (place / "photos" / "glass").mkdir(parents=True)),
        ExitCode.USAGE,
        "photos",
    ),
    "one class": (
        setting(on=lambda place: photos(place, ("glass",))),
        ExitCode.USAGE,
        "one class",
    ),
    "a class absent from validation": (setting(on=split), ExitCode.USAGE, "paper"),
    "a class with one image": (
        setting(on=lambda place: (photos(place), photos(place, ("rare",), 1))),
        ExitCode.USAGE,
        "rare",
    ),
    "unreadable folder": (with_an_unreadable_folder, ExitCode.USAGE, "glass"),
    "misspelt model": (setting("model.name=resnt18"), ExitCode.USAGE, "resnet18"),
    "weights out of reach": (
        setting("model.pretrained=true"),
        ExitCode.ENVIRONMENT,
        "model.pretrained=false",
    ),
    "input size the model cannot take": (
        setting("model.name=test_vit", "data.image_size=8"),
        ExitCode.USAGE,
        "data.image_size",
    ),
    "runs directory not writable": (with_runs_in_a_file, ExitCode.USAGE, "runs"),
    "unknown device": (setting("compute.device=tpu"), ExitCode.USAGE, "compute.device"),
    "absent device": (setting("compute.device=cuda:63"), ExitCode.ENVIRONMENT, "cuda:63"),
}


FRESH = {"weights out of reach"}
"""Cases that depend on how libraries are imported: in an interpreter of their own."""
TESTS = Path(__file__).parent
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path, warm_engines: str) -> Command:
    """Run the command, its engine forked or (`is_fresh`) in an interpreter of its own."""

    def run(arguments: list[str], *, is_fresh: bool = False) -> subprocess.CompletedProcess[str]:
        # Nobody listens on port 9: the weights' server is out of reach wherever this runs.
        surroundings = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"}
        begin = ["-m", "ecotui"] if is_fresh else [str(TESTS / "drive_cli.py"), warm_engines]
        return subprocess.run(
            [sys.executable, *begin, "--headless", *arguments],
            cwd=tmp_path,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_in_three_lines_and_leaves_nothing(
    case: str,
    tmp_path: Path,
    command: Command,
) -> None:
    prepare, code, said = CASES[case]
    if case == "unreadable folder" and os.geteuid() == 0:
        pytest.skip("root may read everything; tests/engine/data/test_index.py fakes the refusal")
    done = command(prepare(tmp_path), is_fresh=case in FRESH)
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    more = ["to examine the environment", "more"] if code == ExitCode.ENVIRONMENT else []
    assert [line.partition(":")[0] for line in lines] == ["error", "expected", "to fix", *more]
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    runs = tmp_path / "runs"
    assert not runs.exists() or not list(runs.iterdir())


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "new\nline", "[bold]x", "\u202eevil", "-rf"])
def test_hostile_class_names_train_and_print_harmlessly(
    name: str,
    tmp_path: Path,
    command: Command,
) -> None:
    photos(tmp_path, (name, "plain"))
    done = command(
        ["smoke", "--set", "data.root=photos", *TINY, *ONE_STEP, "-q"],
    )
    assert done.returncode == ExitCode.DONE, done.stderr
    assert "plain" in done.stdout
    hidden = {"\x1b", "\u202e", "\r", "\x07"}
    assert not hidden & set(done.stdout + done.stderr)


def test_a_class_called_like_markup_comes_through_a_manifest(
    tmp_path: Path,
    command: Command,
) -> None:
    root = photos(tmp_path, ("a", "b"))
    rows = [
        f"{name}/{number}.png,{label}"
        for name, label in (("a", "[/"), ("b", "b"))
        for number in range(4)
    ]
    (root / "all.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    done = command(
        ["smoke", "--set", "data.root=photos", "--set", "data.manifest=all.csv", *TINY, *ONE_STEP],
        is_fresh=True,
    )
    assert done.returncode == ExitCode.DONE, done.stderr
    assert "[/" in done.stdout
