from __future__ import annotations

import io
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from ecotui.changed_cells import ChangedCells

WIDTH, HEIGHT = 24, 3
STYLES = ["", "red", "red on blue", "bold red on blue", "#102030 on blue", "reverse", "underline"]
TEXTS = ["abc", "a c", "   ", "日本", "e\u0301", "⣶⣧", "x", "…─"]
CONSOLE = Console(file=io.StringIO(), force_terminal=True, color_system="256")
_PART = re.compile(r"\x1b\[([0-9;]*)([mH])|\n")


class Shown:
    """The cells of a terminal with their colours, after what it was sent."""

    def __init__(self) -> None:
        self.cells = [[(" ", "")] * WIDTH for _ in range(HEIGHT)]
        self._row = self._column = 0
        self._looks: dict[str, str] = {}

    def feed(self, sent: str) -> Shown:
        place = 0
        for part in _PART.finditer(sent):
            self._write(sent[place : part.start()])
            if part[2] == "H":
                row, column = part[1].split(";")
                self._row, self._column = int(row) - 1, int(column) - 1
            elif part[2] == "m":
                self._wear(part[1].split(";"))
            place = part.end()
        self._write(sent[place:])
        assert not self._looks, "colours are left on"
        return self

    def _wear(self, numbers: list[str]) -> None:
        while numbers:
            number, *numbers = numbers
            if number in ("38", "48"):
                count = 2 if numbers[0] == "5" else 4
                self._looks[number], numbers = ";".join(numbers[:count]), numbers[count:]
            elif number == "0":
                self._looks = {}
            elif number in ("39", "49"):
                self._looks.pop("38" if number == "39" else "48", None)
            elif len(number) == 2:
                self._looks["38" if number[0] == "3" else "48"] = number[1]
            else:
                self._looks[number] = number

    def _write(self, text: str) -> None:
        for character in text:
            width, looks = cell_len(character), self._looks
            if character == " " and not set(looks) - {"38", "48"}:
                looks = {name: each for name, each in looks.items() if name == "48"}
            look = ",".join(f"{name}:{looks[name]}" for name in sorted(looks))
            cells = self.cells[self._row]
            if not width:
                before = cells[self._column - 1]
                cells[self._column - 1] = (before[0] + character, before[1])
                continue
            cells[self._column : self._column + width] = [(character, look), *[("", look)]][:width]
            self._column += width


def row_of(parts: list[tuple[str, str]]) -> Strip:
    """Return a line of the screen, cut and filled up to its width."""
    segments = [Segment(text, Style.parse(style)) for text, style in parts]
    return Strip(segments).adjust_cell_length(WIDTH)


def changes(rows: list[Strip], spans: list[tuple[int, int, int]], cut: int) -> ChopsUpdate:
    """Return an update of spans of the screen, each line in two pieces."""
    pieces = [row.divide([cut, WIDTH]) for row in rows]
    chops = [dict(zip((0, cut), each, strict=True)) for each in pieces]
    return ChopsUpdate(chops, spans, [[cut, WIDTH] for _ in rows])


def whole(rows: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[row] for row in rows], Region(0, 0, WIDTH, HEIGHT))


def sent(update: CompositorUpdate) -> str:
    return update.render_segments(CONSOLE)


lines = st.lists(
    st.tuples(st.sampled_from(TEXTS), st.sampled_from(STYLES)), min_size=1, max_size=9
).map(row_of)
screens = st.lists(lines, min_size=HEIGHT, max_size=HEIGHT)
everywhere = [(y, 0, WIDTH) for y in range(HEIGHT)]


@given(first=screens, later=st.lists(st.tuples(screens, st.integers(1, WIDTH - 1)), max_size=4))
def test_the_terminal_shows_what_it_would_with_everything_sent(
    first: list[Strip], later: list[tuple[list[Strip], int]]
) -> None:
    memory = ChangedCells()
    shown, told_all = Shown(), Shown()
    shown.feed(sent(memory.of(whole(first))))
    told_all.feed(sent(whole(first)))
    for rows, cut in later:
        shown.feed(sent(memory.of(changes(rows, everywhere, cut))))
        told_all.feed(sent(changes(rows, everywhere, cut)))
        assert shown.cells == told_all.cells


@given(first=screens, second=screens, y=st.integers(0, HEIGHT - 1))
def test_what_lies_outside_of_an_update_stays(
    first: list[Strip], second: list[Strip], y: int
) -> None:
    memory, shown = ChangedCells(), Shown()
    shown.feed(sent(memory.of(whole(first))))
    shown.feed(sent(memory.of(changes(second, [(y, 0, WIDTH)], 7))))
    expected = [*first[:y], second[y], *first[y + 1 :]]
    told_all = Shown().feed(sent(changes(expected, everywhere, 7)))
    assert shown.cells[y] == told_all.cells[y]
    others = [at for at in range(HEIGHT) if at != y]
    told_all = Shown().feed(sent(whole(first)))
    assert [shown.cells[at] for at in others] == [told_all.cells[at] for at in others]


def test_one_cell_that_changed_is_sent_alone() -> None:
    memory = ChangedCells()
    rows = [row_of([("step 12", "red on blue")])] * HEIGHT
    sent(memory.of(whole(rows)))
    rows = [row_of([("step 13", "red on blue")]), *rows[1:]]
    told = sent(memory.of(changes(rows, everywhere, 10)))
    assert told == "\x1b[1;7H\x1b[31;44m3\x1b[0m"
    assert sent(memory.of(changes(rows, everywhere, 12))) == ""


def test_after_forgetting_everything_is_sent() -> None:
    memory = ChangedCells()
    rows = [row_of([("step 12", "red on blue")])] * HEIGHT
    sent(memory.of(whole(rows)))
    memory.forget()
    shown = Shown().feed(sent(memory.of(changes(rows, everywhere, 10))))
    assert "".join(text for text, _ in shown.cells[2]).startswith("step 12")


def test_a_full_update_is_sent_in_full() -> None:
    memory = ChangedCells()
    rows = [row_of([("step 12", "red on blue")])] * HEIGHT
    assert sent(memory.of(whole(rows))) == sent(memory.of(whole(rows))) == sent(whole(rows))


def test_an_update_that_is_never_written_is_not_taken_for_shown() -> None:
    memory = ChangedCells()
    rows = [row_of([("step 12", "")])] * HEIGHT
    sent(memory.of(whole(rows)))
    later = [row_of([("step 13", "")])] * HEIGHT
    memory.of(changes(later, everywhere, 10))
    assert "3" in sent(memory.of(changes(later, everywhere, 10)))
