"""How good the model is: top-1, top-5, loss, macro F1, and figures for each class."""

from __future__ import annotations

import heapq
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from ecotui.engine.compute import Compute, is_out_of_memory
from ecotui.engine.data.loader import Batch
from ecotui.events import ClassScore
from ecotui.text import visible

MAX_EVENT_CLASSES = 100
"""An event names at most so many classes, those with the lowest F1; the file has all."""

MAX_MISTAKES = 12
"""The most confident mistakes kept of a pass over a split."""

READ_EVERY_PARTS = 32
"""Figures of so many forward passes are read from the device at once: a read makes it wait."""


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """An image taken for what it is not; those sure of themselves are the greater ones.

    Attributes:
        confidence: Softmax of the class predicted, 0 to 1.
        sample_id: Which image.
        label: Its true class.
        predicted: What it was taken for.
    """

    confidence: float
    sample_id: int
    label: int
    predicted: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of a pass over a split.

    Attributes:
        loss: Mean cross-entropy, nats; NaN where a logit was.
        accuracy_top5: Share of images whose class is among the five best.
        confusion_KK: Counts; row is the true class, column the predicted one.
        mistakes: The most confident ones, the surest first.
    """

    loss: float
    accuracy_top5: float
    confusion_KK: NDArray[np.int64]
    mistakes: tuple[Mistake, ...] = ()

    @property
    def num_images(self) -> int:
        """How many images were scored."""
        return int(self.confusion_KK.sum())

    @property
    def accuracy(self) -> float:
        """Top-1, 0 to 1."""
        return float(np.trace(self.confusion_KK)) / max(1, self.num_images)

    def precision_recall_f1(self) -> NDArray[np.float64]:
        """Return precision, recall and F1 of each class [3, K]; 0 where undefined."""
        hits = np.diag(self.confusion_KK).astype(np.float64)
        predicted = self.confusion_KK.sum(axis=0)
        support = self.confusion_KK.sum(axis=1)
        precision = hits / np.maximum(1, predicted)
        recall = hits / np.maximum(1, support)
        f1 = 2 * hits / np.maximum(1, predicted + support)
        return np.stack([precision, recall, f1])

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that occur in the split, 0 to 1."""
        present = self.confusion_KK.sum(axis=1) > 0
        return float(self.precision_recall_f1()[2][present].mean()) if present.any() else 0.0

    def unpredicted(self) -> list[int]:
        """Return the classes that occur in the split and that no image was taken for."""
        never = (self.confusion_KK.sum(axis=0) == 0) & (self.confusion_KK.sum(axis=1) > 0)
        return [int(label) for label in np.flatnonzero(never)]

    def metric(self, name: str) -> float:
        """Return `accuracy`, `macro_f1` or `loss`."""
        return {"accuracy": self.accuracy, "macro_f1": self.macro_f1, "loss": self.loss}[name]

    def class_scores(self, class_names: Sequence[str]) -> tuple[ClassScore, ...]:
        """Return the figures of each class, in class order, names made harmless."""
        support = self.confusion_KK.sum(axis=1)
        return tuple(
            ClassScore(name=visible(name), precision=p, recall=r, f1=f, support=int(count))
            for name, (p, r, f), count in zip(
                class_names, self.precision_recall_f1().T.tolist(), support, strict=True
            )
        )


@dataclass(slots=True)
class Room:
    """How many images an evaluation computes at once.

    Attributes:
        size: None for a whole batch.
        answer: Called when memory ran out with so many, says with how many to go on; what it
            raises ends the evaluation.
    """

    size: int | None
    answer: Callable[[int], int]


def evaluate(
    network: nn.Module,
    batches: Iterable[Batch],
    compute: Compute,
    num_classes: int,
    on_batch: Callable[[Batch], None],
    room: Room | None = None,
) -> Evaluation:
    """Score a model on batches without changing anything about it.

    Args:
        network: Left in the mode it was in.
        batches: Images float32 [B, 3, S, S] with labels int64 [B].
        compute: Device and precision.
        num_classes: K.
        on_batch: Called after each batch, for progress and stop requests; what
            it raises ends the evaluation.
        room: How many images at once; where memory runs out, it says with how many to go on.
    """
    confusion = torch.zeros(num_classes * num_classes, dtype=torch.int64, device=compute.device)
    unread: list[_Scores] = []
    totals = _Totals()
    was_training = network.training
    network.eval()
    try:
        for batch in batches:
            for part in _parts(batch, network, compute, num_classes, room):
                # Not with bincount, which has the host read the largest number.
                confusion.scatter_add_(0, part.pairs_B, torch.ones_like(part.pairs_B))
                unread.append(part)
                if len(unread) >= READ_EVERY_PARTS:
                    totals.read(unread)
                    unread.clear()
            on_batch(batch)
        totals.read(unread)
    finally:
        network.train(was_training)
    confusion_KK = confusion.cpu().numpy().reshape(num_classes, num_classes)
    count = max(1, int(confusion_KK.sum()))
    return Evaluation(
        totals.loss / count, totals.top5 / count, confusion_KK, tuple(totals.mistakes)
    )


def shown_classes(scores: tuple[ClassScore, ...]) -> tuple[ClassScore, ...]:
    """Return the scores that an event carries: all, or the worst hundred in class order."""
    if len(scores) <= MAX_EVENT_CLASSES:
        return scores
    worst = sorted(range(len(scores)), key=lambda index: scores[index].f1)[:MAX_EVENT_CLASSES]
    return tuple(scores[index] for index in sorted(worst))


def as_json(
    evaluation: Evaluation,
    class_names: Sequence[str],
    name_of: Callable[[int], object] = str,
) -> str:
    """Return all figures of an evaluation as a JSON file.

    Args:
        evaluation: The figures.
        class_names: By label.
        name_of: Returns the path of a sample, relative to the data root.
    """
    record = {
        "num_images": evaluation.num_images,
        "loss": evaluation.loss if np.isfinite(evaluation.loss) else None,
        "accuracy": evaluation.accuracy,
        "accuracy_top5": evaluation.accuracy_top5,
        "macro_f1": evaluation.macro_f1,
        "per_class": [score.model_dump() for score in evaluation.class_scores(class_names)],
        "confusion": evaluation.confusion_KK.tolist(),
        "mistakes": [
            {
                "sample_id": each.sample_id,
                "path": visible(name_of(each.sample_id)),
                "true": visible(class_names[each.label]),
                "predicted": visible(class_names[each.predicted]),
                "confidence": each.confidence,
            }
            for each in evaluation.mistakes
        ],
    }
    return json.dumps(record, indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class _Scores:
    """What a forward pass gave, on the device.

    Attributes:
        pairs_B: True class times K plus the class predicted.
        figures: Summed loss, hits among the five best, and 4 numbers of each mistake.
        sample_ids: Of the images.
    """

    pairs_B: torch.Tensor
    figures: torch.Tensor
    sample_ids: Sequence[int]


@dataclass(slots=True)
class _Totals:
    """Summed loss and hits, and the surest mistakes, of the parts read so far."""

    loss: float = 0.0
    top5: float = 0.0
    mistakes: list[Mistake] = field(default_factory=list)

    def read(self, parts: Sequence[_Scores]) -> None:
        """Take in the figures of forward passes, in one transfer from the device."""
        if not parts:
            return
        figures = iter(torch.cat([part.figures for part in parts]).tolist())
        for part in parts:
            self.loss += next(figures)
            self.top5 += next(figures)
            rows = (part.figures.numel() - 2) // 4
            for confidence, at, predicted, label in (
                itertools.islice(figures, 4) for _ in range(rows)
            ):
                if confidence >= 0.0:
                    sample_id = part.sample_ids[int(at)]
                    self.mistakes.append(Mistake(confidence, sample_id, int(label), int(predicted)))
        self.mistakes = heapq.nlargest(MAX_MISTAKES, self.mistakes)


def _parts(
    batch: Batch, network: nn.Module, compute: Compute, num_classes: int, room: Room | None
) -> Iterator[_Scores]:
    """Score a batch, in smaller parts from where memory runs out."""
    at, total = 0, batch.labels_B.numel()
    size = total if room is None or room.size is None else room.size
    while at < total:
        try:
            part = slice(at, at + size)
            images, labels = batch.images_BCHW[part], batch.labels_B[part]
            ids = batch.sample_ids[part]
            scores = _score(network, images, labels, ids, compute, num_classes)
        except (RuntimeError, MemoryError) as error:
            if room is None or not is_out_of_memory(error):
                raise
            scores = None
        # Outside the except block, which keeps what the failed pass has allocated.
        if scores is None and room is not None:
            size = room.answer(min(size, total - at))
        elif scores is not None:
            at += size
            yield scores


def _score(
    network: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    sample_ids: Sequence[int],
    compute: Compute,
    num_classes: int,
) -> _Scores:
    images_BCHW, labels_B = compute.to_device(images), compute.to_device(labels)
    with torch.inference_mode(), compute.autocast():
        logits_BK = network(images_BCHW)
    logits_BK = logits_BK.float()
    best = logits_BK.topk(min(5, num_classes), dim=1).indices
    pairs = labels_B * num_classes + best[:, 0]
    loss = F.cross_entropy(logits_BK, labels_B, reduction="sum")
    # A loss can be finite beside a score that is not: such a model must not pass for sound.
    loss = torch.where(torch.isfinite(logits_BK).all(), loss, math.nan)
    top5 = (best == labels_B[:, None]).any(dim=1).sum()
    sums = torch.stack((loss, top5.to(loss)))
    figures = torch.cat((sums, _mistakes(logits_BK, labels_B).flatten()))
    return _Scores(pairs, figures, sample_ids)


def _mistakes(logits_BK: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    """Return the most confident mistakes of a part [N, 4], at most `MAX_MISTAKES`.

    Confidence, negative where it is no mistake; place in the part; predicted and true class.
    """
    confidence_B, predicted_B = logits_BK.softmax(dim=1).max(dim=1)
    # A score that is not finite is no confidence: what is wrong then is told elsewhere.
    wrong_B = torch.where(predicted_B == labels_B, -1.0, confidence_B.nan_to_num(-1.0))
    values_N, at_N = wrong_B.topk(min(MAX_MISTAKES, labels_B.numel()))
    found = (at_N, predicted_B[at_N], labels_B[at_N])
    return torch.stack((values_N, *(each.to(values_N) for each in found)), dim=1)
