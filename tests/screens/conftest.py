"""An app on a recorded run, what it shows as text, and the text to expect."""

from __future__ import annotations

import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ecotui import following
from ecotui.app import EcoApp
from ecotui.app_settings import AppSettings
from ecotui.config_file import LoadedConfig
from ecotui.events import AnyEvent
from ecotui.paths import RunDir
from ecotui.replay import Replay
from ecotui.session_factory import SessionFactory
from ecotui.state import RunState, fold
from ecotui.stream import decode
from tests.drawing import SECONDS, stand_still
from tests.screens.looks import assert_text, text_on


class Heard(Replay):
    """A replay that knows what an app that has heard it shows."""

    state = RunState()
    """Of all that was read."""

    def read(self) -> list[tuple[bytes, AnyEvent]]:
        found = super().read()
        self.state = reduce(fold, (event for _, event in found), self.state)
        return found

    def is_heard(self, shown: RunState) -> bool:
        return self._taken == self._upto and replace(shown, num_unknown_lines=0) == self.state


@dataclass
class Opened:
    """An app under a pilot, with the engine's stand-in.

    Attributes:
        app: The app.
        pilot: Presses keys.
        engine: The session of the run shown first.
        launched: Directories in which an engine was started.
        settings: `key=value` that each of them was started with.
        errands: Directories of the short jobs begun.
    """

    app: EcoApp
    pilot: Pilot[int]
    engine: Heard
    launched: list[RunDir]
    settings: list[tuple[str, ...]]
    errands: list[RunDir]

    def text(self) -> str:
        """Return what stands on the screen, line by line."""
        return text_on(self.app)

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
        return not isinstance(session, Heard) or session.is_heard(self.app.run_state)

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
    monkeypatch.setenv("TZ", "UTC")  # The time of day that an alert came is that of the terminal.
    time.tzset()
    monkeypatch.setattr(following, "READ_INTERVAL_SECONDS", 0.01)

    @asynccontextmanager
    async def opened(
        recording: str | list[AnyEvent],
        *,
        size: tuple[int, int] = (80, 24),
        opening: LoadedConfig | RunDir | str | None = "attach",
        next_recording: str = "",
        settings: AppSettings | None = None,
        errand_recordings: Sequence[str] = ("sick_environment",),
        errand_files: Path | None = None,
    ) -> AsyncIterator[Opened]:
        events = events_of(recording) if isinstance(recording, str) else recording
        run = RunDir(Path("runs") / "full")
        engine, launched, errands = Heard(events, run), list[RunDir](), list[RunDir]()
        given = list[tuple[str, ...]]()

        def launch(run: RunDir, settings: Sequence[str] = (), /) -> Heard:
            launched.append(run)
            given.append(tuple(settings))
            if next_recording and len(launched) == 1:
                return Heard(events_of(next_recording), run)
            return engine

        def errand(run: RunDir) -> Replay:
            errands.append(run)
            # What one after the other is done; the last one again and again.
            name = errand_recordings[min(len(errands), len(errand_recordings)) - 1]
            if errand_files is not None:
                shutil.copytree(errand_files, run.path, dirs_exist_ok=True)
            return Replay(events_of(name), run).go_on()

        sessions = SessionFactory(launch=launch, attach=lambda _: engine, errand=errand)
        what = run if isinstance(opening, str) else opening
        app = EcoApp(what, Path("runs"), sessions=sessions, settings=settings)
        app.animation_level = "none"
        async with app.run_test(size=size, notifications=True) as pilot:
            yield Opened(app, pilot, engine, launched, given, errands)

    return opened


@pytest.fixture
def assert_looks_like() -> Callable[[str, str], None]:
    """Compare a screen with its text; ECOTUI_REWRITE_GOLDEN writes it anew."""
    return assert_text
