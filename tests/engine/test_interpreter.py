"""What is known of an interpreter's surroundings and of versions beside one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ecotui.engine import interpreter, package_knowledge
from ecotui.engine.versions import Inventory, read_inventory
from tests.engine.conftest import SITE, told_inventory


def inventory(versions: Mapping[str, str | None] | None = None, **changed: Any) -> Inventory:
    return read_inventory(told_inventory(dict(versions or {}), **changed))


def records(*found: tuple[str, str, str]) -> list[dict[str, str]]:
    return [
        {"version": version, "place": place, "installer": by, "local": ""}
        for version, place, by in found
    ]


def test_a_package_with_two_records_is_found() -> None:
    packages = {"numpy": records(("1.26.4", SITE, "pip"), ("2.0.2", SITE, "pip"))}
    check = interpreter.check_records(inventory(packages=packages))
    assert check.verdict == "warn"
    assert "numpy 1.26.4 and 2.0.2" in check.what
    assert "uninstall numpy" in check.remedy
    packages = {"numpy": records(("2.0", SITE, "pip"), ("2.0", "/other", "pip"))}
    check = interpreter.check_records(inventory(packages=packages))
    assert "/other" in check.remedy
    assert interpreter.check_records(inventory()).verdict == "pass"


def test_conda_and_pip_in_one_environment_are_found() -> None:
    assert interpreter.check_conda(inventory()).verdict == "note"
    packages = {name: records(("1", SITE, "conda")) for name in ("torch", "numpy")}
    assert interpreter.check_conda(inventory(packages=packages, conda=True)).verdict == "pass"
    packages["numpy"] = records(("1", SITE, "pip"))
    check = interpreter.check_conda(inventory(packages=packages, conda=True))
    assert check.verdict == "warn"
    assert "torch by conda, numpy by pip" in check.what


def test_the_persons_own_packages_in_a_virtual_environment_are_found() -> None:
    check = interpreter.check_interpreter(inventory(user_site="/home/x/.local"), is_own=True)
    assert check.verdict == "warn"
    assert "PYTHONNOUSERSITE" in check.remedy


def test_another_python_on_the_path_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/python")
    check = interpreter.check_interpreter(inventory(), is_own=True)
    assert check.verdict == "note"
    assert "/usr/bin/python" in check.what
    assert interpreter.check_interpreter(inventory(), is_own=False).verdict == "pass"
    monkeypatch.setattr("shutil.which", lambda name: "/environment/bin/python")
    assert interpreter.check_interpreter(inventory(), is_own=True).verdict == "pass"
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert interpreter.check_interpreter(inventory(), is_own=True).verdict == "pass"


def test_a_package_from_elsewhere_is_a_warning_until_it_fails() -> None:
    told = inventory(origins={"torch": "/front/torch/__init__.py", "timm": "/x/timm.py"})
    check = interpreter.check_shadowing(told, (), ())
    assert check.verdict == "warn"
    assert "torch is loaded from /front/torch" in check.what
    assert interpreter.check_shadowing(told, (), {"torch"}).verdict == "fail"
    editable = {"torch": [{**records(("2", SITE, "pip"))[0], "local": "editable"}]}
    told = inventory(origins={"torch": "/src/torch/__init__.py"}, packages=editable)
    assert interpreter.check_shadowing(told, (), ()).verdict == "pass"


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("12.3.0", "pass"), ("13.0", "pass"), ("12.2.0", "warn"), ("9.5", "warn")],
)
def test_an_old_pillow_is_warned_of(version: str, verdict: str) -> None:
    check = package_knowledge.check_pillow(inventory({"pillow": version}))
    assert check.verdict == verdict
    assert verdict == "pass" or check.fix[-1] == "pillow>=12.3"


def test_two_opencvs_are_warned_of_only_where_they_are() -> None:
    both = {"opencv-python": "4.10", "opencv-python-headless": "4.10"}
    origins = {"cv2": f"{SITE}/cv2/__init__.py"}
    assert package_knowledge.check_opencv(inventory(both)).verdict == "note"
    assert package_knowledge.check_opencv(inventory(both, origins=origins)).verdict == "warn"
    one = {"opencv-python": "4.10"}
    assert package_knowledge.check_opencv(inventory(one, origins=origins)).verdict == "pass"


@pytest.mark.parametrize(
    ("torch", "vision", "verdict"),
    [
        ("2.2.1", "0.17.1", "pass"),
        ("2.14.1", "0.29.1", "pass"),
        ("2.2.1", "0.18.0", "warn"),
        ("3.0", "0.30", "note"),
        ("1.13", "0.14", "note"),
    ],
)
def test_pairs_of_releases_are_known(torch: str, vision: str, verdict: str) -> None:
    told = inventory({"torch": torch, "torchvision": vision})
    assert package_knowledge.check_pair(told).verdict == verdict
