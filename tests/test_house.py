"""Rules of the house that no linter knows: sizes, names, forbidden words, light imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ecotui"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

MAX_LINES = 400
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
INPUT_SIZES = {224, 336, 384, 448}
"""Sizes that a model is made for; as a literal, one of them once broke every run."""
HEAVY = {"torch", "torchvision", "timm", "numpy", "PIL", "textual", "safetensors", "sklearn"}
APP = {
    *("app", "app_verbs", "draft_app", "run_app", "shell"),
    *("changed_cells", "changing", "key_help", "palette", "stylesheet", "themes"),
}
"""Front modules that draw, and so bring in textual; screens and widgets are folders."""
FRONT = sorted(
    path.stem
    for path in PACKAGE.glob("*.py")
    if not path.stem.startswith("_") and path.stem not in APP
)
DRAWING = [path for path in MODULES if {"screens", "widgets"} & set(path.parts) or path.stem in APP]


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def offences(tree: ast.AST, is_offence: Callable[[ast.AST], bool]) -> list[int]:
    """Return the lines on which something forbidden stands."""
    return [getattr(node, "lineno", 0) for node in ast.walk(tree) if is_offence(node)]


def called(node: ast.AST) -> str:
    """Return the dotted name that a call calls, empty where it is no call of a name."""
    return dotted(node.func) if isinstance(node, ast.Call) else ""


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{name.name}" for name in node.names)


def has_keyword(node: ast.AST, name: str, value: object) -> bool:
    return isinstance(node, ast.Call) and any(
        keyword.arg == name
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is value
        for keyword in node.keywords
    )


def is_input_size(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value in INPUT_SIZES


def runs_foreign_code(node: ast.AST) -> bool:
    if called(node) in {"eval", "exec", "os.system", "os.popen", "__import__"}:
        return True
    names = set(imported(node))
    roots = {name.partition(".")[0] for name in names}
    return bool(roots & {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}) or bool(
        names & {"os.system", "os.popen"}
    )


def uses_a_shell(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and any(
        keyword.arg == "shell"
        and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
        for keyword in node.keywords
    )


TAKES_MARKUP = {"Static", "Label", "notify", "update", "Button", "add_option", "from_markup"}
"""Calls of textual that read markup in a string, unless they are told otherwise."""


SAFE = {"Content", "Text"}
"""What takes text as it is."""


def lets_markup_in(node: ast.AST) -> bool:
    """Say whether a call may read markup in text that is not written in the code."""
    if not isinstance(node, ast.Call) or called(node).rpartition(".")[2] not in TAKES_MARKUP:
        return False
    if has_keyword(node, "markup", False):
        return False
    is_built = (ast.JoinedStr, ast.BinOp, ast.Call)
    parts = [*node.args[:1], *(key.value for key in node.keywords if key.arg == "content")]
    return any(isinstance(part, is_built) and root(part) not in SAFE for part in parts)


def root(node: ast.AST) -> str:
    """Return the first name of a chain of attributes and calls."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_open_to_markup(node: ast.AST) -> bool:
    """Say whether a widget of text is made that would read markup in what it is given later."""
    return called(node) == "Static" and not has_keyword(node, "markup", False)


def loads_carelessly(node: ast.AST) -> bool:
    return called(node) == "torch.load" and not has_keyword(node, "weights_only", True)


IMPORTER = """
import importlib, json, os, sys

for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
for name in json.loads(sys.argv[2]):
    child = os.fork()
    if child == 0:
        importlib.import_module(name)
        print(name, *sys.modules, flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"{name} cannot be imported")
"""
"""Forks a process for each module, which thus begins with what was imported before, no more."""
BroughtIn = Callable[[str], set[str]]


def imports_of(names: list[str], after: list[str]) -> dict[str, set[str]]:
    """Return the modules that are there once a module is imported, by its name."""
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTER, json.dumps(after), json.dumps(names)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = [line.split() for line in ran.stdout.splitlines()]
    return {name: set(modules) for name, *modules in found}


def dotted_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.fixture(scope="module")
def brought_in() -> BroughtIn:
    """Say what a module of the front brings in; what is light and common is imported once."""
    found = imports_of([f"ecotui.{name}" for name in FRONT], after=["pydantic"])
    found |= imports_of([dotted_name(path) for path in DRAWING], after=["pydantic", "textual.app"])
    return lambda name: found[name]


@pytest.mark.parametrize("path", MODULES, ids=ids)
class TestEveryModule:
    def test_is_short(self, path: Path) -> None:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES

    def test_says_what_it_is(self, path: Path) -> None:
        assert ast.get_docstring(TREES[path])

    def test_has_a_name_that_says_something(self, path: Path) -> None:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        assert not BANNED_NAMES & set(parts)

    def test_holds_no_input_size(self, path: Path) -> None:
        assert offences(TREES[path], is_input_size) == []

    def test_runs_no_foreign_code(self, path: Path) -> None:
        assert offences(TREES[path], runs_foreign_code) == []

    def test_uses_no_shell(self, path: Path) -> None:
        assert offences(TREES[path], uses_a_shell) == []

    def test_loads_weights_and_nothing_else(self, path: Path) -> None:
        assert offences(TREES[path], loads_carelessly) == []

    def test_states_facts_rather_than_printing(self, path: Path) -> None:
        if (PACKAGE / "engine") in path.parents and path.name != "__main__.py":
            # The door itself may find the log taken, and then has nowhere else to say so.
            assert offences(TREES[path], lambda node: called(node) == "print") == []


@pytest.mark.parametrize("path", DRAWING, ids=ids)
class TestEveryModuleThatDraws:
    def test_reads_no_markup_in_text_from_outside(self, path: Path) -> None:
        assert offences(TREES[path], lets_markup_in) == []

    def test_makes_no_text_that_reads_markup(self, path: Path) -> None:
        assert offences(TREES[path], is_open_to_markup) == []

    def test_brings_in_no_engine(self, path: Path, brought_in: BroughtIn) -> None:
        brought = brought_in(dotted_name(path))
        found = {module.split(".")[0] for module in brought}
        assert not (HEAVY - {"textual"}) & found
        assert "ecotui.engine" not in brought


@pytest.mark.parametrize(
    ("source", "is_offence"),
    [
        ('Static(f"[b]{name}")', lets_markup_in),
        ('self.notify(f"no {name}", timeout=3)', lets_markup_in),
        ('row.update("no " + name)', lets_markup_in),
        ("Label(str(error), markup=True)", lets_markup_in),
        ('Text.from_markup(f"{name}")', lets_markup_in),
        ('Static("")', is_open_to_markup),
        ("size = 224", is_input_size),
        ("def f(size=(1, 448)): ...", is_input_size),
        ("import pickle", runs_foreign_code),
        ("from pickle import loads", runs_foreign_code),
        ("eval(x)", runs_foreign_code),
        ("os.system(x)", runs_foreign_code),
        ("from os import system", runs_foreign_code),
        ("subprocess.run(x, shell=True)", uses_a_shell),
        ("subprocess.run(x, shell=flag)", uses_a_shell),
        ("torch.load(x)", loads_carelessly),
        ("torch.load(x, weights_only=False)", loads_carelessly),
    ],
)
def test_the_rules_see_what_they_forbid(source: str, is_offence: Callable[[ast.AST], bool]) -> None:
    assert offences(ast.parse(source), is_offence) == [1]


@pytest.mark.parametrize(
    ("source", "is_offence"),
    [
        ('Static(f"{name}", markup=False)', lets_markup_in),
        ("row.update(Content(name))", lets_markup_in),
        ("row.update(Text(name))", lets_markup_in),
        ("name = 'eva02_base_patch14_224'", is_input_size),
        ("model.eval()", runs_foreign_code),
        ("subprocess.run(x, shell=False)", uses_a_shell),
        ("torch.load(x, weights_only=True)", loads_carelessly),
    ],
)
def test_the_rules_leave_the_rest_alone(source: str, is_offence: Callable[[ast.AST], bool]) -> None:
    assert offences(ast.parse(source), is_offence) == []


@pytest.mark.parametrize("name", FRONT)
def test_a_front_module_brings_in_nothing_heavy(name: str, brought_in: BroughtIn) -> None:
    assert not HEAVY & brought_in(f"ecotui.{name}")


def test_what_a_module_brings_in_is_seen() -> None:
    brought = imports_of(["tests.drawing", "ecotui.text"], after=["pydantic"])
    assert {"pydantic", "textual", "tests.drawing"} <= brought["tests.drawing"]
    assert "ecotui.text" in brought["ecotui.text"]
    assert "textual" not in brought["ecotui.text"]


def test_the_command_line_brings_in_next_to_nothing() -> None:
    source = "import sys, ecotui.cli\nprint(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"pydantic", "rich", "ecotui.config"} & set(ran.stdout.split())


def test_the_home_waits_for_no_command_line() -> None:
    source = (
        "import sys\nfrom ecotui.entry import main\n"
        "try:\n    main([])\n"
        "except SystemExit as end:\n    print(int(end.code), 'ecotui.app' in sys.modules,"
        " 'click' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == ["2", "True", "False"]
    assert "--headless" in ran.stderr  # It says what to do without a terminal.
