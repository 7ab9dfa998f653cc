"""Published weights, fetched as a stage of its own: with a size, going on after a break, stoppable.

The bytes come through `huggingface_hub`, which knows mirrors, tokens, proxies and
certificates. Its own cache is where they go, but not by its own temporary file: that one
has another name in each process, so that a new attempt would begin anew.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import huggingface_hub
import huggingface_hub.constants
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from ecotui.engine import published
from ecotui.engine.emit import Emit, Stage, span
from ecotui.engine.published import Source, cached, check_published, find_source, unavailable
from ecotui.errors import EcoError
from ecotui.events import SetupAdvanced
from ecotui.text import bytes_size, visible

STALL_SECONDS = 20.0
"""Without a single byte for so long, fetching is given up: the part that came is kept."""
MAX_FRUITLESS_ATTEMPTS = 3
"""Attempts in a row that bring no byte. The hub's client makes several in each."""
CHUNK_BYTES = 65_536
"""Small, so that a slow line shows progress; the hub's own is 10 MB."""
POLL_SECONDS = 0.1
_READ_BYTES = 4_194_304

_T = TypeVar("_T")


class _NoAnswerError(Exception):
    """Work took longer than it may."""


class _Cancelled(Exception):  # noqa: N818 - nobody sees it: it ends a thread
    """Nobody waits for this download any more."""


def fetch_weights(
    name: str, preset: Mapping[str, Any], emit: Emit, poll: Callable[[], None]
) -> Path | None:
    """See to it that a model's published weights are on this machine.

    Args:
        name: Of the model.
        preset: What timm publishes about it.
        emit: Where the facts go.
        poll: Called ten times a second meanwhile; what it raises ends the wait.

    Returns:
        The file, where it is a safetensors file; otherwise None, and timm finds it itself.

    Raises:
        UsageError: Nobody published weights for this model.
        EnvironmentFaultError: They cannot be had.

    Emits:
        SetupAdvanced; where there is something to fetch StageStarted, StageAdvanced and
        StageFinished, in bytes.
    """
    check_published(name, preset)
    found = cached(preset)
    if found is not None:
        return _usable(found)
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise unavailable(name, preset, "HF_HUB_OFFLINE is set")
    emit(SetupAdvanced(doing=f"asking for the weights of {visible(name)}"))
    try:
        limit = published.HUB_TIMEOUT_SECONDS
        source = _within(limit, lambda: find_source(preset), poll)
        _check_room(source)
        _fetch(source, name, emit, poll)
        linked = _within(limit, lambda: _link(source), poll)
    except EcoError:
        raise
    except Exception as error:
        raise unavailable(name, preset, _told(error)) from error
    return _usable(linked)


def _fetch(source: Source, name: str, emit: Emit, poll: Callable[[], None]) -> None:
    size = "" if source.size is None else f", {bytes_size(source.size)},"
    emit(SetupAdvanced(doing=f"fetching the weights of {visible(name)}{size} from {source.host}"))
    with span(emit, "weights", total=source.size or 0, unit="bytes") as stage:
        stage.done = _size_of(source.partial)
        _Download(source).run(stage, poll)


class _Download:
    """One download in a thread of its own, watched from the one that waits for it.

    Args:
        source: What to fetch.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._is_cancelled = threading.Event()
        self._failure: Exception | None = None

    def run(self, stage: Stage, poll: Callable[[], None]) -> None:
        """Wait for the file, showing how far it is.

        Raises:
            _NoAnswerError: No byte came for too long.
            Exception: Whatever ended the download.
        """
        thread = threading.Thread(target=self._work, name="fetching weights", daemon=True)
        thread.start()
        last_growth = time.monotonic()
        try:
            while thread.is_alive():
                poll()
                thread.join(POLL_SECONDS)
                grown = _size_of(self._source.partial) - stage.done
                if grown:
                    last_growth = time.monotonic()
                    stage.advance(grown)
                elif time.monotonic() - last_growth > STALL_SECONDS:
                    raise _NoAnswerError(f"no byte came for {STALL_SECONDS:.0f} s")
        finally:
            self._is_cancelled.set()
        if self._failure is not None:
            raise self._failure
        stage.advance(max(0, _size_of(self._source.target) - stage.done))

    def _work(self) -> None:
        try:
            self._source.target.parent.mkdir(parents=True, exist_ok=True)
            # Another run may want the same file at the same time.
            with WeakFileLock(str(self._source.partial) + ".lock"):
                if not self._source.target.exists():
                    self._bring()
        except Exception as error:  # Told by the thread that waits.
            self._failure = error

    def _bring(self) -> None:
        """Fetch what is missing, check the whole, and give it its name."""
        source, fruitless = self._source, 0
        while not self._is_cancelled.is_set():
            had = _size_of(source.partial)
            try:
                self._bring_rest(had)
                self._finish()
                return
            except _Cancelled:
                raise
            except Exception as error:
                if _is_refusal(error) and had:
                    source.partial.unlink()  # The rest of it is not to be had: all anew.
                fruitless = 0 if _size_of(source.partial) > had else fruitless + 1
                if fruitless >= MAX_FRUITLESS_ATTEMPTS or (_is_refusal(error) and not had):
                    raise

    def _finish(self) -> None:
        """Check the whole, and give it its name."""
        source = self._source
        if source.sha256 is not None and _sha256(source.partial) != source.sha256:
            source.partial.unlink()
            raise OSError("what came is damaged: its sha256 is not the one published")
        os.replace(source.partial, source.target)

    def _bring_rest(self, had: int) -> None:
        size = self._source.size
        if size is not None and had == size:
            return
        if size is not None and had > size:
            os.truncate(self._source.partial, 0)
            had = 0
        huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
        with _Partial(self._source.partial, self._is_cancelled) as file:
            http_get(
                self._source.url,
                file,  # raw, so that every byte is on the disk at once
                resume_size=had,
                headers=dict(self._source.headers),
                expected_size=size,
            )


class _Partial(io.FileIO):
    """The file of a download, which ends it once nobody waits any more."""

    def __init__(self, path: Path, is_cancelled: threading.Event) -> None:
        super().__init__(path, "a")
        self._is_cancelled = is_cancelled

    def write(self, data: Any, /) -> int:
        """Write a chunk."""
        if self._is_cancelled.is_set():
            raise _Cancelled
        return super().write(data)


def _within(seconds: float, work: Callable[[], _T], poll: Callable[[], None]) -> _T:
    """Return the result of work that may hang, done in a thread.

    Looking a name up has no time-out of its own.

    Raises:
        _NoAnswerError: It took too long.
    """
    results: list[_T] = []
    failures: list[Exception] = []

    def do() -> None:
        try:
            results.append(work())
        except Exception as error:  # Told by the thread that waits for it.
            failures.append(error)

    thread = threading.Thread(target=do, name="asking", daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    while thread.is_alive() and time.monotonic() < until:
        poll()
        thread.join(POLL_SECONDS)
    if failures:
        raise failures[0]
    if not results:
        raise _NoAnswerError(f"no answer within {seconds:.0f} s")
    return results[0]


def _link(source: Source) -> Path:
    """Have the hub's cache take in the file that lies in it, and return its path there."""
    if not source.repository:
        return source.target
    repository, _, revision = source.repository.partition("@")
    path: str = huggingface_hub.hf_hub_download(
        repository,
        source.file,
        revision=revision or None,
        cache_dir=huggingface_hub.constants.HF_HUB_CACHE,
        etag_timeout=published.HUB_TIMEOUT_SECONDS,
        endpoint=huggingface_hub.constants.ENDPOINT,
    )
    return Path(path)


def _usable(found: Path) -> Path | None:
    """Return a file that can be given to timm by path; other forms it reads in its own way."""
    return found if found.suffix == ".safetensors" else None


def _check_room(source: Source) -> None:
    """Check that what is missing finds room.

    Raises:
        OSError: It does not.
    """
    if source.size is None:
        return
    folder = next(path for path in source.target.parents if path.exists())
    free, needed = shutil.disk_usage(folder).free, source.size - _size_of(source.partial)
    if needed > free:
        raise OSError(
            f"{bytes_size(needed)} are needed in {folder}, and {bytes_size(free)} are free"
        )


def _is_refusal(error: Exception) -> bool:
    """Say whether the server answered, and will give the same answer again."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status is not None and 400 <= status < 500 and status not in (408, 429)


def _told(error: Exception) -> str:
    first = str(error).strip().splitlines()
    return first[0] if first else type(error).__name__


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
