"""The seven layers of protection as a reader sees them: what each has done so far."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ecotui.events import LAYER_NAMES, CheckReported, Layer

LayerStatus = Literal["idle", "watching", "passed", "acted", "tripped"]

WATCHES: dict[str, tuple[Layer, ...]] = {
    "diagnose": (1,),
    "preflight": (2, 3),
    "train": (4, 5, 6, 7),
}
"""Which layers a stage puts on watch."""


@dataclass(frozen=True, slots=True)
class LayerState:
    """What one layer of protection has done so far.

    Attributes:
        layer: 1 to 7; the names are `LAYER_NAMES`.
        status: `idle` before its time, `watching` in it; `passed` where its checks did;
            `acted` after something was warned of, skipped or set aside; `tripped` where it
            stopped the run.
        count: How often it acted or tripped.
        last: What it said last, in words.
    """

    layer: Layer
    status: LayerStatus = "idle"
    count: int = 0
    last: str = ""


def at_rest() -> tuple[LayerState, ...]:
    """Return the seven layers before anything was looked at."""
    return tuple(LayerState(number) for number in LAYER_NAMES)


def on_watch(layers: tuple[LayerState, ...], stage: str) -> tuple[LayerState, ...]:
    """Put the layers of a stage on watch."""
    watching = WATCHES.get(stage, ())
    return tuple(
        replace(layer, status="watching")
        if layer.layer in watching and layer.status == "idle"
        else layer
        for layer in layers
    )


def settled(layers: tuple[LayerState, ...]) -> tuple[LayerState, ...]:
    """Let the layers that watched to the end and found nothing pass."""
    return tuple(
        replace(layer, status="passed") if layer.status == "watching" else layer for layer in layers
    )


def judged(layers: tuple[LayerState, ...], event: CheckReported) -> tuple[LayerState, ...]:
    """Take in a check's verdict; a pass undoes nothing that was worse."""
    if event.verdict == "fail":
        return marked(layers, event.layer, "tripped", event.what)
    if event.verdict == "warn":
        return marked(layers, event.layer, "acted", event.what)
    return tuple(
        replace(layer, status="passed", last=event.what)
        if layer.layer == event.layer and layer.status in ("idle", "watching", "passed")
        else layer
        for layer in layers
    )


def marked(
    layers: tuple[LayerState, ...], number: Layer, status: LayerStatus, what: str
) -> tuple[LayerState, ...]:
    """Count an act of a layer; one that has tripped stays so."""
    index = next(place for place, layer in enumerate(layers) if layer.layer == number)
    layer = layers[index]
    kept = "tripped" if layer.status == "tripped" else status
    return (
        *layers[:index],
        LayerState(number, kept, layer.count + 1, what),
        *layers[index + 1 :],
    )
