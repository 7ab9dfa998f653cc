"""Short jobs beside the run shown: made, followed, and their directories removed again."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from functools import reduce
from pathlib import Path

from ecotui import storage
from ecotui.commands import StopRun
from ecotui.config_file import LoadedConfig
from ecotui.errand_state import ErrandState
from ecotui.errors import EcoError
from ecotui.jobs import DiagnoseJob, Job
from ecotui.run_state import RunState
from ecotui.session_factory import EngineSession, SessionFactory
from ecotui.state import fold
from ecotui.text import visible

READ_INTERVAL_SECONDS = 0.1


class Errand:
    """One short job, from its beginning to its end.

    Args:
        job: What is to be done.
        config: What it is about, where that is a configuration.
        sessions: How an engine is started; it ends with the app.
        runs_dir: Where runs are kept.
    """

    def __init__(
        self, job: Job, config: LoadedConfig | None, sessions: SessionFactory, runs_dir: Path
    ) -> None:
        self.job = job
        self._config = config
        self._sessions = sessions
        self._runs_dir = runs_dir
        self._session: EngineSession | None = None
        self._left_behind = contextlib.ExitStack()

    async def states(self) -> AsyncIterator[ErrandState]:
        """Yield how it stands, a state a batch of events, to its end."""
        state, run = RunState(), None
        yield ErrandState(self.job, state, run)
        try:
            self._session = session = await asyncio.to_thread(self._begin)
        except EcoError as error:
            fault = "\n".join(map(visible, error.lines()))
            yield ErrandState(self.job, state, run, fault)
            return
        run = session.run
        while not session.ended:
            found = await asyncio.to_thread(session.read)
            if found:
                state = reduce(fold, (event for _, event in found), state)
                yield ErrandState(self.job, state, run)
            else:
                await asyncio.sleep(READ_INTERVAL_SECONDS)

    def stop(self) -> None:
        """Have the engine stop.

        Raises:
            EcoError: It cannot be asked.
        """
        if self._session is not None and not self._session.ended:
            self._session.request(StopRun(reason="asked in the app"))

    def close(self) -> None:
        """Remove the directory of the job once its engine has left; it may take seconds."""
        if self._session is not None and not self._session.wait_until_gone():
            return
        with contextlib.suppress(EcoError):  # What cannot be removed is in nobody's way.
            self._left_behind.close()

    def _begin(self) -> EngineSession:
        config = None if self._config is None else self._config.config
        folder = self._runs_dir
        if isinstance(self.job, DiagnoseJob):
            # Not among the runs: that they cannot be written to is a finding, no obstacle.
            place = tempfile.TemporaryDirectory(prefix="ecotui-", ignore_cleanup_errors=True)
            folder = Path(self._left_behind.enter_context(place))
        made = storage.create_job(self.job, folder, config)
        self._left_behind.callback(storage.remove, made)
        return self._sessions.errand(made)
