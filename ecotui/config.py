"""The configuration of a run: frozen, strict, documented field by field.

TOML in, JSON schema out. Precedence, low to high: the defaults here, the
user's file, the config file, `--set`. Knows nothing of what the engine does
with a setting; limits that need a model or the data are checked there.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ecotui.guard_settings import GuardConfig
from ecotui.notify_settings import NotifyConfig
from ecotui.settings import Fraction, NotNegative, Positive, PositiveOrOff, Section
from ecotui.watch_settings import WatchConfig

DEMO_PREFIX = "demo:"
"""A data root that starts so is a data set that ecotui makes itself, in the user's cache."""

DEMO_DATA_SETS = ("digits",)

BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
DEFAULT_BATCH_SIZE = 32
DEFAULT_LEARNING_RATE = 5e-4


class DataConfig(Section):
    """Where the photos are, and how they become samples."""

    root: str = Field(default="", max_length=4096)
    """Folder of photos. A relative path is relative to the config file (in `--set`: to the
    working directory); `demo:digits` is the built-in demo. Required."""
    layout: Literal["auto", "splits", "classes", "lists", "manifest"] = "auto"
    """`splits`: train/ val/ [test/], each with class folders; `classes`: a folder per class,
    split by seed; `lists`: train.txt, val.txt, [test.txt] with a `class/file` a line;
    `manifest`: a CSV file; `auto`: found out from what is there."""
    manifest: str | None = None
    """CSV file with the columns path, label and optionally split; relative to `root`."""
    val_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.2
    """Share of each class for validation where the data brings no split. 0 to 1, exclusive."""
    test_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of each class for testing where the data brings no split. 0 to 1; 0: no test."""
    image_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    """Side of the square input, pixels, 1 to 4096; `auto`: what the model was made for."""
    crop_fraction: Annotated[float, Field(gt=0.0, le=1.0)] | Literal["auto"] = "auto"
    """Share of the resized photo that validation looks at, 0 to 1; `auto`: the model's own."""
    interpolation: Literal["auto", "bilinear", "bicubic", "nearest", "lanczos"] = "auto"
    """How photos are resized; `auto`: as the model was made for."""
    max_pixels: Annotated[int, Field(ge=1_000, le=1_000_000_000)] = 50_000_000
    """Largest photo that is decoded, pixels; a larger one is set aside. 1,000 to 10^9."""
    cache: bool | Literal["auto"] = "auto"
    """Decode photos once and keep them, smaller, in the user's cache, for this run and others;
    `auto`: where it pays and they fit. Its pixels differ a little from those of the
    photos, so a run stays with what it began with."""
    cache_gb: Positive = 20.0
    """Room that the kept pictures of all runs may take, in units of 10^9 bytes."""
    cache_side: Annotated[int, Field(ge=8, le=16_384)] | Literal["auto"] = "auto"
    """Shorter side of kept pictures, pixels; `auto`: 2 times `image_size`, or 1.5 times where
    that does not fit."""
    exclude: str | None = None
    """List of photos to leave out, a path relative to `root` a line, such as
    `ecotui audit DATA --exclude corrupt,leaks > exclude.txt` prints; relative to the config
    file. Remove lines, or this key, and the photos are back."""
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    """`shuffled`: every sample once an epoch; `balanced`: classes drawn equally often."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.manifest is not None and self.layout not in ("auto", "manifest"):
            raise ValueError(
                f"data.manifest and data.layout = '{self.layout}' contradict each other: "
                "remove one of them"
            )
        if self.layout == "manifest" and self.manifest is None:
            raise ValueError("data.layout = 'manifest' needs data.manifest, the CSV file")
        if self.val_fraction + self.test_fraction >= 1.0:
            raise ValueError(
                "data.val_fraction and data.test_fraction leave nothing to train on: "
                "their sum must be below 1"
            )
        return self


class AugmentConfig(Section):
    """What the training transforms do to a photo; validation is never augmented."""

    scale: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = (0.35, 1.0)
    """Smallest and largest share of the photo's area that a random crop takes, 0 to 1."""
    ratio: Annotated[tuple[Positive, Positive], Field(strict=False)] = (0.75, 1.3333)
    """Smallest and largest aspect ratio of a random crop."""
    horizontal_flip: Fraction = 0.5
    """Probability of a left-right flip, 0 to 1. 0 for text and digits."""
    vertical_flip: Fraction = 0.0
    """Probability of an upside-down flip, 0 to 1."""
    color_jitter: NotNegative = 0.4
    """Strength of brightness, contrast and saturation changes; 0 is none."""
    auto_augment: str | None = None
    """timm's policy string, such as `rand-m9-mstd0.5-inc1`; it replaces the colour jitter."""
    random_erasing: Fraction = 0.0
    """Probability that a random rectangle is erased, 0 to 1."""
    mixup: NotNegative = 0.0
    """Alpha of mixup's beta distribution; 0 is off."""
    cutmix: NotNegative = 0.0
    """Alpha of cutmix's beta distribution; 0 is off."""
    mix_probability: Fraction = 1.0
    """Probability that a batch is mixed at all, 0 to 1."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if low > high:
                raise ValueError(f"augment.{name} must be [smallest, largest]")
        if self.scale[1] <= 0.0:
            raise ValueError("augment.scale must leave something of the photo")
        return self


class ModelConfig(Section):
    """Which timm model."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = "resnet18"
    """Any model name that timm knows."""
    pretrained: bool = True
    """Start from published weights (downloaded once); false: from scratch."""
    weights: str | None = None
    """A .safetensors file to start from instead, such as `ecotui import-weights` writes; a
    classifier for other classes in it is left out. Relative to the config file."""
    drop_rate: Fraction | None = None
    """Dropout before the classifier, 0 to 1; unset: the model's own."""
    drop_path_rate: Fraction | None = None
    """Stochastic depth, 0 to 1; unset: the model's own."""
    gradient_checkpointing: bool = False
    """Trade time for memory: recompute activations in the backward pass."""


class TrainConfig(Section):
    """The training itself."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Passes over the training split, 1 to 100,000."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """End after so many optimizer steps at the latest; unset: no limit."""
    batch_size: BatchSize | Literal["auto"] = DEFAULT_BATCH_SIZE
    """Images an optimizer step, 1 to 1,000,000; `auto`: measured at the start of a new run, the
    smallest that fits into memory and trains about as fast as any."""
    micro_batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Images a forward pass; gradients of several are accumulated to `batch_size`.
    `auto`: all at once, except 2 on MPS."""
    optimizer: Annotated[str, Field(min_length=1)] = "adamw"
    """Any optimizer name that timm knows."""
    learning_rate: Positive | Literal["auto"] = DEFAULT_LEARNING_RATE
    """Peak learning rate; `auto`: found by a range test at the start of a new run."""
    weight_decay: NotNegative = 0.05
    """Weight decay, not applied to biases and norms."""
    momentum: Fraction = 0.9
    """Momentum, for optimizers that have one. 0 to 1."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Each layer below the head learns by this factor slower, 0 to 1; unset: off."""
    scheduler: Literal["cosine", "tanh", "step", "poly", "none"] = "cosine"
    """How the learning rate falls after warm-up (timm's schedulers)."""
    warmup_epochs: NotNegative = 1.0
    """Epochs over which the learning rate rises; at most half of the run is taken."""
    warmup_learning_rate: Positive = 1e-6
    """Learning rate at the very first step of the warm-up."""
    min_learning_rate: NotNegative = 1e-6
    """Learning rate that the schedule ends with."""
    clip_gradient_norm: PositiveOrOff = 1.0
    """Largest L2 norm of all gradients, clipped above; `off`: no clipping."""
    clip_mode: Literal["norm", "adaptive"] = "norm"
    """`norm`: gradients are clipped at `clip_gradient_norm` alone; `adaptive`: also where their
    norm stands out from those of the steps before (ZClip)."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of the target spread over all classes, 0 to 1."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: the loss weighs a class inversely to its number of training images."""
    ema: bool = False
    """Keep an exponential moving average of the weights, and evaluate and save that."""
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9998
    """Decay of the average a step, 0 to 1; it warms up from 0 at the start."""
    freeze_epochs: Annotated[int, Field(ge=0)] = 0
    """Train only the classifier for so many epochs, then everything. For pretrained models."""
    metric: Literal["accuracy", "macro_f1", "loss"] = "accuracy"
    """Validation figure that chooses the best checkpoint and feeds early stopping."""
    early_stopping_epochs: Annotated[int, Field(ge=1)] | None = None
    """Stop after so many epochs without a better `metric`; unset: never."""
    target_accuracy: Fraction | None = None
    """Validation accuracy that the run is meant to reach, 0 to 1; named in the summary."""
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    """Seed of split, order, augmentation and weights."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.freeze_epochs > self.epochs:
            raise ValueError(
                f"train.freeze_epochs = {self.freeze_epochs} is more than "
                f"train.epochs = {self.epochs}"
            )
        if self.learning_rate != "auto" and self.min_learning_rate > self.learning_rate:
            raise ValueError("train.min_learning_rate is above train.learning_rate")
        return self


class ComputeConfig(Section):
    """What the training runs on."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda|cuda:[0-9]{1,3})$")] = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:N` or `mps`; `auto`: CUDA, else MPS, else the CPU."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format of the forward pass; `auto`: measured at the start of a new run that is long
    enough to gain by it, else bf16 or fp16 on CUDA and fp32 elsewhere."""
    channels_last: bool | Literal["auto"] = "auto"
    """Memory format of images; `auto`: measured with the precision, else channels last on CUDA."""
    compile: bool = False
    """torch.compile the model: slower start, often faster steps."""
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"
    """Threads of the CPU's own computations; results depend on it to the last bit."""
    workers: Annotated[int, Field(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes that read and transform photos, 0 to 256; 0: the training process does."""
    deterministic: bool = True
    """Ask torch for deterministic algorithms where it has them."""


class CheckpointConfig(Section):
    """When the state of the run is saved, and what is kept."""

    interval_seconds: Positive = 300.0
    """Longest time between two checkpoints, seconds; one is also saved at each epoch."""
    keep: Annotated[int, Field(ge=1, le=1000)] = 2
    """How many of the newest checkpoints stay, 1 to 1000; the best model always stays."""
    background: bool = True
    """Write checkpoints while training goes on, from a copy in memory as large as the state;
    false: training waits for the disk."""


class PreflightConfig(Section):
    """What is checked before training."""

    level: Literal["off", "quick", "full"] = "quick"
    """How much is checked before training. `off`: nothing, layers 1 to 3 (environment,
    transforms, pre-training check) are switched off; `quick`: the environment, some samples
    and the first batch; `full`: every file as well, and more samples for longer."""
    budget_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 120.0
    """Longest time for checks and measurements, seconds, up to a day; what there is no time for
    is left out and named."""
    skip: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of checks or parts to leave out; docs/preflight.md has them all. `plan`: nothing is
    measured of what the run will take; `formats`: nor which number format is fastest."""
    accept: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Names of checks, or of kinds of findings of the audit, whose warnings are accepted: they
    are told as notes. An error cannot be."""

    @property
    def plans(self) -> bool:
        """Whether a plan is made at all."""
        return self.level != "off" and "plan" not in self.skip


class RunConfig(Section):
    """Everything that can be chosen about a run."""

    name: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] = ""
    """What the run is called by: letters, digits, dots, dashes and underscores, at most 64;
    unset: the config file's name."""
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    compute: ComputeConfig = ComputeConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    preflight: PreflightConfig = PreflightConfig()
    guards: GuardConfig = GuardConfig()
    watch: WatchConfig = WatchConfig()
    notify: NotifyConfig = NotifyConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.data.sampling == "balanced" and self.train.class_weights == "balanced":
            raise ValueError(
                "data.sampling = 'balanced' and train.class_weights = 'balanced' both even out "
                "the classes, which doubles the effect: keep one of them"
            )
        return self
