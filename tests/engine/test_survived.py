"""What is remembered of an environment spares a child, and hides nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ecotui.engine import reliving, survived
from ecotui.engine.probing import is_accelerator_likely
from ecotui.engine.survived import Survived
from tests.engine.examining import first_on_path, put_package

STAND_INS = {
    "numpy": """
class Array:
    def __init__(self, rows): self.rows = rows
    def reshape(self, *shape): return Array([self.rows[:3], self.rows[3:]])
    def tolist(self): return self.rows
def arange(stop): return Array([float(each) for each in range(int(stop))])
""",
    "torch": """
import os
with open(os.environ["SEEN"], "a") as file: file.write(str(os.getpid()) + "\\n")
if os.path.exists(os.environ["FLAW"]): exec(open(os.environ["FLAW"]).read())
import types
class Tensor:
    def __init__(self, rows): self.rows = rows
    def __add__(self, other): return Tensor([[each + 1 for each in row] for row in self.rows])
    def numpy(self): return __import__("numpy").Array(self.rows)
    def sum(self): return 8.0
def from_numpy(array): return Tensor(array.rows)
def ones(count, device): return Tensor([])
absent = types.SimpleNamespace(is_available=lambda: False)
cuda, backends = absent, types.SimpleNamespace(mps=absent)
version = types.SimpleNamespace(cuda=None)
""",
    "torchvision": "",
    "timm": "def is_model(name): return True\n",
    "safetensors": "",
}
"""Stand-ins that do what they are tried with."""

TRANSFORMS = """
class Red:
    shape = (3, 8, 8)
    def __getitem__(self, index): return self
    def mean(self): return 1.0
def Compose(chain): return lambda image: Red()
def Resize(size): return None
def ToTensor(): return None
"""

BEGIN = (
    "import sys\n"
    "from pathlib import Path\n"
    "from tests.engine.examining import examine\n"
    "from ecotui.engine.diagnose import Circumstances\n"
    "checks, error = examine(Path(sys.argv[1]), "
    "purpose=Circumstances(is_quick=True, loads=True))\n"
    "assert 'timm' in sys.modules or error\n"
    "print(error.what if error else 'sound')\n"
)

needs_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or is_accelerator_likely(),
    reason="a child always goes first on other systems, and where there is an accelerator",
)


class Place:
    """An environment of stand-ins, in which runs begin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / "packages"
        self.flaw, self.seen, self.cache = folder / "flaw", folder / "seen", folder / "cache"
        for name, source in STAND_INS.items():
            put_package(self.packages, name, f"__version__ = '9'\n{source}")
        (self.packages / "torchvision" / "transforms.py").write_text(TRANSFORMS)
        (folder / "runs").mkdir()
        (folder / "here").mkdir()

    def start(self, **settings: str) -> subprocess.Popen[str]:
        environ = {"SEEN": str(self.seen), "FLAW": str(self.flaw)}
        environ |= {"XDG_CACHE_HOME": str(self.cache), "PYTHONPATH": first_on_path(self.packages)}
        # An installed package has its bytecode already; written now, it would be a change.
        environ["PYTHONDONTWRITEBYTECODE"] = "1"
        return subprocess.Popen(
            [sys.executable, "-P", "-c", BEGIN, str(self.folder)],
            cwd=self.folder / "here",
            env=os.environ | environ | settings,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, **settings: str) -> tuple[str, int]:
        """Begin a run; return what it says, and how many processes have loaded torch for it."""
        self.seen.write_text("")
        process = self.start(**settings)
        told = process.communicate(timeout=60)[0].strip()
        told = told or f"status {process.returncode}"
        return told, len(set(self.seen.read_text().split()))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@needs_linux
def test_what_a_child_has_survived_is_loaded_without_one(place: Place) -> None:
    assert place.begin() == ("sound", 2)
    assert place.begin() == ("sound", 1)
    assert not list(place.cache.rglob("*.trying-*"))
    # The same, with other dates and another content: a child goes first again.
    (place.packages / "timm" / "__init__.py").write_text(
        "__version__ = '9'\ndef is_model(name): return bool(name)\n"
    )
    assert place.begin() == ("sound", 2)
    assert place.begin() == ("sound", 1)


@needs_linux
def test_a_process_that_died_of_what_was_survived_is_the_last_one(place: Place) -> None:
    place.begin()
    place.flaw.write_text("os.abort()")
    assert place.begin() == ("status -6", 1)
    told, processes = place.begin()
    assert told.startswith("PyTorch cannot be loaded: Python crashed (signal 6, SIGABRT)")
    assert processes == 1  # The child, and nobody after it.
    place.flaw.unlink()
    assert place.begin() == ("sound", 2)
    assert place.begin() == ("sound", 1)


@needs_linux
@pytest.mark.parametrize("flaw", ["raise ImportError('broken now')", "raise SystemExit(4)"])
def test_what_fails_in_a_known_environment_is_a_finding_of_the_same_run(
    place: Place, flaw: str
) -> None:
    place.begin()
    place.flaw.write_text(flaw)
    told, processes = place.begin()
    assert told.startswith("PyTorch cannot be loaded: ")
    assert processes == 2
    assert not list(place.cache.rglob("*.json"))


@needs_linux
def test_a_behaviour_is_tried_in_every_run(place: Place) -> None:
    place.begin()
    place.flaw.write_text(
        "import numpy\n"
        "numpy.arange = lambda stop: numpy.Array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])\n"
    )
    told, _ = place.begin()
    assert told.startswith("a NumPy array cannot become a tensor and come back")


@needs_linux
def test_runs_that_begin_at_once_do_not_disturb_each_other(place: Place) -> None:
    place.begin()
    place.seen.write_text("")
    place.flaw.write_text(
        "import time\n"
        "for _ in range(400):\n"
        "    if len(open(os.environ['SEEN']).read().split()) == 2: break\n"
        "    time.sleep(0.05)\n"
        "else: raise ImportError('alone')\n"
    )
    both = [place.start(), place.start()]
    assert [each.communicate(timeout=60)[0].strip() for each in both] == ["sound", "sound"]
    assert len(place.seen.read_text().split()) == 2
    place.flaw.unlink()
    assert place.begin() == ("sound", 1)


@needs_linux
def test_where_nothing_can_be_kept_a_child_goes_first_every_time(place: Place) -> None:
    place.cache.write_text("a file where the folder should be")
    assert place.begin() == ("sound", 2)
    assert place.begin() == ("sound", 2)


@needs_linux
def test_a_file_with_a_modules_name_is_told_as_ever(place: Place) -> None:
    place.begin()
    (place.folder / "here" / "torch.py").write_text("raise SystemExit('was run')")
    told, _ = place.begin()
    assert "torch.py stands before Python's own torch" in told


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two files that count as all that is loaded, in a folder on Python's path."""
    folder = tmp_path / "on path"
    folder.mkdir()
    found = [folder / "one.py", folder / "two.so"]
    for path in found:
        path.write_text("aaaa")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(survived, "_loaded_files", lambda: [str(path) for path in found])
    boot = tmp_path / "boot"
    boot.write_text("first")
    monkeypatch.setattr(survived, "_MACHINE_FACTS", (str(boot), str(tmp_path / "driver")))
    time.sleep(0.02)  # The time of change of a file comes from a coarser clock.
    return found


def kept(tmp_path: Path) -> Survived:
    known = Survived(tmp_path / "kept")
    known.keep(time.time())
    return known


def is_known(tmp_path: Path) -> bool:
    return Survived(tmp_path / "kept").is_known()


def replace_with_the_same_dates(path: Path) -> None:
    before = path.stat()
    path.write_text("bbbb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


Change = Callable[[list[Path], Path, pytest.MonkeyPatch], object]
CHANGES: dict[str, Change] = {
    "a file replaced, same size and dates": lambda files, _, __: replace_with_the_same_dates(
        files[0]
    ),
    "a library gone": lambda files, _, __: files[1].unlink(),
    "a package came": lambda files, _, __: (files[0].parent / "new-1.dist-info").mkdir(),
    "another path": lambda _, tmp_path, patch: patch.setattr(sys, "path", [str(tmp_path)]),
    "a library to load first": lambda _, __, patch: patch.setenv("LD_PRELOAD", "x.so"),
    "another GPU to see": lambda _, __, patch: patch.setenv("CUDA_VISIBLE_DEVICES", "1"),
    "another version of ecotui": lambda _, __, patch: patch.setattr(survived, "__version__", "0"),
    "another Python": lambda _, __, patch: patch.setattr(sys, "version", "3.99"),
    "a new start": lambda _, tmp_path, __: (tmp_path / "boot").write_text("second"),
    "a new driver": lambda _, tmp_path, __: (tmp_path / "driver").write_text("999.1"),
    "no start known": lambda _, tmp_path, __: (tmp_path / "boot").unlink(),
    "a record cut off": lambda _, tmp_path, __: [
        path.write_bytes(path.read_bytes()[:-20]) for path in (tmp_path / "kept").glob("*.json")
    ],
    "a record of another kind": lambda _, tmp_path, __: [
        path.write_text('{"files": [1], "circumstances": 0}')
        for path in (tmp_path / "kept").glob("*.json")
    ],
}


def test_an_unchanged_environment_is_known(files: list[Path], tmp_path: Path) -> None:
    assert not is_known(tmp_path)
    kept(tmp_path)
    assert is_known(tmp_path)
    assert is_known(tmp_path)
    kept(tmp_path).forget()
    assert not is_known(tmp_path)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_makes_it_unknown(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    kept(tmp_path)
    assert is_known(tmp_path)
    change(files, tmp_path, monkeypatch)
    assert not is_known(tmp_path)


def test_what_was_changed_while_it_was_loaded_is_not_kept(
    files: list[Path], tmp_path: Path
) -> None:
    known, began_at = Survived(tmp_path / "kept"), time.time()
    time.sleep(0.02)
    files[0].write_text("changed meanwhile")
    known.keep(began_at)
    assert not is_known(tmp_path)


def test_a_mark_that_a_process_left_makes_it_unknown_and_one_at_work_does_not(
    files: list[Path], tmp_path: Path
) -> None:
    known = kept(tmp_path)
    with known.attempt() as is_marked:
        assert is_marked
        (mark,) = (tmp_path / "kept").glob("*.trying-*")
        assert is_known(tmp_path)
    assert not mark.exists()
    with pytest.raises(KeyboardInterrupt), known.attempt():
        raise KeyboardInterrupt
    assert is_known(tmp_path)
    mark.write_text("")
    assert not is_known(tmp_path)
    assert not list((tmp_path / "kept").iterdir())


def test_beside_an_accelerator_a_child_always_goes_first(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept(tmp_path)
    monkeypatch.setattr(reliving, "is_accelerator_likely", lambda: False)
    assert reliving.is_possible(Survived(tmp_path / "kept"))
    monkeypatch.setattr(reliving, "is_accelerator_likely", lambda: True)
    assert not reliving.is_possible(Survived(tmp_path / "kept"))


def test_a_file_named_like_a_module_that_was_loaded_needs_a_child(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept(tmp_path)
    monkeypatch.setattr(reliving, "is_accelerator_likely", lambda: False)
    assert reliving.is_possible(Survived(tmp_path / "kept"))
    (tmp_path / "one.py").write_text("")
    assert not reliving.is_possible(Survived(tmp_path / "kept"))


@needs_linux
def test_everything_that_is_loaded_counts_but_ecotui_itself() -> None:
    found = survived._loaded_files()
    assert os.path.realpath(os.__file__) in map(os.path.realpath, found)
    assert pytest.__file__ in found
    assert any(".so" in path and not path.endswith(".py") for path in found)
    assert not [path for path in found if path.startswith(str(Path(survived.__file__).parent))]
