from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ecotui.config import DataConfig, RunConfig
from ecotui.engine.audit import embeddings
from ecotui.engine.audit.embeddings import backbone_of_run
from ecotui.engine.audit.findings import Finding
from ecotui.engine.audit.label_findings import LabelSearch
from ecotui.engine.audit.scan import scan
from ecotui.engine.data.index import build_index
from ecotui.engine.model import build_model
from ecotui.errors import ExitCode, UsageError
from ecotui.jobs import AuditJob
from tests.engine.audit.planted import CLASSES, write_scenes
from tests.engine.harness import Harness

WRONG = {"train/can/wrong_0.jpg", "train/carton/wrong_1.jpg", "train/bottle/wrong_2.jpg"}


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that differ in colour and shape, with a photo of each in the next one."""
    root = tmp_path_factory.mktemp("labels")
    write_scenes(root, per_class=20)
    for kind, name in enumerate(CLASSES):
        other = CLASSES[(kind + 1) % len(CLASSES)]
        shutil.move(root / "train" / name / "007.jpg", root / "train" / other / f"wrong_{kind}.jpg")
    return root


def searched(root: Path, run_path: str | None = None) -> tuple[dict[str, Finding], list[str]]:
    config = RunConfig(data=DataConfig(root=str(root)))
    index = build_index(config.data, seed=0)
    seen = scan(index, max_pixels=10**7, poll=lambda: None, advance=lambda count: None)
    found = LabelSearch(config, run_path)(index, seen, lambda: None)
    names = [index.names[entry.sample_id] for entry in found[0].entries]
    return {finding.category: finding for finding in found}, names


def test_planted_labels_are_the_most_doubtful_by_a_short_training(mislabelled: Path) -> None:
    before = torch.get_rng_state()
    found, names = searched(mislabelled)
    doubted = found["label_errors"]
    assert set(names) == WRONG
    assert [entry.is_left_out for entry in doubted.entries] == [True, True, True]
    by_name = dict(zip(names, doubted.entries, strict=True))
    assert by_name["train/can/wrong_0.jpg"].detail.startswith("taken for bottle (")
    assert by_name["train/can/wrong_0.jpg"].other >= 0
    assert doubted.verdict == "warn"
    assert torch.equal(torch.get_rng_state(), before)


def test_the_search_gives_the_same_each_time(mislabelled: Path) -> None:
    assert searched(mislabelled) == searched(mislabelled)


def test_a_run_s_best_model_is_used(harness: Harness) -> None:
    run, _ = harness.train(train={"epochs": 1})
    features = backbone_of_run(run.path).features(
        sorted(harness.data_root.rglob("*.png"))[:3], 10**7, lambda: None
    )
    assert features.shape[0] == 3
    assert bool(torch.isfinite(features).all())
    found, _ = searched(harness.data_root, str(run.path))
    assert run.run_id in found["label_errors"].what


def test_the_chosen_model_judges_with_weights_from_a_file(harness: Harness, tmp_path: Path) -> None:
    run, _ = harness.train(train={"epochs": 1})
    (best,) = run.checkpoints.glob("best_model_*/model.safetensors")
    weights = shutil.copy(best, tmp_path / "mine.safetensors")
    job = AuditJob(labels=True)
    by: dict[str, Any] = {}
    neighbours: dict[str, list[str]] = {}
    for name, settings in (("file", {"weights": str(weights)}), ("none", {})):
        audited = harness.new(job, model=settings)
        _, code = harness.run(audited)
        assert code == ExitCode.DONE
        found = json.loads(audited.audit.read_bytes())["findings"]
        (labels,) = (each for each in found if each["category"] == "label_errors")
        by[name] = labels["figures"]["by"]
        neighbours[name] = [entry["other"] for entry in labels["entries"]]
    assert by["file"] == f"test_resnet with {weights}"
    assert by["none"] == "a short training"
    # Each doubtful photo comes with the one of the likelier class that is most like it.
    assert all(neighbours["file"])


def test_published_weights_that_are_at_hand_are_used_and_none_are_fetched(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = harness.train(train={"epochs": 1})
    (best,) = run.checkpoints.glob("best_model_*/model.safetensors")
    config = harness.config(model={"pretrained": True})
    monkeypatch.setattr(embeddings, "cached", lambda preset: None)
    assert embeddings.chosen_backbone(config, 3) is None
    seen: list[Any] = []

    def built(*arguments: Any, published: Path | None = None) -> Any:
        seen.append(published)
        own = config.model.model_copy(update={"pretrained": False})
        return build_model(own, *arguments[1:])

    monkeypatch.setattr(embeddings, "cached", lambda preset: best)
    monkeypatch.setattr(embeddings, "build_model", built)
    backbone = embeddings.chosen_backbone(config, 3)
    assert backbone is not None
    assert seen == [best]
    assert backbone.name == "test_resnet with its published weights"


def test_a_run_without_a_model_is_refused(harness: Harness) -> None:
    with pytest.raises(UsageError) as caught:
        backbone_of_run(harness.new().path)
    assert "no best model" in caught.value.what
