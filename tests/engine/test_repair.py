"""Repairs of small environments with a real pip: planned, done, judged, and undone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ecotui import lock
from ecotui.engine import applying, repair
from ecotui.engine.control import Control, StopFlag, StopRequested
from ecotui.engine.diagnose import Diagnosis
from ecotui.engine.kept_files import keep
from ecotui.engine.packages import survey
from ecotui.engine.repair import Repair
from ecotui.errors import EnvironmentFaultError
from ecotui.events import (
    CheckReported,
    Event,
    LogWritten,
    RepairFinished,
    RepairPlanned,
    RepairSaid,
    RepairStepStarted,
)
from tests.engine.harness import of
from tests.engine.small_environments import TORCH, SmallEnvironment, make_wheel

Rules = dict[str, tuple[str, tuple[str, ...]]]
"""Name of a check: what Python must be able to do, and what pip should install if it cannot."""

FOUNDING: Rules = {
    "torch": ("import torch", ()),
    "numpy_torch": ("import torch; torch.from_numpy()", ("numpy<2",)),
    "torchvision": ("import torch; torch.from_numpy()", ("numpy<2",)),
}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    make_wheel(folder, "torch", "2.2.0", TORCH, requires=["numpy"])
    make_wheel(folder, "numpy", "1.26.4")
    make_wheel(folder, "numpy", "2.0.2")
    make_wheel(folder, "helping", "0.5")
    make_wheel(folder, "timm", "1.0", "raise ImportError('in pieces')", requires=["helping"])
    make_wheel(folder, "timm", "0.9")
    return folder


@pytest.fixture(scope="session")
def founding(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> SmallEnvironment:
    """NumPy 2 under a PyTorch that was built for NumPy 1. Not to be changed."""
    made = SmallEnvironment(tmp_path_factory.mktemp("made") / "env", wheels)
    made.install("torch", "numpy==2.0.2", "timm==0.9")
    return made


@pytest.fixture
def patient(
    founding: SmallEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SmallEnvironment:
    """A copy of the founding environment, to be changed."""
    own_wheels = tmp_path / "wheels"
    shutil.copytree(founding.wheels, own_wheels)
    copy = SmallEnvironment(tmp_path / "env", own_wheels, like=founding)
    for name, value in copy.settings().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    return copy


class Case:
    """One repair, and what it stated."""

    def __init__(self, patient: SmallEnvironment, rules: Rules) -> None:
        self.events: list[Event] = []
        self.flag = StopFlag()
        self.error: BaseException | None = None
        self._patient, self._rules = patient, rules
        control = Control(Path("/nowhere"), 0, self.events.append, self.flag)
        self.repair = Repair(
            control, self.events.append, self.examine, python=patient.python, is_own=False
        )
        self.before = patient.listing()

    def examine(self) -> Diagnosis:
        return Diagnosis(tuple(self._judged(*rule) for rule in self._rules.items()))

    def _judged(self, check: str, rule: tuple[str, tuple[str, ...]]) -> CheckReported:
        source, wanted = rule
        said = self._patient.try_out(source)
        fix = (self._patient.python, "-m", "pip", "install", *wanted) if wanted else ()
        fields = {"what": said, "expected": "well", "remedy": "r", "fix": fix} if said else {}
        return CheckReported(
            **{"check": check, "layer": 1, "verdict": "fail" if said else "pass"},
            **{"what": "well", "expected": "", "remedy": "", **fields},
        )

    def mend(self) -> RepairFinished:
        return self._run(self.repair.mend)

    def tell(self) -> RepairFinished:
        return self._run(self.repair.tell)

    def _run(self, act: Callable[[], None]) -> RepairFinished:
        try:
            act()
        except (EnvironmentFaultError, StopRequested) as error:
            self.error = error
        (end,) = of(RepairFinished, self.events)
        assert isinstance(end, RepairFinished)
        return end


def as_before(case: Case, patient: SmallEnvironment) -> bool:
    """Say whether every file is what it was, and nothing of ours is left."""
    assert patient.versions() == {"torch": "2.2.0", "numpy": "2.0.2", "timm": "0.9"}
    return patient.listing() == case.before


def test_the_smallest_change_mends_the_founding_environment(patient: SmallEnvironment) -> None:
    case = Case(patient, FOUNDING)
    end = case.mend()
    assert case.error is None
    assert end.outcome == "mended"
    assert end.changed == ("numpy 2.0.2 -> 1.26.4",)
    assert "numpy 2.0.2 -> 1.26.4" in end.what
    assert patient.versions() == {"torch": "2.2.0", "numpy": "1.26.4", "timm": "0.9"}
    (plan,) = of(RepairPlanned, case.events)
    argv = (patient.python, "-m", "pip", "install", "numpy<2")
    assert [(step.argv, step.checks) for step in plan.steps] == [
        (argv, ("numpy_torch", "torchvision"))
    ]
    assert plan.packages_before == ("numpy==2.0.2",)
    assert plan.refusal == ""
    (started,) = of(RepairStepStarted, case.events)
    assert (started.number, started.argv) == (1, argv)
    assert "Successfully installed numpy-1.26.4" in [s.line for s in of(RepairSaid, case.events)]
    assert not [path for path in patient.path.rglob("*") if "ecotui" in path.name]


def test_a_plan_changes_nothing_and_says_how_to_do_it(patient: SmallEnvironment) -> None:
    case = Case(patient, FOUNDING)
    end = case.tell()
    assert end.outcome == "planned"
    assert isinstance(case.error, EnvironmentFaultError)
    assert case.error.what == "RuntimeError: Numpy is not available"
    wanted = f"to do it: ecotui doctor --fix --yes --python {patient.python}"
    assert case.error.remedy == wanted
    assert wanted in end.what
    assert not of(RepairStepStarted, case.events)
    assert as_before(case, patient)


@pytest.mark.parametrize("act", ["tell", "mend"])
def test_where_no_check_fails_there_is_nothing_to_do(patient: SmallEnvironment, act: str) -> None:
    case = Case(patient, {"torch": FOUNDING["torch"]})
    end = getattr(case, act)()
    assert (end.outcome, case.error) == ("nothing_to_do", None)
    assert not of(RepairPlanned, case.events)
    assert as_before(case, patient)


HALF_DONE = """
import os, pathlib, shutil, signal, sys, time
import numpy
site = pathlib.Path(numpy.__file__).parent.parent
bin = pathlib.Path(sys.executable).parent
(site / "numpy").rename(site / "~umpy")
(site / "numpy").mkdir()
(site / "numpy" / "half.py").write_text("half")
shutil.rmtree(site / "numpy-2.0.2.dist-info")
(site / "stranger.py").write_text("new")
(site / "torch" / "__init__.py").unlink()
(site / "torch" / "__init__.py").write_text("other")
(bin / "numpy-tell").unlink()
(bin / "numpy-new").write_text("new")
(bin.parent / "share/man/numpy-2.0.2.1").unlink()
print("fetching https://user:hunter2@index.example/simple?token=s3cret", flush=True)
"""
"""What an installer leaves that is cut off in its work."""


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("sys.exit('no more room')", "step 1 failed, it left with status 1: no more room"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "step 1 failed, it was killed by signal 9"),
        ("time.sleep(600)", "step 1 failed, it took longer than 2 s"),
    ],
)
def test_a_repair_that_fails_half_way_is_undone_and_says_so(
    patient: SmallEnvironment, ending: str, said: str
) -> None:
    patient.give_fake_pip(HALF_DONE + ending)
    case = Case(patient, FOUNDING)
    case.repair.limit_seconds = 2.0
    end = case.mend()
    assert end.outcome == "rolled_back"
    assert end.what.startswith(said)
    assert "the 4 packages are as they were, file by file" in end.what
    assert end.changed == ()
    assert as_before(case, patient)
    assert isinstance(case.error, EnvironmentFaultError)
    assert "-m venv .venv" in case.error.remedy
    stated = "".join(event.model_dump_json() for event in case.events)
    assert "https://***@index.example" in stated
    assert "hunter2" not in stated
    assert "s3cret" not in stated


def test_without_the_undoing_the_same_failure_leaves_pieces(
    patient: SmallEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone = applying.Undone("nothing", is_whole=True)
    monkeypatch.setattr(repair, "put_back", lambda *arguments: undone)
    patient.give_fake_pip(HALF_DONE + "sys.exit(1)")
    case = Case(patient, FOUNDING)
    case.mend()
    assert patient.listing() != case.before
    assert patient.versions().get("numpy") is None


def test_the_first_step_is_undone_where_the_second_fails(patient: SmallEnvironment) -> None:
    rules = FOUNDING | {"timm": ("import nowhere", ("nowhere>=1",))}
    case = Case(patient, rules)
    end = case.mend()
    assert [step.number for step in of(RepairStepStarted, case.events)] == [1, 2]
    assert end.outcome == "rolled_back"
    assert end.what.startswith("step 2 failed, it left with status 1: ")
    assert "nowhere" in end.what
    assert as_before(case, patient)


def test_a_repair_that_makes_things_worse_is_undone_and_says_so(
    patient: SmallEnvironment,
) -> None:
    # What it pulled in on the way goes as well.
    rules: Rules = {"numpy_torch": (FOUNDING["numpy_torch"][0], ("timm>=1",))}
    rules |= {"timm": ("import timm", ())}
    case = Case(patient, rules)
    end = case.mend()
    said = [said.line for said in of(RepairSaid, case.events)]
    assert "Successfully installed helping-0.5 timm-1.0" in said
    assert end.outcome == "rolled_back"
    assert end.what.startswith("it made things worse: ImportError: in pieces; the 4 packages")
    assert as_before(case, patient)


def test_a_repair_that_mends_nothing_is_undone(patient: SmallEnvironment) -> None:
    rules: Rules = {"numpy_torch": (FOUNDING["numpy_torch"][0], ("helping",))}
    case = Case(patient, rules)
    end = case.mend()
    assert end.outcome == "rolled_back"
    assert end.what.startswith("it mended nothing: RuntimeError: Numpy is not available")
    assert as_before(case, patient)


def test_a_repair_that_mends_a_part_stands_and_tells_what_is_left(
    patient: SmallEnvironment,
) -> None:
    case = Case(patient, FOUNDING | {"disk": ("raise OSError('no room')", ())})
    end = case.mend()
    assert end.outcome == "better"
    assert end.what.startswith("1 check of 3 still fails; numpy 2.0.2 -> 1.26.4")
    assert isinstance(case.error, EnvironmentFaultError)
    assert case.error.what == "OSError: no room"
    assert patient.versions()["numpy"] == "1.26.4"


def test_what_other_packages_wish_for_afterwards_is_told(patient: SmallEnvironment) -> None:
    make_wheel(patient.wheels, "picky", "3.0", requires=["numpy>=2"])
    patient.install("picky")
    end = Case(patient, FOUNDING).mend()
    assert end.outcome == "mended"
    assert "other packages wish for something else now: picky 3.0 has requirement" in end.what


def test_a_wish_to_stop_in_mid_repair_puts_everything_back(patient: SmallEnvironment) -> None:
    pid = patient.tools / "pid"
    hang = f"open({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    patient.give_fake_pip(HALF_DONE + hang)
    case = Case(patient, FOUNDING)

    def stop_once_it_works() -> None:
        while not pid.exists() or not pid.read_text():
            time.sleep(0.02)
        case.flag.reason = "received SIGINT"

    threading.Thread(target=stop_once_it_works, daemon=True).start()
    end = case.mend()
    assert isinstance(case.error, StopRequested)
    assert end.outcome == "rolled_back"
    assert end.what.startswith("stopped (received SIGINT); the 4 packages are as they were")
    assert as_before(case, patient)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_second_signal_does_not_leave_things_half_put_back() -> None:
    heard: list[int] = []
    earlier = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        with applying.undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
        assert heard == []
        os.kill(os.getpid(), signal.SIGINT)
        assert heard == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_a_repair_that_was_cut_off_is_undone_by_the_next_one(patient: SmallEnvironment) -> None:
    case = Case(patient, {"numpy": ("import numpy; numpy.__version__", ("numpy<2",))})
    around = survey(patient.python)
    keep(around.site[0], (*around.site, around.scripts))
    shutil.rmtree(patient.site / "numpy")
    (patient.site / "numpy").mkdir()
    end = case.mend()
    assert end.outcome == "nothing_to_do"
    (told,) = of(LogWritten, case.events)
    assert told.message.startswith("an earlier repair was cut off: the 4 packages are as they")
    assert as_before(case, patient)


def test_two_repairs_at_once_are_one_too_many(patient: SmallEnvironment) -> None:
    case = Case(patient, FOUNDING)
    held = lock.acquire(patient.site / ".ecotui-repair.lock")
    try:
        with pytest.raises(EnvironmentFaultError, match="another repair changes"):
            case.repair.mend()
    finally:
        held.release()
    assert not of(RepairStepStarted, case.events)


def test_what_cannot_be_put_back_is_told_and_kept(
    patient: SmallEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    patient.give_fake_pip(HALF_DONE + "sys.exit(1)")
    case = Case(patient, FOUNDING)
    with monkeypatch.context() as patch:
        patch.setattr("ecotui.engine.kept_files.KeptFiles.put_back", fail)
        end = case.mend()
    assert end.outcome == "stuck"
    assert "Operation not permitted" in end.what
    (kept,) = patient.site.glob(".ecotui-kept-*")
    assert str(kept) in end.what
    # The next repair begins by trying again.
    again = Case(patient, FOUNDING)
    assert again.mend().outcome == "rolled_back"
    assert as_before(case, patient)


def test_files_alone_are_no_proof_the_versions_must_be_those_of_before(
    patient: SmallEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = survey(patient.python)
    other = dict(around.packages)
    del other["numpy"]
    monkeypatch.setattr(applying, "survey", lambda python: replace(around, packages=other))
    patient.give_fake_pip(HALF_DONE + "sys.exit(1)")
    end = Case(patient, FOUNDING).mend()
    assert end.outcome == "stuck"
    assert "other than before: numpy 2.0.2 -> absent" in end.what


@pytest.fixture
def edited(patient: SmallEnvironment) -> SmallEnvironment:
    """NumPy comes from a folder of the person's own."""
    told = {"url": "file:///home/me/numpy", "dir_info": {"editable": True}}
    (patient.site / "numpy-2.0.2.dist-info" / "direct_url.json").write_text(json.dumps(told))
    return patient


def test_a_package_of_the_persons_own_is_left_alone(edited: SmallEnvironment) -> None:
    case = Case(edited, FOUNDING)
    end = case.mend()
    assert end.outcome == "planned"
    assert "numpy comes from a folder of your own and is left alone" in end.what
    assert as_before(case, edited)


def test_a_package_of_the_persons_own_that_pip_changes_all_the_same_is_put_back(
    edited: SmallEnvironment,
) -> None:
    make_wheel(edited.wheels, "dragging", "1.0", requires=["numpy<2"])
    rules: Rules = {"numpy_torch": (FOUNDING["numpy_torch"][0], ("dragging",))}
    case = Case(edited, rules)
    end = case.mend()
    assert end.outcome == "rolled_back"
    assert end.what.startswith("it changed numpy, which comes from a folder of your own")
    assert as_before(case, edited)


def test_only_what_the_screen_is_made_of_asks_for_a_new_start(patient: SmallEnvironment) -> None:
    make_wheel(patient.wheels, "textual", "8.1")
    rules: Rules = {"packages": ("import textual", ("textual",))}
    case = Case(patient, rules)
    case.repair.is_own = True
    end = case.mend()
    assert end.outcome == "mended"
    assert "textual absent -> 8.1; start ecotui again where it is still open" in end.what
    own = Case(patient, FOUNDING)
    own.repair.is_own = True
    assert "start ecotui again" not in own.mend().what


def test_nothing_that_is_changed_is_imported() -> None:
    import subprocess
    import sys

    source = (
        "import sys, ecotui.engine.repair\n"
        "heavy = {'torch', 'torchvision', 'timm', 'numpy', 'PIL', 'safetensors', 'textual',"
        " 'rich', 'click'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
