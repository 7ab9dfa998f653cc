"""What stands on each screen, from a recorded run, on a small and on a larger terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ecotui.events import AnyEvent
from ecotui.findings import LAYER_NAMES, Layer
from ecotui.state import RunState
from ecotui.stream import decode
from tests.screens.looks import LOOKS, assert_text, colours_on, shots

Open = Callable[..., Any]
EventsOf = Callable[[str], list[AnyEvent]]
SMALL, LARGE = (80, 24), (120, 40)
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["80x24", "120x40"])

MOMENTS = {
    "diagnostic": ("full_run", "stage_finished", 1),
    "preparing": ("full_run", "setup_advanced", 2),
    "preflight": ("full_run", "stage_finished", 2),
    "training": ("full_run", "stage_advanced", 13),
    "summary": ("full_run", "run_finished", 1),
    "sick_environment": ("sick_environment", "run_failed", 1),
    "preflight_failed": ("preflight_failed", "run_failed", 1),
    "guard_stopped": ("guard_stopped", "run_failed", 1),
    "stopped": ("stopped", "run_stopped", 1),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_of_a_run_looks_like_its_text(moment: str, open_app: Open) -> None:
    for size, shown in asyncio.run(looked_at(moment, "colour", open_app)).items():
        assert_text(shown, f"{moment}_{size}")


@pytest.mark.parametrize("moment", ["diagnostic", "training", "summary"])
def test_without_colours_the_same_words_and_marks_stand_there(moment: str, open_app: Open) -> None:
    for size, shown in asyncio.run(looked_at(moment, "mono", open_app)).items():
        assert_text(shown, f"{moment}_{size}")


@pytest.mark.parametrize("moment", ["diagnostic", "training", "summary"])
def test_in_ascii_nothing_is_drawn_with_anything_else(moment: str, open_app: Open) -> None:
    for size, shown in asyncio.run(looked_at(moment, "ascii", open_app)).items():
        assert shown.isascii()
        assert_text(shown, f"{moment}_{size}_ascii")


async def looked_at(moment: str, look: str, open_app: Open) -> dict[str, str]:
    """Return a moment at every size; without colours where the look has none."""
    recording, kind, nth = MOMENTS[moment]
    async with open_app(recording, settings=LOOKS[look]) as opened:
        opened.engine.go_on_to(kind, nth)
        await opened.settle()
        found = await shots(opened)
        if LOOKS[look].theme == "mono":
            assert colours_on(opened.app) == set()
        else:
            assert len(colours_on(opened.app)) > 3
        return found


@pytest.mark.parametrize("layer", [4, 5, 6, 7])
def test_a_layer_that_tripped_shows_in_strip_and_log(layer: Layer, open_app: Open) -> None:
    async def look() -> str:
        async with open_app("full_run", size=LARGE) as opened:
            opened.engine.go_on_to("guard_tripped", layer - 3)
            await opened.settle()
            return str(opened.text())

    lines = asyncio.run(look()).splitlines()
    name = LAYER_NAMES[layer]
    count = 2 if layer == 4 else 1  # the sample set aside counts for layer 4
    assert any(f"{layer} {name}" in line and f"! acted {count}" in line for line in lines)
    assert any(f"! warning   {layer} {name}" in line for line in lines)


def test_a_guard_that_stopped_the_run_shows_as_tripped(open_app: Open) -> None:
    async def look() -> str:
        async with open_app("guard_stopped", size=LARGE) as opened:
            opened.engine.go_on()
            await opened.settle()
            return str(opened.text())

    shown = asyncio.run(look())
    assert "✗ tripped 1" in shown
    assert "✗ failed" in shown
    assert "to fix: lower train.learning_rate, then resume" in shown


@SIZES
def test_the_training_screen_shows_what_matters_on_one_page(
    size: tuple[int, int], open_app: Open
) -> None:
    async def look() -> str:
        async with open_app("full_run", size=size) as opened:
            opened.engine.go_on_to("guard_recovered")
            await opened.settle()
            return str(opened.text())

    shown = asyncio.run(look())
    for words in ("Epoch 2/3", "Step 12/24", "Validation", "loss 0.", "images/s", "left"):
        assert words in shown
    for words in (
        "✓ over",
        "the gradients are finite",
        "7 epoch",
        "○ watching",
        "s Stop",
        "Loss",
        "accuracy",
    ):
        assert words in shown
    assert ("Accuracy  " in shown) == (size == LARGE)  # a chart of its own where there is room


def test_the_best_checkpoint_has_a_star_and_the_word(open_app: Open) -> None:
    async def look() -> str:
        async with open_app("full_run", size=LARGE) as opened:
            opened.engine.go_on_to("best_checkpoint_changed", 2)
            await opened.settle()
            return str(opened.text())

    assert "★ best 72.5% epoch 2" in asyncio.run(look())


HOSTILE = {
    b"cardboard": b"[/",
    b"glass": b"[@click=app.quit]x[/]",
    b"truncated file": b"[bold red]no[/bold]",
    b"Python 3.11.9": b"Python [/nothing]",
    b"transform validation passed": b"[link=x]passed[/",
    b"regnetx_002": b"[/model",
    b"loading the libraries": b"[/doing",
    b"the loss is not finite": b"[/loss] [@click=app.quit]",
}


@SIZES
@pytest.mark.parametrize("kind", ["stage_finished", "setup_advanced", "guard_recovered", ""])
def test_text_from_outside_is_shown_as_it_is_on_every_screen(
    kind: str, size: tuple[int, int], open_app: Open, events_of: EventsOf
) -> None:
    found = [_made_hostile(event) for event in events_of("full_run")]

    async def look() -> tuple[str, ...]:
        async with open_app(found, size=size) as opened:
            if kind:
                opened.engine.go_on_to(kind)
            else:
                opened.engine.go_on()
            await opened.settle()
            texts = []
            for key in ("1", "2", "3"):
                await opened.press(key)
                await opened.settle()
                texts.append(opened.text())
            assert opened.app.is_running
            return tuple(texts)

    diagnostic, _, training = asyncio.run(look())
    assert "Python [/nothing]" in diagnostic
    if kind == "":
        assert "[@click=app.quit]x[/]" in training


def _made_hostile(event: AnyEvent) -> AnyEvent:
    line = event.model_dump_json().encode()
    for plain, hostile in HOSTILE.items():
        line = line.replace(plain, hostile)
    changed = decode(line)
    assert changed is not None
    return changed


def test_every_status_has_a_word_beside_its_symbol() -> None:
    from ecotui.widgets import marks

    for table in (marks.VERDICTS, marks.SEVERITIES, marks.STATUSES, marks.PHASES):
        for word, mark in table.items():
            assert mark.before(word).plain == f"{mark.symbol} {word}"
    assert RunState().phase in marks.PHASES
