"""Weights are fetched with progress, after a break from where it was, and refused within seconds.

The hub is a server of the test's own, on this machine.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch

from ecotui.commands import StopRun, append_command
from ecotui.config import DataConfig, ModelConfig
from ecotui.engine import fetching, published
from ecotui.engine.fetching import fetch_weights
from ecotui.engine.model import build_model, preset_of
from ecotui.errors import EnvironmentFaultError, ExitCode, UsageError
from ecotui.events import Event, RunFailed, RunFinished, RunStopped, StageAdvanced, StageStarted
from ecotui.jobs import PreflightJob
from tests.engine.harness import Harness, of

MODEL = "test_resnet"
COMMIT = "c" * 40


@dataclass
class Hub:
    """What the server does, and what it was asked for."""

    content: bytes
    mode: str = "well"
    cut_after: int = 0
    address: str = ""
    file: str = "model.safetensors"
    ranges: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """A model hub with one file, in several states of health."""

    hub: Hub

    def do_HEAD(self) -> None:
        if self.hub.mode == "silent":
            time.sleep(1.0)
            return
        self._answer_head(len(self.hub.content), 200)

    def _answer_head(self, length: int, status: int) -> None:
        if self.hub.mode in ("forbidden", "gone"):
            self.send_error(403 if self.hub.mode == "forbidden" else 503)
            return
        if not self.path.endswith(f"/{self.hub.file}"):
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(status)
        if self.hub.mode != "no hub":
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{self.hub.sha256}"')
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.hub.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        rest = self.hub.content[start:]
        self._answer_head(len(rest), 206 if asked else 200)
        if self.hub.mode == "hangs" and start + self.hub.cut_after < len(self.hub.content):
            self.wfile.write(rest[: self.hub.cut_after])
            self.wfile.flush()
            time.sleep(1.5)
        elif self.hub.mode == "breaks" and len(self.hub.ranges) <= 2:
            self.wfile.write(rest[: self.hub.cut_after])
        elif self.hub.mode == "slow":
            for place in range(0, len(rest), 65_536):
                self.wfile.write(rest[place : place + 65_536])
                self.wfile.flush()
                time.sleep(0.1)
        elif self.hub.mode == "damages":
            self.wfile.write(b"\0" * len(rest))
        else:
            self.wfile.write(rest)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def weights() -> bytes:
    torch.manual_seed(0)
    network: Any = timm.create_model(MODEL, pretrained=False)
    return bytes(safetensors.torch.save(network.state_dict()))


@pytest.fixture
def hub(weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub(weights, cut_after=len(weights) // 3)
    handler = type("Handler", (Handler,), {"hub": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    point_at(made.address, tmp_path, monkeypatch)
    yield made
    server.shutdown()
    server.server_close()


def point_at(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(fetching, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(fetching, "STALL_SECONDS", 4.0)
    monkeypatch.setattr(published, "HUB_TIMEOUT_SECONDS", 0.5)


def unheard(_: Event) -> None:
    pass


def fetch(events: list[Event] | None = None, poll: Callable[[], None] = lambda: None) -> Any:
    kept: list[Event] = [] if events is None else events
    return fetch_weights(MODEL, preset_of(MODEL), kept.append, poll)


def partials(cache: Path) -> list[Path]:
    return list(cache.rglob("*.ecotui.incomplete"))


def test_weights_come_with_size_and_progress_and_are_the_ones_that_the_model_gets(
    hub: Hub, tmp_path: Path
) -> None:
    events: list[Event] = []
    path = fetch(events)
    assert path.read_bytes() == hub.content
    (started,) = of(StageStarted, events)
    assert (started.stage, started.total, started.unit) == ("weights", len(hub.content), "bytes")
    assert of(StageAdvanced, events)[-1].done == len(hub.content)
    assert not partials(tmp_path)
    data = DataConfig.model_validate({"root": "x", "image_size": 32})
    hub.mode = "gone"  # nothing more is asked
    built = build_model(ModelConfig(name=MODEL), data, 3, published=path)
    kept = safetensors.torch.load(hub.content)
    got = built.network.state_dict()
    other = {name for name, tensor in kept.items() if not torch.equal(tensor, got[name])}
    assert other == {"fc.weight", "fc.bias"}  # for another number of classes
    again: list[Event] = []
    assert fetch(again) == path
    assert again == []


def test_a_line_that_breaks_off_is_gone_on_with_in_the_same_attempt(hub: Hub) -> None:
    hub.mode = "breaks"
    assert fetch().read_bytes() == hub.content
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in hub.ranges[1:]]
    assert hub.ranges[0] == ""
    # What a broken line had delivered and nobody had read yet is lost with it.
    assert 0 < starts[0] <= hub.cut_after
    assert starts[0] < starts[1] <= starts[0] + hub.cut_after


def test_a_stopped_download_goes_on_from_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.mode = "slow"
    events: list[Event] = []

    class Enough(BaseException):
        pass

    def stop_halfway() -> None:
        if any(path.stat().st_size > len(hub.content) // 2 for path in partials(tmp_path)):
            raise Enough

    with pytest.raises(Enough):
        fetch(poll=stop_halfway)
    deadline = time.monotonic() + 5
    while any(thread.name == "fetching weights" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread goes on though nobody waits"
        time.sleep(0.01)
    (left,) = partials(tmp_path)
    kept = left.stat().st_size
    assert 0 < kept < len(hub.content)
    hub.mode, hub.ranges[:] = "well", []
    assert fetch(events).read_bytes() == hub.content
    assert hub.ranges == [f"bytes={kept}-"]
    assert not partials(tmp_path)


def test_what_came_damaged_is_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.mode = "damages"
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch()
    assert "damaged" in caught.value.what
    assert not partials(tmp_path)
    hub.mode = "well"
    assert fetch().read_bytes() == hub.content


def test_a_download_that_hangs_is_given_up_and_its_part_kept(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "STALL_SECONDS", 0.5)
    hub.mode, hub.cut_after = "hangs", 1000
    started = time.monotonic()
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch()
    assert time.monotonic() - started < 10
    assert "no byte came" in caught.value.what
    for choice in ("HF_ENDPOINT", "HF_HOME", "model.weights", "model.pretrained=false"):
        assert choice in caught.value.remedy
    assert partials(tmp_path)


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("silent", ""),
        ("forbidden", "403"),
        ("gone", "503"),
        ("no hub", "not that of a model hub"),
    ],
)
def test_a_server_that_does_not_give_them_is_named_with_the_choices(
    hub: Hub, mode: str, said: str
) -> None:
    hub.mode = mode
    started = time.monotonic()
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch()
    assert time.monotonic() - started < 5
    assert hub.address in caught.value.what
    assert said in caught.value.what
    for choice in ("HF_ENDPOINT", "HF_HOME", "model.weights", "model.pretrained=false"):
        assert choice in caught.value.remedy


@pytest.mark.parametrize("kind", ["closed", "mute", "nameless"])
def test_with_no_server_at_all_it_takes_seconds(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == "mute":
            listener.listen()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        point_at("http://hub.invalid" if kind == "nameless" else address, tmp_path, monkeypatch)
        started = time.monotonic()
        with pytest.raises(EnvironmentFaultError) as caught:
            fetch()
    assert time.monotonic() - started < 5
    assert MODEL in caught.value.what


def test_offline_mode_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    events: list[Event] = []
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch(events)
    assert "HF_HUB_OFFLINE" in caught.value.what
    assert not events


def test_a_question_that_never_ends_is_given_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    # As looking a name up may, which has no time-out of its own.
    monkeypatch.setattr(fetching, "find_source", lambda _: is_over.wait(20))
    started = time.monotonic()
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch()
    assert time.monotonic() - started < 10
    assert "no answer within" in caught.value.what
    is_over.set()


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch()
    assert "are free" in caught.value.what
    assert hub.ranges == []


def test_weights_that_nobody_published_are_a_usage_error() -> None:
    with pytest.raises(UsageError) as caught:
        fetch_weights("resnet18", {"url": "", "hf_hub_id": ""}, unheard, lambda: None)
    assert "model.pretrained = false" in caught.value.remedy


def test_weights_at_a_plain_address_are_fetched_in_the_same_way(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    preset = {"url": f"{hub.address}/somewhere/model.safetensors"}
    hub.mode = "breaks"
    path = fetch_weights(MODEL, preset, unheard, lambda: None)
    assert path == tmp_path / "torch" / "checkpoints" / "model.safetensors"
    assert path.read_bytes() == hub.content


def test_weights_under_another_name_are_found_and_left_to_timm(hub: Hub, tmp_path: Path) -> None:
    hub.file = "pytorch_model.bin"
    assert fetch() is None
    (kept,) = tmp_path.rglob("pytorch_model.bin")
    assert kept.read_bytes() == hub.content
    hub.mode = "gone"
    assert fetch() is None  # from the cache


def test_a_hub_without_the_file_is_told_so(hub: Hub) -> None:
    hub.file = "something_else"
    with pytest.raises(EnvironmentFaultError) as caught:
        fetch()
    assert "none of model.safetensors" in caught.value.what


def test_a_run_fetches_them_before_it_begins_and_can_be_stopped_meanwhile(
    harness: Harness, hub: Hub
) -> None:
    hub.mode = "slow"
    run = harness.new(PreflightJob(), model={"pretrained": True})

    def stop(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "weights":
            append_command(run.commands, StopRun(reason="enough"))

    events, code = harness.run(run, stop)
    assert code == ExitCode.RESUMABLE
    assert isinstance(events[-1], RunStopped)
    hub.mode = "well"
    events, code = harness.run(harness.new(PreflightJob(), model={"pretrained": True}))
    assert code == ExitCode.DONE
    assert isinstance(events[-1], RunFinished)
    order = [stage.stage for stage in of(StageStarted, events)]
    assert order == ["diagnose", "weights", "preflight", "plan"]


def test_a_run_whose_weights_cannot_be_had_is_refused_before_it_begins(
    harness: Harness, hub: Hub
) -> None:
    hub.mode = "gone"
    events, code = harness.run(harness.new(model={"pretrained": True}))
    assert code == ExitCode.ENVIRONMENT
    (failed,) = of(RunFailed, events)
    assert failed.discard
    assert "model.weights" in failed.remedy
