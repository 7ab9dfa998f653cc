"""The model in evaluation: the form of its scores, and what they must not depend on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torch import nn

from ecotui.engine.assembly import Parts
from ecotui.engine.checks.finding import Finding, failed, noted, passed, warned
from ecotui.engine.checks.material import Material
from ecotui.engine.checks.passes import first_images
from ecotui.engine.checks.traces import traceless, untouched_generators
from ecotui.engine.compute import is_out_of_memory
from ecotui.text import counted, listed, visible

NUM_IMAGES = 8
"""Images that are scored together and one by one."""
TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 1e-2}
"""By this share of the largest score may a photo's scores depend on how many are scored with it.
Source: kernels sum in another order for another batch size, which costs some multiples of the
format's spacing (1e-7, 8e-3, 1e-3) over the layers."""


def check_evaluation(material: Material) -> Iterator[Finding]:
    """Score images together, again, and one by one, with the network that validation judges."""
    parts = material.parts
    samples = (material.samples["val"] or material.samples["train"])[:NUM_IMAGES]
    together, again, single = (_Scorer(parts, purpose) for purpose in ("one", "two", "three"))
    started = time.monotonic()
    single.scores(samples[0].image_CHW[None])
    material.seconds_an_image = time.monotonic() - started
    samples = samples[: material.affordable(len(samples), passes=3, fraction=0.25)]
    images_BCHW = torch.stack([sample.image_CHW for sample in samples])
    started = time.monotonic()
    logits_BK = together.scores(images_BCHW)
    material.seconds_an_image = (time.monotonic() - started) / len(samples)
    yield _output_shape(material, logits_BK, len(samples))
    if logits_BK.dim() != 2:
        return
    if not bool(torch.isfinite(logits_BK).all()):
        reason = "scores in evaluation are not finite yet, so they cannot be compared"
        yield noted("repeatable_evaluation", reason)
        yield noted("batch_independence", reason)
        return
    yield _repeatable(parts, logits_BK, again.scores(images_BCHW))
    material.poll()
    alone_BK = torch.cat([single.scores(image_CHW[None]) for image_CHW in images_BCHW])
    yield _independent(parts, logits_BK, alone_BK)


class _Scorer:
    """Scores as validation does, with generators of its own."""

    def __init__(self, parts: Parts, purpose: str) -> None:
        self._parts, self._purpose = parts, purpose

    def scores(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        """Return scores [B, K], float32, on the CPU."""
        parts, judged = self._parts, self._parts.judged
        with traceless(parts), untouched_generators(parts, self._purpose):
            judged.eval()
            with torch.inference_mode(), parts.compute.autocast():
                scores: torch.Tensor = judged(parts.compute.to_device(images_BCHW))
        return scores.float().cpu()


def _output_shape(material: Material, logits_BK: torch.Tensor, count: int) -> Finding:
    num_classes = material.parts.num_classes
    shape = tuple(logits_BK.shape)
    if shape != (count, num_classes):
        return failed(
            "output_shape",
            f"the model gives {shape} for {counted(count, 'image')}",
            f"({count}, {num_classes}): a score for each class",
            "--set model.name=... an image classifier",
            found=shape,
        )
    return passed(
        "output_shape",
        f"the model takes them and gives {count} x {num_classes}, a score for each of "
        f"{counted(num_classes, 'class', 'classes')}",
        found=shape,
    )


def _repeatable(parts: Parts, one_BK: torch.Tensor, other_BK: torch.Tensor) -> Finding:
    if torch.equal(one_BK, other_BK):
        return passed("repeatable_evaluation", "evaluation gives the same scores, bit for bit")
    share = _difference(one_BK, other_BK)
    if share <= TOLERANCE[parts.compute.precision]:
        return warned(
            "repeatable_evaluation",
            f"evaluation gives scores that differ by {share:.1e} of the largest from time to time",
            "the same bits each time",
            "--set compute.deterministic=true, or --set "
            "'preflight.accept=[\"repeatable_evaluation\"]'",
            difference_fraction=share,
        )
    return failed(
        "repeatable_evaluation",
        "evaluation gives other scores the second time: the model draws at random while it is "
        "evaluated",
        "the same scores each time",
        "another model.name, whose dropout and noise end in evaluation (eval())",
        difference_fraction=share,
    )


def _independent(parts: Parts, together_BK: torch.Tensor, alone_BK: torch.Tensor) -> Finding:
    share = _difference(together_BK, alone_BK)
    if share <= TOLERANCE[parts.compute.precision]:
        return passed(
            "batch_independence",
            "a photo's scores do not depend on the others of its batch",
            difference_fraction=share,
        )
    norms = _names_of_norms(parts.judged, training=True)
    blamed = f" ({listed(norms, limit=3)} normalise over the batch)" if norms else ""
    return failed(
        "batch_independence",
        f"a photo's scores change by {share:.0%} of the largest with the others of its batch"
        f"{blamed}",
        "scores of the photo alone",
        "another model.name, whose BatchNorm uses its running statistics in evaluation (eval())",
        difference_fraction=share,
    )


def _difference(one_BK: torch.Tensor, other_BK: torch.Tensor) -> float:
    largest = float(one_BK.abs().max())
    return float((one_BK - other_BK).abs().max()) / largest if largest else 0.0


def check_batch_of_one(material: Material) -> list[Finding]:
    """Find forward passes of one image, in which BatchNorm has nothing to average over."""
    parts = material.parts
    norms = _names_of_norms(parts.trainable.network)
    size = min(parts.config.train.batch_size, len(parts.index.splits["train"]))
    micro = min(parts.compute.micro_batch_size, size)
    smallest = min(micro, size % micro or micro)
    if not norms:
        return [passed("batch_of_one", "the model has no BatchNorm", smallest=smallest)]
    if smallest > 1:
        return [
            passed(
                "batch_of_one",
                f"the smallest forward pass of the training has {smallest} images",
                smallest=smallest,
            )
        ]
    where = "the last of each step" if micro > 1 else "each"
    layers = f"{counted(len(norms), 'layer')} of BatchNorm"
    what = f"training has forward passes of one image ({where}), and {layers}"
    expected = "two images or more in every forward pass"
    remedy = _larger(size, parts)
    error = _error_of_one(material)
    if error:
        return [
            failed("batch_of_one", f"{what} cannot use them: {error}", expected, remedy, smallest=1)
        ]
    return [
        warned(
            "batch_of_one",
            f"{what} average over that one alone",
            expected,
            remedy,
            smallest=1,
        )
    ]


def _larger(size: int, parts: Parts) -> str:
    """Return the setting with which no forward pass has a single image."""
    if size < 2:
        return "--set train.batch_size=2 or more, and two training photos at least"
    micro = parts.compute.micro_batch_size
    fitting = next(count for count in range(max(2, micro), size + 1) if size % count != 1)
    return f"--set train.micro_batch_size={fitting}"


def _error_of_one(material: Material) -> str:
    """Return what the model says of a forward pass of one image; empty where it takes it."""
    images_BCHW, _ = first_images(material)
    try:
        with traceless(material.parts) as network:
            network.train()
            with torch.no_grad(), material.parts.compute.autocast():
                network(material.parts.compute.to_device(images_BCHW[:1]))
    except (RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        return visible(error, limit=200)
    return ""


def _names_of_norms(network: nn.Module, *, training: bool = False) -> tuple[str, ...]:
    """Return the names of BatchNorm layers; of those that use the batch's statistics if so asked.

    timm's own norms are made of torch's class.
    """
    return tuple(
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and (not training or module.training or not module.track_running_stats)
    )
