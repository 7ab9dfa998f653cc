"""How busy the machine is: processors, memory, disk, and how long the device waits for photos."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from ecotui.healing import MachineMeasured
from ecotui.series import Series
from ecotui.state import RunState
from ecotui.text import bytes_size
from ecotui.widgets.bar import bar
from ecotui.widgets.metric_chart import MetricChart
from ecotui.widgets.panel import text_of
from ecotui.widgets.seen import Seen

_NAME_CELLS = 18
_BAR_CELLS = 28


class MachinePanel(Vertical, can_focus=True):
    """A gauge each for what was measured; what nobody measured says so."""

    DEFAULT_CSS = """
    MachinePanel { height: 1fr; }
    MachinePanel > Static { height: auto; padding: 0 1; text-wrap: nowrap;
        text-overflow: ellipsis; }
    MachinePanel > MetricChart { height: 1fr; min-height: 4; max-height: 14; padding: 0 1;
        border-top: solid $primary-muted; border-title-color: $text-primary; }
    """
    HELP = """
How busy the machine is, measured every few seconds while it trains, twice a minute after days.
Waiting for photos: the share of the time in which the device has nothing to do because the loader
is behind.
"""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._seen = Seen()
        self.border_title = "Machine"

    def compose(self) -> ComposeResult:
        """Lay out the gauges and the memory over the steps."""
        yield Static("", markup=False)
        yield MetricChart("Memory in use", is_fraction=True)

    def show(self, state: RunState) -> None:
        """Show what was measured last."""
        machine, wait = state.upkeep.machine, state.loader_wait_fraction
        if self._seen.are_new(machine, wait, state.images_per_second):
            self.query_one(Static).update(Content("\n").join(gauges(state)))
            self.query_one(MetricChart).show(state.upkeep.memory, Series())

    def copy_text(self) -> str:
        """Return the gauges as text."""
        return text_of(self.query_one(Static))


def gauges(state: RunState) -> list[Content]:
    """Return a line for each thing that can be measured."""
    seen, speed = state.upkeep.machine, state.images_per_second
    pace = "not measured yet" if speed is None else f"{speed:,.0f} images/s"
    waits = _gauge("waiting for photos", state.loader_wait_fraction, pace)
    if seen is None:
        return [waits, Content.styled("the machine was not measured yet", "$foreground-muted")]
    used, total = seen.memory_used_bytes, seen.memory_total_bytes
    gpu_used, gpu_total = seen.gpu_memory_used_bytes, seen.gpu_memory_total_bytes
    engine, disk = seen.engine_memory_bytes, seen.disk_free_bytes
    return [
        _gauge("GPU", seen.gpu_fraction, _gpu_words(seen)),
        _gauge("GPU memory", _share(gpu_used, gpu_total), _sizes(gpu_used, gpu_total)),
        _gauge("processors", seen.cpu_fraction, "of those that may be used"),
        _gauge("memory", _share(used, total), _sizes(used, total)),
        _gauge("this run", _share(engine, total), _sizes(engine, None)),
        _line("disk, free", "?" if disk is None else bytes_size(disk)),
        waits,
    ]


def _gauge(name: str, share: float | None, words: str) -> Content:
    if share is None:
        return _line(name, words if words == "not measured yet" else "not measured")
    known = bar(share, _BAR_CELLS)
    return Content.assemble(f"{name:{_NAME_CELLS}} ", known, (f"  {words}", "$foreground-muted"))


def _line(name: str, words: str) -> Content:
    return Content.assemble(f"{name:{_NAME_CELLS}} ", (words, "$foreground-muted"))


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _sizes(part: int | None, whole: int | None) -> str:
    of = "" if whole is None else f" of {bytes_size(whole)}"
    return "" if part is None else bytes_size(part) + of


def _gpu_words(seen: MachineMeasured) -> str:
    parts = []
    if seen.gpu_temperature_celsius is not None:
        parts.append(f"{seen.gpu_temperature_celsius:.0f} °C")
    if seen.gpu_power_watts is not None:
        parts.append(f"{seen.gpu_power_watts:.0f} W")
    return ", ".join(parts)
