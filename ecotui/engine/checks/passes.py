"""One forward and backward pass as training does it: numbers, first loss, gradients."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from ecotui.engine.assembly import Parts
from ecotui.engine.checks.finding import FigureValue, Finding, failed, noted, passed, warned
from ecotui.engine.checks.material import Material
from ecotui.engine.checks.traces import traceless
from ecotui.engine.compute import is_out_of_memory
from ecotui.text import counted, listed, number, percent, visible

MAX_LOSS_EXCESS_ANEW = 10.0
"""By so many nats may the first loss of a new classifier lie above ln(K). Source: 25 architectures
of timm, begun anew, on made pictures and on photos of TrashNet, with 2 to 1000 classes and two
seeds: most lie within 0.3, the mobile ones with few classes up to 5.2 above it."""
MAX_LOSS_EXCESS_TRAINED = 1.5
"""The same for a trained classifier, which should be below ln(K): one that knows the classes in
another order is sure of wrong answers, some nats above it."""
MIN_LOSS_FRACTION = 0.25
"""Below this share of ln(K) a new classifier knows what it cannot know."""
MIN_TELLING_IMAGES = 8
"""With fewer it may be luck."""
MAX_WITHOUT_GRADIENT_FRACTION = 0.5
"""Above this share of the weights without a gradient, the model does not learn as a whole."""
MIN_SCALE = 128.0
"""Smallest scale of gradients that fp16 can do with: ten halvings in a row of the first one,
65536, after which training is no longer a matter of finding the scale."""
NUM_SAMPLES = 8
"""Images that stand in where no batch was read."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward and backward pass gave.

    Attributes:
        num_images: In it.
        loss: Mean over the images, nats.
        logits_are_finite: All of them.
        nonfinite: Names of the weights whose gradients are not finite.
        without: Names of the trained weights that got no gradient.
        frozen: Names of the weights that ask for none.
        scale: Of the gradients, at which they were finite, or the last that was tried.
    """

    num_images: int
    loss: float
    logits_are_finite: bool
    nonfinite: tuple[str, ...]
    without: tuple[str, ...]
    frozen: tuple[str, ...]
    scale: float

    @property
    def is_finite(self) -> bool:
        """Whether all numbers are."""
        return self.logits_are_finite and math.isfinite(self.loss) and not self.nonfinite


def first_images(material: Material) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images [B, 3, S, S] and labels [B] of a first micro-batch; samples stand in for it."""
    size = material.parts.compute.micro_batch_size
    batch = material.batches.get("train")
    if batch is not None:
        return batch.images_BCHW[:size], batch.labels_B[:size]
    samples = material.samples["train"][: max(2, min(size, NUM_SAMPLES))]
    images_BCHW = torch.stack([sample.image_CHW for sample in samples])
    return images_BCHW, torch.tensor([sample.label for sample in samples], dtype=torch.int64)


def check_first_pass(material: Material) -> Iterator[Finding]:
    """Run the first micro-batch forward and back, and judge numbers, loss and gradients."""
    parts = material.parts
    images_BCHW, labels_B = first_images(material)
    asked = material.affordable(labels_B.numel(), passes=3, fraction=0.25)
    images_BCHW, labels_B = images_BCHW[:asked], labels_B[:asked]
    seen: Pass | None = None
    while seen is None:
        material.poll()
        try:
            seen = run_pass(parts, images_BCHW, labels_B)
        except Exception as error:
            count = labels_B.numel() // 2
            if not is_out_of_memory(error):
                yield _cannot_run(parts, error)
                return
            if count < 1:
                raise
            images_BCHW, labels_B = images_BCHW[:count], labels_B[:count]
        # Outside of the handler: its traceback holds what is to be freed.
        if seen is None and parts.compute.device_type == "cuda":
            torch.cuda.empty_cache()
    yield _memory(seen.num_images, asked)
    if seen.is_finite:
        yield passed("finite_numbers", "scores, loss and gradients are finite", loss=seen.loss)
        yield passed("precision", f"{parts.compute.precision} holds the numbers", scale=seen.scale)
        yield _initial_loss(material, seen)
        yield _gradients(material, seen)
        return
    yield _not_finite(parts, seen, images_BCHW, labels_B)


def run_pass(
    parts: Parts, images_BCHW: torch.Tensor, labels_B: torch.Tensor, *, in_fp32: bool = False
) -> Pass:
    """Go forward and back in training mode, and put everything back.

    Args:
        parts: Of the run.
        images_BCHW: Float32.
        labels_B: Int64.
        in_fp32: Rather than in the run's precision.

    Raises:
        RuntimeError: The model cannot be run; also where memory runs out.
    """
    compute = replace(parts.compute, precision="fp32") if in_fp32 else parts.compute
    scaler = parts.trainable.scaler
    scale = float(scaler.get_scale()) if scaler.is_enabled() and not in_fp32 else 1.0
    images, targets = compute.to_device(images_BCHW), compute.to_device(labels_B)
    while True:
        with traceless(parts) as network:
            network.train()
            # A compiled model is made for a size, and training should find the same one.
            is_whole = labels_B.numel() == compute.micro_batch_size
            with compute.autocast():
                logits_BK = (parts.forward if is_whole else network)(images)
            loss = parts.objective.summed(logits_BK, targets) / parts.objective.normaliser(targets)
            if loss.requires_grad:  # not where everything is frozen
                (loss * scale).backward()
            weights = list(network.named_parameters())
            seen = Pass(
                num_images=labels_B.numel(),
                loss=float(loss.detach()),
                logits_are_finite=bool(torch.isfinite(logits_BK).all()),
                nonfinite=tuple(
                    name
                    for name, weight in weights
                    if weight.grad is not None and not bool(torch.isfinite(weight.grad).all())
                ),
                without=tuple(
                    name for name, weight in weights if weight.requires_grad and weight.grad is None
                ),
                frozen=tuple(name for name, weight in weights if not weight.requires_grad),
                scale=scale,
            )
        only_scaled = seen.nonfinite and seen.logits_are_finite and math.isfinite(seen.loss)
        if not only_scaled or scale / 2 < MIN_SCALE:
            return seen
        scale /= 2


def _memory(fitting: int, asked: int) -> Finding:
    if fitting == asked:
        return passed("memory", f"{counted(asked, 'image')} fit into memory", num_images=asked)
    return warned(
        "memory",
        f"there is no room for {asked} images in a forward pass; {fitting} fit",
        f"room for {asked} images",
        f"--set train.micro_batch_size={fitting}",
        num_images=fitting,
        num_asked=asked,
    )


def _cannot_run(parts: Parts, error: Exception) -> Finding:
    traceback.print_exception(error)  # into engine.log
    return failed(
        "first_batch",
        f"the first batch does not go through the model: {type(error).__name__}: "
        f"{visible(error, limit=300)}",
        "one pass forward and one back",
        "--set compute.compile=false"
        if parts.config.compute.compile
        else "another model.name, or another release of timm; engine.log has the traceback",
    )


def _not_finite(
    parts: Parts, seen: Pass, images_BCHW: torch.Tensor, labels_B: torch.Tensor
) -> Finding:
    """Say what is not finite, and whether the number format is to blame."""
    what = (
        f"gradients of {listed(seen.nonfinite, limit=3)}"
        if seen.nonfinite and math.isfinite(seen.loss) and seen.logits_are_finite
        else "the loss of the first batch"
    )
    precision = parts.compute.precision
    if precision != "fp32" and run_pass(parts, images_BCHW, labels_B, in_fp32=True).is_finite:
        other = "bf16 (or fp32)" if precision == "fp16" else "fp32"
        return failed(
            "precision",
            f"not finite in {precision}, and finite in fp32: {what}",
            f"a model whose numbers {precision} can hold",
            f"--set compute.precision={other}",
            precision=precision,
            scale=seen.scale,
        )
    return failed(
        "finite_numbers",
        f"not finite: {what}",
        "finite numbers in the first step",
        "the weights or the model are broken: another model.weights, another model.name, or "
        "--set model.pretrained=false",
        loss=seen.loss,
    )


def _initial_loss(material: Material, seen: Pass) -> Finding:
    """Compare the first loss with that of a model that knows nothing."""
    chance = math.log(max(2, material.parts.num_classes))
    figures = {"loss": seen.loss, "chance": chance}
    told = f"the first loss is {number(seen.loss)}; guessing gives ln({material.parts.num_classes})"
    told += f" = {number(chance)}"
    if material.is_trained:
        return noted("initial_loss", f"{told}; the model has been trained already", **figures)
    is_anew = not material.parts.built.has_trained_head
    excess = MAX_LOSS_EXCESS_ANEW if is_anew else MAX_LOSS_EXCESS_TRAINED
    if seen.loss > chance + excess:
        return warned(
            "initial_loss",
            f"{told}: the model begins sure of wrong answers",
            f"at most {number(chance + excess)}",
            "a new classifier with too large weights settles down slowly: "
            "--set train.freeze_epochs=1 (and --set train.clip_gradient_norm=1.0)"
            if is_anew
            else "the classifier knows the classes in another order, or sees other pictures than "
            "it learnt from: compare the class folders with those of its training, or begin with "
            "a new one: --set model.weights=... without a classifier",
            **figures,
        )
    knows = seen.loss < chance * MIN_LOSS_FRACTION and seen.num_images >= MIN_TELLING_IMAGES
    if is_anew and knows:
        return warned(
            "initial_loss",
            f"{told}: the model begins with answers that it cannot know",
            f"at least {number(chance * MIN_LOSS_FRACTION)} from a new classifier",
            "look at the first batches: are they all of one class, or is the label to be seen in "
            "the pictures? If it was trained on these classes, "
            "--set 'preflight.accept=[\"initial_loss\"]'",
            **figures,
        )
    return passed("initial_loss", told, **figures)


def _gradients(material: Material, seen: Pass) -> Finding:
    """Judge which weights learn."""
    sizes = {
        name: weight.numel() for name, weight in material.parts.trainable.network.named_parameters()
    }
    total = sum(sizes.values())
    lost = sum(sizes[name] for name in seen.without)
    held = sum(sizes[name] for name in seen.frozen)
    figures: dict[str, FigureValue] = {
        "num_weights": total,
        "num_without_gradient": lost,
        "num_frozen": held,
        "without_gradient": seen.without[:20],
        "frozen": seen.frozen[:20],
    }
    expected = "a finite gradient for every weight that is to learn"
    learning = total - lost - held
    if learning <= 0 or lost > MAX_WITHOUT_GRADIENT_FRACTION * total:
        what = (
            f"no weight learns: all {counted(total, 'weight')} are frozen or get no gradient"
            if learning <= 0
            else f"{percent(lost / total, 0)} of the weights get no gradient: "
            f"{listed(seen.without, limit=3)}"
        )
        return failed(
            "gradients",
            what,
            expected,
            "another model: --set model.name=... ; its code detaches or freezes its layers",
            **figures,
        )
    if seen.without or seen.frozen:
        named = []
        if seen.without:
            named.append(f"no gradient reaches {listed(seen.without, limit=5)}")
        if seen.frozen:
            named.append(f"{listed(seen.frozen, limit=5)} are frozen from the start")
        return warned(
            "gradients",
            f"{' and '.join(named)} ({percent((lost + held) / total, 1)} of the weights)",
            expected,
            "these weights stay as they are; if that is meant, "
            "--set 'preflight.accept=[\"gradients\"]'",
            **figures,
        )
    epochs = material.parts.config.train.freeze_epochs
    later = f"; the first {counted(epochs, 'epoch')} train only the classifier" if epochs else ""
    return passed("gradients", f"every weight gets a finite gradient{later}", **figures)
