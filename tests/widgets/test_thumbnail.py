"""Pictures of a few cells: in half blocks, in shades, in ASCII, or a word instead."""

from __future__ import annotations

import asyncio
import struct
import zlib

from textual.app import App, ComposeResult

from ecotui.widgets.look import Look
from ecotui.widgets.thumbnail import Thumbnail
from tests.screens.looks import text_on


def png(rows: list[list[tuple[int, int, int]]]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + crc

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 2, 0, 0, 0)
    raw = b"".join(b"\0" + bytes(part for pixel in row for part in pixel) for row in rows)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def drawn(raw: bytes | None, look: Look) -> tuple[list[str], set[str]]:
    """Return the lines of a thumbnail of 4 by 2 cells, and the colours in it."""

    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield Thumbnail(4, 2)

    async def draw() -> tuple[list[str], set[str]]:
        app = Alone()
        app.look = look  # type: ignore[attr-defined]
        async with app.run_test(size=(60, 5)) as pilot:
            thumbnail = app.query_one(Thumbnail)
            thumbnail.show(raw)
            await pilot.pause()
            lines = [line.rstrip() for line in text_on(app).splitlines()]
            strips = [thumbnail.render_line(row) for row in range(2)]
            colours = {
                str(colour.name)
                for strip in strips
                for segment in strip
                if segment.style is not None and segment.text.startswith("▀")
                for colour in (segment.style.color, segment.style.bgcolor)
                if colour is not None
            }
            return lines, colours

    return asyncio.run(draw())


def test_a_cell_shows_two_pixels_one_above_the_other() -> None:
    lines, colours = drawn(png([[RED] * 4, [BLUE] * 4, [RED] * 4, [BLUE] * 4]), Look())
    assert lines[:2] == ["▀▀▀▀", "▀▀▀▀"]
    assert colours == {"#ff0000", "#0000ff"}


def test_a_large_picture_is_made_to_fit_with_its_proportions() -> None:
    lines, _ = drawn(png([[RED] * 128] * 64), Look())
    assert lines[:2] == ["▀▀▀▀", ""]


def test_without_colours_shades_tell_light_from_dark() -> None:
    rows = [[BLACK, BLACK, WHITE, WHITE]] * 4
    for look, expected in (
        (Look(colours="none"), "  ██"),
        (Look(colours="sixteen"), "  ██"),
        (Look(glyphs="ascii"), "  @@"),
    ):
        lines, colours = drawn(png(rows), look)
        assert lines[:2] == [expected, expected]
        assert colours == set()


def test_what_is_no_picture_leaves_words() -> None:
    assert drawn(None, Look())[0][0] == "no …"
    assert "no …" in drawn(b"\x89PNG junk", Look())[0][0]
    thumbnail = Thumbnail()
    thumbnail.show(b"junk")
    assert thumbnail.copy_text().startswith("no picture: ")
