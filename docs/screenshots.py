"""Write the pictures of the screens anew: `python docs/screenshots.py`.

They replay a recorded run, so no engine, no data and no time is needed.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from ecotui.app import EcoApp
from ecotui.paths import RunDir
from ecotui.replay import Replay
from ecotui.session_factory import SessionFactory

ROOT = Path(__file__).resolve().parent.parent
RECORDING = ROOT / "tests" / "recordings" / "full_run.jsonl"
IMAGES = ROOT / "docs" / "images"
SIZE = (120, 36)
MOMENTS = {
    "diagnostic": ("stage_finished", 1),
    "preflight": ("stage_finished", 2),
    "training": ("steps_taken", 21),
}
"""Event kind, and the number of it, up to which the run is replayed."""


async def picture(kind: str, nth: int) -> str:
    """Return the screen at a moment of the recorded run, as SVG."""
    run = RunDir(Path("runs") / "full")
    engine = Replay.of(RECORDING, run)
    sessions = SessionFactory(launch=lambda *_: engine, attach=lambda _: engine)
    app = EcoApp(run, Path("runs"), sessions=sessions)
    app.animation_level = "none"
    async with app.run_test(size=SIZE) as pilot:
        engine.go_on_to(kind, nth)
        for _ in range(20):
            await pilot.pause(0.1)
        return _alone(app.export_screenshot(title="ecotui"))


def _alone(svg: str) -> str:
    """Return a picture that fetches nothing: the reader's own monospace font will do."""
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main() -> None:
    """Write every picture."""
    IMAGES.mkdir(exist_ok=True)
    for name, (kind, nth) in MOMENTS.items():
        path = IMAGES / f"{name}.svg"
        path.write_text(asyncio.run(picture(kind, nth)), encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
