"""Samples that a run has set aside: listed, and brought back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecotui.cli import main
from ecotui.errors import ExitCode
from ecotui.paths import RunDir
from ecotui.quarantine_verbs import read_quarantine
from ecotui.text import visible

Capture = pytest.CaptureFixture[str]


def run_cli(*argv: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return int(str(caught.value.code))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = RunDir(tmp_path / "some-run")
    made.path.mkdir()
    made.config.write_text("")
    made.events.write_text("")
    lines = [
        json.dumps({"path": "cat/1.png", "reason": "not a photo", "split": "train", "step": 3}),
        json.dumps({"path": "dog/2.png", "reason": "NaN", "kept_out": True}),
        "not JSON",
        json.dumps(["a list"]),
        json.dumps({"path": "owl/\u001b[2J.png", "reason": "\u001b]52;c;x\u0007"}),
    ]
    made.quarantine.write_text("\n".join(lines) + "\n")
    return made


def test_it_lists_what_is_set_aside_and_why(run: RunDir, capsys: Capture) -> None:
    assert run_cli("quarantine", str(run.path)) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "cat/1.png  set aside: not a photo" in said
    assert "dog/2.png  kept out: NaN" in said
    assert "3 samples of some-run set aside" in said
    assert "\x1b" not in said


def test_a_file_is_brought_back_once_and_named_when_it_is_not_there(
    run: RunDir, capsys: Capture
) -> None:
    assert run_cli("quarantine", str(run.path), "--return", "dog/2.png") == ExitCode.DONE
    assert "when it is resumed" in capsys.readouterr().out
    assert set(read_quarantine(run.quarantine)) == {"cat/1.png", visible("owl/\u001b[2J.png")}
    assert run_cli("quarantine", str(run.path), "--return", "dog/2.png") == ExitCode.USAGE
    assert "is not set aside" in capsys.readouterr().err
    assert run_cli("quarantine", str(run.path), "--return", "cat/2.png") == ExitCode.USAGE
    assert "did you mean cat/1.png" in capsys.readouterr().err


def test_a_run_without_any_has_none(run: RunDir, capsys: Capture) -> None:
    run.quarantine.unlink()
    assert run_cli("quarantine", str(run.path)) == ExitCode.DONE
    assert "0 samples" in capsys.readouterr().out
