"""Layers 2 and 3: will this run start and mean something?

Real transforms on real samples, then one forward and backward pass whose traces
are removed again: with and without preflight, training gives the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ecotui.config import PreflightConfig
from ecotui.engine.assembly import Parts
from ecotui.engine.control import Control
from ecotui.engine.data.decode import DecodeError, decode
from ecotui.engine.emit import Emit, span
from ecotui.engine.randomness import borrowed_randomness
from ecotui.engine.seeds import derive_seed
from ecotui.errors import EcoError, ExitCode
from ecotui.events import CheckReported, SplitName, Verdict
from ecotui.text import counted, listed, visible

NUM_SAMPLES = 8
"""Samples of each split that the quick form looks at."""

TRANSFORM_CHECKS = frozenset({"transforms", "image_size"})
"""Checks of layer 2; the others are of layer 3."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A transformed photo with its label."""

    image_CHW: torch.Tensor
    label: int
    name: str


def preflight(parts: Parts, config: PreflightConfig, control: Control, emit: Emit) -> None:
    """Check transforms and the first batch.

    Raises:
        EcoError: A check failed; exit code 3.

    Emits:
        StageStarted, StageAdvanced, StageFinished, CheckReported.
    """
    if config.level == "off":
        return
    checks: tuple[Callable[[Parts, list[Sample]], CheckReported], ...] = (
        _check_transforms,
        _check_first_batch,
        _check_sizes,
        _check_outputs,
    )
    with span(emit, "preflight", total=len(checks) + 1, unit="checks") as stage:
        samples = _take_samples(parts, "train", control) + _take_samples(parts, "val", control)
        stage.advance()
        for check in checks:
            control.poll(0)
            _report(check(parts, samples), emit)
            stage.advance()


def _report(report: CheckReported, emit: Emit) -> None:
    emit(report)
    if report.verdict == "fail":
        raise EcoError(report.what, report.expected, report.remedy, ExitCode.PREFLIGHT)


def _result(
    check: str, verdict: Verdict, what: str, expected: str = "", remedy: str = ""
) -> CheckReported:
    return CheckReported(
        check=check,
        layer=2 if check in TRANSFORM_CHECKS else 3,
        verdict=verdict,
        what=what,
        expected=expected,
        remedy=remedy,
    )


def _take_samples(parts: Parts, split: SplitName, control: Control) -> list[Sample]:
    """Return transformed samples spread evenly over a split; unreadable ones are left out."""
    ids = parts.index.splits[split]
    chosen = ids[np.linspace(0, len(ids) - 1, min(NUM_SAMPLES, len(ids))).astype(np.int64)]
    transform = parts.transforms.train if split == "train" else parts.transforms.evaluate
    samples = []
    with borrowed_randomness(derive_seed(parts.config.train.seed, "preflight")):
        for sample_id in chosen.tolist():
            control.poll(0)
            try:
                photo = decode(
                    parts.index.path_of(sample_id), max_pixels=parts.config.data.max_pixels
                )
            except DecodeError:
                continue
            name = visible(parts.index.names[sample_id])
            samples.append(Sample(transform(photo), int(parts.index.labels[sample_id]), name))
    return samples


def _check_transforms(parts: Parts, samples: list[Sample]) -> CheckReported:
    size = parts.built.spec.image_size
    if not samples:
        return _result(
            "transforms",
            "fail",
            "none of the first photos could be read",
            "photos that can be decoded",
            "look at the files; --set preflight.level=full names every unreadable one",
        )
    for sample in samples:
        shape = tuple(sample.image_CHW.shape)
        if shape != (3, size, size):
            return _result(
                "transforms",
                "fail",
                f"the transforms make {shape} of {sample.name}",
                f"(3, {size}, {size}), what the model takes",
                f"set data.image_size = {size} (or 'auto')",
            )
        if not bool(torch.isfinite(sample.image_CHW).all()):
            return _result(
                "transforms",
                "fail",
                f"the transforms make numbers that are not finite of {sample.name}",
                "finite numbers",
                "weaken [augment], or remove that file",
            )
    return _result("transforms", "pass", "transform validation passed")


def _check_first_batch(parts: Parts, samples: list[Sample]) -> CheckReported:
    """Forward and backward on a few samples, then everything put back."""
    labels = [sample.label for sample in samples]
    if min(labels) < 0 or max(labels) >= parts.num_classes:
        return _result(
            "first_batch",
            "fail",
            f"labels from {min(labels)} to {max(labels)}",
            f"labels from 0 to {parts.num_classes - 1}",
            "check the class folders or the manifest",
        )
    network = parts.trainable.network
    count = max(2, min(parts.compute.micro_batch_size, len(samples)))
    images_BCHW = torch.stack([sample.image_CHW for sample in samples[:count]])
    targets = parts.compute.to_device(torch.tensor(labels[:count]))
    with _traceless(network, parts):
        with parts.compute.autocast():
            logits_BK = parts.forward(parts.compute.to_device(images_BCHW))
        loss = parts.objective.summed(logits_BK, targets) / parts.objective.normaliser(targets)
        loss.backward()
        bad = [
            name
            for name, weight in network.named_parameters()
            if weight.grad is not None and not bool(torch.isfinite(weight.grad).all())
        ]
    if not math.isfinite(float(loss.detach())) or bad:
        what = f"gradients of {listed(bad, limit=3)}" if bad else "the loss of the first batch"
        return _result(
            "first_batch",
            "fail",
            f"not finite: {what}",
            "finite numbers in the first step",
            "set compute.precision = 'fp32', or another model",
        )
    return _result("first_batch", "pass", "pre-training sanity check passed")


def _check_sizes(parts: Parts, samples: list[Sample]) -> CheckReported:
    size = parts.built.spec.image_size
    return _result("image_size", "pass", f"all {len(samples)} checked images are {size}x{size}")


def _check_outputs(parts: Parts, samples: list[Sample]) -> CheckReported:
    network = parts.trainable.network
    with _traceless(network, parts), torch.inference_mode():
        network.eval()
        images_BCHW = samples[0].image_CHW[None]
        shape = tuple(network(parts.compute.to_device(images_BCHW)).shape)
    if shape != (1, parts.num_classes):
        return _result(
            "output_shape",
            "fail",
            f"the model gives {shape} for one image",
            f"(1, {parts.num_classes})",
            "set model.name to an image classifier",
        )
    classes = counted(parts.num_classes, "class", "classes")
    return _result(
        "output_shape", "pass", f"the model takes the images and gives a score for {classes}"
    )


@contextmanager
def _traceless(network: nn.Module, parts: Parts) -> Iterator[None]:
    """Put buffers, mode, gradients and generators back after a block."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in network.buffers()]
    was_training = network.training
    devices = [parts.compute.device] if parts.compute.device_type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        network.zero_grad(set_to_none=True)
        network.train(was_training)
