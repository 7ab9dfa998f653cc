"""Every guard of layers 4 to 7 and every alert by its name: what it means, and what to do.

The one place from which pages, screens and summaries take their words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Entry:
    """What a name in an event stands for.

    Attributes:
        layer: Of protection: 4 to 7, 1 for what is watched beside the training; 0 for an
            alert that belongs to none.
        title: In a few words.
        what: What is watched, and against which limit.
        why: Why it matters to the training.
        remedies: What a person can do, the likeliest first.
        acts: What is done about it, in words.
        limits: Settings that decide, such as `guards.max_lost_fraction`.
        source: Where the limit is known from; empty where it was chosen here.
    """

    layer: Literal[0, 1, 4, 5, 6, 7]
    title: str
    what: str
    why: str
    remedies: tuple[str, ...]
    acts: str
    limits: tuple[str, ...] = ()
    source: str = ""


_NOTEBOOK = "the founding notebook's limits"
_SKIPS = "the step is skipped, and BatchNorm's statistics are put back"
_ROLLS_BACK = "back to the last sound state, the second time with half the learning rate"

GUARD_REGISTER: dict[str, Entry] = {
    "batch_samples": Entry(
        4,
        "photos that cannot be used",
        "the share of an epoch's samples that were set aside; judged after 50 batches and at the "
        "end of the epoch",
        "some corrupt photos are acceptable; many mean that the data set is broken, and the model "
        "learns from what is left",
        (
            "look at the files that quarantine.jsonl names, and replace or remove them",
            "find them all before training: --set preflight.level=full",
        ),
        "each photo is replaced by another one of its class; too many stop the run (exit code 4)",
        ("guards.warn_lost_fraction", "guards.max_lost_fraction", "guards.judge_after_batches"),
        _NOTEBOOK,
    ),
    "batch_skips": Entry(
        4,
        "batches that were skipped",
        "the share of an epoch's batches that were skipped whole; judged after 50 batches and at "
        "the end of the epoch",
        "a skipped batch teaches nothing, and many of them have a common cause",
        (
            "look at the incidents of the run: they name the cause and the photos",
            "lower train.learning_rate where the numbers were not finite",
            "lower train.micro_batch_size where memory ran out",
        ),
        "many stop the run (exit code 4)",
        (
            "guards.warn_lost_fraction",
            "guards.max_lost_fraction",
            "guards.judge_after_batches",
            "guards.min_skipped_batches",
        ),
        _NOTEBOOK,
    ),
    "bad_input": Entry(
        4,
        "a sample that must not reach the model",
        "shape, number format and numbers of each image, and whether its label is one of the "
        "classes",
        "one image that is not finite makes a whole batch NaN, and a label out of range ends the "
        "process on CUDA",
        (
            "look at the file that is named, and at [augment] if there are many",
            "check the manifest where it is the label",
        ),
        "the sample is set aside and replaced by another one of its class; the batch goes on",
    ),
    "batch_errors": Entry(
        4,
        "a batch that fails",
        "exceptions of a forward or backward pass; ten in a row are no bad batch but a fault of "
        "the settings or the code",
        "a passing error must not end a run of hours, a lasting one must end it",
        (
            "see engine.log for the whole story",
            "take the photos that are named out of the data set",
        ),
        "the batch is skipped and looked into; the same in every batch stops the run (exit code 4)",
        ("guards.max_errors_in_a_row",),
        _NOTEBOOK,
    ),
    "out_of_memory": Entry(
        4,
        "memory ran out",
        "whether a forward pass, a backward pass, an update or an evaluation finds room",
        "a batch in smaller parts gives the same gradients in less memory",
        (
            "lower train.micro_batch_size: the batch stays the same, in smaller parts",
            "set model.gradient_checkpointing = true, or choose a smaller model or image size",
            "end other programs on the device",
        ),
        "the micro-batch is halved and the same samples are tried again, down to one; after that "
        "the run ends (exit code 6)",
        ("guards.grow_after_steps", "guards.max_growths"),
        "MosaicML Composer, automatic gradient accumulation",
    ),
    "failed_update": Entry(
        4,
        "an update that failed half way",
        "exceptions of the optimizer's step",
        "some weights may have been changed and others not",
        ("see engine.log for the whole story", "choose another train.optimizer"),
        f"{_ROLLS_BACK}; no batch is passed over",
        ("guards.max_rollbacks",),
    ),
    "nonfinite_loss": Entry(
        5,
        "a loss that is not a finite number",
        "loss and scores of every step, before anything is updated with them",
        "after one update with NaN every weight is NaN, and so is every evaluation",
        (
            "lower train.learning_rate",
            "set compute.precision = 'fp32', or 'bf16' instead of 'fp16'",
            "look at the incident: it names the samples where it is the data",
        ),
        f"{_SKIPS}; three in a row lead {_ROLLS_BACK}",
        (
            "guards.max_nonfinite_in_a_row",
            "guards.max_nonfinite_fraction",
            "guards.max_rollbacks",
        ),
    ),
    "loss_spike": Entry(
        5,
        "the loss has jumped and stays up",
        "20 steps in a row above the median of the last 200 by more than 6 median absolute "
        "deviations, and above twice the median",
        "a training that was thrown off seldom finds back by itself",
        (
            "lower train.learning_rate",
            "lower train.clip_gradient_norm, or set train.clip_mode = 'adaptive'",
        ),
        f"{_ROLLS_BACK}; the batches of the spike are passed over",
        (
            "guards.spike_window",
            "guards.spike_deviations",
            "guards.spike_factor",
            "guards.spike_min_rise",
            "guards.spike_steps",
            "guards.max_rollbacks",
        ),
        "PaLM (arXiv 2204.02311, section 5.1): restart some 100 steps earlier, skip the batches",
    ),
    "loss_plateau": Entry(
        5,
        "the loss stands still",
        "the best training loss of the last epochs against the best before them",
        "more of the same brings no more",
        (
            "let it go on if the learning rate is still to fall",
            "raise train.learning_rate, or choose a larger model",
        ),
        "told once",
        ("guards.plateau_epochs", "guards.plateau_fraction"),
        _NOTEBOOK,
    ),
    "loss_at_chance": Entry(
        5,
        "the model guesses",
        "a training loss within 1% of ln(classes), what equal scores for every class give, more "
        "than an epoch after the warm-up",
        "the model learns nothing from the photos",
        (
            "change train.learning_rate by a factor of ten, first downwards",
            "check that the labels belong to the photos: ecotui preflight CONFIG",
            "start from pretrained weights: model.pretrained = true",
        ),
        "told once",
        ("guards.chance_fraction",),
    ),
    "nonfinite_gradient": Entry(
        6,
        "gradients that are not finite",
        "the norm of all gradients, before the update",
        "one update with them destroys the model",
        (
            "lower train.learning_rate",
            "set train.clip_gradient_norm = 1.0",
            "set compute.precision = 'fp32'",
        ),
        f"{_SKIPS}; three in a row lead {_ROLLS_BACK}",
        (
            "guards.max_nonfinite_in_a_row",
            "guards.max_nonfinite_fraction",
            "guards.max_rollbacks",
        ),
    ),
    "exploding_gradient": Entry(
        6,
        "gradients that explode",
        "20 steps in a row with a gradient norm above ten times its median of the last 200",
        "the loss often follows them",
        ("lower train.learning_rate", "set train.clip_mode = 'adaptive'"),
        "told once, until it is over; clipping is a training setting and goes on as it is",
        ("guards.exploding_factor",),
    ),
    "vanishing_gradient": Entry(
        6,
        "gradients that vanish",
        "50 steps in a row with a gradient norm below 1e-7 while the loss is not small",
        "nothing is learned any more",
        (
            "raise train.learning_rate, or start from pretrained weights",
            "set compute.precision = 'fp32' where it is fp16",
        ),
        "told once, until it is over",
        ("guards.vanishing_norm",),
    ),
    "fp16_scale": Entry(
        6,
        "fp16 has no room left",
        "the scale of the loss in fp16: below 128, or lowered in 10 steps in a row",
        "gradients overflow however small the scale: fp16 does not suit this model",
        ("set compute.precision = 'bf16'", "set compute.precision = 'fp32'"),
        "told once, until it is over; the scaler skips such steps by itself",
        ("guards.min_fp16_scale", "guards.max_overflows_in_a_row"),
        "pytorch/pytorch#40497: a floor of 128",
    ),
    "first_epoch": Entry(
        7,
        "the first epoch is no success",
        "validation accuracy after the first epoch: above 10%, or three times chance if less",
        "what does not learn in the first epoch seldom learns in the next ones",
        (
            "wait for the second epoch while the learning rate warms up",
            "change train.learning_rate",
        ),
        "told",
        ("guards.first_epoch_accuracy",),
        _NOTEBOOK,
    ),
    "falling_loss": Entry(
        7,
        "the training loss does not fall",
        "the mean training loss of the first two epochs",
        "it stands still or rises where the learning rate or the labels are wrong",
        ("raise train.learning_rate if it stands still", "lower it if it jumps"),
        "told",
        (),
        _NOTEBOOK,
    ),
    "rising_validation_loss": Entry(
        7,
        "over-fitting",
        "validation loss that rises for some epochs running while the training loss falls",
        "the model learns the photos by heart",
        (
            "set train.early_stopping_epochs",
            "more augmentation, or label smoothing",
        ),
        "told; early stopping answers it",
        ("guards.rising_epochs",),
        _NOTEBOOK,
    ),
    "nonfinite_validation_loss": Entry(
        7,
        "the validation loss is not finite",
        "the loss of a validation",
        "the model, or its moving average, is broken",
        ("lower train.learning_rate", "set compute.precision = 'fp32'"),
        f"{_ROLLS_BACK}; such a model is never kept as best",
        ("guards.max_rollbacks",),
    ),
    "nonfinite_state": Entry(
        7,
        "weights that are not finite",
        "weights, their moving average and the optimizer's moments, every 100 steps and whenever "
        "the state is saved",
        "a state with NaN in it can only get worse, and must never be saved as good",
        (
            "lower train.learning_rate",
            "set compute.precision = 'fp32'",
            "look at the memory of this machine if it comes again at other steps",
        ),
        f"{_ROLLS_BACK}; the state is not saved",
        ("guards.check_state_every_steps", "guards.max_rollbacks"),
    ),
    "unpredicted_classes": Entry(
        7,
        "classes that are never predicted",
        "macro F1 far below the accuracy, and which classes of the validation split no photo is "
        "taken for",
        "a model that never names a class looks good by accuracy alone where that class is rare",
        (
            "set train.class_weights = 'balanced', or data.sampling = 'balanced'",
            "add photos of the classes that are named",
            "set train.metric = 'macro_f1'",
        ),
        "told, when the classes change",
        ("guards.macro_f1_fraction",),
        _NOTEBOOK,
    ),
    "learning_rate_high": Entry(
        7,
        "the learning rate looks too high",
        "a mean training loss that is by a tenth above the best one so far, after the warm-up",
        "steps that are too long jump over what they look for",
        ("lower the learning rate: ecotui set-lr RUN RATE",),
        "told",
        ("guards.high_rate_rise",),
    ),
    "learning_rate_low": Entry(
        7,
        "the learning rate looks too low",
        "a training loss that falls in each of three epochs after the warm-up, by less than 1% "
        "each, and is still above half of ln(classes)",
        "the run ends long before the model has learned what it could",
        ("raise the learning rate: ecotui set-lr RUN RATE",),
        "told once",
        ("guards.low_rate_fall",),
    ),
    "early_stopping": Entry(
        7,
        "nothing gets better",
        "epochs without a better validation figure",
        "the best model is there already, and more epochs would over-fit",
        ("set train.early_stopping_epochs higher to give it more time",),
        "training ends early, and well",
        ("train.early_stopping_epochs",),
    ),
    "damaged_checkpoint": Entry(
        0,
        "a checkpoint is damaged",
        "every checkpoint is read back after it was saved, and before it is used",
        "a damaged checkpoint cannot be resumed from",
        ("look at the disk and at the memory of this machine",),
        "it is set aside, and an older one is taken or a new one is saved",
    ),
    "records_not_written": Entry(
        0,
        "records have gaps",
        "whether metrics.csv, quarantine.jsonl and other records can be written",
        "the training is not touched, but what is told of it is",
        ("free some space",),
        "told once",
    ),
    "unsafe_setting": Entry(
        0,
        "a setting is known to be unsafe",
        "settings that are known to fail on this device",
        "they make a run fail later, or give wrong numbers",
        ("leave the setting on 'auto' unless you know better",),
        "told",
    ),
}
"""Guards in the order of their layers, then alerts."""

GUARD_NAMES = tuple(name for name, entry in GUARD_REGISTER.items() if entry.layer)
"""Stable names of all guards, by which they are silenced."""


def recovery_words(guard: str, what: str) -> str:
    """Return what is over, and what is said of its end, where that names it not by itself.

    Args:
        guard: Name of the guard.
        what: What it said when it recovered.
    """
    entry = GUARD_REGISTER.get(guard)
    if entry is None or what.startswith(OVER):
        return what
    return f"{entry.title}: {what}"


OVER = "it is over: "
"""Before the words of what is over."""
