"""An app on a recorded run, what it shows as text, and the text to expect."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ecotui import app as app_module
from ecotui.app import EcoApp
from ecotui.config_file import LoadedConfig
from ecotui.events import AnyEvent
from ecotui.paths import RunDir
from ecotui.replay import Replay
from ecotui.session_factory import SessionFactory
from ecotui.stream import decode
from tests.drawing import SECONDS, stand_still, text_of

TEXTS = Path(__file__).parent / "texts"


class Heard(Replay):
    """A replay that knows whether what it said has been taken in."""

    _found_nothing = False

    def read(self) -> list[tuple[bytes, AnyEvent]]:
        found = super().read()
        # The app assigns its state, at the latest, with the first reading that finds nothing.
        self._found_nothing = not found
        return found

    @property
    def is_heard(self) -> bool:
        return self._found_nothing and self._taken == self._upto


@dataclass
class Opened:
    """An app under a pilot, with the engine's stand-in.

    Attributes:
        app: The app.
        pilot: Presses keys.
        engine: The session of the run shown first.
        launched: Directories in which an engine was started.
    """

    app: EcoApp
    pilot: Pilot[int]
    engine: Heard
    launched: list[RunDir]

    def text(self) -> str:
        """Return what stands on the screen, line by line."""
        return text_of(self.app)

    async def settle(self) -> None:
        """Wait until the app has shown what the engine said."""
        await stand_still(self.pilot, self._has_heard)

    async def wait_for(self, words: str) -> None:
        """Wait until words are shown that come with a later look at the runs, if not at once."""
        deadline = time.monotonic() + SECONDS
        await self.settle()
        while words not in self.text():
            assert time.monotonic() < deadline, f"{words!r} never came: {self.text()}"
            await self.settle()

    def _has_heard(self) -> bool:
        """Say whether the app holds all that its engine stated, and has looked for the runs."""
        session, workers = self.app.session, self.app.workers
        if any(worker.group == "runs" and worker.is_running for worker in workers):
            return False
        follows = any(worker.group == "run" and not worker.is_finished for worker in workers)
        return not follows or not isinstance(session, Heard) or session.is_heard

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()


Open = Callable[..., AbstractAsyncContextManager[Opened]]


@pytest.fixture
def events_of(recordings: Path) -> Callable[[str], list[AnyEvent]]:
    """Return the events of a recording."""

    def read(name: str) -> list[AnyEvent]:
        lines = (recordings / f"{name}.jsonl").read_bytes().splitlines()
        return [event for event in map(decode, lines) if event is not None]

    return read


@pytest.fixture
def open_app(
    events_of: Callable[[str], list[AnyEvent]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Open:
    """Return a way to open the app on a recording, by name or as events."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app_module, "READ_INTERVAL_SECONDS", 0.01)

    @asynccontextmanager
    async def opened(
        recording: str | list[AnyEvent],
        *,
        size: tuple[int, int] = (80, 24),
        opening: LoadedConfig | RunDir | str | None = "attach",
        next_recording: str = "",
    ) -> AsyncIterator[Opened]:
        events = events_of(recording) if isinstance(recording, str) else recording
        run = RunDir(Path("runs") / "full")
        engine, launched = Heard(events, run), list[RunDir]()

        def launch(run: RunDir) -> Heard:
            launched.append(run)
            if next_recording and len(launched) == 1:
                return Heard(events_of(next_recording), run)
            return engine

        sessions = SessionFactory(launch=launch, attach=lambda _: engine)
        what = run if isinstance(opening, str) else opening
        app = EcoApp(what, Path("runs"), sessions=sessions)
        app.animation_level = "none"
        async with app.run_test(size=size, notifications=True) as pilot:
            yield Opened(app, pilot, engine, launched)

    return opened


@pytest.fixture
def assert_looks_like() -> Callable[[str, str], None]:
    """Compare a screen with its text; ECOTUI_REWRITE_GOLDEN writes it anew."""

    def compare(shown: str, name: str) -> None:
        path = TEXTS / f"{name}.txt"
        if os.environ.get("ECOTUI_REWRITE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(shown, encoding="utf-8")
        assert shown == path.read_text(encoding="utf-8"), f"{path.name} is not what is shown"

    return compare
