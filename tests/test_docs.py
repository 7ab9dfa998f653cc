"""The pages that are written from the code are as new as the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from ecotui.check_register import CHECKS, QUICK_CHECKS
from ecotui.errors import ExitCode
from ecotui.paths import shipped_configs

ROOT = Path(__file__).resolve().parent.parent


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["configuration.md", "events.md", "keys.md"])
def test_a_written_page_is_up_to_date(name: str) -> None:
    page: str = generator().PAGES[name]()
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == page, f"docs/{name} is out of date: run python docs/generate.py"


def test_the_readme_names_every_exit_code_and_shipped_config() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {int(code) for code in re.findall(r"^\| (\d+) \|", readme, flags=re.MULTILINE)}
    assert rows == {code.value for code in ExitCode}
    assert [name for name in shipped_configs() if f"`{name}`" not in readme] == []


def test_every_relative_link_of_the_pages_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_check_and_guard_has_its_place_among_the_layers() -> None:
    page = (ROOT / "docs" / "protection.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", page))
    engine = ROOT / "ecotui" / "engine"
    preflight = (engine / "preflight.py").read_text(encoding="utf-8")
    checks = {*re.findall(r'_result\(\s*"(\w+)"', preflight)}
    guards = {
        name
        for path in (engine / "guards").glob("*.py")
        for name in re.findall(r'^[A-Z_]+ = "(\w+)"$', path.read_text(encoding="utf-8"), re.M)
    }
    assert len(checks) == 5
    assert len(guards) >= 8
    assert checks | guards <= named
    for test in re.findall(r"`(tests/[\w/]+\.py)`", page):
        assert (ROOT / test).is_file()


def test_every_check_of_the_environment_has_its_section() -> None:
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n\n(.+?)(?=\n##|\Z)", page, re.M | re.S))
    assert sections.keys() == set(CHECKS)
    quick = {name for name, text in sections.items() if text.startswith("(quick)")}
    assert quick == set(QUICK_CHECKS)


def test_the_schema_of_the_doctor_is_up_to_date() -> None:
    made: str = generator().SCHEMAS["doctor.schema.json"]()
    written = (ROOT / "schemas" / "doctor.schema.json").read_text(encoding="utf-8")
    assert written == made, "schemas/doctor.schema.json is out of date: run docs/generate.py"


def test_every_target_of_the_makefile_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert declared
    explained = set(re.findall(r"^([a-z]+):[^#\n]*## ", makefile, flags=re.MULTILINE))
    assert set(declared.group(1).split()) == explained
