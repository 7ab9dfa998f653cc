"""Figures of an evaluation against scikit-learn-like definitions worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ecotui.engine.compute import Capabilities, choose_compute
from ecotui.engine.data.loader import Batch
from ecotui.engine.evaluate import (
    MAX_MISTAKES,
    READ_EVERY_PARTS,
    Evaluation,
    as_json,
    evaluate,
    shown_classes,
)
from ecotui.events import ClassScore
from ecotui.resolved_config import ResolvedConfig
from tests.engine.host_reads import host_reads

COMPUTE = choose_compute(
    ResolvedConfig(), Capabilities(num_cuda=0, has_mps=False, cuda_has_bf16=False, num_cpus=1)
)


class Echo(nn.Module):
    """Scores the class whose number the image's first pixel holds."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        self.norm(images_BCHW)
        predicted = images_BCHW[:, 0, 0, 0].long()
        return torch.nn.functional.one_hot(predicted, self.num_classes).float() * 4


def batch(truth: list[int], predicted: list[int]) -> Batch:
    images_BCHW = torch.zeros(len(truth), 3, 4, 4)
    images_BCHW[:, 0, 0, 0] = torch.tensor(predicted, dtype=torch.float32)
    return Batch(images_BCHW, torch.tensor(truth), tuple(range(len(truth))), ())


def test_figures_worked_by_hand() -> None:
    network = Echo(7).train()
    empty = Batch(torch.zeros(0, 3, 4, 4), torch.zeros(0, dtype=torch.int64), (), ())
    seen: list[Batch] = []
    batches = [batch([0, 0, 1], [0, 1, 1]), empty, batch([2], [2])]
    result = evaluate(network, batches, COMPUTE, 7, seen.append)
    assert len(seen) == 3
    assert result.num_images == 4
    assert result.accuracy == 0.75
    assert result.confusion_KK[0].tolist() == [1, 1, 0, 0, 0, 0, 0]
    precision, recall, f1 = result.precision_recall_f1()
    assert precision[:3].tolist() == [1.0, 0.5, 1.0]
    assert recall[:3].tolist() == [0.5, 1.0, 1.0]
    assert f1[:3].tolist() == pytest.approx([2 / 3, 2 / 3, 1.0])
    assert result.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    hit, miss = -np.log(np.exp(4) / (np.exp(4) + 6)), -np.log(1 / (np.exp(4) + 6))
    assert result.loss == pytest.approx((3 * hit + miss) / 4, rel=1e-5)
    assert network.training
    assert int(network.norm.num_batches_tracked) == 0  # type: ignore[arg-type]


def test_top_five_of_four_classes_is_always_right() -> None:
    result = evaluate(Echo(4), [batch([0, 1], [3, 3])], COMPUTE, 4, lambda _: None)
    assert (result.accuracy, result.accuracy_top5) == (0.0, 1.0)


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=3, max_size=3))
def test_all_figures_stay_between_zero_and_one(rows: list[list[int]]) -> None:
    result = Evaluation(0.0, 0.0, np.array(rows, dtype=np.int64))
    figures = result.precision_recall_f1()
    assert np.isfinite(figures).all()
    assert ((figures >= 0) & (figures <= 1)).all()
    assert 0.0 <= result.macro_f1 <= 1.0
    assert 0.0 <= result.accuracy <= 1.0


def test_the_file_holds_every_class_and_null_for_a_loss_that_is_not_finite() -> None:
    result = Evaluation(float("nan"), 1.0, np.eye(2, dtype=np.int64))
    record = json.loads(as_json(result, ["glass", "[/\x1b[2J"]))
    assert record["loss"] is None
    assert record["confusion"] == [[1, 0], [0, 1]]
    assert [entry["name"] for entry in record["per_class"]] == ["glass", "[/\\e[2J"]


def test_an_event_names_the_hundred_worst_classes_in_class_order() -> None:
    scores = tuple(
        ClassScore(name=str(index), precision=1, recall=1, f1=index / 200, support=1)
        for index in range(150, 0, -1)
    )
    shown = shown_classes(scores)
    assert [score.name for score in shown] == [str(index) for index in range(100, 0, -1)]
    assert shown_classes(scores[:5]) == scores[:5]


class Sure(nn.Module):
    """Scores the class in an image's first pixel as surely as its second one says."""

    def forward(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        predicted, surely = images_BCHW[:, 0, 0, 0].long(), images_BCHW[:, 0, 0, 1]
        return nn.functional.one_hot(predicted, 3).float() * surely[:, None]


def test_the_surest_mistakes_are_kept_in_order_and_no_more_than_twelve() -> None:
    batches = []
    for first in (0, 10):
        made = batch([0] * 10, [0] * 5 + [1] * 5)
        made.images_BCHW[:, 0, 0, 1] = torch.arange(first, first + 10, dtype=torch.float32) / 4
        batches.append(replace(made, sample_ids=tuple(range(first, first + 10))))
    result = evaluate(Sure(), batches, COMPUTE, 3, lambda _: None)
    assert [each.sample_id for each in result.mistakes] == [19, 18, 17, 16, 15, 9, 8, 7, 6, 5]
    assert {(each.label, each.predicted) for each in result.mistakes} == {(0, 1)}
    surest = result.mistakes[0].confidence
    assert surest == pytest.approx(np.exp(4.75) / (np.exp(4.75) + 2), rel=1e-5)
    many = evaluate(Sure(), batches * 2, COMPUTE, 3, lambda _: None)
    assert len(many.mistakes) == MAX_MISTAKES


def test_a_score_that_is_not_finite_is_no_confident_mistake() -> None:
    made = batch([0, 0], [1, 1])
    made.images_BCHW[0, 0, 0, 1] = float("nan")
    made.images_BCHW[1, 0, 0, 1] = 2.0
    assert [each.sample_id for each in evaluate(Sure(), [made], COMPUTE, 3, print).mistakes] == [1]


def test_the_record_names_the_photos_of_mistakes_harmlessly() -> None:
    result = evaluate(Echo(2), [batch([0, 1], [1, 1])], COMPUTE, 2, lambda _: None)
    record = json.loads(as_json(result, ["a", "b"], ["x\x1b.jpg", "y.jpg"].__getitem__))
    (mistake,) = record["mistakes"]
    assert (mistake["path"], mistake["true"], mistake["predicted"]) == ("x\\e.jpg", "a", "b")


@pytest.mark.parametrize(("num_batches", "reads"), [(1, 1), (READ_EVERY_PARTS, 1), (70, 3)])
def test_figures_are_read_from_the_device_once_for_many_batches(
    num_batches: int, reads: int
) -> None:
    """A read makes the host wait; the table of all classes is fetched once, at the end."""
    seen: list[Batch] = []
    batches = [batch([0, 1, 2], [0, 1, 1]) for _ in range(num_batches)]
    network = Echo(3)
    with host_reads() as found:
        result = evaluate(network, batches, COMPUTE, 3, seen.append)
    assert [name for name in found if name == "tolist"] == ["tolist"] * reads
    assert [name for name in found if name != "tolist"] == ["cpu", "numpy"]
    assert len(seen) == num_batches
    assert result.num_images == 3 * num_batches
    assert result.accuracy == pytest.approx(2 / 3)
    assert len(result.mistakes) == min(MAX_MISTAKES, num_batches)


def test_one_score_that_is_not_finite_among_many_batches_is_not_lost() -> None:
    batches = [batch([0, 1], [0, 1]) for _ in range(2 * READ_EVERY_PARTS)]
    batches[3].images_BCHW[0, 0, 0, 1] = float("nan")
    assert np.isnan(evaluate(Sure(), batches, COMPUTE, 3, lambda _: None).loss)


def test_the_network_judges_in_inference_mode_and_in_eval_mode() -> None:
    seen: list[tuple[bool, bool]] = []
    network = Echo(3)
    network.train()
    network.register_forward_pre_hook(
        lambda module, _: seen.append((torch.is_inference_mode_enabled(), module.training))
    )
    evaluate(network, [batch([0, 1], [0, 1])], COMPUTE, 3, lambda _: None)
    assert seen == [(True, False)]
