from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ecotui import audit_verbs
from ecotui.audit_verbs import Asked, exclusion_lines
from ecotui.config import RunConfig
from ecotui.config_file import parse_file
from ecotui.errors import EcoError, ExitCode, UsageError
from ecotui.events import event_adapter
from ecotui.foresight_text import audit_lines
from ecotui.jobs import AuditJob
from ecotui.paths import RunDir
from ecotui.plans import AuditExample, AuditFinished, AuditReported
from ecotui.state import RunState, fold


def run_cli(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ecotui", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes; a copy in both, and an empty file with a line feed in its name."""
    root = tmp_path / "photos"
    for name, colour in (("red", 200), ("blue", 20)):
        (root / name).mkdir(parents=True)
        for number in range(6):
            gradient = Image.linear_gradient("L").resize((60 + 3 * number, 48))
            tinted = gradient.point(lambda grey, tint=colour: (grey * tint) // 255)
            Image.merge("RGB", (tinted, gradient, gradient)).save(root / name / f"{number}.png")
    content = (root / "red" / "0.png").read_bytes()
    (root / "blue" / "same.png").write_bytes(content)
    (root / "blue" / "a\nb.png").write_bytes(b"")
    return root


def test_findings_are_told_and_the_events_are_json_lines(photos: Path, tmp_path: Path) -> None:
    shown = run_cli("audit", str(photos), cwd=tmp_path)
    assert shown.returncode == ExitCode.DONE, shown.stderr
    assert "copies, to the byte, in different classes" in shown.stdout
    assert "blue/a\\nb.png" in shown.stdout
    assert "nothing in the data was changed" in shown.stdout.splitlines()[-1]
    lines = run_cli("audit", str(photos), "--json", cwd=tmp_path).stdout.splitlines()
    events = [event_adapter().validate_json(line) for line in lines]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    (finished,) = (event for event in events if isinstance(event, AuditFinished))
    assert finished.num_read == 0
    assert not list(tmp_path.glob("runs*"))


def test_the_list_of_what_to_leave_out_is_all_that_is_printed(photos: Path, tmp_path: Path) -> None:
    shown = run_cli(
        "audit", str(photos), "--exclude", "corrupt,exact_duplicates_across_classes", cwd=tmp_path
    )
    assert shown.returncode == ExitCode.DONE, shown.stderr
    assert shown.stdout.splitlines() == ["blue/a\\nb.png", "blue/same.png", "red/0.png"]
    (tmp_path / "exclude.txt").write_text(shown.stdout)
    config = tmp_path / "mine.toml"
    config.write_text(f'[data]\nroot = "{photos}"\nexclude = "exclude.txt"\n')
    again = run_cli(
        "audit", str(config), "--exclude", "corrupt,exact_duplicates_across_classes", cwd=tmp_path
    )
    assert again.returncode == ExitCode.DONE, again.stderr
    assert again.stdout == ""


def test_findings_and_pictures_are_kept_on_request(photos: Path, tmp_path: Path) -> None:
    shown = run_cli("audit", str(photos), "--output", "kept", cwd=tmp_path)
    assert shown.returncode == ExitCode.DONE, shown.stderr
    record = json.loads((tmp_path / "kept" / "audit.json").read_bytes())
    assert record["num_files"] == 14
    assert list((tmp_path / "kept" / "previews").glob("*.png"))
    again = run_cli("audit", str(photos), "--output", "kept", cwd=tmp_path)
    assert again.returncode == ExitCode.USAGE
    assert "exists already" in again.stderr


def test_over_a_fifth_unreadable_is_exit_code_3(photos: Path, tmp_path: Path) -> None:
    for number in range(3):
        (photos / "red" / f"{number}.png").write_bytes(b"")
    shown = run_cli("audit", str(photos), cwd=tmp_path)
    assert shown.returncode == ExitCode.PREFLIGHT
    assert "4 of 14 files cannot be read" in shown.stdout + shown.stderr


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--exclude", "corupt"], "did you mean corrupt?"),
        (["--exclude", ""], "no such kind of finding"),
        (["--exclude", "class_balance"], "no such kind of finding"),
        (["--run", "none"], "there is no run"),
        (["--set", "data.max_pixels=0"], "max_pixels"),
    ],
)
def test_wrong_wishes_are_refused(photos: Path, tmp_path: Path, argv: list[str], told: str) -> None:
    shown = run_cli("audit", str(photos), *argv, cwd=tmp_path)
    assert shown.returncode == ExitCode.USAGE
    assert told in shown.stderr


def test_findings_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EcoError):
        exclusion_lines(tmp_path / "audit.json", frozenset({"empty"}))


def test_the_worst_is_told_first_and_what_is_fine_in_one_line() -> None:
    example = AuditExample(path="a.png", detail="train and val", other="b.png")
    events = [
        AuditReported(category="dark", verdict="note", num_files=1, what="1 photo: dark photos"),
        AuditReported(category="light", verdict="pass", num_files=0, what="no light photos"),
        AuditReported(
            category="empty", verdict="warn", num_files=5, what="5 empty", examples=(example,)
        ),
    ]
    state = RunState()
    for number, event in enumerate(events, start=1):
        state = fold(state, event.model_copy(update={"seq": number}))
    lines = audit_lines(state)
    assert lines[0] == "warn: 5 empty"
    assert lines[1] == "  a.png = b.png (train and val)"
    assert "note: 1 photo: dark photos" in lines
    assert lines[-1] == "pass: 1 other kind of fault looked for and not found"


@pytest.fixture
def asked_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[AuditJob, RunConfig]]:
    """What an engine would be asked for."""
    asked: list[tuple[AuditJob, RunConfig]] = []

    def show(made: RunDir, *, as_json: bool) -> ExitCode:
        asked.append((AuditJob.model_validate_json(made.job.read_bytes()), parse_file(made.config)))
        return ExitCode.DONE

    monkeypatch.setattr(audit_verbs, "_show", show)
    return asked


def test_of_a_run_the_data_are_audited_and_its_best_model_judges(
    photos: Path, tmp_path: Path, asked_of_the_engine: list[tuple[AuditJob, RunConfig]]
) -> None:
    run = RunDir(tmp_path / "runs" / "mine-20261126-055546-3f4e")
    run.path.mkdir(parents=True)
    run.job.write_text('{"kind":"train"}')
    for path in (run.config, run.resolved):
        path.write_text(f'[data]\nroot = "{photos}"\n[model]\nname = "test_resnet"\n')
    runs_dir = str(tmp_path / "runs")
    for reference in ("mine-2026", "latest", str(run.path)):
        audit_verbs.audit(reference, (), runs_dir, Asked(), as_json=False)
        job, config = asked_of_the_engine.pop()
        assert job.labels
        assert job.run_path == str(run.path)
        assert config.data.root == str(photos)
        assert config.model.name == "test_resnet"
    weights = tmp_path / "own.safetensors"
    audit_verbs.audit("latest", (), runs_dir, Asked(weights=str(weights)), as_json=False)
    job, config = asked_of_the_engine.pop()
    assert (job.labels, job.run_path) == (True, None)
    assert config.model.weights == str(weights)
    with pytest.raises(UsageError, match="no folder, config or run"):
        audit_verbs.audit("absent", (), runs_dir, Asked(), as_json=False)


def test_weights_judge_the_labels_of_a_folder(
    photos: Path, tmp_path: Path, asked_of_the_engine: list[tuple[AuditJob, RunConfig]]
) -> None:
    weights = tmp_path / "own.safetensors"
    audit_verbs.audit(str(photos), (), None, Asked(weights=str(weights)), as_json=False)
    ((job, config),) = asked_of_the_engine
    assert job.labels
    assert config.model.weights == str(weights)


def test_a_missing_class_is_told_with_its_remedy_and_exit_code_3(
    photos: Path, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        shutil.copytree(photos, tmp_path / "split" / split)
    shutil.rmtree(tmp_path / "split" / "val" / "red")
    shown = run_cli("audit", str(tmp_path / "split"), cwd=tmp_path)
    assert shown.returncode == ExitCode.PREFLIGHT, shown.stderr
    assert "1 class is missing in a split: 'red' (val)" in shown.stdout
    assert "move some of their photos to that split" in shown.stdout
    assert "copies, to the byte, in different classes" in shown.stdout
