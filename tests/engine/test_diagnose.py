"""Layer 1: each thing that can be broken is broken, and found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine import diagnose as diagnosing
from ecotui.engine import known_causes, machine, probing, versions
from ecotui.engine.control import Control, StopFlag, StopRequested
from ecotui.engine.diagnose import CHECKS, diagnose
from ecotui.engine.probing import Answer, Probe
from ecotui.errors import EnvironmentFaultError, ExitCode
from ecotui.events import CheckReported, Event, StageFinished, StageStarted

Break = Callable[[str, str], None]


def control(flag: StopFlag | None = None) -> Control:
    return Control(Path("/nowhere"), 0, lambda event: None, flag or StopFlag())


def examine(
    place: Path, **settings: Any
) -> tuple[list[CheckReported], EnvironmentFaultError | None]:
    """Diagnose, and return the verdicts and the error that came of them."""
    events: list[Event] = []
    fault = None
    try:
        diagnose(control(), events.append, runs_path=place, **settings)
    except EnvironmentFaultError as error:
        fault = error
    # Whatever is found, everything was looked at and told.
    assert isinstance(events[0], StageStarted)
    assert isinstance(events[-1], StageFinished)
    checks = [event for event in events if isinstance(event, CheckReported)]
    assert sorted(check.check for check in checks) == sorted(CHECKS)
    assert {check.layer for check in checks} == {1}
    for check in checks:
        assert bool(check.expected and check.remedy) == (check.verdict in ("warn", "fail"))
    assert (fault is not None) == any(check.verdict == "fail" for check in checks)
    assert fault is None or fault.exit_code == ExitCode.ENVIRONMENT
    return checks, fault


def verdicts(checks: list[CheckReported]) -> dict[str, str]:
    return {check.check: check.verdict for check in checks if check.verdict != "pass"}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Break:
    """Put a package of one's own before the installed one."""

    def put(name: str, source: str) -> None:
        folder = tmp_path / "broken" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(source)
        monkeypatch.setenv(
            "PYTHONPATH", os.pathsep.join([str(folder.parent), os.environ["PYTHONPATH"]])
        )

    return put


@pytest.fixture
def light(broken: Break) -> Break:
    """Stand-ins for all heavy packages, so that a child takes no seconds."""
    broken("numpy", "__version__ = '1.26.4'\nraise ImportError('a stand-in')")
    broken("torch", "__version__ = '2.2.0'")
    broken("torchvision", "raise ImportError('a stand-in')")
    broken("timm", "__version__ = '1.0.31'\ndef is_model(name): return True")
    return broken


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say which versions are installed; None is an absent package."""

    def say(**changed: str | None) -> None:
        needed = [("numpy", "1.26"), ("timm", "1.0.31"), ("torch", "2.2"), ("torchvision", "0.17")]
        requirements = tuple(versions.Requirement(name, (f">={low}",)) for name, low in needed)
        monkeypatch.setattr(versions, "requirements", lambda: requirements)
        seen: dict[str, str | None] = {**dict(needed), **changed}
        monkeypatch.setattr(versions, "version_of", seen.get)
        monkeypatch.setattr(known_causes, "version_of", seen.get)

    return say


def test_a_healthy_environment_passes_for_real_and_the_engine_loads_nothing(
    tmp_path: Path,
) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ecotui.engine.control import Control, StopFlag\n"
        "import ecotui.engine.runner\n"
        "from ecotui.engine.diagnose import diagnose\n"
        "found = diagnose(Control(Path('/nowhere'), 0, print, StopFlag()), lambda event: None,\n"
        "                 runs_path=Path(sys.argv[1]))\n"
        "print(*(f'{check.check}={check.verdict}' for check in found.checks))\n"
        "print({'torch', 'numpy', 'timm'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    told, loaded = done.stdout.splitlines()
    seen = dict(pair.split("=") for pair in told.split())
    assert seen.keys() == set(CHECKS)
    # How much room this machine has is no fault of the environment's packages.
    del seen["memory"], seen["disk"]
    assert set(seen.values()) == {"pass"}
    assert loaded == "set()"


def test_the_founding_notebooks_numpy_is_named_first_with_its_cure(
    tmp_path: Path, answering: Callable[..., None], installed: Callable[..., None]
) -> None:
    installed(torch="2.2.0", numpy="2.0.2")
    fault = Answer(None, "RuntimeError: Numpy is not available")
    answering(numpy_torch=fault, torchvision=fault)
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"numpy_torch": "fail", "torchvision": "fail"}
    assert error is not None
    assert error.what.startswith("NumPy 2.0.2 is too new for PyTorch 2.2.0")
    assert error.remedy == f"{sys.executable} -m pip install 'numpy<2'"


def test_numpy_that_torch_cannot_use_for_another_reason_is_installed_anew(
    tmp_path: Path, answering: Callable[..., None], installed: Callable[..., None]
) -> None:
    installed(torch="2.4.1", numpy="2.0.2")
    answering(numpy_torch=Answer(None, "RuntimeError: Numpy is not available"))
    _, error = examine(tmp_path)
    assert error is not None
    assert error.remedy == f"{sys.executable} -m pip install --force-reinstall numpy"


def test_a_torchvision_of_another_build_is_told_with_the_pair_that_fits(
    tmp_path: Path, answering: Callable[..., None], installed: Callable[..., None]
) -> None:
    installed(torch="2.2.1+cpu", torchvision="0.17.1")
    fault = "RuntimeError: operator torchvision::nms does not exist"
    answering(torchvision=Answer(None, fault), timm=Answer(None, fault))
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"torchvision": "fail", "timm": "fail"}
    assert error is not None
    assert "torchvision 0.17.1 was not built for torch 2.2.1+cpu" in error.what
    assert error.remedy.endswith("--force-reinstall torch==2.2.1 'torchvision==0.17.*'")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("ModuleNotFoundError: No module named 'PIL'", "pillow is not installed"),
        ("AttributeError: partially initialized module 'torch' has no", "stand before torch"),
        ("OSError: libcudnn.so.9: cannot open shared object file", "libcudnn.so.9"),
        ("ImportError: x.so: undefined symbol: _ZN2", "was not built for torch"),
        ("RuntimeError: The NVIDIA driver on your system is too old", "driver is too old"),
        ("Python crashed (signal 4, SIGILL)", "this processor does not have"),
        ("ValueError: nobody knows", "ValueError: nobody knows"),
    ],
)
def test_a_known_cause_is_put_into_words_and_an_unknown_one_quoted(
    tmp_path: Path, answering: Callable[..., None], fault: str, said: str
) -> None:
    answering(timm=Answer(None, fault))
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"timm": "fail"}
    assert error is not None
    assert said in error.what


def test_an_absent_package_and_an_old_one_are_named_with_one_command(
    tmp_path: Path, answering: Callable[..., None], installed: Callable[..., None]
) -> None:
    installed(torch=None, timm="0.9.16")
    absent = Answer(None, "ModuleNotFoundError: No module named 'torch'")
    answering(torch=absent, numpy_torch=None, torchvision=None, timm=None, device=None)
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {
        "packages": "fail",
        "torch": "fail",
        "numpy_torch": "note",
        "torchvision": "note",
        "timm": "note",
        "device": "note",
    }
    assert error is not None
    assert "torch is not installed" in error.what
    assert "timm 0.9.16" in error.what
    assert error.remedy.endswith("pip install 'timm>=1.0.31' 'torch>=2.2'")


def test_the_bounds_are_read_from_the_record_of_ecotui(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["torch>=2.2", "textual<9,>=8", "click (>=8.1)", "scikit-learn>=1.4; extra == 'demo'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
    assert [str(each) for each in versions.requirements()] == [
        "torch>=2.2",
        "textual>=8,<9",
        "click>=8.1",
    ]


@pytest.mark.parametrize(
    ("version", "is_admitted"),
    [("8.0", True), ("8.2.8", True), ("7.9", False), ("9", False), ("9.0.0rc1", False)],
)
def test_bounds_of_versions_are_kept(version: str, is_admitted: bool) -> None:
    assert versions.Requirement("textual", (">=8", "<9")).admits(version) is is_admitted


def test_an_old_python_is_refused(
    tmp_path: Path, answering: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering()
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"python": "fail"}
    assert error is not None
    assert "3.10.4" in error.what


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os; os.abort()", "Python crashed (signal 6, SIGABRT)"),
        ("import ctypes; ctypes.string_at(0)", "Python crashed (signal 11, SIGSEGV)"),
        ("import os; os._exit(3)", "Python left with status 3"),
        ("raise SystemExit(0)", "SystemExit"),
        ("raise ImportError('\\x1b[2J evil')", "\\e[2J evil"),
        ("import os, sys; sys.stderr.write('the reason\\n'); os.abort()", "the reason"),
    ],
)
def test_a_torch_that_takes_python_down_is_a_finding(
    tmp_path: Path, light: Break, broken: Break, source: str, said: str
) -> None:
    shutil.rmtree(tmp_path / "broken" / "torch")
    broken("torch", source)
    checks, error = examine(tmp_path)
    found = verdicts(checks)
    assert found["torch"] == "fail"
    assert found["device"] == "note"
    assert error is not None
    assert error.what.startswith("PyTorch cannot be loaded")
    assert said in error.what


def test_a_torch_that_hangs_is_given_up_and_its_process_ended(
    tmp_path: Path, light: Break, broken: Break
) -> None:
    shutil.rmtree(tmp_path / "broken" / "torch")
    broken(
        "torch",
        f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "import time; time.sleep(600)",
    )
    _, error = examine(tmp_path, limit_seconds=2.0)
    assert error is not None
    assert "no answer within 2 s" in error.what
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_wall_of_text_is_no_answer_and_fills_nothing(
    tmp_path: Path, light: Break, broken: Break
) -> None:
    shutil.rmtree(tmp_path / "broken" / "torch")
    broken(
        "torch",
        "__version__ = '2.2.0'\nimport sys\n"
        "for _ in range(2_000):\n"
        '    print(\'{"step": "timm", "state": "failed"}\' + \' \' * 1_000)\n'
        "    sys.stderr.write('y' * 1_000 + '\\n')\n",
    )
    with Probe("auto") as probe:
        answers = probe.answers(lambda: None)
        assert len(probe._child.words) <= 16_384
    assert answers["torch"].seen == {"version": "2.2.0"}
    assert answers["timm"].seen == {"version": "1.0.31"}


def test_a_package_that_crashes_hides_none_of_the_others(
    tmp_path: Path, light: Break, broken: Break
) -> None:
    shutil.rmtree(tmp_path / "broken" / "torchvision")
    broken("torchvision", "import os; os.abort()")
    with Probe("auto") as probe:
        answers = probe.answers(lambda: None)
    assert "a stand-in" in answers["numpy_torch"].fault
    assert "SIGABRT" in answers["torchvision"].fault
    assert answers["timm"].seen == {"version": "1.0.31"}
    assert "AttributeError" in answers["device"].fault


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"\xff\xfe garbage\n[1, 2]\n{}\nnull\n", set()),
        (b'{"step": "rm", "state": "done", "seen": {}}\n', set()),
        (b'{"step": "timm", "state": "done", "seen": 3}\n', set()),
        (b'{"step": ["timm"], "state": "done", "seen": {}}\n', set()),
        (b'{"step": "timm", "state": "done", "seen": {}}\n{"step', {"timm"}),
    ],
)
def test_what_is_no_answer_is_passed_over(lines: bytes, expected: set[str]) -> None:
    assert set(probing._told(lines)) == expected


def test_a_wish_to_stop_is_heard_while_waiting(tmp_path: Path, light: Break, broken: Break) -> None:
    shutil.rmtree(tmp_path / "broken" / "torch")
    broken("torch", "import time; time.sleep(600)")
    flag = StopFlag()
    threading.Timer(0.5, lambda: setattr(flag, "reason", "enough")).start()
    began = time.monotonic()
    with pytest.raises(StopRequested, match="enough"):
        diagnose(control(flag), lambda event: None, runs_path=tmp_path, limit_seconds=8.0)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused(
    tmp_path: Path, answering: Callable[..., None], device: str
) -> None:
    answering()
    checks, error = examine(tmp_path, device=device)
    assert verdicts(checks) == {"device": "fail"}
    assert error is not None
    assert f"compute.device = '{device}'" in error.what


def test_the_devices_there_are_told_with_what_auto_takes(
    tmp_path: Path, answering: Callable[..., None]
) -> None:
    card = {"name": "Card\x1b 9", "memory_bytes": 24_000_000_000}
    answering(device=Answer({"cuda": [card, card], "mps": False, "bf16": True}))
    checks, error = examine(tmp_path, device="cuda:1")
    assert error is None
    told = {check.check: check.what for check in checks}["device"]
    assert told == (
        r"cuda:1 is asked for in bf16; there are: Card\e 9 (24.0 GB), Card\e 9 (24.0 GB), CPU"
    )
    answering(device=Answer({"cuda": [], "mps": True, "bf16": False}))
    checks, _ = examine(tmp_path)
    assert {check.check: check.what for check in checks}["device"].startswith("auto takes mps")


@pytest.mark.parametrize(
    ("free", "verdict"), [(199_999_999, "fail"), (4_999_999_999, "warn"), (5_000_000_000, "pass")]
)
def test_a_full_disk_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, free))
    assert machine.check_disk(tmp_path / "not" / "there").verdict == verdict


def test_a_place_that_cannot_be_written_to_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answering: Callable[..., None]
) -> None:
    answering()

    def refuse(*arguments: object, **settings: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"disk": "fail"}
    assert error is not None
    assert "Permission denied" in error.what


@pytest.fixture
def meminfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\nHugePages: 0\n")
    monkeypatch.setattr(machine, "MEMINFO", path)
    monkeypatch.setattr(machine, "CGROUP", tmp_path / "cgroup")
    return path


def test_the_memory_of_the_machine_is_judged(meminfo: Path) -> None:
    check = machine.check_memory()
    assert (check.verdict, check.what) == ("pass", "8.2 GB of 16.4 GB memory available")
    meminfo.write_text("MemTotal: 16000000 kB\nMemAvailable: 1000000 kB\n")
    assert machine.check_memory().verdict == "warn"


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_the_limit_of_a_container_counts(
    meminfo: Path, tmp_path: Path, limit: str, used: str
) -> None:
    del meminfo
    for name, content in ((limit, "3000000000\n"), (used, "2500000000\n")):
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    check = machine.check_memory()
    assert check.verdict == "warn"
    assert check.what == "500.0 MB of 16.4 GB (limited to 3.0 GB) memory available"
    (tmp_path / "cgroup" / limit).write_text("max\n")
    assert machine.check_memory().verdict == "pass"


def test_a_system_that_does_not_tell_its_memory_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(machine, "_sysconf_bytes", lambda name: None)
    assert machine.check_memory().verdict == "note"


def test_the_script_of_the_child_knows_the_steps_that_are_asked_for() -> None:
    from ecotui.engine import probe_script

    assert tuple(probe_script.STEPS) == probing.STEPS
    assert set(diagnosing._GOALS) == set(probing.STEPS)
