"""The first batches that the real loaders deliver: form, order, labels and classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from ecotui.engine.checks.finding import Finding, failed, noted, passed, warned
from ecotui.engine.checks.material import EPOCH, Material, attended
from ecotui.engine.data.dataset import IMAGE_DTYPES, Batch, Item, Sample
from ecotui.engine.data.supervision import LoaderFaultError
from ecotui.events import SplitName
from ecotui.text import counted, visible

SPLITS: tuple[SplitName, SplitName] = ("train", "val")
MAX_LOADING_FRACTION = 0.5
"""Share of the time left that reading the first batches may take, as far as it can be told."""
NUM_COMPARED = 2
"""Samples of a batch that are read once more by themselves."""
NUM_NAMES = 16
"""Files of a class and split whose folder is compared with their label."""


def check_loader(material: Material) -> list[Finding]:
    """Read the first batch of each loader, and check that it holds what single reading gives."""
    parts = material.parts
    num_images = parts.config.train.batch_size + parts.compute.micro_batch_size
    needed = num_images * material.seconds_a_sample / max(1, parts.compute.workers)
    if needed > material.budget.left * MAX_LOADING_FRACTION:
        return [
            noted(
                "loader",
                f"the first batches would take about {needed:.0f} s to read, more than there is "
                "time for; single photos stand in for them (--set preflight.budget_seconds=...)",
                seconds_needed=needed,
            )
        ]
    patience = material.patience_seconds
    first = max(patience, material.budget.left * MAX_LOADING_FRACTION / 2)
    with (
        attended(parts, lambda: material.control.poll(0, is_waiting=True), patience, first),
        parts.train_loader.forgiving(),
        parts.val_loader.forgiving(),
    ):
        for split in SPLITS:
            try:
                batch = _first(material, split)
            except LoaderFaultError as error:
                return [
                    warned(
                        "loader",
                        f"the {split} loader gave up on its first batch: {error.what}",
                        f"photos that come within {patience:.0f} s each",
                        "look at the drive or the network; training waits longer for a photo "
                        "(guards.loader_patience_seconds), and stops where none comes",
                    )
                ]
            if batch is None:
                return [noted("loader", f"the {split} loader delivers no batch")]
            fault = _fault(material, split, batch)
            if fault:
                return [fault]
            material.batches[split] = batch
    sizes = {split: batch.labels_B.numel() for split, batch in material.batches.items()}
    return [
        passed(
            "loader",
            f"the loaders deliver {sizes['train']} images to train on and {sizes['val']} to "
            "validate at once",
            num_train=sizes["train"],
            num_val=sizes["val"],
        )
    ]


def _first(material: Material, split: SplitName) -> Batch | None:
    """Return the first batch that a loader delivers; the next reading begins anew."""
    parts = material.parts
    batches: Iterator[Batch] = (
        parts.train_loader.epoch(EPOCH) if split == "train" else iter(parts.val_loader)
    )
    generator: Any = batches
    with closing(generator):
        return next(batches, None)


def _fault(material: Material, split: SplitName, batch: Batch) -> Finding | None:
    """Return what is wrong with the form or the content of a batch."""
    size, count = material.image_size, batch.labels_B.numel()
    if not count:
        reason = batch.failures[0].reason if batch.failures else "it is empty"
        return failed(
            "loader",
            f"no image of the first {split} batch could be used: {reason}",
            "photos that can be decoded",
            "look at the files; --set preflight.level=full looks at every one",
        )
    images_BCHW = batch.images_BCHW
    own = images_BCHW.dtype if images_BCHW.dtype in IMAGE_DTYPES else torch.uint8
    forms = (tuple(images_BCHW.shape), images_BCHW.dtype, batch.labels_B.dtype)
    wanted = ((count, 3, size, size), own, torch.int64)
    if forms != wanted or len(batch.sample_ids) != count:
        return failed(
            "loader",
            f"the first {split} batch has the form {forms[0]} of {forms[1]}, labels of {forms[2]}",
            f"{wanted[0]} of {wanted[1]}, labels of {wanted[2]}",
            f"--set data.image_size={size} (or auto)",
        )
    dataset = material.dataset(split)
    alone: list[Item | None]
    for place, sample_id in list(enumerate(batch.sample_ids))[:NUM_COMPARED]:
        # One that stands in for another has an augmentation of its own.
        alone = [dataset[EPOCH, sample_id]]
        alone += [dataset.replacement(EPOCH, failure.sample_id) for failure in batch.failures]
        if not any(
            isinstance(each, Sample) and torch.equal(each.image_CHW, batch.images_BCHW[place])
            for each in alone
        ):
            return failed(
                "loader",
                f"{material.name(sample_id)} comes out of the {split} loader with other pixels "
                "than by itself",
                "pixels that do not depend on who reads them",
                "--set compute.workers=0, and report it",
            )
    return None


def check_validation_order(material: Material) -> list[Finding]:
    """Check that validation comes in the order of the index, unshuffled."""
    batch = material.batches.get("val")
    if batch is None:
        return [noted("validation_order", "no validation batch was read")]
    ids = material.parts.index.splits["val"]
    lost = {failure.sample_id for failure in batch.failures}
    first = [each for each in ids[: len(batch.sample_ids) + len(lost)].tolist() if each not in lost]
    if list(batch.sample_ids) != first:
        at = next(
            (
                place
                for place, pair in enumerate(zip(batch.sample_ids, first, strict=False))
                if pair[0] != pair[1]
            ),
            0,
        )
        return [
            failed(
                "validation_order",
                f"validation is shuffled: place {at + 1} of the first batch is "
                f"{material.name(batch.sample_ids[at])}",
                f"{material.name(first[at])}, the order of the index",
                "let the validation loader deliver samples in the order of their ids; no setting "
                "leads here, so report it",
            )
        ]
    return [passed("validation_order", "validation comes in the order of the index")]


def check_labels(material: Material) -> list[Finding]:
    """Check that every label names a class, and that batches carry the labels of the index."""
    index, num_classes = material.parts.index, material.parts.num_classes
    low, high = int(index.labels.min()), int(index.labels.max())
    for batch in material.batches.values():
        low = min(low, int(batch.labels_B.min()))
        high = max(high, int(batch.labels_B.max()))
    if low < 0 or high >= num_classes:
        return [
            failed(
                "labels",
                f"labels from {low} to {high}",
                f"labels from 0 to {num_classes - 1}",
                "check the class folders, or the labels in data.manifest",
                lowest=low,
                highest=high,
                num_classes=num_classes,
            )
        ]
    pairs = [(sample.sample_id, sample.label) for sample in material.all_samples]
    for batch in material.batches.values():
        pairs += list(zip(batch.sample_ids, batch.labels_B.tolist(), strict=True))
    for sample_id, label in pairs:
        if label != int(index.labels[sample_id]):
            own = visible(index.class_names[index.labels[sample_id]])
            other = visible(index.class_names[label])
            return [
                failed(
                    "labels",
                    f"{material.name(sample_id)} comes with the label '{other}'",
                    f"'{own}', its class",
                    "no setting leads here: report it",
                )
            ]
    classes = counted(num_classes, "class", "classes")
    return [passed("labels", f"all labels are those of {classes}", lowest=low, highest=high)]


def check_class_mapping(material: Material) -> list[Finding]:
    """Check that a class folder has the same label in training and in validation."""
    index = material.parts.index
    if index.layout == "manifest":
        return [noted("class_mapping", "labels come from a manifest, not from folders")]
    depth = 1 if index.layout == "splits" else 0
    found: dict[str, dict[int, str]] = {}
    for split in SPLITS:
        for label, sample_id in _some_of_each_class(material, split):
            folder = index.names[sample_id].split("/")[depth]
            found.setdefault(folder, {}).setdefault(label, split)
        material.poll()
    for folder, labels in found.items():
        if len(labels) > 1:
            told = " and ".join(
                f"{label} ('{visible(index.class_names[label])}') in {split}"
                for label, split in labels.items()
            )
            return [
                failed(
                    "class_mapping",
                    f"the folder '{visible(folder)}' has the label {told}",
                    "one label for a class, in every split",
                    "give the class folders of every split the same names",
                )
            ]
    return [
        passed(
            "class_mapping",
            f"{counted(len(found), 'class folder')} have the same label in every split",
            num_folders=len(found),
        )
    ]


def _some_of_each_class(material: Material, split: SplitName) -> Iterator[tuple[int, int]]:
    """Go through label and sample id of up to sixteen photos of each class of a split."""
    ids = material.parts.index.splits[split]
    labels = material.parts.index.labels[ids]
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(material.parts.num_classes + 1))
    for label, (start, end) in enumerate(pairwise(starts.tolist())):
        for place in order[start : min(end, start + NUM_NAMES)].tolist():
            yield label, int(ids[place])
