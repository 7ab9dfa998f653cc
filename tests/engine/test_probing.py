"""Children that die, hang, leave or talk too much: each is an answer, and hides no other."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ecotui.engine import probe_script
from ecotui.engine.control import StopFlag, StopRequested
from ecotui.engine.diagnose import diagnose
from ecotui.engine.probe_child import Child
from ecotui.engine.probing import Answer, FollowingImports, LeaderLostError, Probe, Wish
from tests.engine.examining import Break, control, examine, put_package, verdicts

LIGHT = {
    "numpy": "__version__ = '1.26.4'\nraise ImportError('a stand-in')",
    "torch": "__version__ = '2.2.0'",
    "PIL": "__version__ = '12.3.0'",
    "torchvision": "raise ImportError('a stand-in')",
    "timm": "__version__ = '1.0.31'\ndef is_model(name): return True",
    "safetensors": "__version__ = '0.8.0'",
}
"""Stand-ins for all heavy packages, so that a child takes no seconds."""


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Stand-ins before the installed packages, of which a test replaces some."""
    folder = tmp_path / "broken"
    for name, source in LIGHT.items():
        put_package(folder, name, source)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]))

    def put(name: str, source: str, version: str = "99.9") -> None:
        put_package(folder, name, source, version)

    return put


def ask(tmp_path: Path, **settings: object) -> dict[str, Answer]:
    wish = Wish(runs_path=tmp_path, **settings)  # type: ignore[arg-type]
    with Probe(wish) as probe:
        return probe.answers(lambda: None)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os.abort()", "Python crashed (signal 6, SIGABRT)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11, SIGSEGV"),
        ("import ctypes; ctypes.string_at(0)", "Python crashed (signal 11, SIGSEGV)"),
        ("import os; os._exit(3)", "Python left with status 3"),
        ("raise SystemExit(0)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise ImportError('\\x1b[2J evil')", "\\e[2J evil"),
        ("import os, sys; sys.stderr.write('the reason\\n'); os.abort()", "the reason"),
        ("def f(): f()\nf()", "RecursionError"),
        ("!", "SyntaxError"),
    ],
)
def test_a_torch_that_takes_python_down_is_a_finding(
    tmp_path: Path, broken: Break, source: str, said: str
) -> None:
    broken("torch", source)
    checks, _ = examine(tmp_path)
    found = verdicts(checks)
    assert found["torch"] == "fail"
    assert found["device"] == "note"
    (torch,) = [check for check in checks if check.check == "torch"]
    assert torch.what.startswith("PyTorch cannot be loaded")
    assert said in torch.what
    # What does not need it was tried all the same.
    assert "writing" not in found


@pytest.mark.parametrize("way", ["time.sleep(600)", "exec('while True: pass')"])
def test_a_torch_that_hangs_is_given_up_and_its_process_ended(
    tmp_path: Path, broken: Break, way: str
) -> None:
    broken(
        "torch",
        f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        f"import time; {way}",
    )
    began = time.monotonic()
    answers = ask(tmp_path, patience_seconds=1.0)
    assert "no answer within 1 s, and no sign of work" in answers["torch"].fault
    assert "timm" not in answers or answers["timm"].seen is not None
    assert answers["writing"].seen is not None
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_slow_import_that_works_is_waited_for(tmp_path: Path, broken: Break) -> None:
    broken(
        "torch",
        "__version__ = '2.2'\nimport time\n"
        "for _ in range(8):\n    open(__file__).read(); time.sleep(0.25)\n",
    )
    assert ask(tmp_path, patience_seconds=1.0)["torch"].seen is not None


def test_a_wall_of_text_is_no_answer_and_fills_nothing(tmp_path: Path, broken: Break) -> None:
    broken(
        "torch",
        "__version__ = '2.2.0'\nimport sys\n"
        "for _ in range(2_000):\n"
        '    print(\'{"step": "timm", "state": "failed"}\' + \' \' * 1_000)\n'
        "    sys.stderr.write('y' * 1_000 + '\\n')\n",
    )
    with Probe(Wish(runs_path=tmp_path)) as probe:
        (child, *_) = probe._children
        answers = probe.answers(lambda: None)
    assert len(child._words) <= 16_384
    torch = answers["torch"].seen
    assert torch is not None
    assert torch["version"] == "2.2.0"
    assert answers["timm"].seen == {"version": "1.0.31", "knows": True}


def test_a_package_that_crashes_hides_none_of_the_others(tmp_path: Path, broken: Break) -> None:
    broken("torchvision", "import os; os.abort()")
    answers = ask(tmp_path)
    assert "a stand-in" in answers["numpy_torch"].fault
    assert "SIGABRT" in answers["torchvision"].fault
    assert answers["timm"].seen == {"version": "1.0.31", "knows": True}
    assert "AttributeError" in answers["device"].fault


def test_a_behaviour_that_dies_or_hangs_is_tried_again_alone(tmp_path: Path, broken: Break) -> None:
    counts = tmp_path / "count"
    broken(
        "timm",
        "import os, signal, time\n__version__ = '1.0.31'\n"
        "def is_model(name):\n"
        f"    with open({str(counts)!r}, 'a') as file: file.write('x')\n"
        f"    if len(open({str(counts)!r}).read()) < 2: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return True\n",
    )
    answers = ask(tmp_path, behaviours=("timm",))
    assert answers["timm"].seen == {"version": "1.0.31", "knows": True}
    assert counts.read_text() == "xx"
    broken(
        "timm",
        "import os\n__version__ = '1.0.31'\ndef is_model(name): os.abort()\n",
    )
    answers = ask(tmp_path, behaviours=("timm", "writing"))
    assert "SIGABRT" in answers["timm"].fault
    assert answers["writing"].seen is not None


def test_two_packages_that_crash_are_both_named(tmp_path: Path, broken: Break) -> None:
    broken("torchvision", "import os; os.abort()")
    broken("timm", "import os; os._exit(7)")
    answers = ask(tmp_path)
    assert "SIGABRT" in answers["torchvision"].fault
    assert "status 7" in answers["timm"].fault
    assert answers["torch"].seen is not None


def test_a_file_of_the_working_directory_is_found_and_never_run(
    tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "here"
    place.mkdir()
    for name in ("torch.py", "random.py"):
        (place / name).write_text(f"open({str(tmp_path / 'was run')!r}, 'w')")
    (place / "numpy").mkdir()  # Without an __init__.py it stands in nobody's way.
    monkeypatch.chdir(place)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(place), os.environ["PYTHONPATH"]]))
    checks, error = examine(tmp_path)
    assert error is not None
    assert error.what.startswith(f"{place / 'torch.py'}, {place / 'random.py'} stand before")
    assert "torch, random" in error.what
    assert "numpy" not in error.what
    assert not (tmp_path / "was run").exists()
    assert {check.check: check.verdict for check in checks}["torch"] == "pass"


def test_a_module_that_only_a_package_imports_is_missed_in_no_folder(
    tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken("torch", "import wave; __version__ = '2.2'")
    (tmp_path / "wave.py").write_text("")
    monkeypatch.chdir(tmp_path)
    _, error = examine(tmp_path)
    assert error is not None
    assert "wave.py stands before Python's own wave" in error.what


def test_a_package_in_front_of_the_installed_one_is_the_cause(
    tmp_path: Path, broken: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = tmp_path / "front"
    (front / "torch").mkdir(parents=True)
    (front / "torch" / "__init__.py").write_text("import os; os.abort()")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(front), os.environ["PYTHONPATH"]]))
    _, error = examine(tmp_path)
    assert error is not None
    assert error.what.startswith(f"torch is loaded from {front}")
    assert "PYTHONPATH" in error.remedy


@pytest.mark.parametrize("python", ["/bin/cat", "/nowhere/python", "/"])
def test_what_is_no_python_is_told_in_words(tmp_path: Path, python: str) -> None:
    events: list[object] = []
    found = diagnose(control(), events.append, runs_path=tmp_path, python=python, raises=False)
    (first, *_) = found.failures
    assert first.check == "python"
    assert first.what.startswith(f"{python} does not answer as Python 3.8 or later")


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe garbage",
        b"[1, 2]",
        b"{}",
        b"null",
        b'{"step": ["timm"], "state": "done", "seen": {}}',
        b"[" * 100_000,
        b"1" * 10_000,
    ],
)
def test_what_is_no_answer_is_passed_over(line: bytes) -> None:
    request = {"imports": [], "behaviours": [], "limit_seconds": 5}
    child = Child("/bin/true", request, alone=False)
    try:
        child._understand(line)
        assert child.take() == []
    finally:
        child.end()
        child.close()


def test_a_wish_to_stop_is_heard_while_waiting(tmp_path: Path, broken: Break) -> None:
    broken("torch", "import time; time.sleep(600)")
    flag = StopFlag()
    threading.Timer(0.5, lambda: setattr(flag, "reason", "enough")).start()
    began = time.monotonic()
    with pytest.raises(StopRequested, match="enough"):
        diagnose(control(flag), lambda event: None, runs_path=tmp_path)
    assert time.monotonic() - began < 30


def test_everything_ends_at_the_limit(tmp_path: Path, broken: Break) -> None:
    broken("torch", "import time\nwhile True:\n    open(__file__).read(); time.sleep(0.01)\n")
    began = time.monotonic()
    answers = ask(tmp_path, limit_seconds=2.0)
    assert "no answer within 2 s" in answers["torch"].fault
    assert time.monotonic() - began < 20


FOLLOW = (
    "import sys\n"
    "from pathlib import Path\n"
    "from tests.engine.examining import examine, verdicts\n"
    "from ecotui.engine.diagnose import Circumstances\n"
    "sys.modules.pop('ctypes', None)\n"
    "checks, error = examine(Path(sys.argv[1]), "
    "purpose=Circumstances(is_quick=True, loads=True))\n"
    "print(error.what if error else 'sound')\n"
    "print(*sorted({'torch', 'timm', 'PIL'} & set(sys.modules)))\n"
)


WAIT_FOR_TWO = """
import os, time
for _ in range(200):
    if len(os.listdir('{seen}')) == 2:
        break
    time.sleep(0.05)
else:
    raise ImportError('nobody follows')
def is_model(name):
    return True
"""


def follow(tmp_path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", FOLLOW, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_the_engine_loads_what_a_child_has_survived(tmp_path: Path, broken: Break) -> None:
    for name in LIGHT:
        broken(name, "__version__ = '9'\ndef is_model(name): return True\n")
    assert follow(tmp_path)[-1] == "PIL timm torch"


def test_the_engine_follows_while_the_child_goes_on(tmp_path: Path, broken: Break) -> None:
    """Both import at once; a module that the child began with holds nobody up."""
    seen = tmp_path / "seen"
    seen.mkdir()
    for name in LIGHT:
        broken(name, "__version__ = '9'\n")
    broken("torch", f"import ctypes, os\nopen(f'{seen}/{{os.getpid()}}', 'w').close()\n")
    broken("timm", WAIT_FOR_TWO.format(seen=seen))
    assert follow(tmp_path)[-1] == "PIL timm torch"


@pytest.mark.parametrize("way", ["os.abort()", "os._exit(0)", "sys.exit(4)"])
def test_the_engine_never_loads_what_a_child_died_of(
    tmp_path: Path, broken: Break, way: str
) -> None:
    broken("numpy", "__version__ = '9'\n")
    broken("torch", f"import os, sys; from torch import inner\n{way}\n")
    (tmp_path / "broken" / "torch" / "inner.py").write_text("")
    (said, _) = follow(tmp_path)
    assert said.startswith("PyTorch cannot be loaded")


def test_who_follows_a_child_that_is_gone_is_told() -> None:
    class Gone:
        has_imported_all = False

        def has_passed(self, module: str) -> bool | None:
            return None

    with pytest.raises(LeaderLostError):
        FollowingImports(Gone(), lambda: None).find_spec("torch")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["probe_script", "probe_behaviours", "probe_inventory"])
def test_what_an_examined_interpreter_runs_is_of_python_3_8_and_of_nothing_else(name: str) -> None:
    source = Path(probe_script.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {module.partition(".")[0] for module in imported} <= sys.stdlib_module_names


def test_nothing_is_left_behind(tmp_path: Path, broken: Break) -> None:
    ask(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]
