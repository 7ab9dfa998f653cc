"""What stands on a screen, in three sizes and three looks, compared with texts and kept as SVG.

    async with open_app("full_run", settings=LOOKS["ascii"]) as opened:
        opened.engine.go_on_to("epoch_finished")
        for size, shown in (await shots(opened)).items(): ...

`ECOTUI_REWRITE_GOLDEN=1` writes the texts anew; look at what `git diff` says of them.
`ECOTUI_PICTURES=FOLDER` keeps every screen that is looked at as an SVG file there.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from textual.app import App

from ecotui.app_settings import AppSettings

TEXTS = Path(__file__).parent / "texts"
SIZES = {"80x24": (80, 24), "120x40": (120, 40), "60x16": (60, 16)}
LOOKS = {
    "colour": AppSettings(),
    "mono": AppSettings(theme="mono"),
    "ascii": AppSettings(theme="mono", is_ascii=True),
}


def text_on(app: App[Any]) -> str:
    """Return what stands on the screen, line by line, as it reaches the terminal."""
    strips = app.screen._compositor.render_strips()
    lines = ("".join(segment.text for segment in strip).rstrip() for strip in strips)
    return "\n".join(lines) + "\n"


def colours_on(app: App[Any]) -> set[str]:
    """Return every colour on the screen but the terminal's own two."""
    segments = [each for strip in app.screen._compositor.render_strips() for each in strip]
    styles = [segment.style for segment in segments if segment.style is not None]
    colours = [colour for style in styles for colour in (style.color, style.bgcolor)]
    return {str(each.name) for each in colours if each is not None and not each.is_default}


def emphasis_on(app: App[Any]) -> str:
    """Return the text that is bold, underlined or reversed: what is left to tell things apart."""
    segments = [each for strip in app.screen._compositor.render_strips() for each in strip]
    return " ".join(
        segment.text.strip()
        for segment in segments
        if segment.style is not None
        and (segment.style.bold or segment.style.underline or segment.style.reverse)
    )


def picture_of(app: App[Any]) -> str:
    """Return the screen as an SVG that fetches nothing."""
    return re.sub(r"@font-face \{.*?\}", "", app.export_screenshot(), flags=re.DOTALL)


async def shots(opened: Any, *names: str) -> dict[str, str]:
    """Return what an open app shows at each size, by name; all sizes where none is named."""
    found = {}
    for name in names or SIZES:
        await opened.pilot.resize_terminal(*SIZES[name])
        await opened.settle()
        found[name] = text_on(opened.app)
        keep_picture(opened.app, name)
    return found


def keep_picture(app: App[Any], name: str) -> None:
    """Write the screen as SVG where ECOTUI_PICTURES says so."""
    folder = os.environ.get("ECOTUI_PICTURES")
    if folder:
        test = os.environ.get("PYTEST_CURRENT_TEST", "screen").rpartition("::")[2]
        stem = re.sub(r"[^\w.-]+", "_", test.partition(" ")[0])
        path = Path(folder) / f"{stem}_{name}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(picture_of(app), encoding="utf-8")


def assert_text(shown: str, name: str) -> None:
    """Compare a screen with its text; ECOTUI_REWRITE_GOLDEN writes it anew."""
    path = TEXTS / f"{name}.txt"
    if os.environ.get("ECOTUI_REWRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8"), f"{path.name} is not what is shown"
