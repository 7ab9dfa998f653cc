"""Each check of layers 2 and 3 finds what it is for: caught, named, with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from ecotui.engine.audit import audit_job
from ecotui.errors import ExitCode
from ecotui.events import CheckReported, Event, RunFailed
from ecotui.jobs import PreflightJob
from ecotui.preflight_register import CHECKS
from tests.engine.checks import breaking as broken
from tests.engine.harness import Harness, of

SLOW = ("augmentation_strength", "overfit", "previews")
Sections = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """Something broken, and what is to be said of it."""

    check: str
    breaking: broken.Breaking = lambda _: None
    verdict: str = "fail"
    what: str = ""
    remedy: str = ""
    sections: Sections = field(default_factory=dict)


def examine(harness: Harness, **sections: Any) -> tuple[list[Event], ExitCode]:
    return harness.run(harness.new(PreflightJob(), **sections))


CASES = {
    "a wrong size": Case(
        "image_size",
        broken.transforms(lambda image: image[:, :-1], only="train"),
        what="(3, 31, 32)",
        remedy="--set data.image_size=32",
    ),
    "a wrong size in validation alone": Case(
        "image_size",
        broken.transforms(lambda image: image[:, :, :-2], only="evaluate"),
        what="(3, 32, 30)",
        remedy="--set data.image_size=32",
    ),
    "pixels from 0 to 255": Case(
        "transform_output",
        broken.transforms(lambda image: image * 255),
        what="numbers from -",
    ),
    "pixels of another kind": Case(
        "transform_output", broken.transforms(lambda image: image.double()), what="float64"
    ),
    "pixels that are not finite": Case(
        "transform_output", broken.transforms(broken.not_finite), what="not finite"
    ),
    "blue first": Case(
        "channel_order",
        broken.transforms(lambda image: image.flip(0), only="evaluate"),
        what="in evaluation, the channels of a picture (png) come as blue, green, red",
        remedy="pillow",
    ),
    "blue first in training alone": Case(
        "channel_order",
        broken.transforms(lambda image: image.flip(0), only="train"),
        what="in training",
    ),
    "another normalisation": Case(
        "normalisation",
        broken.with_another_normalisation,
        what="mean 0.470/0.500/0.500, deviation 0.530/0.500/0.500",
        remedy="timm",
    ),
    "an evaluation that draws at random": Case(
        "evaluation_transform",
        broken.transforms(broken.drawing, only="evaluate"),
        what="the second time",
    ),
    "augmentation without a key": Case(
        "keyed_augmentation",
        broken.transforms(broken.noisy, only="train"),
        what="gives other pixels the second time",
    ),
    "augmentation that draws from the generators of the training": Case(
        "keyed_augmentation",
        broken.with_borrowed_generators_kept,
        what="draws from the generator of the training",
        sections={
            "augment": {
                "scale": [1.0, 1.0],
                "ratio": [1.0, 1.0],
                "horizontal_flip": 1.0,
                "color_jitter": 0.0,
            }
        },
    ),
    "augmentation that leaves little": Case(
        "augmentation_strength",
        verdict="warn",
        what="of the photo's area",
        remedy="--set 'augment.scale=[0.35, 1.0]'",
        sections={"augment": {"scale": [0.05, 0.1]}},
    ),
    "augmentation that hides most": Case(
        "augmentation_strength",
        broken.transforms(
            lambda image: torch.cat([torch.zeros_like(image[:, :24]), image[:, 24:]], dim=1),
            only="train",
        ),
        verdict="warn",
        what="75% of the picture is erased",
        remedy="--set augment.random_erasing",
    ),
    "augmentation that washes out": Case(
        "augmentation_strength",
        broken.transforms(lambda image: image * 0.2, only="train"),
        verdict="warn",
        what="of the contrast is left",
        remedy="augment.color_jitter",
    ),
    "labels out of range": Case(
        "labels",
        broken.labels(lambda index: index.labels + 1),
        what="labels from 1 to 3",
        remedy="data.manifest",
    ),
    "labels below zero": Case(
        "labels", broken.labels(lambda index: index.labels - 1), what="labels from -1 to 1"
    ),
    "labels changed by the loader": Case(
        "labels",
        broken.batches(lambda batch: replace(batch, labels_B=(batch.labels_B + 1) % 3)),
        what="comes with the label",
    ),
    "classes under other numbers in validation": Case(
        "class_mapping",
        broken.labels(broken.shifted_in_validation),
        what="the folder 'cat' has the label 0 ('cat') in train and 1 ('dog') in val",
        remedy="the same names",
    ),
    "a shuffled validation": Case(
        "validation_order", broken.with_a_shuffled_validation, what="validation is shuffled"
    ),
    "a loader that changes pixels": Case(
        "loader",
        broken.batches(lambda batch: replace(batch, images_BCHW=batch.images_BCHW * 0.99)),
        what="other pixels than by itself",
        remedy="compute.workers=0",
    ),
    "a first batch without an image": Case(
        "loader",
        broken.batches(broken.emptied),
        what="no image of the first train batch could be used: the disk is gone",
        remedy="preflight.level=full",
    ),
    "a loader that gives half numbers": Case(
        "loader",
        broken.batches(lambda batch: replace(batch, images_BCHW=batch.images_BCHW.half())),
        what="torch.float16",
    ),
    "a score too many": Case(
        "output_shape",
        broken.network(broken.OfTooManyClasses),
        what="(6, 4) for 6 images",
        remedy="model.name",
    ),
    "dropout that never ends": Case(
        "repeatable_evaluation", broken.network(broken.Dropping), what="draws at random"
    ),
    "evaluation that trembles": Case(
        "repeatable_evaluation",
        broken.network(broken.Trembling),
        verdict="warn",
        what="from time to time",
        remedy="compute.deterministic=true",
    ),
    "scores that depend on the neighbours": Case(
        "batch_independence",
        broken.network(broken.Comparing),
        what="with the others of its batch",
        remedy="eval()",
    ),
    "a batch of one that BatchNorm cannot take": Case(
        "batch_of_one",
        broken.network(broken.NormalisingVectors),
        what="Expected more than 1 value",
        remedy="--set train.micro_batch_size=2",
        sections={"train": {"micro_batch_size": 1}},
    ),
    "a batch of one at the end of a step": Case(
        "batch_of_one",
        broken.network(broken.NormalisingVectors),
        what="the last of each step",
        remedy="--set train.micro_batch_size=3",
        sections={"train": {"batch_size": 5, "micro_batch_size": 2}},
    ),
    "a batch of one that BatchNorm puts up with": Case(
        "batch_of_one",
        verdict="warn",
        what="average over that one alone",
        remedy="--set train.micro_batch_size=2",
        sections={"train": {"micro_batch_size": 1}, "data": {"image_size": 64}},
    ),
    "a weight that is not finite": Case(
        "finite_numbers",
        broken.network(broken.with_nan_in_a_weight),
        what="not finite: the loss of the first batch",
        remedy="model.pretrained=false",
    ),
    "fp16 that overflows": Case(
        "precision",
        broken.in_fp16(broken.network(broken.Overflowing)),
        what="not finite in fp16, and finite in fp32",
        remedy="--set compute.precision=bf16",
    ),
    "fp16 that overflows on the way back": Case(
        "precision",
        broken.in_fp16(broken.network(broken.OverflowingBackwards)),
        what="gradients of network.",
        remedy="--set compute.precision=bf16",
    ),
    "no room for a micro-batch": Case(
        "memory",
        broken.network(broken.Greedy),
        verdict="warn",
        what="no room for 4 images in a forward pass; 2 fit",
        remedy="--set train.micro_batch_size=2",
    ),
    "a model that crashes in training": Case(
        "first_batch", broken.network(broken.Crashing), what="mat1 and mat2", remedy="model.name"
    ),
    "a model that is too sure": Case(
        "initial_loss",
        broken.network(broken.TooSure),
        verdict="warn",
        what="sure of wrong answers",
        remedy="train.freeze_epochs",
    ),
    "a model that knows too much": Case(
        "initial_loss",
        lambda patch: (
            broken.network(broken.Knowing)(patch),
            broken.labels(lambda index: np.zeros_like(index.labels))(patch),
            # That two classes are missing then would end it before the model is looked at.
            patch.setattr(audit_job, "classes_stage", lambda *_: None),
        )[0],
        verdict="warn",
        what="answers that it cannot know",
        remedy="preflight.accept",
        sections={"train": {"label_smoothing": 0.0, "batch_size": 8}},
    ),
    "a weight without a gradient": Case(
        "gradients",
        broken.network(broken.WithAnIdleWeight),
        verdict="warn",
        what="no gradient reaches idle",
        remedy="preflight.accept",
    ),
    "a frozen weight": Case(
        "gradients",
        broken.network(broken.WithAFrozenWeight),
        verdict="warn",
        what="idle are frozen from the start",
    ),
    "a body without gradients": Case(
        "gradients",
        broken.network(broken.WithADetachedBody),
        what="of the weights get no gradient: network.",
        remedy="model.name",
    ),
    "everything frozen": Case(
        "gradients",
        broken.network(broken.FrozenLater),
        what="no weight learns",
        remedy="model.name",
    ),
    "a step that changes nothing": Case(
        "optimizer_step",
        broken.with_an_optimizer_of_nothing,
        what="changes nothing",
        remedy="train.optimizer=adamw",
    ),
    "a step that changes the head alone": Case(
        "optimizer_step",
        broken.with_an_optimizer_of_the_head,
        verdict="warn",
        what="as they were",
    ),
    "a rate at which nothing is learnt": Case(
        "overfit",
        verdict="warn",
        what="cannot be learnt by heart",
        remedy="--set train.learning_rate=",
        sections={"train": {"learning_rate": 1e-6, "min_learning_rate": 0.0}},
    ),
    "a rate at which everything is lost": Case(
        "overfit",
        verdict="warn",
        what="cannot be learnt by heart",
        remedy="--set train.learning_rate=100;",
        sections={"train": {"learning_rate": 1e3, "optimizer": "sgd"}},
    ),
}
"""By what is broken."""


@pytest.mark.parametrize("name", CASES)
def test_what_is_broken_is_caught_and_named_with_a_remedy(
    name: str, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    case.breaking(monkeypatch)
    sections = {**case.sections, "preflight": {"skip": sorted({*SLOW} - {case.check})}}
    events, code = examine(harness, **sections)
    found = {check.check: check for check in of(CheckReported, events) if check.layer > 1}
    assert found[case.check].verdict == case.verdict, found
    assert case.what in found[case.check].what
    assert case.remedy in found[case.check].remedy
    assert found[case.check].remedy
    assert found[case.check].expected
    assert found[case.check].why == CHECKS[case.check].why
    if case.verdict == "fail":
        assert code == ExitCode.PREFLIGHT
        (failed,) = of(RunFailed, events)
        assert failed.what == found[case.check].what
        passed = {check.check for check in found.values() if check.verdict == "pass"}
        assert not passed & {"transforms", "first_batch"}
    else:
        assert code == ExitCode.DONE


def test_every_check_is_broken_once() -> None:
    # These four sum up, speak of photos alone, or of the time: they have tests of their own.
    assert CHECKS.keys() - {case.check for case in CASES.values()} == {
        "transforms",
        "samples",
        "budget",
    }


def test_a_sound_run_passes_every_check(harness: Harness) -> None:
    events, code = examine(harness, preflight={"skip": []})
    assert code == ExitCode.DONE
    found = [check for check in of(CheckReported, events) if check.layer > 1]
    assert {check.verdict for check in found} == {"pass"}
    assert {check.check for check in found} == CHECKS.keys() - {"budget"}


def make_unreadable(harness: Harness, tmp_path: Any, choose: Callable[[Any], bool]) -> Sections:
    import shutil

    copied = tmp_path / "copy"
    shutil.copytree(harness.data_root, copied)
    for path in copied.rglob("*.*"):
        if choose(path):
            path.write_bytes(b"")
    return {"data": {"root": str(copied)}}


def test_a_few_unreadable_samples_are_a_warning(harness: Harness, tmp_path: Any) -> None:
    sections = make_unreadable(harness, tmp_path, lambda path: path.stem == "03")
    events, code = examine(harness, **sections)
    assert code == ExitCode.DONE
    (found,) = [check for check in of(CheckReported, events) if check.check == "samples"]
    assert found.verdict == "warn"
    assert "03." in found.what
    told = [check.what for check in of(CheckReported, events)]
    assert "transform validation passed, with 1 warning" in told


def test_no_readable_sample_is_a_failure(harness: Harness, tmp_path: Any) -> None:
    sections = make_unreadable(harness, tmp_path, lambda path: True)
    events, code = examine(harness, **sections)
    assert code == ExitCode.PREFLIGHT
    assert "could be used" in of(RunFailed, events)[0].what


def test_a_model_frozen_as_it_is_built_is_refused(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.network(lambda sound: sound.requires_grad_(False))(monkeypatch)
    events, code = examine(harness)
    assert code == ExitCode.USAGE
    assert "all are frozen" in of(RunFailed, events)[0].what
