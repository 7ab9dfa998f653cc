"""The app on a real terminal, over a recorded run: `python app_on_recording.py LOG FLAGS...`."""

from __future__ import annotations

import sys
from pathlib import Path

from ecotui.app import EcoApp
from ecotui.app_settings import Flags, app_settings
from ecotui.paths import RunDir
from ecotui.replay import Replay
from ecotui.session_factory import SessionFactory


def main(log: str, *flags: str) -> int:
    """Show a recorded log; `--ascii`, `--mono`, `--slow` and `--home` as in the command."""
    engine = Replay.of(Path(log), RunDir(Path("runs") / "full")).go_on()
    sessions = SessionFactory(launch=lambda *_: engine, attach=lambda _: engine)
    theme = "mono" if "--mono" in flags else "dark"
    settings = app_settings(
        Flags(theme=theme, is_ascii="--ascii" in flags, is_slow="--slow" in flags)
    )
    opening = None if "--home" in flags else engine.run
    app = EcoApp(opening, Path("runs"), sessions=sessions, settings=settings)
    code = app.run()
    return code or 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
