from __future__ import annotations

import math
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform
from torch.nn.functional import interpolate

from ecotui.config import AugmentConfig
from ecotui.engine.data.framing import Frame, middle_frame
from ecotui.engine.data.picture_cache import shrunk
from ecotui.engine.data.pixels import Pixels
from ecotui.engine.data.sources import open_source
from ecotui.engine.data.transforms import AtLeast, TrainTransform, Transforms, build_transforms
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.randomness import borrowed_randomness
from ecotui.errors import UsageError

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.25, 0.2)
PLAIN = AugmentConfig(scale=(1.0, 1.0), ratio=(1.0, 1.0), horizontal_flip=0.0, color_jitter=0.0)


def spec(image_size: int = 16, crop_fraction: float = 1.0, how: str = "bilinear") -> InputSpec:
    return InputSpec(image_size, MEAN, STD, how, crop_fraction)


def noise(width: int, height: int) -> Image.Image:
    generator = np.random.Generator(np.random.PCG64(1))
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def near(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether pixels agree but for rounding: Pillow and torch resize in fixed point."""
    return int((one.int() - other.int()).abs().max()) <= 1


def shapes(transforms: Transforms, image: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(transforms.train(image).shape), tuple(transforms.evaluate(image).shape)}


@settings(deadline=None, max_examples=80)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    image_size=st.integers(1, 48),
    crop_fraction=st.floats(0.3, 1.0),
    scale=st.tuples(st.floats(0, 1), st.floats(0.01, 1)).map(lambda s: (min(s), max(s))),
    ratio=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)).map(lambda r: (min(r), max(r))),
    seed=st.integers(0, 1000),
)
@example(1, 1, 32, 0.9, (0.0, 0.01), (0.1, 10.0), 0)
@example(1, 1, 32, 0.9, (1.0, 1.0), (3.0, 4.0), 0)
@example(1, 1, 32, 0.9, (1.0, 1.0), (0.25, 0.3), 0)
@example(20_000, 1, 32, 0.9, (0.08, 1.0), (0.75, 1.3333), 0)
@example(1, 20_000, 32, 0.9, (0.35, 1.0), (0.75, 1.3333), 0)
def test_whatever_goes_in_the_models_size_comes_out(
    width: int,
    height: int,
    image_size: int,
    crop_fraction: float,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    seed: int,
) -> None:
    augment = AugmentConfig(scale=scale, ratio=ratio, color_jitter=0.0)
    transforms = build_transforms(spec(image_size, crop_fraction), augment)
    image = Image.new("RGB", (width, height), "white")
    with borrowed_randomness(seed):
        train, evaluate = transforms.train(image), transforms.evaluate(image)
    assert train.shape == evaluate.shape == (3, image_size, image_size)
    # A crop of no pixels comes out of torchvision as a black image, without a word.
    assert train.min() == evaluate.min() == 255


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "nearest", "lanczos"])
def test_pixels_are_8_bits_and_become_normalised_float32(how: str) -> None:
    transforms = build_transforms(spec(how=how), PLAIN)
    expected = torch.tensor(
        [
            (value / 255 - mean) / std
            for value, mean, std in zip((255, 0, 51), MEAN, STD, strict=True)
        ]
    )
    for transform in (transforms.train, transforms.evaluate):
        image_CHW = transform(Image.new("RGB", (20, 30), (255, 0, 51)))
        assert image_CHW.dtype == torch.uint8
        image_CHW = transforms.normalisation(image_CHW)
        assert image_CHW.dtype == torch.float32
        assert torch.allclose(image_CHW, expected[:, None, None].expand_as(image_CHW), atol=1e-5)


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@pytest.mark.parametrize("augment", [AugmentConfig(), PLAIN, AugmentConfig(auto_augment="v0")])
def test_channels_lie_one_after_another(how: str, augment: AugmentConfig) -> None:
    transforms = build_transforms(spec(how=how), augment)
    for transform in (transforms.train, transforms.evaluate):
        assert transform(noise(50, 40)).is_contiguous()


@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
@pytest.mark.parametrize("is_writable", [True, False])
def test_a_part_is_resized_as_if_it_were_all_there_is(how: str, is_writable: bool) -> None:
    photo = np.array(noise(50, 40))
    box = (7.0, 3.0, 40.0, 39.0)
    part_CHW = torch.from_numpy(photo[3:39, 7:40].copy()).permute(2, 0, 1).contiguous()
    photo.flags.writeable = is_writable
    before = photo.tobytes()
    ours = Pixels(photo, (50, 40)).cut(Frame(box), 24, how)
    alone = interpolate(part_CHW[None], (24, 24), mode=how, antialias=True)[0]
    assert torch.equal(ours, alone)
    assert photo.tobytes() == before


def test_evaluation_is_the_same_each_time_and_draws_nothing() -> None:
    transforms = build_transforms(spec(crop_fraction=0.8), AugmentConfig())
    image = noise(40, 30)
    before = (random.getstate(), torch.random.get_rng_state())
    first = transforms.evaluate(image)
    assert torch.equal(first, transforms.evaluate(image))
    assert random.getstate() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


@pytest.mark.parametrize(
    "augment",
    [
        AugmentConfig(random_erasing=1.0, vertical_flip=0.5),
        AugmentConfig(auto_augment="rand-m9-mstd0.5-inc1"),
        AugmentConfig(auto_augment="augmix-m5-w4-d2"),
    ],
)
def test_training_says_whether_it_draws_from_numpys_generator(augment: AugmentConfig) -> None:
    transform = build_transforms(spec(16), augment).train
    assert isinstance(transform, TrainTransform)
    before = numpys_state()
    for _ in range(20):
        transform(noise(40, 30))
    assert numpys_state() == before or transform.draws_from_numpy


def numpys_state() -> str:
    with np.printoptions(threshold=10_000):
        return repr(np.random.get_state())


def test_building_draws_nothing() -> None:
    before = (random.getstate(), torch.random.get_rng_state())
    build_transforms(spec(), AugmentConfig(auto_augment="rand-m9-mstd0.5-inc1"))
    assert random.getstate() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])


def test_with_every_strength_at_nought_training_sees_the_whole_photo_as_it_is() -> None:
    transforms = build_transforms(spec(16), PLAIN)
    image = noise(16, 16)
    for seed in range(5):
        with borrowed_randomness(seed):
            assert torch.equal(transforms.train(image), transforms.evaluate(image))


def test_crops_follow_their_aspect_ratio() -> None:
    strips = build_transforms(spec(16), PLAIN.model_copy(update={"ratio": (4.0, 4.0)}))
    image = noise(16, 16)
    middle = image.crop((0, 6, 16, 10)).resize((16, 16), Image.Resampling.BILINEAR)
    plain = build_transforms(spec(16), PLAIN)
    assert near(strips.train(image), plain.evaluate(middle))


def test_photos_are_resized_as_the_specification_says() -> None:
    ways = [build_transforms(spec(how=how), PLAIN) for how in ("nearest", "bilinear", "bicubic")]
    for kind in ("train", "evaluate"):
        seen = [getattr(way, kind)(noise(40, 40)) for way in ways]
        assert not torch.equal(seen[0], seen[1])
        assert not torch.equal(seen[1], seen[2])


def test_flips_follow_their_probability() -> None:
    image = noise(16, 16)
    plain = build_transforms(spec(16), PLAIN).train(image)
    across = PLAIN.model_copy(update={"horizontal_flip": 1.0})
    down = PLAIN.model_copy(update={"vertical_flip": 1.0})
    assert torch.equal(build_transforms(spec(16), across).train(image), plain.flip(2))
    assert torch.equal(build_transforms(spec(16), down).train(image), plain.flip(1))


@pytest.mark.parametrize(
    "change",
    [
        {"color_jitter": 0.5},
        {"random_erasing": 1.0},
        {"auto_augment": "rand-m9-n4-p1.0"},
        {"scale": (0.2, 0.2)},
    ],
)
def test_each_augmentation_changes_the_photo_as_the_seed_says(change: dict[str, object]) -> None:
    image = noise(16, 16)
    plain = build_transforms(spec(16), PLAIN).train(image)
    changed = build_transforms(spec(16), PLAIN.model_copy(update=change))
    seen = []
    for seed in (1, 1, 2):
        with borrowed_randomness(seed):
            seen.append(changed.train(image))
    assert not torch.equal(seen[0], plain)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert torch.equal(changed.evaluate(image), plain)


@pytest.mark.parametrize("policy", ["rand-m9-mstd0.5-inc1", "augmix-m5-w4-d2", "3a", "original"])
def test_timms_policies_pass(policy: str) -> None:
    transforms = build_transforms(spec(16), AugmentConfig(auto_augment=policy))
    with borrowed_randomness(3):
        assert shapes(transforms, noise(30, 20)) == {(3, 16, 16)}


@pytest.mark.parametrize(
    "policy", ["nonsense", "rand-m9-wx1", "rand-mfoo1", "rand-m9-q5", "a\x1b["]
)
def test_a_policy_that_timm_does_not_know_is_told(policy: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_transforms(spec(), AugmentConfig(auto_augment=policy))
    assert caught.value.what.startswith("augment.auto_augment = '")
    assert all(line.isprintable() for line in caught.value.lines())


def test_transforms_can_be_sent_to_a_fresh_process() -> None:
    transforms = build_transforms(spec(), AugmentConfig(auto_augment="rand-m9-mstd0.5"))
    copy = pickle.loads(pickle.dumps(transforms))  # noqa: S301
    image = noise(20, 20)
    seen = []
    for each in (transforms, copy):
        with borrowed_randomness(5):
            seen.append(each.train(image))
    assert torch.equal(seen[0], seen[1])


@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    side=st.integers(1, 64),
    crop_fraction=st.floats(0.3, 1.0),
    how=st.sampled_from(["bilinear", "bicubic", "lanczos"]),
)
def test_evaluation_makes_the_pixels_that_timm_makes(
    width: int, height: int, side: int, crop_fraction: float, how: str
) -> None:
    if max(width, height) > 8 * min(width, height):
        return  # timm resizes all of a strip
    image = noise(width, height)
    theirs = create_transform(
        (3, side, side), interpolation=how, mean=MEAN, std=STD, crop_pct=crop_fraction
    )(image)
    transforms = build_transforms(spec(side, crop_fraction, how), PLAIN)
    ours = transforms.normalisation(transforms.evaluate(image))
    levels = (ours - theirs).abs() * 255 * torch.tensor(STD)[:, None, None]
    # Pillow takes rows or columns first as it sees fit, and rounds and cuts off in between: of
    # noise, the worst there is, single pixels differ by tens, all together by a level. A box that
    # is off by a fraction of a pixel shows in all of them, by six levels and more.
    assert float(levels.mean()) <= 3.0
    assert float((levels > 24.0).float().mean()) <= 0.02  # A line of wrong pixels is more.
    assert float(levels.mean()) <= (3.0 if levels.numel() < 100 else 1.0)


def test_the_middle_of_a_strip_is_looked_at() -> None:
    frame = middle_frame((101, 2), resized=4, side=4, longest=8)
    left, top, right, bottom = frame.box
    assert (left + right) / 2 == pytest.approx(50.5, abs=0.51)
    assert (top, bottom) == (0.0, 2.0)


def test_a_side_that_is_too_short_is_stretched() -> None:
    assert AtLeast(5)(Image.new("RGB", (100, 1))).size == (100, 5)
    image = Image.new("RGB", (5, 7))
    assert AtLeast(5)(image) is image


def test_an_evaluation_of_a_strip_takes_little_memory() -> None:
    # Without trimming, the resize makes 32 * 20,000 * 32 pixels of it.
    transforms = build_transforms(spec(32), PLAIN)
    resized: list[int] = []
    original = Image.Image.resize

    def watched(image: Image.Image, size: tuple[int, int], *args: Any, **named: Any) -> Image.Image:
        resized.append(math.prod(size))
        return original(image, size, *args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", watched)
        transforms.evaluate(Image.new("RGB", (20_000, 1)))
    assert max(resized) <= 32 * 32 * 8


def stripes(width: int = 512, height: int = 256) -> Image.Image:
    """Return columns of one pixel, black and white in turn: grey from afar."""
    row = np.tile(np.array([0, 255], dtype=np.uint8), width // 2)
    return Image.fromarray(np.broadcast_to(row[None, :, None], (height, width, 3)).copy())


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("is_kept_smaller", [False, True])
def test_a_photo_that_is_made_smaller_is_antialiased(
    how: str, is_kept_smaller: bool, tmp_path: Path
) -> None:
    """Without it, columns of one pixel come out as stripes, or as one of the two colours."""
    stripes().save(tmp_path / "stripes.png")
    source = open_source(tmp_path / "stripes.png", max_pixels=1_000_000)
    if is_kept_smaller:
        source = shrunk(source, 64)
    transforms = build_transforms(spec(24, how=how), AugmentConfig(color_jitter=0.0))
    for made in (
        transforms.evaluate.of(source),  # type: ignore[attr-defined]
        *(transforms.train.of(source) for _ in range(20)),  # type: ignore[attr-defined]
    ):
        middle = made[:, 2:-2, 2:-2].float()
        assert float((middle - 127.5).abs().max()) < 40.0
