"""The mistakes that the model is surest of, as pictures with what they are and were taken for."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import HorizontalScroll, Vertical
from textual.content import Content
from textual.widgets import Static

from ecotui.mistakes import Mistake
from ecotui.text import percent, visible
from ecotui.widgets.thumbnail import Thumbnail

CARD_CELLS = 22
PICTURE_ROWS = 8
NO_PICTURE = "no picture kept"


class MistakeCard(Vertical):
    """One mistake: the picture, what it is, what it was taken for, and where it lies."""

    DEFAULT_CSS = """
    MistakeCard { width: 22; height: auto; padding: 0 1 0 0; }
    MistakeCard Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, mistake: Mistake) -> None:
        super().__init__()
        self._mistake = mistake

    def compose(self) -> ComposeResult:
        """Lay out the picture and three lines."""
        if self._mistake.picture is not None:
            yield Thumbnail(columns=CARD_CELLS - 2, rows=PICTURE_ROWS)
        for line in card_lines(self._mistake):
            yield Static(line, markup=False)

    def on_mount(self) -> None:
        """Draw the picture."""
        for picture in self.query(Thumbnail):
            picture.show(self._mistake.picture, NO_PICTURE)


class MistakesPanel(HorizontalScroll):
    """A row of mistakes, the surest first; the arrows move along it."""

    HELP = """
    Photos of the last evaluation that the model took for another class, those it was surest of
    first. A mistake that it is very sure of is often a wrong label: look at the photo.
    """
    DEFAULT_CSS = """
    MistakesPanel { height: auto; min-height: 4; scrollbar-size-horizontal: 1; }
    MistakesPanel > .none { color: $foreground-muted; width: 1fr; height: auto; }
    """
    ALLOW_MAXIMIZE = True

    def __init__(self) -> None:
        super().__init__(classes="panel")
        self.border_title = "Surest mistakes"
        self._shown: tuple[Mistake, ...] | None = None

    def show(self, mistakes: Sequence[Mistake], instead: str) -> None:
        """Show mistakes.

        Args:
            mistakes: The surest first.
            instead: Is said where there are none.
        """
        if self._shown == tuple(mistakes):
            return
        self._shown = tuple(mistakes)
        self.remove_children()
        if mistakes:
            self.mount_all([MistakeCard(each) for each in mistakes])
        else:
            self.mount(Static(Content(instead), classes="none", markup=False))

    def copy_text(self) -> str:
        """Return every mistake with its whole path."""
        return "\n".join(
            f"{each.path}\t{each.true}\t{each.predicted}\t{percent(each.confidence)}"
            for each in self._shown or ()
        )


def card_lines(mistake: Mistake) -> tuple[Content, Content, Content]:
    """Return what a mistake is, what it was taken for and how surely, and its file."""
    true, predicted = (visible(name, limit=60) for name in (mistake.true, mistake.predicted))
    surely = percent(mistake.confidence, digits=0)
    return (
        Content.assemble(("✗ ", "$text-error"), f"{surely} {predicted}"),
        Content.assemble(("✓ ", "$text-success"), f"is {true}"),
        Content.styled(_end_of(mistake.path), "$foreground-muted"),
    )


def _end_of(path: str) -> str:
    """Return a path's end: its beginning is the same for all, or the class told already."""
    room = CARD_CELLS - 2
    shown = visible(path, limit=400)
    return shown if len(shown) <= room else f"…{shown[1 - room :]}"
