"""The list of mutants fits the code that it changes; running them is `make mutants`."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from ecotui.alert_register import GUARDS
from tests.mutants.every import MUTANTS
from tests.mutants.guards import GUARD_MUTANTS
from tests.mutants.mutant import ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_text_stands_once_in_its_file_and_the_change_is_python(mutant: Mutant) -> None:
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    changed = mutant.mutated(source)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_each_names_tests_that_are_there() -> None:
    for test in {test for mutant in MUTANTS for test in mutant.tests}:
        path, _, name = test.partition("::")
        assert (ROOT / path).is_file(), test
        assert f" {name}" in (ROOT / path).read_text(encoding="utf-8")


def test_no_two_have_one_name() -> None:
    assert [
        name for name, count in Counter(each.name for each in MUTANTS).items() if count > 1
    ] == []


def test_every_guard_has_some() -> None:
    known = {mutant.name.partition(":")[0] for mutant in GUARD_MUTANTS}
    assert set(GUARDS) <= known


def test_a_text_that_is_not_clear_is_refused(tmp_path: Path) -> None:
    mutant = Mutant("n", "p", "a < b", "a <= b", ())
    assert mutant.mutated("if a < b:") == "if a <= b:"
    for source in ("if a > b:", "a < b and a < b"):
        with pytest.raises(ValueError, match="occurs"):
            mutant.mutated(source)
