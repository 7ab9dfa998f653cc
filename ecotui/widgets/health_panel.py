"""How the run fares, sign by sign, and how much of what success was meant to be is met."""

from __future__ import annotations

from collections.abc import Iterator

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ecotui.health import Sign, health
from ecotui.scorecard import PERIODS, Item, ItemStatus, scorecard
from ecotui.state import RunState
from ecotui.text import sentence, visible
from ecotui.widgets.key_figures import LEVEL_MARKS
from ecotui.widgets.marks import RECOVERED, SEVERITIES, Mark
from ecotui.widgets.seen import Seen

_STATUS_MARKS: dict[ItemStatus, Mark] = {
    "met": RECOVERED,
    "missed": SEVERITIES["critical"],
    "open": SEVERITIES["note"],
}


class HealthPanel(VerticalScroll):
    """Signs of health, the gravest first, each with figure and advice; then the scorecard.

    Args:
        has_scorecard: Whether it comes along.
    """

    DEFAULT_CSS = "HealthPanel { height: 1fr; } HealthPanel > Static { height: auto; }"
    HELP = """
What tells how the run fares: critical signs first, then warnings, then good ones, each with what
to do. Below it the scorecard: what success was meant to be, item by item.
"""

    def __init__(self, *, has_scorecard: bool = True, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._has_scorecard = has_scorecard
        self._seen = Seen()
        self.border_title = "Health and scorecard" if has_scorecard else "Health"

    def compose(self) -> ComposeResult:
        """Lay out one text."""
        yield Static("", markup=False)

    def show(self, state: RunState) -> None:
        """Show the signs of a run."""
        if not self._seen.are_new(
            *(state.alerts, state.checkpoints, state.train_loss, state.val_loss, state.best),
            *(state.milestones, state.standing, state.ending, state.checks, state.facts),
            *(state.epoch, state.seconds_since_progress),
        ):
            return
        lines = [line for sign in health(state) for line in _sign_lines(sign)]
        lines = lines or [Content.styled("nothing to tell yet", "$foreground-muted")]
        if self._has_scorecard:
            items = scorecard(state)
            met = sum(item.status == "met" for item in items)
            heading = f"Scorecard: {met} of {len(items)} met"
            lines += [Content(""), Content.styled(heading, "bold"), *map(_item_line, items)]
        self.query_one(Static).update(Content("\n").join(lines))


def _sign_lines(sign: Sign) -> Iterator[Content]:
    mark = LEVEL_MARKS[sign.level]
    figure = f": {visible(sign.figure)}" if sign.figure else ""
    yield Content.assemble(mark.before(f"{sign.level:8} "), visible(sign.what), figure)
    if sign.advice:
        page = f" ({sign.page})" if sign.page else ""
        yield Content.styled(f"  {sentence(visible(sign.advice))}{page}", "$text-primary")


def _item_line(item: Item) -> Content:
    mark = _STATUS_MARKS[item.status].before(f"{item.status:6} ")
    figure = f" ({visible(item.figure)})" if item.figure else ""
    period = (f"{PERIODS[item.period]}: ", "$foreground-muted")
    return Content.assemble(mark, period, visible(item.what), figure)
