"""Environments that are broken for real, examined and mended by the command itself.

Each is a small environment laid over the packages that run the tests, so that nothing big is
installed. Where an index is needed and none can be reached, the test says so and is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

from ecotui.engine.versions import fitting_torchvision
from ecotui.errors import ExitCode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PACKAGES = Path(sysconfig.get_paths()["purelib"])
TORCH_PARTS = {"torch", "functorch", "torchgen"}
CPU_TORCH = "2.13.0+cpu"
LIMIT_SECONDS = 30.0
"""For the doctor, whatever is broken."""
ROOM_FOR_TORCH_BYTES = 12_000_000_000
Layered = Callable[..., "Environment"]


class Environment:
    """A virtual environment over a folder of links to the packages that run the tests."""

    def __init__(self, folder: Path, leave_out: set[str]) -> None:
        self.folder = folder
        venv = [sys.executable, "-m", "venv", "--without-pip", str(folder / "env")]
        subprocess.run(venv, check=True)
        self.python = str(folder / "env" / "bin" / "python")
        release = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        self.site = folder / "env" / "lib" / release / "site-packages"
        layer = folder / "layer"
        layer.mkdir()
        for path in PACKAGES.iterdir():
            if path.suffix != ".pth" and path.name.partition("-")[0] not in leave_out:
                (layer / path.name).symlink_to(path)
        (self.site / "layer.pth").write_text(f"{layer}\n")
        self.place = folder / "place"
        self.place.mkdir()

    def pip(self, *words: str) -> None:
        """Install, or skip the test where there is no index."""
        argv = [self.python, "-m", "pip", "install", "-q", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"NO INDEX: pip cannot install {words[-1]}: {done.stderr[-300:]}")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run this Python."""
        argv = [self.python, *words]
        return subprocess.run(argv, cwd=self.place, capture_output=True, text=True, check=False)

    def has(self, package: str) -> bool:
        """Say whether an index has a package, without installing it."""
        done = self.run("-m", "pip", "download", "-q", "--no-deps", "-d", str(self.place), package)
        return done.returncode == 0

    def put_torch(self, source: str) -> None:
        """Write a torch of our own, with the record of an installed one."""
        version = metadata.version("torch")
        (self.site / "torch").mkdir()
        (self.site / "torch" / "__init__.py").write_text(source)
        info = self.site / f"torch-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")

    def doctor(self, *words: str, code: ExitCode) -> list[str]:
        """Run the doctor there and return what it prints."""
        began = time.monotonic()
        done = subprocess.run(
            [self.python, "-m", "ecotui", "doctor", *words],
            cwd=self.place,
            env=os.environ | {"ECOTUI_RUNS_DIR": str(self.folder / "runs")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        sys.stderr.write(f"doctor {' '.join(words)}: {time.monotonic() - began:.1f} s\n")
        assert "Traceback" not in done.stdout + done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout.splitlines()


@pytest.fixture
def layered(tmp_path: Path) -> Iterator[Layered]:
    yield lambda *leave_out: Environment(tmp_path, set(leave_out))
    shutil.rmtree(tmp_path)


def remedy(lines: list[str]) -> str:
    """Return the remedy of the first finding."""
    return next(line for line in lines if line.startswith("  to fix: ")).removeprefix("  to fix: ")


def pair() -> tuple[str, str, str]:
    """Return torch's version, the torchvision that fits it, and one that does not."""
    torch = metadata.version("torch")
    _, minor, patch = torch.partition("+")[0].split(".")[:3]
    return torch, f"0.{int(minor) + 15}.{patch}", f"0.{int(minor) + 14}.0"


def test_the_layer_alone_is_sound(layered: Layered) -> None:
    environment = layered()
    lines = environment.doctor(code=ExitCode.DONE)
    assert lines[-1].startswith("the environment is sound")
    assert environment.doctor("--fix", "--yes", code=ExitCode.DONE)[-1].startswith(
        "the environment is sound"
    )


def test_a_torchvision_of_another_torch(layered: Layered) -> None:
    environment = layered("torchvision", "torchvision.libs")
    torch, fitting, other = pair()
    environment.pip("--no-deps", f"torchvision=={other}")
    lines = environment.doctor(code=ExitCode.ENVIRONMENT)
    assert lines[0].startswith(f"fail: torchvision {other} was not built for torch {torch}")
    command = f"{environment.python} -m pip install --force-reinstall --no-deps torchvision=="
    assert remedy(lines).startswith(f"{command}{fitting}")
    if "+" in torch:
        # Which index has this build is the person's to say: it fails, and nothing is changed.
        lines = environment.doctor("--fix", "--yes", code=ExitCode.ENVIRONMENT)
        assert lines[-1].startswith("undone: step 1 failed")
        assert environment.doctor(code=ExitCode.ENVIRONMENT)[0].startswith("fail: torchvision")
        return
    lines = environment.doctor("--fix", "--yes", code=ExitCode.DONE)
    assert lines[-1] == f"mended: no check fails any more; torchvision {other} -> {fitting}"


def test_a_torch_for_the_cpu_with_a_torchvision_for_cuda(layered: Layered) -> None:
    environment = layered(*TORCH_PARTS, "torchvision", "torchvision.libs")
    torch, torchvision = CPU_TORCH, fitting_torchvision(CPU_TORCH).partition("+")[0]
    environment.pip("--no-deps", f"torch=={torch}")
    environment.pip("--no-deps", torchvision)
    told = environment.run("-c", "import torchvision")
    if "operator torchvision::nms does not exist" not in told.stderr:
        pytest.skip(
            f"NO CUDA BUILD: {torchvision} works beside torch {torch}: {told.stderr[-300:]}"
        )
    began = time.monotonic()
    lines = environment.doctor(code=ExitCode.ENVIRONMENT)
    assert time.monotonic() - began < LIMIT_SECONDS
    version = torchvision.partition("==")[2]
    assert lines[0].startswith(f"fail: torchvision {version} was not built for torch {torch} (one ")
    assert "beside one for the CPU" in lines[0]
    assert "operator torchvision::nms does not exist" in lines[0]
    assert "the same release and build (CPU or CUDA)" in lines[1]
    assert remedy(lines) == (
        f"{environment.python} -m pip install --force-reinstall --no-deps {torchvision}+cpu"
    )
    # An index without this build leaves everything as it was.
    before = environment.run("-m", "pip", "freeze").stdout
    code = ExitCode.DONE if environment.has(f"{torchvision}+cpu") else ExitCode.ENVIRONMENT
    last = environment.doctor("--fix", "--yes", code=code)[-1]
    if code == ExitCode.DONE:
        assert last.startswith("mended: ")
        return
    assert last.startswith("undone: step 1 failed")
    assert "as they were, file by file" in last
    assert environment.run("-m", "pip", "freeze").stdout == before


def test_no_torch_at_all(layered: Layered) -> None:
    environment = layered(*TORCH_PARTS)
    lines = environment.doctor(code=ExitCode.ENVIRONMENT)
    assert lines[0].startswith("fail: torch is not installed")
    torch = pair()[0].partition("+")[0]
    assert remedy(lines) == f"{environment.python} -m pip install torch=={torch}"
    plan = environment.doctor("--fix", code=ExitCode.ENVIRONMENT)
    assert f"  1. {remedy(lines)}" in plan
    assert plan[-1].startswith("not mended: nothing was changed; to do it: ecotui doctor --fix")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import time; time.sleep(600)", "no answer within"),
    ],
    ids=["crashes", "hangs"],
)
def test_a_torch_that_takes_python_down(layered: Layered, source: str, said: str) -> None:
    environment = layered(*TORCH_PARTS)
    environment.put_torch(source)
    lines = environment.doctor(code=ExitCode.ENVIRONMENT)
    assert lines[0].startswith("fail: PyTorch cannot be loaded")
    assert said in lines[0]
    command = f"{environment.python} -m pip install --force-reinstall --no-deps torch=="
    assert remedy(lines).startswith(command)


def test_pillow_9(layered: Layered) -> None:
    environment = layered("pillow", "PIL", "pillow.libs")
    environment.pip("--no-deps", "pillow==9.5.0")
    lines = environment.doctor(code=ExitCode.ENVIRONMENT)
    assert "pillow 9.5.0" in lines[0].lower()
    assert lines[0].startswith("fail: ")
    assert "pip install 'pillow>=" in remedy(lines)
    lines = environment.doctor("--fix", "--yes", code=ExitCode.DONE)
    assert lines[-1].startswith("mended: no check fails any more; pillow 9.5.0 -> ")


def test_a_torch_py_in_the_working_directory(layered: Layered) -> None:
    environment = layered()
    (environment.place / "torch.py").write_text("raise RuntimeError('mine')\n")
    lines = environment.doctor(code=ExitCode.ENVIRONMENT)
    assert lines[0].startswith("fail: ")
    assert "torch.py" in lines[0]
    assert "rename" in remedy(lines)
    lines = environment.doctor("--fix", "--yes", code=ExitCode.ENVIRONMENT)
    assert lines[-1].startswith("not mended: nothing was changed; no command mends")
    assert (environment.place / "torch.py").exists()


@pytest.mark.timeout(3_000)
def test_the_founding_notebook(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < ROOM_FOR_TORCH_BYTES:
        pytest.skip("NO ROOM: the founding notebook's environment takes 6 GB")
    script = Path(__file__).with_name("founding_notebook.sh")
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            ["bash", str(script), str(tmp_path / "founding")],
            env=environ | {"PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=2_900,
            check=False,
        )
    finally:
        shutil.rmtree(tmp_path / "founding", ignore_errors=True)
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip(f"NO INDEX: {done.stderr[-300:]}")
    assert done.stdout.splitlines()[-1] == "PASSED", done.stdout[-3_000:] + done.stderr[-3_000:]
