from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ecotui.engine.data.decode import DecodeError, decode, read_size

CAP = 1_000_000
RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def noise(width: int, height: int) -> Image.Image:
    generator = np.random.Generator(np.random.PCG64(1))
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def reason(path: Path, max_pixels: int = CAP) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(path, max_pixels=max_pixels)
    assert caught.value.reason.isprintable()
    return caught.value.reason


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


class TestFormats:
    @pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif", "tif"])
    def test_each_format_becomes_rgb(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"photo.{ending}"
        Image.new("RGB", (16, 8), RED).save(path)
        image = decode(path, max_pixels=CAP)
        assert image.mode == "RGB"
        assert image.size == (16, 8)
        assert np.abs(np.asarray(image).astype(int) - np.array(RED)).max() < 8

    def test_the_content_counts_and_not_the_name(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.jpg"
        Image.new("RGB", (4, 4), BLUE).save(path, format="PNG")
        assert decode(path, max_pixels=CAP).getpixel((0, 0)) == BLUE

    def test_a_palette_is_converted(self, tmp_path: Path) -> None:
        Image.new("RGB", (4, 4), BLUE).convert("P").save(tmp_path / "p.png")
        assert decode(tmp_path / "p.png", max_pixels=CAP).getpixel((0, 0)) == BLUE

    def test_black_and_white_is_converted(self, tmp_path: Path) -> None:
        Image.new("1", (4, 4), 1).save(tmp_path / "one.png")
        assert decode(tmp_path / "one.png", max_pixels=CAP).getpixel((0, 0)) == WHITE

    @pytest.mark.parametrize("ending", ["jpg", "tif"])
    def test_cmyk_is_converted(self, tmp_path: Path, ending: str) -> None:
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / f"c.{ending}")
        red, green, blue = np.asarray(decode(tmp_path / f"c.{ending}", max_pixels=CAP))[0, 0]
        assert red > 245
        assert max(green, blue) < 10

    @pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
    def test_of_an_animation_the_first_frame_is_taken(self, tmp_path: Path, ending: str) -> None:
        frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
        path = tmp_path / f"a.{ending}"
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
        assert decode(path, max_pixels=CAP).getpixel((1, 1)) == RED

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
    def test_what_is_transparent_becomes_white(self, tmp_path: Path, mode: str) -> None:
        path = tmp_path / "t.png"
        image = Image.new(mode, (4, 4), 0)
        if mode in ("P", "L", "RGB"):
            image.save(path, transparency=(0, 0, 0) if mode == "RGB" else 0)
        else:
            image.save(path)
        assert decode(path, max_pixels=CAP).getpixel((2, 2)) == WHITE

    def test_half_transparent_red_becomes_pink(self, tmp_path: Path) -> None:
        Image.new("RGBA", (4, 4), (255, 0, 0, 128)).save(tmp_path / "half.png")
        assert decode(tmp_path / "half.png", max_pixels=CAP).getpixel((0, 0)) == (255, 127, 127)

    def test_a_palette_with_several_transparencies_warns_of_nothing(self, tmp_path: Path) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([255, 0, 0, 0, 0, 255])
        image.putpixel((1, 0), 1)
        image.save(tmp_path / "p.png", transparency=b"\xff\x00")
        decoded = decode(tmp_path / "p.png", max_pixels=CAP)
        assert decoded.getpixel((0, 0)) == RED
        assert decoded.getpixel((1, 0)) == WHITE


class TestDeepGreys:
    @pytest.mark.parametrize("ending", ["png", "tif"])
    def test_16_bits_are_scaled_and_not_clipped(self, tmp_path: Path, ending: str) -> None:
        ramp = np.array([[0, 257, 25_700, 65_535]], dtype=np.uint16)
        Image.fromarray(ramp).save(tmp_path / f"deep.{ending}")
        image = decode(tmp_path / f"deep.{ending}", max_pixels=CAP)
        assert np.asarray(image)[0, :, 0].tolist() == [0, 1, 100, 255]
        assert image.mode == "RGB"

    def test_32_bits_and_negative_numbers_are_scaled_by_their_range(self, tmp_path: Path) -> None:
        ramp = np.array([[-100_000, 0, 100_000]], dtype=np.int32)
        Image.fromarray(ramp).save(tmp_path / "int.tif")
        image = decode(tmp_path / "int.tif", max_pixels=CAP)
        assert np.asarray(image)[0, :, 0].tolist() == [0, 128, 255]

    @pytest.mark.parametrize("top", [1.0, 255.0, 65_535.0])
    def test_floats_are_scaled_by_the_range_they_are_in(self, tmp_path: Path, top: float) -> None:
        ramp = np.array([[0.0, 0.2 * top, top]], dtype=np.float32)
        Image.fromarray(ramp).save(tmp_path / "float.tif")
        image = decode(tmp_path / "float.tif", max_pixels=CAP)
        assert np.asarray(image)[0, :, 0].tolist() == [0, 51, 255]

    def test_floats_that_are_no_numbers_are_black(self, tmp_path: Path) -> None:
        Image.fromarray(np.array([[np.nan, np.inf, 1.0]], dtype=np.float32)).save(
            tmp_path / "n.tif"
        )
        image = decode(tmp_path / "n.tif", max_pixels=CAP)
        assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 255]

    def test_a_single_value_beyond_all_ranges_is_black(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((2, 2), 1e9, dtype=np.float32)).save(tmp_path / "flat.tif")
        assert decode(tmp_path / "flat.tif", max_pixels=CAP).getpixel((0, 0)) == (0, 0, 0)


class TestOrientation:
    @pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_the_photo_is_upright(self, tmp_path: Path, ending: str, orientation: int) -> None:
        """A photo with a red top and a white left corner comes out so, however it is stored."""
        upright = Image.new("RGB", (48, 32), BLUE)
        upright.paste(RED, (0, 0, 48, 16))
        upright.paste(WHITE, (0, 0, 16, 16))
        to_stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
        stored = upright if to_stored is None else upright.transpose(Image.Transpose(to_stored))
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"photo.{ending}"
        stored.save(path, exif=exif)
        image = decode(path, max_pixels=CAP)
        assert image.size == (48, 32)
        assert ending == "tif" or read_size(path) == (48, 32)
        for spot, colour in (((8, 8), WHITE), ((40, 8), RED), ((8, 24), BLUE), ((40, 24), BLUE)):
            got = np.array(image.getpixel(spot))
            assert np.abs(got - np.array(colour)).max() < 30, spot

    @pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"x"])
    def test_damaged_exif_takes_nothing_from_the_photo(self, tmp_path: Path, exif: bytes) -> None:
        noise(16, 8).save(tmp_path / "e.jpg", exif=exif)
        assert decode(tmp_path / "e.jpg", max_pixels=CAP).size == (16, 8)

    def test_an_orientation_out_of_range_is_none(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 77
        noise(16, 8).save(tmp_path / "e.jpg", exif=exif)
        assert decode(tmp_path / "e.jpg", max_pixels=CAP).size == (16, 8)


class TestWhatGoesWrong:
    def test_no_file(self, tmp_path: Path) -> None:
        assert reason(tmp_path / "none.png") == "the file does not exist"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert reason(tmp_path) == "this is a folder"

    def test_a_broken_link(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").symlink_to("gone")
        assert reason(tmp_path / "a.png") == "the file does not exist"

    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").symlink_to("a.png")
        assert reason(tmp_path / "a.png") == "the file is a link that leads back to itself"

    @pytest.mark.timeout(10)
    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.png")
        assert reason(tmp_path / "pipe.png") == "this is not a regular file"

    def test_a_device(self) -> None:
        assert reason(Path("/dev/null")) == "this is not a regular file"

    def test_a_file_that_may_not_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        assert reason(tmp_path / "a.png") == "the file may not be read"

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").touch()
        assert reason(tmp_path / "a.png") == "the file is empty"

    @pytest.mark.parametrize("text", [b"hello", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe", b"\xff\xd8"])
    def test_not_a_photo(self, tmp_path: Path, text: bytes) -> None:
        (tmp_path / "a.png").write_bytes(text)
        assert reason(tmp_path / "a.png").startswith("not a photo in a known format (JPEG, PNG")

    @pytest.mark.parametrize("format", ["PPM", "ICO", "PDF", "TGA", "PCX"])
    def test_a_format_that_is_not_let_in(self, tmp_path: Path, format: str) -> None:  # noqa: A002
        noise(16, 16).save(tmp_path / "a.png", format=format)
        assert reason(tmp_path / "a.png").startswith("not a photo in a known format")

    @pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "tif", "gif"])
    def test_a_truncated_file(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a.{ending}"
        noise(64, 64).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert "the file ends too early" in reason(path) or "cannot be decoded" in reason(path)

    def test_a_photo_beyond_the_cap_is_not_decoded(self, tmp_path: Path) -> None:
        (tmp_path / "bomb.png").write_bytes(png_of(60_000, 60_000))
        told = reason(tmp_path / "bomb.png", max_pixels=50_000_000)
        assert told == "60,000 x 60,000 pixels, more than data.max_pixels = 50,000,000"

    def test_the_cap_is_the_largest_size_let_through(self, tmp_path: Path) -> None:
        noise(40, 25).save(tmp_path / "a.png")
        assert decode(tmp_path / "a.png", max_pixels=1_000).size == (40, 25)
        assert "more than data.max_pixels = 999" in reason(tmp_path / "a.png", max_pixels=999)

    def test_a_cap_above_pillows_own_holds(self, tmp_path: Path) -> None:
        # Pillow alone would refuse the size itself; here it is the missing pixels that count.
        (tmp_path / "large.png").write_bytes(png_of(20_000, 10_000))
        assert "data.max_pixels" not in reason(tmp_path / "large.png", max_pixels=10**9)

    def test_reasons_are_fit_to_be_shown(self) -> None:
        assert DecodeError("a\x1b[31m\n").reason == r"a\e[31m\n"
        assert len(DecodeError("x" * 9_000).reason) == 300

    def test_pillow_is_left_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_345)
        noise(8, 8).save(tmp_path / "a.png")
        (tmp_path / "bad.png").write_bytes(b"bad")
        before = (12_345, list(warnings.filters))
        decode(tmp_path / "a.png", max_pixels=CAP)
        reason(tmp_path / "bad.png")
        assert before == (Image.MAX_IMAGE_PIXELS, list(warnings.filters))

    def test_no_file_stays_open(self, tmp_path: Path) -> None:
        noise(8, 8).save(tmp_path / "a.jpg")
        (tmp_path / "bad.png").write_bytes(b"bad")
        (tmp_path / "empty.png").touch()

        def lowest_free() -> int:
            descriptor = os.open("/dev/null", os.O_RDONLY)
            os.close(descriptor)
            return descriptor

        before = lowest_free()
        decode(tmp_path / "a.jpg", max_pixels=CAP)
        for name in ("bad.png", "empty.png", "."):
            reason(tmp_path / name)
        assert lowest_free() == before

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.sampled_from(["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"]),
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
        st.floats(0.1, 1.0),
    )
    def test_a_damaged_file_is_a_photo_or_a_reason(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        format: str,  # noqa: A002
        damage: list[tuple[float, int]],
        kept_fraction: float,
    ) -> None:
        buffer = io.BytesIO()
        noise(12, 9).save(buffer, format=format)
        content = bytearray(
            buffer.getvalue()[: max(1, int(len(buffer.getvalue()) * kept_fraction))]
        )
        for place, value in damage:
            content[int(place * len(content))] = value
        path = tmp_path_factory.getbasetemp() / "damaged"
        path.write_bytes(content)
        with contextlib.suppress(DecodeError):  # anything else fails the test
            assert decode(path, max_pixels=CAP).mode == "RGB"


def test_sizes_are_read_from_the_header_alone(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_of(60_000, 50_000))
    assert read_size(tmp_path / "bomb.png") == (60_000, 50_000)
    with pytest.raises(DecodeError):
        read_size(tmp_path)


def test_decoding_and_indexing_need_no_torch() -> None:
    code = (
        "import sys, ecotui.engine.data.decode, ecotui.engine.data.index\n"
        "print(sorted({'torch', 'timm', 'sklearn'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
