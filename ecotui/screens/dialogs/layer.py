"""The history of one layer of protection: what it did, its guards, and their limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import DataTable, Static

from ecotui.alert_lines import Acknowledged, Filter
from ecotui.events import LAYER_NAMES, CheckReported
from ecotui.layers import LayerState
from ecotui.log_lines import Lines
from ecotui.text import visible
from ecotui.widgets.alert_log import AlertLog
from ecotui.widgets.log_view import LogView
from ecotui.widgets.marks import STATUSES, VERDICTS


@dataclass(frozen=True, slots=True)
class GuardRow:
    """A guard as it stands.

    Attributes:
        name: Stable.
        title: In a few words.
        is_silent: Whether it acts no more.
        num_trips: How often it tripped lately.
        limits: Settings that decide, with their values.
    """

    name: str
    title: str
    is_silent: bool
    num_trips: int
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerWish:
    """What a layer is closed with.

    Attributes:
        guard: To be silenced, or to act again; empty for none.
        line: Of an alert to be opened; empty for none.
    """

    guard: str = ""
    line: str = ""


class LayerScreen(ModalScreen[LayerWish]):
    """A layer; closes with the guard or the alert that was chosen, or None.

    Args:
        layer: As it stands.
        guards: Of this layer; none for those that check before the training.
        checks: Verdicts of this layer.
        alerts: Of the whole run.
        acknowledged: Which of them were seen.
        can_ask: Whether the engine of the run can be asked for anything.
    """

    DEFAULT_CSS = """
    LayerScreen { align: center middle; }
    LayerScreen > .box { width: 110; max-width: 100%; height: 40; max-height: 95%; padding: 0 1;
        border: round $primary; border-title-color: $text-primary; background: $surface; }
    LayerScreen .told { height: auto; max-height: 6; }
    LayerScreen DataTable { height: auto; max-height: 45%; background: $surface; }
    LayerScreen AlertLog { height: 1fr; border-top: solid $primary-muted; }
    LayerScreen AlertLog:focus { border-top: heavy $accent; }
    """
    BINDINGS = [Binding("escape,q", "dismiss", "Close")]  # noqa: RUF012

    def __init__(
        self,
        layer: LayerState,
        guards: Sequence[GuardRow],
        checks: Sequence[CheckReported],
        alerts: Lines,
        acknowledged: Acknowledged,
        *,
        can_ask: bool,
    ) -> None:
        super().__init__()
        self._layer = layer
        self._guards = guards
        self._checks = checks
        self._alerts = alerts
        self._acknowledged = acknowledged
        self._can_ask = can_ask

    def compose(self) -> ComposeResult:
        """Lay out how the layer stands, its guards or checks, and its alerts."""
        number = self._layer.layer
        with Vertical(classes="box") as box:
            box.border_title = f"Layer {number}: {LAYER_NAMES[number]}"
            hint = "Esc closes, Tab goes on, Enter opens an alert"
            box.border_subtitle = f"{hint}, Enter silences a guard" if self._can_ask else hint
            yield Static(self._standing(), classes="told", markup=False)
            if self._guards:
                yield _guard_table(self._guards)
                yield Static("", id="limits", classes="told", markup=False)
            else:
                yield Static(self._verdicts(), classes="told", markup=False)
            only = Filter(layer=number)
            yield AlertLog("Its alerts", self._acknowledged, only)

    def on_mount(self) -> None:
        """Show the alerts."""
        self.query_one(AlertLog).show(self._alerts)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Say what decides about the guard under the cursor."""
        event.stop()
        if 0 <= event.cursor_row < len(self._guards):
            told = ", ".join(self._guards[event.cursor_row].limits) or "no limit to be set"
            self.query_one("#limits", Static).update(Content(f"limits: {visible(told)}"))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Close with a guard."""
        event.stop()
        if self._can_ask:
            self.dismiss(LayerWish(guard=self._guards[event.cursor_row].name))

    def on_log_view_chosen(self, event: LogView.Chosen) -> None:
        """Close with an alert."""
        event.stop()
        self.dismiss(LayerWish(line=event.line))

    def _standing(self) -> Content:
        layer = self._layer
        count = f" {layer.count}" if layer.count else ""
        mark = STATUSES[layer.status].before(layer.status + count)
        last = f"  {visible(layer.last)}" if layer.last else ""
        return Content.assemble(mark, last)

    def _verdicts(self) -> Content:
        lines = [
            Content.assemble(
                VERDICTS[each.verdict].before(f"{each.verdict:4} "), visible(each.what)
            )
            for each in self._checks
        ]
        return Content("\n").join(lines or [Content("no check of this layer has reported")])


def _guard_table(guards: Sequence[GuardRow]) -> DataTable[Text]:
    table: DataTable[Text] = DataTable(cursor_type="row")
    for name, width in (("guard", 26), ("acts", 8), ("trips", 5), ("watches", 30)):
        table.add_column(name, width=width)
    for guard in guards:
        does = "silenced" if guard.is_silent else "acts"
        cells = (guard.name, does, str(guard.num_trips or "-"), guard.title)
        table.add_row(*(Text(visible(each)) for each in cells))
    return table
