"""The pages that are written from the code are as new as the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from ecotui.alert_register import ALERT_REGISTER, page_of
from ecotui.check_register import CHECKS, QUICK_CHECKS
from ecotui.config import RunConfig
from ecotui.engine.guards.known import GUARDS
from ecotui.engine.messages import DELIVERY_FAILED
from ecotui.errors import ExitCode
from ecotui.failure_text import DOCTOR, pointers
from ecotui.paths import shipped_configs
from ecotui.preflight_register import CHECKS as PREFLIGHT_CHECKS
from ecotui.preflight_register import PARTS
from ecotui.resume_settings import flattened

ROOT = Path(__file__).resolve().parent.parent


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["configuration.md", "events.md", "alerts.md", "keys.md"])
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
    audit = (engine / "audit" / "audit_job.py").read_text(encoding="utf-8")
    checks = {*PREFLIGHT_CHECKS, *re.findall(r'_result\(\s*"(\w+)"', audit)}
    guards = {
        name
        for path in (engine / "guards").glob("*.py")
        for name in re.findall(r'^[A-Z_]+ = "(\w+)"$', path.read_text(encoding="utf-8"), re.M)
    }
    assert len(guards) >= 8
    assert checks | guards <= named


def named_tests(page: str) -> list[tuple[str, str]]:
    """Return the files of tests that a page names, each with the test; empty for all of them."""
    return re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)


def test_every_layer_names_the_tests_that_prove_it_and_they_exist() -> None:
    page = (ROOT / "docs" / "protection.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    assert len(sections) == 10
    for section in sections:
        tests = named_tests(section.partition("**Proved by**")[2])
        assert any(test for _, test in tests), section[:40]
        for file, test in tests:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert not test or re.search(rf"def {test}\(", source), f"{file} has no {test}"


def setting_keys() -> set[str]:
    return set(flattened(RunConfig()))


@pytest.mark.parametrize("name", ["protection.md", "troubleshooting.md", "watching.md"])
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    sections = "|".join(sorted({key.partition(".")[0] for key in setting_keys()}))
    named = set(re.findall(rf"`((?:{sections})\.\w+)", page))
    assert len(named) >= 3
    assert named - setting_keys() - {"notify.bell"} == set()
    for keys in re.findall(r"\*\*Keys\.\*\*((?:\s*`[\w.]+`)+)", page):
        assert set(re.findall(r"`([\w.]+)`", keys)) <= setting_keys()


def test_every_limit_of_the_watch_is_explained() -> None:
    page = (ROOT / "docs" / "protection.md").read_text(encoding="utf-8")
    assert {key for key in setting_keys() if key.startswith("watch.")} <= set(
        re.findall(r"`([\w.]+)`", page)
    )


def stated_codes() -> set[str]:
    """Return every code of an alert that the engine's source can state."""
    found: set[str] = set()
    for path in (ROOT / "ecotui" / "engine").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'\bcode="(\w+)"', source))
    return found | {DELIVERY_FAILED}


def test_every_name_that_the_engine_can_state_has_its_section() -> None:
    codes = stated_codes()
    assert {"watch_failed", "unsafe_setting", "damaged_checkpoint"} <= codes
    assert len(GUARDS) >= 17
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^### (\w+)$", page, re.M))
    assert set(GUARDS) | codes | {"saving_failed", "loader_rebuilt"} <= sections
    assert sections == set(ALERT_REGISTER)


@pytest.mark.parametrize("name", ALERT_REGISTER)
def test_what_the_register_says_is_whole(name: str) -> None:
    entry = ALERT_REGISTER[name]
    assert entry.title
    assert entry.what
    assert entry.why
    assert entry.acts
    assert entry.remedies
    assert set(entry.limits) <= setting_keys()
    assert page_of(name) == f"docs/alerts.md#{name}"


def test_what_is_not_registered_has_no_page() -> None:
    assert page_of("no_such_thing") == ""


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_place_that_a_failure_points_to_exists() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    for code in ExitCode:
        assert f"exit-code-{code.value}" in anchors(page)
        for line in pointers(code):
            target = re.fullmatch(r"more: (docs/[\w.]+)#([\w-]+)", line)
            assert line == DOCTOR or target
            if target:
                there = (ROOT / target[1]).read_text(encoding="utf-8")
                assert target[2] in anchors(there)


def test_the_guide_opens_with_the_founding_notebooks_list() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    table = page.partition("## What to watch")[2].partition("\nOthers:")[0]
    rows = {row.split("|")[1].strip(): row for row in table.splitlines() if row.count("|") == 5}
    for sign, words in (
        ("a loss that is often not finite", "lower `train.learning_rate`"),
        ("over 20% of the samples could not be used", "quality of the data"),
        ("Python crashes, or the engine is gone without a last word", "smaller micro-batch"),
        ("validation loss rises while training loss falls", "early stopping"),
    ):
        assert words in rows[sign]


def test_every_check_of_the_environment_has_its_section() -> None:
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n\n(.+?)(?=\n##|\Z)", page, re.M | re.S))
    assert sections.keys() == set(CHECKS)
    quick = {name for name, text in sections.items() if text.startswith("(quick)")}
    assert quick == set(QUICK_CHECKS)


def test_every_check_of_preflight_has_its_section() -> None:
    page = (ROOT / "docs" / "preflight.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\w+)\n\n(.+?)(?=\n##|\Z)", page, re.M | re.S))
    assert sections.keys() == {*PREFLIGHT_CHECKS, *PARTS}
    for name, subject in PREFLIGHT_CHECKS.items():
        assert sections[name].startswith(f"(layer {subject.layer})"), name


@pytest.mark.parametrize("name", ["doctor.schema.json", "status.schema.json"])
def test_a_schema_is_up_to_date(name: str) -> None:
    made: str = generator().SCHEMAS[name]()
    written = (ROOT / "schemas" / name).read_text(encoding="utf-8")
    assert written == made, f"schemas/{name} is out of date: run docs/generate.py"


def test_every_target_of_the_makefile_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    declared = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert declared
    explained = set(re.findall(r"^([a-z]+):[^#\n]*## ", makefile, flags=re.MULTILINE))
    assert set(declared.group(1).split()) == explained
