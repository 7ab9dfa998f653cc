"""Photos that are damaged, hostile or odd, made by a script, and what is to come of each.

The table is the promise: what `look` says of a file, and whether the training reads it.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MAX_PIXELS = 50_000_000
"""As `data.max_pixels` has it by default."""


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        name: Of the file.
        make: Writes it.
        outcome: What is to come of it, as `Outcome` names it.
        traits: What else is to be said of it, as `Trait` names them.
        words: What the reason must hold.
    """

    name: str
    make: Callable[[Path], object]
    outcome: str
    traits: tuple[str, ...] = ()
    words: str = ""


def picture(width: int = 160, height: int = 120) -> Image.Image:
    """Return a picture with coarse and fine structure, always the same one."""
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    noise = np.random.Generator(np.random.PCG64(3)).normal(0, 18, (height, width, 3))
    waves = np.stack([np.sin(5 * x + y), np.cos(4 * y * x), np.sin(x * y * 3)], axis=2)
    return Image.fromarray((128 + 70 * waves + noise).clip(0, 255).astype(np.uint8))


def encoded(format: str, image: Image.Image | None = None, **options: Any) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    (image or picture()).save(buffer, format=format, **options)
    return buffer.getvalue()


JPEG = encoded("JPEG", quality=85)
PROGRESSIVE = encoded("JPEG", quality=85, progressive=True)
PNG = encoded("PNG")


def raw(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def zeroed(content: bytes, place: float, count: int) -> bytes:
    start = int(len(content) * place)
    return content[:start] + bytes(count) + content[start + count :]


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(width: int, height: int, rows: bytes | None = None) -> bytes:
    """Return a PNG of grey pixels: whole where rows are given, else one that only claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100) if rows is None else rows, 9)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_chunk(kind: bytes, data: bytes) -> bytes:
    """Return a PNG with one more chunk after its header."""
    return PNG[:33] + chunk(kind, data) + PNG[33:]


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("JPEG", exif=exif, quality=85)


def frames(format: str) -> bytes:  # noqa: A002
    more = [Image.new("RGB", (160, 120), colour) for colour in ("red", "blue")]
    return encoded(format, save_all=True, append_images=more, duration=50)


def jpeg_claiming(width: int, height: int) -> bytes:
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + struct.pack(">HH", height, width) + JPEG[place + 4 :]


def deep_grey() -> Image.Image:
    return Image.fromarray((np.arange(160 * 120).reshape(120, 160) * 3).astype(np.uint16))


def float_grey() -> Image.Image:
    return Image.fromarray(np.linspace(0, 1, 160 * 120, dtype=np.float32).reshape(120, 160))


def palette_with_alpha() -> bytes:
    image = picture().convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    return encoded("PNG", image, transparency=bytes(range(0, 256, 16)))


CUTS = [
    Case(f"cut_at_{tenth}0_percent.jpg", raw(JPEG[: len(JPEG) * tenth // 10]), "TRUNCATED")
    for tenth in range(3, 10)
]
TURNS = [
    Case(f"turned_{each}.jpg", raw(turned(each)), "READ", () if each == 1 else ("ROTATED",))
    for each in range(1, 9)
]
CASES: list[Case] = [
    Case("sound.jpg", raw(JPEG), "READ"),
    Case("sound_progressive.jpg", raw(PROGRESSIVE), "READ"),
    Case("sound_grey.jpg", raw(encoded("JPEG", picture().convert("L"))), "READ"),
    Case("sound_444.jpg", raw(encoded("JPEG", subsampling=0)), "READ"),
    Case("sound_restarts.jpg", raw(encoded("JPEG", restart_marker_blocks=4)), "READ"),
    Case("sound_odd_size.jpg", raw(encoded("JPEG", picture(97, 61))), "READ"),
    Case("sound.png", raw(PNG), "READ"),
    Case("sound.webp", raw(encoded("WEBP")), "READ"),
    Case("sound.bmp", raw(encoded("BMP")), "READ"),
    Case("sound.tif", raw(encoded("TIFF")), "READ"),
    Case("sound.gif", raw(encoded("GIF")), "READ", ("UNUSUAL_MODE",)),
    *CUTS,
    *TURNS,
    Case("empty.jpg", raw(b""), "EMPTY"),
    Case("empty.png", raw(b""), "EMPTY"),
    Case("cut_in_header.jpg", raw(JPEG[:40]), "UNREADABLE,TRUNCATED,UNSUPPORTED"),
    Case("two_bytes.jpg", raw(JPEG[:2]), "UNSUPPORTED"),
    Case("no_end.jpg", raw(JPEG[:-2]), "TRUNCATED,SUSPECT"),
    Case("zero_tail.jpg", raw(zeroed(JPEG, 0.6, len(JPEG) * 4 // 10)), "TRUNCATED,SUSPECT"),
    Case("zeroed_middle.jpg", raw(zeroed(JPEG, 0.5, 4_096)), "SUSPECT"),
    Case("zeroed_progressive.jpg", raw(zeroed(PROGRESSIVE, 0.5, 2_048)), "SUSPECT,TRUNCATED"),
    Case("zeros_only.jpg", raw(bytes(5_000)), "UNSUPPORTED", words="zeros"),
    Case("bytes_after_end.jpg", raw(JPEG + bytes(1_000)), "READ"),
    Case("two_photos.jpg", raw(JPEG + JPEG), "READ"),
    Case("garbage_in_header.jpg", raw(JPEG[:20] + b"\0\0\0" + JPEG[20:]), "SUSPECT"),
    # Without tables of its own the standard ones are meant.
    Case("no_tables.jpg", raw(JPEG.replace(b"\xff\xc4", b"\xff\xee")), "READ"),
    Case("claims_no_size.jpg", raw(jpeg_claiming(0, 0)), "UNREADABLE,UNSUPPORTED"),
    Case("claims_more_rows.jpg", raw(jpeg_claiming(160, 400)), "TRUNCATED,SUSPECT"),
    Case("bomb_400mp.jpg", raw(jpeg_claiming(20_000, 20_000)), "TOO_LARGE", words="max_pixels"),
    Case("bomb_88mp.png", raw(png_of(9_400, 9_400)), "TOO_LARGE", words="max_pixels"),
    Case("bomb_169mp.png", raw(png_of(13_000, 13_000)), "TOO_LARGE", words="max_pixels"),
    Case("bomb_whole.png", raw(png_of(9_000, 9_000, bytes(9_001 * 9_000))), "TOO_LARGE"),
    Case("largest.png", raw(png_of(7_000, 7_000, bytes(7_001 * 7_000))), "READ"),
    Case("bomb_text.png", raw(with_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
         "UNREADABLE,READ"),
    Case("huge_text.png", raw(with_chunk(b"tEXt", b"a\0" + b"x" * 2_000_000)), "READ,UNREADABLE"),
    Case("bad_profile.png", raw(with_chunk(b"iCCP", b"x\0\0" + b"garbage")), "READ,UNREADABLE"),
    Case("cut.png", raw(PNG[: len(PNG) // 2]), "TRUNCATED"),
    Case("bad_checksum.png", raw(zeroed(PNG, 0.5, 64)), "UNREADABLE,TRUNCATED"),
    Case("cut.webp", raw(encoded("WEBP")[:400]), "UNREADABLE,TRUNCATED"),
    Case("cut.bmp", raw(encoded("BMP")[:4_000]), "TRUNCATED"),
    Case("cut.tif", raw(encoded("TIFF")[:4_000]), "UNREADABLE,TRUNCATED,UNSUPPORTED"),
    Case("cut.gif", raw(encoded("GIF")[:800]), "TRUNCATED,UNREADABLE", ),
    Case("photo_of_png.jpg", raw(PNG), "READ", ("WRONG_EXTENSION",)),
    Case("photo_of_jpeg.png", raw(JPEG), "READ", ("WRONG_EXTENSION",)),
    Case("photo_of_webp.jpg", raw(encoded("WEBP")), "READ", ("WRONG_EXTENSION",)),
    Case("page.jpg", raw(b"<!DOCTYPE html><title>404</title>"), "UNSUPPORTED", words="HTML"),
    Case("drawing.png", raw(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "UNSUPPORTED",
         words="SVG"),
    Case("phone.jpg", raw(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)), "UNSUPPORTED",
         words="HEIC"),
    Case("script.png", raw(b"%!PS-Adobe-3.0 EPSF-3.0\n{} loop"), "UNSUPPORTED", words="EPS"),
    Case("paper.jpg", raw(b"%PDF-1.7\n" + bytes(99)), "UNSUPPORTED", words="PDF"),
    Case("sky.png", raw(b"SIMPLE  =                    T" + bytes(2_880)), "UNSUPPORTED",
         words="FITS"),
    Case("layers.jpg", raw(b"8BPS\0\x01" + bytes(60)), "UNSUPPORTED", words="PSD"),
    Case("pointer.jpg", raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
         "UNSUPPORTED", words="LFS"),
    Case("answer.jpg", raw(b'{"error": "not found"}'), "UNSUPPORTED", words="JSON"),
    Case("gray.ppm.jpg", raw(encoded("PPM")), "UNSUPPORTED", words="PPM"),
    Case("words.jpg", raw(b"hello, world\n" * 20), "UNSUPPORTED"),
    Case("one_pixel.png", raw(png_of(1, 1, b"\0\x80")), "READ"),
    Case("one_pixel.jpg", raw(encoded("JPEG", picture(1, 1))), "READ"),
    Case("strip.png", raw(png_of(20_000, 1, bytes(20_001))), "READ"),
    Case("strip.jpg", raw(encoded("JPEG", picture(20_000, 2))), "READ"),
    Case("cmyk.jpg", raw(encoded("JPEG", picture().convert("CMYK"))), "READ", ("UNUSUAL_MODE",)),
    Case("grey_alpha.png", raw(encoded("PNG", picture().convert("LA"))), "READ",
         ("UNUSUAL_MODE",)),
    Case("one_bit.png", raw(encoded("PNG", picture().convert("1"))), "READ", ("UNUSUAL_MODE",)),
    Case("palette_alpha.png", raw(palette_with_alpha()), "READ", ("UNUSUAL_MODE",)),
    Case("alpha.png", raw(encoded("PNG", picture().convert("RGBA"))), "READ", ("UNUSUAL_MODE",)),
    Case("grey_16_bit.png", raw(encoded("PNG", deep_grey())), "READ", ("UNUSUAL_MODE",)),
    Case("float.tif", raw(encoded("TIFF", float_grey())), "READ", ("UNUSUAL_MODE",)),
    Case("animated.gif", raw(frames("GIF")), "READ", ("UNUSUAL_MODE",)),
    Case("animated.webp", raw(frames("WEBP")), "READ", ("UNUSUAL_MODE",)),
    Case("animated.png", raw(frames("PNG")), "READ", ("UNUSUAL_MODE",)),
    Case("bad_exif.jpg", raw(encoded("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")), "READ"),
    Case("pipe.jpg", os.mkfifo, "UNSUPPORTED"),
    Case("folder.jpg", lambda path: path.mkdir(), "UNSUPPORTED", words="folder"),
    Case("nowhere.jpg", lambda path: path.symlink_to("absent"), "UNREADABLE", words="not exist"),
    Case("loop.jpg", lambda path: path.symlink_to(path.name), "UNREADABLE", words="back to itself"),
    Case("device.jpg", lambda path: path.symlink_to("/dev/zero"), "UNSUPPORTED"),
    Case("line\nfeed\x1b[31m.jpg", raw(JPEG), "READ"),
]  # fmt: skip
"""At least sixty kinds. Several outcomes where decoders of different releases differ."""
