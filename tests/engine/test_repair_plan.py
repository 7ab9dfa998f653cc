"""Which commands are planned, and where nothing may be changed at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecotui.engine import refusals
from ecotui.engine.packages import Installed, Surroundings, changes, normalised, survey
from ecotui.engine.refusals import refusal_of
from ecotui.engine.repair_plan import make_plan
from ecotui.engine.versions import Inventory, Record, fitting, fitting_torchvision
from ecotui.errors import EnvironmentFaultError
from ecotui.events import CheckReported
from tests.engine.small_environments import SmallEnvironment

PYTHON = "/env/bin/python"


def installed(name: str, version: str, **changed: Any) -> Installed:
    fields = {"folder": Path("/env/site"), "is_local": False, "installer": "pip", **changed}
    return Installed(name=name, version=version, **fields)


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return Surroundings(
        python=PYTHON,
        version=(3, 11, 7),
        prefix=Path("/env"),
        is_venv=True,
        site=(tmp_path,),
        scripts=tmp_path / "bin",
        is_managed=False,
        is_conda=False,
        is_conda_base=False,
        has_pip=True,
        packages={
            "numpy": installed("numpy", "2.0.2"),
            "torch": installed("torch", "2.2.0", is_local=True),
            "pydantic-core": installed("pydantic_core", "2.1\x1b"),
        },
    )


def failing(check: str, *words: str, head: tuple[str, ...] | None = None) -> CheckReported:
    start = (PYTHON, "-m", "pip", "install") if head is None else head
    fix = (*start, *words) if words else ()
    return CheckReported(
        check=check, verdict="fail", what=f"{check} is wrong", expected="e", remedy="r", fix=fix
    )


def argvs(around: Surroundings, *failures: CheckReported) -> list[tuple[str, ...]]:
    plan = make_plan(failures, around)
    return [step.argv[4:] for step in plan.steps]


def test_checks_that_one_command_mends_share_it(around: Surroundings) -> None:
    plan = make_plan(
        [failing("a", "numpy<2"), failing("b"), failing("c", "NumPy<2"), failing("d", "timm")],
        around,
    )
    assert [(step.argv[4:], step.checks, step.why) for step in plan.steps] == [
        (("numpy<2",), ("a", "c"), "a is wrong"),
        (("timm",), ("d",), "d is wrong"),
    ]
    assert plan.told(around).packages_before == ("numpy==2.0.2",)
    assert plan.refusal == ""


def test_what_an_earlier_command_touches_is_left_to_it(around: Surroundings) -> None:
    wanted = failing("b", "--force-reinstall", "torchvision==0.17.0", "numpy")
    assert argvs(around, failing("a", "numpy<2"), wanted) == [("numpy<2",)]


def test_names_are_compared_as_pip_does(around: Surroundings) -> None:
    plan = make_plan([failing("a", "Pydantic.Core>=2")], around)
    assert plan.told(around).packages_before == (r"pydantic_core==2.1\e",)


@pytest.mark.parametrize(
    "words",
    [
        ("--index-url", "https://x.example"),
        ("--index-url=https://x.example", "numpy"),
        ("-r", "requirements.txt"),
        ("./numpy",),
        ("/numpy-1.whl",),
        ("https://x.example/numpy.whl",),
        ("numpy @ https://x.example",),
        ("numpy;evil",),
        ("numpy<2\nother",),
        ("--target=/x", "numpy"),
        ("-e", "."),
        ("",),
    ],
)
def test_a_command_that_is_more_than_packages_by_name_is_never_run(
    around: Surroundings, words: tuple[str, ...]
) -> None:
    assert argvs(around, failing("a", *words)) == []


@pytest.mark.parametrize(
    "head", [("/bin/sh", "-c"), (PYTHON, "-c"), ("/other/python", "-m", "pip", "install")]
)
def test_a_command_of_another_kind_is_never_run(
    around: Surroundings, head: tuple[str, ...]
) -> None:
    plan = make_plan([failing("a", "numpy<2", head=head)], around)
    assert plan.steps == ()
    assert "no command mends what failed here" in plan.refusal
    assert "make an environment of your own: /env/bin/python -m venv .venv" in plan.refusal


@pytest.mark.parametrize(
    "word",
    ["numpy", "numpy<2", "numpy>=1.26,<2", "torchvision==0.17.*", "vision==2.2.0+cpu", "x[y]>=1"],
)
def test_packages_by_name_and_version_may_be_asked_for(around: Surroundings, word: str) -> None:
    assert argvs(around, failing("a", "--no-deps", word)) == [("--no-deps", word)]


def test_a_package_of_the_persons_own_is_never_in_a_plan(around: Surroundings) -> None:
    plan = make_plan([failing("a", "torch>=2.3", "numpy")], around)
    assert plan.steps == ()
    assert plan.refusal.startswith("torch comes from a folder of your own and is left alone")
    assert argvs(around, failing("a", "torch>=2.3"), failing("b", "numpy<2")) == [("numpy<2",)]


def test_uv_does_it_where_there_is_no_pip(around: Surroundings) -> None:
    bare = replace(around, has_pip=False)
    plan = make_plan([failing("a", "--force-reinstall", "numpy<2")], bare, uv="/bin/uv")
    head = ("/bin/uv", "pip", "install", "--python", PYTHON)
    assert plan.steps[0].argv == (*head, "--force-reinstall", "numpy<2")
    assert plan.refusal == ""
    assert make_plan([failing("a", "numpy<2")], around, uv="/bin/uv").steps[0].argv[0] == PYTHON


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"is_managed": True, "is_venv": False}, "(PEP 668). Make an environment of your own: "),
        ({"is_conda": True, "is_conda_base": True}, "conda create -n ecotui python=3.11 pip"),
        ({"is_venv": False, "prefix": Path("/usr")}, "the system's own Python, and you are root"),
        ({"site": (Path("/proc/self"),)}, "/proc/self cannot be written to. Make an environment"),
        ({"has_pip": False}, "First: /env/bin/python -m ensurepip"),
        (
            {
                "is_conda": True,
                "packages": {"numpy": installed("numpy", "2.0.2", installer="conda")},
            },
            "conda install -p /env",
        ),
    ],
)
def test_some_environments_are_not_ours_to_change(
    around: Surroundings, changed: dict[str, Any], said: str
) -> None:
    assert refusal_of(around, ["numpy"], uv=None, is_root=True) == ""
    told = refusal_of(replace(around, **changed), ["numpy"], uv=None, is_root=True)
    assert said in told


@pytest.mark.parametrize(
    "changed",
    [
        {"is_conda": True},
        {"is_venv": False, "prefix": Path("/usr/local")},
        {"prefix": Path("/usr")},
    ],
)
def test_environments_of_ones_own_may_be_changed(
    around: Surroundings, changed: dict[str, Any]
) -> None:
    assert refusal_of(replace(around, **changed), ["numpy"], uv=None, is_root=True) == ""


def test_an_old_python_is_no_start_for_a_new_environment(around: Surroundings) -> None:
    told = refusals.advice(replace(around, version=(3, 9, 1)))
    assert told.startswith("Make an environment of your own: python3.11 -m venv .venv")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallEnvironment:
    return SmallEnvironment(tmp_path_factory.mktemp("made") / "env", Path("/nowhere"))


def put(made: SmallEnvironment, name: str, **files: str) -> None:
    folder = made.site / f"{name}.dist-info"
    folder.mkdir()
    for file, text in files.items():
        (folder / file.replace("direct_url", "direct_url.json")).write_text(text)


def test_an_interpreter_tells_its_packages_and_who_made_them(
    made: SmallEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meta(name: str, version: str) -> str:
        return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    put(made, "Own_Name-1.0", METADATA=meta("Own_Name", "1.0"), INSTALLER="pip\n")
    edited = json.dumps({"url": "file:///x", "dir_info": {"editable": True}})
    put(made, "edited-1", METADATA=meta("edited", "1"), direct_url=edited)
    wheel = json.dumps({"url": "file:///x.whl", "archive_info": {}})
    put(made, "wheeled-1", METADATA=meta("wheeled", "1"), direct_url=wheel)
    fetched = json.dumps({"url": "https://x.example/x.whl", "archive_info": {}})
    put(made, "fetched-1", METADATA=meta("fetched", "1"), direct_url=fetched)
    put(made, "damaged-1")
    put(made, "torn-1", METADATA=meta("torn", "1"), direct_url="{")
    # What stands where the person is must not be imported instead of Python's own.
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    found = survey(made.python)
    assert found.is_venv
    assert (found.has_pip, found.is_managed, found.is_conda) == (True, False, False)
    assert found.site == (made.site,)
    assert found.scripts == made.path / "bin"
    own = found.packages["own-name"]
    assert (own.name, own.version, own.installer) == ("Own_Name", "1.0", "pip")
    assert {name for name, each in found.packages.items() if each.is_local} == {
        "edited",
        "wheeled",
    }
    assert "fetched" in found.packages
    assert "damaged" not in found.packages
    made.take_pip()
    assert not survey(made.python).has_pip
    (made.path / "conda-meta").mkdir()
    assert (survey(made.python).is_conda, survey(made.python).is_conda_base) == (True, False)
    (made.path / "conda-meta" / "conda-24.1.2-py311.json").touch()
    assert survey(made.python).is_conda_base


def test_an_interpreter_that_says_nothing_is_told_in_words(tmp_path: Path) -> None:
    mute = tmp_path / "python"
    mute.write_text("#!/bin/sh\necho hello\n")
    mute.chmod(0o755)
    for path in (str(mute), str(tmp_path / "none")):
        with pytest.raises(EnvironmentFaultError, match="does not tell its packages"):
            survey(path)


def test_changes_name_what_came_and_what_went(around: Surroundings) -> None:
    packages = dict(around.packages)
    del packages["torch"]
    packages["numpy"] = installed("numpy", "1.26.4")
    packages["new"] = installed("new", "1")
    assert changes(around, replace(around, packages=packages)) == (
        "new absent -> 1",
        "numpy 2.0.2 -> 1.26.4",
        "torch 2.2.0 -> absent",
    )
    assert changes(around, around) == ()


def test_names_are_normalised_as_pep_503_says() -> None:
    assert normalised("Pydantic._Core") == "pydantic-core"


def test_root_is_asked_of_the_system(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    system = replace(around, is_venv=False, prefix=Path("/usr"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "you are root" in refusal_of(system, [], uv=None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal_of(system, [], uv=None) == ""


@pytest.mark.parametrize(
    ("torch", "wanted"),
    [
        ("2.2.0", "torchvision==0.17.0"),
        ("2.2.1+cpu", "torchvision==0.17.1+cpu"),
        ("2.4.1+cu121", "torchvision==0.19.1+cu121"),
        ("2.13.0", "torchvision==0.28.0"),
        ("2.3.0a0+git1234", "torchvision==0.18.0"),
        ("2.0.1", "torchvision==0.15.*"),
        ("1.13.1", "torchvision"),
        ("", "torchvision"),
    ],
)
def test_a_torchvision_fits_the_release_and_the_build_of_torch(torch: str, wanted: str) -> None:
    assert fitting_torchvision(torch) == wanted


@pytest.mark.parametrize(
    ("package", "there", "wanted"),
    [
        ("torch", {"torchvision": "0.28.1"}, "torch==2.13.1"),
        ("torch>=2.2", {"torchvision": "0.17.0"}, "torch==2.2.0"),
        ("torch>=2.2", {}, "torch>=2.2"),
        ("torchvision>=0.17", {"torch": "2.2.0"}, "torchvision==0.17.0"),
        ("torchvision>=0.17", {}, "torchvision>=0.17"),
        ("numpy>=1.26", {"torch": "2.2.0", "torchvision": "0.17.0"}, "numpy>=1.26"),
    ],
)
def test_what_is_absent_comes_back_so_that_it_fits_what_is_there(
    package: str, there: dict[str, str], wanted: str
) -> None:
    packages: dict[str, tuple[Record, ...]] = {
        name: (Record(version),) for name, version in there.items()
    }
    assert fitting(package, Inventory("3.11.7", PYTHON, packages=packages)) == wanted
