"""Findings in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecotui.check_report import as_markdown, path_fault, write_report
from ecotui.errors import EcoError
from ecotui.events import CheckReported, Verdict


def check(verdict: Verdict, what: str, **more: object) -> CheckReported:
    told = {"check": "numpy", "layer": 1, "expected": "", "remedy": "", **more}
    return CheckReported.model_validate({"verdict": verdict, "what": what, **told})


CHECKS = [
    check("pass", "Python 3.11"),
    check("fail", "NumPy 2 [x](y)\n# no", expected="below 2", fix=("pip", "install", "numpy<2")),
]


def test_markdown_has_the_worst_first_and_makes_no_markup_of_foreign_text() -> None:
    text = as_markdown(CHECKS, "Found")
    assert text.index("NumPy") < text.index("Python")
    assert "2 checks: 1 fail, 0 warn, 0 note, 1 pass." in text
    assert r"\[x\](y)" in text
    assert "\n# no" not in text
    assert "pip install 'numpy\\<2'" in text


def test_json_holds_every_field(tmp_path: Path) -> None:
    path = write_report(CHECKS, str(tmp_path / "found.json"), "Found")
    first = json.loads(path.read_text())["checks"][0]
    assert first["verdict"] == "fail"
    assert first["fix"] == ["pip", "install", "numpy<2"]


@pytest.mark.parametrize("written", ["", "a\0.md", "notes.txt", "absent/a.md", "there.md"])
def test_a_path_that_will_not_do_is_told(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.md").write_text("mine")
    assert path_fault(written)
    assert not path_fault("new.md")


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(EcoError, match="cannot be written"):
        write_report(CHECKS, str(tmp_path / "absent" / "a.md"), "Found")
