"""Layer 1: what is found is told with its cause, its remedy and where that is known from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecotui.check_register import CHECKS
from ecotui.engine import probe_behaviours, probing, versions
from ecotui.engine.diagnose import Circumstances, diagnose
from ecotui.engine.judging import GOALS
from ecotui.engine.probing import Answer
from tests.engine.examining import control, examine, verdicts

Say = Callable[..., None]
BROKEN_PAIR = "RuntimeError: operator torchvision::nms does not exist"


def test_a_healthy_environment_passes_for_real_and_the_engine_loads_nothing(
    tmp_path: Path,
) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import ecotui.engine.runner\n"
        "from tests.engine.examining import examine, verdicts\n"
        "checks, error = examine(Path(sys.argv[1]))\n"
        "print(verdicts(checks), error)\n"
        "print(sorted(check.check for check in checks if check.verdict == 'pass'))\n"
        "print({'torch', 'numpy', 'timm'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    wrong, well, loaded = done.stdout.splitlines()
    assert wrong == "{} None"
    for check in probing.BEHAVIOURS:
        assert f"'{check}'" in well
    assert loaded == "set()"


def test_the_founding_notebooks_numpy_is_named_first_with_its_cure(
    tmp_path: Path, answering: Say, installed: Say
) -> None:
    installed(torch="2.2.0", numpy="2.0.2")
    fault = Answer(None, "RuntimeError: Numpy is not available")
    answering(numpy_torch=fault, torchvision=fault)
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"numpy_torch": "fail", "torchvision": "fail"}
    assert error is not None
    assert error.what.startswith("NumPy 2.0.2 is too new for PyTorch 2.2.0")
    assert error.remedy == f"{sys.executable} -m pip install 'numpy<2'"
    (first, *_) = [check for check in checks if check.check == "numpy_torch"]
    assert first.fix == (sys.executable, "-m", "pip", "install", "numpy<2")
    assert "132179" in first.source


def test_numpy_that_torch_cannot_use_for_another_reason_is_installed_anew(
    tmp_path: Path, answering: Say, installed: Say
) -> None:
    installed(torch="2.4.1", torchvision="0.19.1", numpy="2.0.2")
    answering(numpy_torch=Answer(None, "RuntimeError: Numpy is not available"))
    _, error = examine(tmp_path)
    assert error is not None
    assert error.remedy == f"{sys.executable} -m pip install --force-reinstall numpy"


@pytest.mark.parametrize(
    "builds",
    [
        {"torch": {"cuda": ""}, "torchvision": {"cuda": "12.1"}},
        # As they are: torchvision has its CUDA release in its label alone.
        {"torch": {"version": "2.2.1+cpu", "cuda": ""}, "torchvision": {"version": "0.17.1+cu121"}},
    ],
)
def test_a_torchvision_for_cuda_beside_a_torch_for_the_cpu_is_told_with_the_pair_that_fits(
    tmp_path: Path, answering: Say, installed: Say, builds: dict[str, dict[str, str]]
) -> None:
    installed({"builds": builds}, torch="2.2.1+cpu", torchvision="0.17.1")
    answering(torchvision=Answer(None, BROKEN_PAIR), timm=Answer(None, BROKEN_PAIR))
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"torch_pair": "warn", "torchvision": "fail", "timm": "fail"}
    assert error is not None
    assert "torchvision 0.17.1 was not built for torch 2.2.1+cpu" in error.what
    assert "one for CUDA 12.1 beside one for the CPU" in error.what
    assert error.remedy.endswith("--force-reinstall --no-deps torchvision==0.17.1+cpu")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("ModuleNotFoundError: No module named 'PIL'", "pillow is not installed"),
        ("AttributeError: partially initialized module 'torch' has no", "stand before torch"),
        ("OSError: libcudnn.so.9: cannot open shared object file", "libcudnn.so.9"),
        ("ImportError: libGL.so.1: cannot open shared object file", "OpenCV with windows"),
        ("ImportError: x.so: undefined symbol: _ZN2", "was not built for torch"),
        (
            "RuntimeError: Detected that PyTorch and torchvision were compiled with different CUDA "
            "major versions.",
            "was not built for torch",
        ),
        ("RuntimeError: The NVIDIA driver on your system is too old", "driver is too old"),
        ("RuntimeError: CUDA error: no kernel image is available", "this GPU's generation"),
        ("Python crashed (signal 4, SIGILL)", "this processor does not have"),
        ("RuntimeError: DataLoader worker is killed by signal: Bus error.", "shared memory"),
        ("ValueError: nobody knows", "ValueError: nobody knows"),
    ],
)
def test_a_known_cause_is_put_into_words_and_an_unknown_one_quoted(
    tmp_path: Path, answering: Say, fault: str, said: str
) -> None:
    answering(timm=Answer(None, fault))
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {"timm": "fail"}
    assert error is not None
    assert said in error.what


def test_a_module_with_a_name_that_no_package_has_is_not_to_be_installed(
    tmp_path: Path, answering: Say
) -> None:
    answering(timm=Answer(None, "ModuleNotFoundError: No module named '--index-url=evil'"))
    checks, _ = examine(tmp_path)
    (timm,) = [check for check in checks if check.check == "timm"]
    assert timm.fix == ()
    assert "pip" not in timm.remedy


def test_an_absent_package_and_an_old_one_are_named_with_one_command(
    tmp_path: Path, answering: Say, installed: Say
) -> None:
    installed(torch=None, timm="0.9.16", pillow="9.5.0")
    absent = Answer(None, "ModuleNotFoundError: No module named 'torch'")
    answering(torch=absent, numpy_torch=None, torchvision=None, timm=None, device=None)
    checks, error = examine(tmp_path)
    assert verdicts(checks) == {
        "packages": "fail",
        "pillow": "warn",
        "torch_pair": "note",
        "torch": "fail",
        "numpy_torch": "note",
        "torchvision": "note",
        "timm": "note",
        "device": "note",
    }
    assert error is not None
    assert "torch is not installed" in error.what
    assert "timm 0.9.16" in error.what
    assert error.remedy.endswith("pip install torch==2.2.0 'timm>=1.0.31' 'pillow>=12.3'")


def test_a_python_that_is_too_old_needs_a_new_environment_and_no_package(
    tmp_path: Path, answering: Say, installed: Say
) -> None:
    installed({"python": "3.8.18", "requires": []}, torch="1.13.1", numpy=None)
    answering(numpy_torch=Answer(None, "ModuleNotFoundError: No module named 'numpy'"))
    checks, error = examine(tmp_path, python="/old place/python")
    assert error is not None
    assert error.what == "Python 3.8.18 (/old place/python)"
    assert "python3.11 -m venv" in error.remedy
    assert {check.fix for check in checks} == {()}
    assert all("venv" in check.remedy for check in checks if check.verdict == "fail")


def test_remedies_are_for_the_interpreter_that_was_named(
    tmp_path: Path, answering: Say, installed: Say
) -> None:
    installed(numpy="2.0.2")
    answering(numpy_torch=Answer(None, "RuntimeError: Numpy is not available"))
    _, error = examine(tmp_path, python="/a place/python")
    assert error is not None
    assert error.remedy == "'/a place/python' -m pip install 'numpy<2'"


def test_where_ecotui_is_not_installed_what_training_needs_is_judged(
    tmp_path: Path, answering: Say, installed: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering()
    own = (versions.Requirement("torch", (">=2.2",)), versions.Requirement("textual", (">=8",)))
    before = versions.requirements
    monkeypatch.setattr(
        versions, "requirements", lambda lines=None: before(lines) if lines else own
    )
    monkeypatch.setattr(versions, "requirements", lambda lines=None: () if lines == () else own)
    installed({"requires": []})
    checks, error = examine(tmp_path)
    assert error is None
    assert verdicts(checks) == {"packages": "note"}
    installed({"requires": []}, torch="2.1.0", torchvision="0.16.0")
    _, error = examine(tmp_path)
    assert error is not None
    assert error.expected == "torch>=2.2"


def test_hostile_records_are_shown_and_do_nothing(
    tmp_path: Path, answering: Say, installed: Say
) -> None:
    answering()
    installed({"purelib": "/x\x1b]0;evil\x07"}, timm="1.0.31\x1b[2J\u202e", numpy="\x1b[31m")
    checks, error = examine(tmp_path)
    assert error is not None
    assert "numpy \\e[31m" in error.what
    assert verdicts(checks) == {"packages": "fail", "records": "warn"}
    for check in checks:
        for words in (check.what, check.expected, check.remedy, check.why, check.source):
            assert words.isprintable()


@pytest.mark.parametrize(
    ("faults", "verdict"), [({"WEBP": "no"}, "warn"), ({"JPEG": "x\x1b", "WEBP": "no"}, "fail")]
)
def test_only_formats_that_every_photo_has_are_needed(
    tmp_path: Path, answering: Say, faults: dict[str, str], verdict: str
) -> None:
    answering(decoding=Answer({"version": "12.3", "faults": faults}))
    checks, _ = examine(tmp_path)
    assert verdicts(checks) == {"decoding": verdict}


def test_a_model_that_timm_does_not_know_is_told_with_the_version(
    tmp_path: Path, answering: Say
) -> None:
    answering(timm=Answer({"version": "1.0.31", "knows": False}))
    checks, error = examine(tmp_path, purpose=Circumstances(model="vit_of_tomorrow"))
    assert error is None
    (timm,) = [check for check in checks if check.check == "timm"]
    assert timm.verdict == "warn"
    assert "timm 1.0.31 does not know the model 'vit_of_tomorrow'" in timm.what


def card(name: str, fault: str = "") -> dict[str, Any]:
    return {"device": name, "fault": fault, "formats": {"bfloat16": "", "float16": "no"}}


@pytest.mark.parametrize(
    ("cards", "device", "verdict"),
    [
        ([card("cuda:0"), card("cuda:1")], "auto", "pass"),
        ([card("cuda:0"), card("cuda:1", "out of luck")], "auto", "warn"),
        ([card("cuda:0"), card("cuda:1", "out of luck")], "cuda:1", "fail"),
        ([card("cuda:0", "out of luck")], "auto", "fail"),
        ([card("cuda:0", "out of luck")], "cpu", "warn"),
    ],
)
def test_an_accelerator_that_cannot_train_fails_where_it_is_needed(
    tmp_path: Path, answering: Say, cards: list[dict[str, Any]], device: str, verdict: str
) -> None:
    seen = [{"name": "Card", "memory_bytes": 1} for _ in cards]
    answering(
        accelerator=Answer({"devices": cards}),
        device=Answer({"cuda": seen, "mps": False, "bf16": True}),
    )
    checks, _ = examine(tmp_path, device=device)
    (found,) = [check for check in checks if check.check == "accelerator"]
    assert found.verdict == verdict
    assert verdict != "pass" or "cuda:0 (bf16)" in found.what


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, answering: Say, device: str) -> None:
    answering()
    checks, error = examine(tmp_path, device=device)
    assert verdicts(checks) == {"device": "fail"}
    assert error is not None
    assert f"compute.device = '{device}'" in error.what


def test_the_devices_there_are_told_with_what_auto_takes(tmp_path: Path, answering: Say) -> None:
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


def test_findings_can_be_asked_for_without_an_error(tmp_path: Path, answering: Say) -> None:
    answering(torchvision=Answer(None, BROKEN_PAIR), numpy_torch=Answer(None, "x"))
    found = diagnose(control(), lambda event: None, runs_path=tmp_path, raises=False)
    assert [check.check for check in found.failures] == ["numpy_torch", "torchvision"]
    assert found.inventory is not None
    (kept,) = [each for each in found.record() if each["check"] == "torchvision"]
    assert kept["verdict"] == "fail"
    assert kept["fix"][1:4] == ["-m", "pip", "install"]


def test_every_behaviour_that_is_tried_is_judged_and_the_other_way_round() -> None:
    assert set(probe_behaviours.BEHAVIOURS) == set(probe_behaviours.NEEDS)
    assert {*probe_behaviours.BEHAVIOURS, "torch"} == set(GOALS)
    assert set(GOALS) <= set(CHECKS)
    assert set(probing.QUICK_BEHAVIOURS) <= set(probing.BEHAVIOURS)
