"""The reader of previews: what PIL writes it reads, and what is hostile it refuses."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui.png import MAX_SIDE_PIXELS, Picture, PngError, read_png


def written(mode: str, size: tuple[int, int], seed: int = 0, **how: Any) -> tuple[bytes, Any]:
    import numpy as np
    from PIL import Image

    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    rng = np.random.Generator(np.random.PCG64(seed))
    smooth = rng.integers(0, 256, (size[1], size[0], channels)).cumsum(axis=1) % 256
    pixels = smooth.astype(np.uint8)
    image = Image.fromarray(pixels.squeeze(2) if channels == 1 else pixels, mode)
    file = io.BytesIO()
    image.save(file, "PNG", **how)
    return file.getvalue(), image


@pytest.mark.filterwarnings("ignore:.*mode.*:DeprecationWarning")
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (128, 96)])
def test_what_the_engine_writes_is_read_pixel_by_pixel(mode: str, size: tuple[int, int]) -> None:
    raw, image = written(mode, size)
    picture = read_png(raw)
    assert (picture.width, picture.height) == size
    has_alpha = mode.endswith("A")
    for row, column in ((0, 0), (size[1] - 1, size[0] - 1), (size[1] // 2, size[0] // 2)):
        pixel = image.getpixel((column, row))
        parts = (pixel,) if isinstance(pixel, int) else pixel
        alpha = parts[-1] if has_alpha else 255
        colour = parts[:-1] if has_alpha else parts
        expected = tuple(each * alpha // 255 for each in colour) * (1 if len(colour) == 3 else 3)
        assert picture.rows[row][column] == expected


def made(header: bytes, *bodies: bytes, end: bool = True) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    data = b"".join(chunk(b"IDAT", body) for body in bodies)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + (chunk(b"IEND", b"") if end else b"")
    )


def header(width: int = 2, height: int = 2, *rest: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, *(rest or (8, 0, 0, 0, 0)))


@pytest.mark.parametrize("kind", range(5))
def test_every_kind_of_prediction_is_undone(kind: int) -> None:
    rows = bytes([kind, 10, 20]) + bytes([kind, 30, 40])
    raw = made(header(), zlib.compress(rows))
    expected = {
        0: ((10, 20), (30, 40)),
        1: ((10, 30), (30, 70)),
        2: ((10, 20), (40, 60)),
        3: ((10, 25), (35, 70)),
        4: ((10, 30), (40, 80)),
    }[kind]
    assert tuple(tuple(red for red, _, _ in row) for row in read_png(raw).rows) == expected


GOOD = zlib.compress(bytes(6))
BOMB = zlib.compress(bytes(200_000_000), level=1)[:200_000]
HOSTILE = {
    "nothing": b"",
    "no PNG": b"GIF89a",
    "only a signature": b"\x89PNG\r\n\x1a\n",
    "no end": made(header(), GOOD, end=False),
    "no data": made(header()),
    "a short header": made(b"1234", GOOD),
    "no pixels": made(header(0, 2), GOOD),
    "a very large picture": made(header(100_000, 100_000), GOOD),
    "one pixel too many": made(header(MAX_SIDE_PIXELS + 1, 1), GOOD),
    "16 bits": made(header(2, 2, 16, 0, 0, 0, 0), GOOD),
    "a palette": made(header(2, 2, 8, 3, 0, 0, 0), GOOD),
    "interlaced": made(header(2, 2, 8, 0, 0, 0, 1), GOOD),
    "fewer pixels than said": made(header(4, 4), GOOD),
    "an unknown prediction": made(header(), zlib.compress(bytes([9, 0, 0, 9, 0, 0]))),
    "no zlib": made(header(), b"not packed at all"),
    "a length beyond the end": b"\x89PNG\r\n\x1a\n"
    + struct.pack(">I", 2**32 - 1)
    + b"IHDR"
    + b"\0" * 20,
    "a wrong checksum": made(header(), GOOD)[:-20] + b"\0" * 20,
    "a megabyte": b"\x89PNG\r\n\x1a\n" + bytes(1_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_is_refused(name: str) -> None:
    with pytest.raises(PngError):
        read_png(HOSTILE[name])


def test_what_unpacks_to_a_flood_is_unpacked_no_further_than_it_says() -> None:
    began = time.process_time()
    assert read_png(made(header(), BOMB)) == Picture(2, 2, (((0, 0, 0),) * 2,) * 2)
    assert time.process_time() - began < 1.0


@given(st.binary(max_size=400), st.integers(0, 400))
def test_a_damaged_picture_is_refused_or_read_and_nothing_else(noise: bytes, at: int) -> None:
    raw = made(header(), GOOD)
    damaged = raw[:at] + noise + raw[at + len(noise) :]
    with contextlib.suppress(PngError):
        assert read_png(damaged).width <= MAX_SIDE_PIXELS
