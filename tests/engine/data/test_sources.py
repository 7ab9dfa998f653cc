"""Photos decoded at the size that a crop needs, compared with photos decoded in full."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from ecotui.config import AugmentConfig
from ecotui.engine.data.decode import UPRIGHT, DecodeError, decode
from ecotui.engine.data.framing import Frame, random_frame
from ecotui.engine.data.jpeg_structure import read_structure
from ecotui.engine.data.pixels import Pixels
from ecotui.engine.data.sources import Decoded, PlainJpeg, open_source, shrinking
from ecotui.engine.data.transforms import build_transforms
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.randomness import borrowed_randomness
from tests.engine.audit.hostile_photos import CASES, Case

CAP = 50_000_000


def smooth(width: int, height: int) -> Image.Image:
    """A picture whose red says how far right a place is, and green how far down."""
    x = (np.arange(width) + 0.5) / width * 255
    y = (np.arange(height) + 0.5) / height * 255
    picture = np.empty((height, width, 3))
    picture[..., 0], picture[..., 1], picture[..., 2] = x[None], y[:, None], 128.0
    return Image.fromarray(np.rint(picture).astype(np.uint8))


def photo_like(width: int, height: int, seed: int = 0) -> Image.Image:
    generator = np.random.Generator(np.random.PCG64(seed))
    coarse = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    fine = generator.integers(60, 196, (height // 3, width // 3, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    small = np.asarray(Image.fromarray(fine).resize((width, height), Image.Resampling.BILINEAR))
    mixed = large.astype(np.int16) + (small.astype(np.int16) - 128) // 3
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, orientation: int = 1, subsampling: int = 0) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=100, exif=exif, subsampling=subsampling)
    return file.getvalue()


def source_of(data: bytes) -> PlainJpeg:
    structure = read_structure(data)
    assert structure is not None
    return PlainJpeg(data, structure, Path("nowhere"), CAP)


def in_full(data: bytes) -> Decoded:
    with Image.open(io.BytesIO(data)) as image:
        orientation = image.getexif().get(0x0112, 1)
        colours = image.convert("RGB")
    turn = UPRIGHT.get(int(orientation))
    return Decoded(colours if turn is None else colours.transpose(turn))


def factor_of(pixels: Pixels) -> float:
    return pixels.factors[0]


class TestScale:
    @pytest.mark.parametrize(
        ("most", "factor"), [(1.0, 1), (1.99, 1), (2.0, 2), (3.9, 2), (4.0, 4), (8.0, 8), (90.0, 8)]
    )
    def test_no_more_is_shrunk_than_may_be(self, most: float, factor: int) -> None:
        pixels = source_of(jpeg(smooth(203, 101))).pixels(most)
        assert pixels.factors == (float(factor),) * 2
        assert pixels.stored_HWC.shape == (math.ceil(101 / factor), math.ceil(203 / factor), 3)

    def test_in_full_it_is_what_pillow_decodes(self) -> None:
        for subsampling in (0, 1, 2):
            data = jpeg(photo_like(211, 157), subsampling=subsampling)
            own = source_of(data).pixels(1.0).stored_HWC
            assert np.array_equal(own, np.asarray(in_full(data).image))

    def test_a_grey_photo_becomes_colours(self, tmp_path: Path) -> None:
        photo_like(90, 70).convert("L").save(tmp_path / "grey.jpg")
        source = open_source(tmp_path / "grey.jpg", max_pixels=CAP)
        assert isinstance(source, PlainJpeg)
        whole = decode(tmp_path / "grey.jpg", max_pixels=CAP)
        assert np.array_equal(source.pixels(1.0).stored_HWC, np.asarray(whole))

    def test_a_crop_is_never_made_of_fewer_pixels_than_it_has(self) -> None:
        spec = InputSpec(96, (0.5,) * 3, (0.5,) * 3, "bilinear", 0.9)
        transform = build_transforms(spec, AugmentConfig(color_jitter=0.0)).train
        data = jpeg(photo_like(700, 500))
        seen = []

        class Watched(PlainJpeg):
            def pixels(self, most_factor: float) -> Pixels:
                seen.append(most_factor)
                return super().pixels(most_factor)

        source = source_of(data)
        for seed in range(40):
            with borrowed_randomness(seed):
                transform.of(Watched(source.data, source.structure, source.path, CAP))  # type: ignore[attr-defined]
            with borrowed_randomness(seed):
                frame = random_frame((700, 500), (0.35, 1.0), (0.75, 1.3333))
            frame = frame.on_grid(shrinking(frame.shortest / 96))
            assert seen[-1] == frame.shortest / 96
            used = factor_of(source.pixels(seen[-1]))
            assert frame.shortest / used >= 96 or used == 1
        assert len({factor_of(source.pixels(most)) for most in seen}) > 1


@given(
    box=st.tuples(*[st.integers(0, 4000)] * 4),
    side=st.integers(1, 384),
)
def test_a_random_part_is_whole_pixels_of_what_is_decoded(
    box: tuple[int, int, int, int], side: int
) -> None:
    left, top, wide, high = box[0], box[1], side + box[2], side + box[3]
    frame = Frame((float(left), float(top), float(left + wide), float(top + high)))
    grain = shrinking(frame.shortest / side)
    moved = frame.on_grid(grain)
    assert all(edge % grain == 0 for edge in moved.box)
    for old, new in zip(frame.box, moved.box, strict=True):
        assert old - 2 * grain < new <= old
    # No more is decoded for it, and no fewer pixels are there to make it of.
    assert shrinking(moved.shortest / side) == grain


def test_a_part_that_sees_around_stays_where_it_is() -> None:
    frame = Frame((1.5, 3.0, 801.0, 903.0), sees_around=True)
    assert frame.on_grid(4) is frame


boxes = st.tuples(
    st.floats(0.0, 0.6), st.floats(0.0, 0.6), st.floats(0.3, 0.4), st.floats(0.3, 0.4)
)


@given(
    width=st.integers(130, 420),
    height=st.integers(130, 420),
    box=boxes,
    orientation=st.integers(1, 8),
    factor=st.sampled_from([1, 2, 4, 8]),
    how=st.sampled_from(["bilinear", "bicubic", "lanczos"]),
)
@example(401, 303, (0.1, 0.6, 0.4, 0.4), 6, 8, "bilinear")
@example(401, 303, (0.6, 0.1, 0.4, 0.4), 3, 4, "bicubic")
@example(171, 169, (0.0, 0.0, 0.3125, 0.375), 1, 8, "bilinear")
@example(171, 170, (0.6, 0.0, 0.3125, 0.375), 1, 8, "bilinear")
def test_a_place_in_the_photo_stays_where_it_is_to_a_fraction_of_a_pixel(
    width: int,
    height: int,
    box: tuple[float, float, float, float],
    orientation: int,
    factor: int,
    how: str,
) -> None:
    """Red and green tell where a pixel was in the photo, whatever it was decoded at."""
    upright = smooth(width, height)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    turn = UPRIGHT.get(back)
    data = jpeg(upright if turn is None else upright.transpose(turn), orientation)
    source = source_of(data)
    assert source.size == (width, height)
    left, top = box[0] * width, box[1] * height
    wide, high = box[2] * width, box[3] * height
    side = 16
    pixels = source.pixels(float(factor))
    cut = pixels.cut(Frame((left, top, left + wide, top + high), sees_around=True), side, how)
    steps = (np.arange(side) + 0.5) / side
    want_x, want_y = (left + wide * steps) / width * 255, (top + high * steps) / height * 255
    inner = slice(3, -3)  # the photo may end where the part does, and a ramp bends there
    found_x = cut[0].double().numpy()[inner, inner].mean(axis=0)
    found_y = cut[1].double().numpy()[inner, inner].mean(axis=1)
    # Pixels of the photo that lie between two levels of the ramp, which JPEG rounds more than once.
    level = max(width, height) / 255
    # At an eighth a pixel is one coefficient, and the part a few of them: no rounding evens out.
    coarse = max(1.0, factor / 4)
    assert np.abs(found_x - want_x[inner]).max() * width / 255 <= level + 0.3 * coarse
    assert np.abs(found_y - want_y[inner]).max() * height / 255 <= level + 0.3 * coarse
    shift_x = (found_x - want_x[inner]).mean() * width / 255
    shift_y = (found_y - want_y[inner]).mean() * height / 255
    assert abs(shift_x) <= 0.5 * level + 0.1 * coarse
    assert abs(shift_y) <= 0.5 * level + 0.1 * coarse


def edge_place(row: NDArray[np.float64]) -> float:
    """Return where a step from dark to light lies in a row, in pixels."""
    return float(len(row) - (row - row.min()).sum() / (row.max() - row.min()))


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7, 8])
@pytest.mark.parametrize("width", [512, 509, 397])
def test_an_edge_is_not_shifted(factor: int, orientation: int, width: int) -> None:
    for place in (190, 203):
        picture = np.zeros((384, width, 3), np.uint8)
        picture[:, place:] = 255
        upright = Image.fromarray(picture)
        turn = UPRIGHT.get({6: 8, 8: 6}.get(orientation, orientation))
        data = jpeg(upright if turn is None else upright.transpose(turn), orientation)
        frame = Frame((130.0, 20.0, 130.0 + 8 * 32 * 0.9, 20.0 + 8 * 32))
        few = source_of(data).pixels(float(factor)).cut(frame, 32, "bilinear")
        many = in_full(data).pixels(1.0).cut(frame, 32, "bilinear")
        found, wanted = (edge_place(each[0].double().mean(dim=0).numpy()) for each in (few, many))
        # Of a pixel of the result, of which one is seven of the photo.
        assert abs(found - wanted) < 0.06


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("size", [(800, 600), (1203, 901)])
def test_few_pixels_differ_from_those_of_the_whole_photo(
    size: tuple[int, int], subsampling: int
) -> None:
    data = jpeg(photo_like(*size), subsampling=subsampling)
    transforms = build_transforms(
        InputSpec(96, (0.5,) * 3, (0.5,) * 3, "bilinear", 0.875), AugmentConfig(color_jitter=0.0)
    )
    differences = []
    for seed in range(12):
        for kind in ("train", "evaluate"):
            seen = []
            for source in (source_of(data), in_full(data)):
                with borrowed_randomness(seed):
                    seen.append(getattr(transforms, kind).of(source).double())
            differences.append(float((seen[0] - seen[1]).abs().mean()))
            assert abs(float((seen[0] - seen[1]).mean())) < 0.5
    assert max(differences) < 2.5
    assert float(np.mean(differences)) < 1.5


class TestWhatIsWrong:
    def cut_short(self, path: Path) -> Path:
        content = jpeg(photo_like(400, 300))
        path.write_bytes(content[: len(content) // 2])
        return path

    def test_a_truncated_photo_is_told_as_ever(self, tmp_path: Path) -> None:
        path = self.cut_short(tmp_path / "short.jpg")
        with pytest.raises(DecodeError) as old:
            decode(path, max_pixels=CAP)
        for most in (1.0, 8.0):
            with pytest.raises(DecodeError) as new:
                open_source(path, max_pixels=CAP).pixels(most)
            assert (new.value.reason, new.value.fault) == (old.value.reason, "truncated")

    def test_what_the_strict_decoder_complains_about_is_decoded_as_ever(
        self, tmp_path: Path
    ) -> None:
        content = jpeg(photo_like(400, 300), orientation=6)
        middle = len(content) // 2
        path = tmp_path / "damaged.jpg"
        path.write_bytes(content[:middle] + bytes(512) + content[middle + 512 :])
        with pytest.raises(ValueError, match="orrupt"):
            simplejpeg.decode_jpeg(path.read_bytes(), strict=True)
        source = open_source(path, max_pixels=CAP)
        pixels = source.pixels(8.0)
        assert source.size == (300, 400)
        assert np.array_equal(pixels.stored_HWC, np.asarray(decode(path, max_pixels=CAP)))

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
    def test_hostile_photos_come_out_as_ever(self, case: Case, tmp_path: Path) -> None:
        path = tmp_path / case.name
        case.make(path)
        seen: list[object] = []
        for read in (_read_whole, _read_source):
            try:
                seen.append(read(path))
            except DecodeError as error:
                seen.append((error.reason, error.fault))
        assert seen[0] == seen[1]


def _read_whole(path: Path) -> bytes:
    return decode(path, max_pixels=CAP).tobytes()


def _read_source(path: Path) -> bytes:
    return open_source(path, max_pixels=CAP).pixels(1.0).upright_image().tobytes()


def test_a_photo_that_is_too_large_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large.jpg").write_bytes(jpeg(smooth(300, 200)))
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(DecodeError) as caught:
        open_source(tmp_path / "large.jpg", max_pixels=59_999)
    assert caught.value.fault == "too_large"


def test_a_turned_part_is_the_part_of_the_turned_photo() -> None:
    upright = photo_like(80, 64)
    for orientation, turn in UPRIGHT.items():
        stored = upright.transpose(UPRIGHT[{6: 8, 8: 6}.get(orientation, orientation)])
        assert np.array_equal(np.asarray(stored.transpose(turn)), np.asarray(upright))
        pixels = Pixels(np.array(stored), stored.size, orientation)
        part = pixels.cut(Frame((10.0, 20.0, 42.0, 52.0)), 32, "bilinear")
        want = np.asarray(upright)[20:52, 10:42]
        assert torch.equal(part, torch.from_numpy(want.copy()).permute(2, 0, 1))
