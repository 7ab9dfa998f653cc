"""`import-weights` names its output, refuses early, and tells the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecotui import weights_verbs
from ecotui.errors import UsageError
from ecotui.events import WeightsImported
from ecotui.summary import import_lines


@pytest.mark.parametrize(
    ("name", "output", "made"),
    [
        ("a.pth", None, "a.safetensors"),
        ("a.safetensors", None, "a.imported.safetensors"),
        ("a", None, "a.safetensors"),
        ("a.pth", "b/c.safetensors", "b/c.safetensors"),
    ],
)
def test_the_output_lies_beside_the_file_or_where_it_was_asked_for(
    name: str, output: str | None, made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert weights_verbs._target(tmp_path / name, output) == tmp_path / made


def test_an_output_that_exists_or_is_called_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists already"):
        weights_verbs._target(tmp_path / "a.pth", None)
    with pytest.raises(UsageError) as caught:
        weights_verbs._target(tmp_path / "b.pth", str(tmp_path / "b.pth"))
    assert "b.safetensors" in caught.value.remedy


def test_the_next_step_can_be_copied_from_the_summary() -> None:
    imported = WeightsImported(
        path="/my photos/x.safetensors",
        source="/x.pth",
        form="torch",
        found_under="state_dict",
        num_tensors=2,
        num_parameters=12_000_000,
        num_bytes=48_000_000,
        num_classes=30,
        num_left_out=1,
        model="resnet18",
        fitting="2 of 2 tensors",
    )
    assert import_lines(imported) == [
        "written: /my photos/x.safetensors (48.0 MB)",
        "2 tensors, 12.0 million parameters, found under 'state_dict'",
        "its classifier tells 30 classes apart",
        "left out: 1 entry that is no tensor",
        "model resnet18: 2 of 2 tensors fit",
        "to train from it: ecotui CONFIG --set model.name=resnet18 "
        "--set 'model.weights=/my photos/x.safetensors'",
    ]
