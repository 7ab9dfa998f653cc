"""People are told of a run that nobody watches, and telling them never holds it up."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecotui.commands import ContinueRun, PauseRun, append_command
from ecotui.engine.messages import message_of
from ecotui.engine.messenger import Messenger
from ecotui.envelope import Severity
from ecotui.events import (
    Event,
    GuardTripped,
    HealthAlerted,
    LoaderRebuilt,
    RunFailed,
    RunFinished,
    RunPaused,
    RunStopped,
    SavingFailed,
    SetupAdvanced,
    StageStarted,
)
from ecotui.notify_settings import NotifyConfig
from ecotui.paths import RunDir
from tests.engine.harness import Harness, of

SECRET = "T0KEN"  # noqa: S105 - of nothing
WAIT_SECONDS = 30.0


class Server:
    """A web server on this machine that answers as it is told."""

    def __init__(self, answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.num_asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.num_asked += 1
                outer.bodies.append(
                    json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                )
                answer(self)

            def do_GET(self) -> None:
                outer.num_asked += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook/{SECRET}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Serve = Callable[[Callable[[http.server.BaseHTTPRequestHandler], None]], Server]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    servers: list[Server] = []

    def make(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def with_status(code: int, **headers: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def alert(severity: Severity = "warning", what: str = "w", code: str = "c") -> HealthAlerted:
    return HealthAlerted(severity=severity, code=code, message=what, advice="do this")


def failed() -> RunFailed:
    return RunFailed(
        what="no room", expected="e", remedy="more", exit_code=1, checkpoint=None, discard=False
    )


def finished() -> RunFinished:
    return RunFinished(
        why="epochs", epochs_done=2, epochs_planned=2, step=8, best_checkpoint=None, seconds=5.0
    )


class Told:
    """A messenger and what it stated."""

    def __init__(self, tmp_path: Path, **settings: Any) -> None:
        self.events: list[Event] = []
        self.now = 0.0
        known = {"timeout_seconds": 3.0, "retry_seconds": 0.05}
        config = NotifyConfig.model_validate(known | settings)
        self.messenger = Messenger(
            self.events.append, config, RunDir(tmp_path / "run-one"), lambda: self.now
        )

    def say(self, *events: Event) -> list[HealthAlerted]:
        """State events, wait for what becomes of the messages, and return the complaints."""
        for event in events:
            self.messenger(event)
        assert self.messenger.wait(WAIT_SECONDS)
        return [each for each in of(HealthAlerted, self.events) if "notif" in each.code]


class TestWebhook:
    def test_a_message_says_what_happened_where_and_what_to_do(
        self, serve: Serve, tmp_path: Path
    ) -> None:
        server = serve(with_status(204))
        assert Told(tmp_path, webhook=server.url).say(alert(what="disk full")) == []
        (body,) = server.bodies
        assert body["text"] == "ecotui run-one: disk full. Do this"
        assert (body["event"], body["severity"], body["name"]) == ("alerts", "warning", "c")
        assert (body["message"], body["advice"]) == ("disk full", "do this")
        assert (body["run"], body["run_dir"]) == ("run-one", str(tmp_path / "run-one"))
        assert body["num_kept_back"] == 0
        assert abs(body["at"] - time.time()) < 60

    @pytest.mark.parametrize("code", [500, 503, 429])
    def test_a_server_at_fault_is_asked_three_times_and_told_of_once(
        self, serve: Serve, tmp_path: Path, code: int
    ) -> None:
        server = serve(with_status(code))
        told = Told(tmp_path, webhook=server.url, min_interval_seconds=0.0)
        complaints = told.say(alert())
        assert server.num_asked == 3
        (complaint,) = complaints
        assert f"the webhook: it answered with status {code}, 3 times" in complaint.message
        assert told.say(alert()) == complaints

    @pytest.mark.parametrize("code", [400, 404])
    def test_a_refusal_is_not_tried_again(self, serve: Serve, tmp_path: Path, code: int) -> None:
        server = serve(with_status(code))
        (complaint,) = Told(tmp_path, webhook=server.url).say(alert())
        assert server.num_asked == 1
        assert f"status {code}" in complaint.message

    def test_a_redirection_is_not_followed(self, serve: Serve, tmp_path: Path) -> None:
        elsewhere = serve(with_status(200))
        server = serve(with_status(302, Location=elsewhere.url))
        (complaint,) = Told(tmp_path, webhook=server.url).say(alert())
        assert "status 302" in complaint.message
        assert elsewhere.num_asked == 0

    def test_one_good_answer_after_a_bad_one_is_enough(self, serve: Serve, tmp_path: Path) -> None:
        answers = iter([with_status(500), with_status(200)])

        def answer(request: http.server.BaseHTTPRequestHandler) -> None:
            next(answers)(request)

        server = serve(answer)
        assert Told(tmp_path, webhook=server.url).say(alert()) == []
        assert server.num_asked == 2

    def test_nobody_there_is_told_without_the_secret(
        self, serve: Serve, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        server = serve(with_status(200))
        url = server.url
        server.close()
        (complaint,) = Told(tmp_path, webhook=url).say(alert())
        said = complaint.message + capfd.readouterr().err
        assert "cannot be reached (ConnectionRefusedError), 3 times" in said
        assert "http://127.0.0.1" in said
        assert SECRET not in said

    @pytest.mark.parametrize("first_bytes", [b"", b"HTTP/1.1 200 OK\r\nX: "])
    def test_a_server_that_never_ends_its_answer_holds_nobody_up(
        self, serve: Serve, tmp_path: Path, first_bytes: bytes
    ) -> None:
        leave = threading.Event()

        def trickle(request: http.server.BaseHTTPRequestHandler) -> None:
            while not leave.wait(0.05):
                request.wfile.write(first_bytes[:1] and first_bytes + b"x")
                request.wfile.flush()

        server = serve(trickle)
        told = Told(tmp_path, webhook=server.url, timeout_seconds=0.4)
        started = time.monotonic()
        told.messenger(alert())
        took = time.monotonic() - started
        (complaint,) = told.say()
        leave.set()
        assert took < 0.3  # three attempts take at least 1.2 s
        assert "no answer within 0.4 s, 3 times" in complaint.message

    def test_the_address_may_stand_in_a_variable(
        self, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(with_status(200))
        monkeypatch.setenv("HOOK_OF_MINE", server.url)
        assert Told(tmp_path, webhook="env:HOOK_OF_MINE").say(alert()) == []
        assert server.num_asked == 1

    @pytest.mark.parametrize("value", [None, "", "file:///etc/passwd", "env:OTHER"])
    def test_a_variable_that_holds_no_address_is_told_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
    ) -> None:
        monkeypatch.delenv("HOOK_OF_MINE", raising=False)
        if value is not None:
            monkeypatch.setenv("HOOK_OF_MINE", value)
        complaints = Told(tmp_path, webhook="env:HOOK_OF_MINE").say(alert(), alert("critical"))
        (complaint,) = complaints
        assert "the variable HOOK_OF_MINE" in complaint.message
        assert "passwd" not in complaint.message

    def test_the_address_is_in_no_argument_of_any_process(
        self, serve: Serve, tmp_path: Path
    ) -> None:
        if not Path("/proc/self/cmdline").exists():
            pytest.skip("this system shows no arguments of processes")
        seen: list[bytes] = []

        def look(request: http.server.BaseHTTPRequestHandler) -> None:
            seen.append(_arguments())
            with_status(200)(request)

        server = serve(look)
        Told(tmp_path, webhook=server.url).say(alert())
        assert b"delivery_script" in seen[0]
        assert SECRET.encode() not in seen[0]


def _arguments() -> bytes:
    found = b""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += entry.read_bytes()
        except OSError:  # a process that has just ended
            continue
    return found


WRITES = """\
import json, os, sys
names = [name for name in os.environ if name.startswith("ECOTUI_")]
found = {"arguments": sys.argv[2:], "message": json.load(sys.stdin)}
found |= {name: os.environ[name] for name in names}
open(sys.argv[1], "w").write(json.dumps(found))
"""
HOSTILE = "$(touch canary) `touch canary`; touch canary\n-rf --\x1b[2J\0 'x' \"y\" \u202e"


class TestCommand:
    def test_it_gets_the_message_on_stdin_and_in_variables_and_never_as_an_argument(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        command = [sys.executable, "-c", WRITES, str(tmp_path / "found"), "$HOME"]
        assert Told(tmp_path, command=command).say(alert(what=HOSTILE)) == []
        found = json.loads((tmp_path / "found").read_text())
        assert found["arguments"] == ["$HOME"]
        assert found["message"]["message"] == found["message"]["text"][16:].removesuffix(
            ". Do this"
        )
        assert found["ECOTUI_MESSAGE"] == found["message"]["text"]
        assert found["ECOTUI_EVENT"] == "alerts"
        assert found["ECOTUI_SEVERITY"] == "warning"
        assert found["ECOTUI_RUN"] == "run-one"
        assert "\x1b" not in found["ECOTUI_MESSAGE"]
        assert "\\e[2J" in found["ECOTUI_MESSAGE"]
        assert "$(touch canary)" in found["ECOTUI_MESSAGE"]
        assert not (tmp_path / "canary").exists()

    @pytest.mark.parametrize(
        ("command", "words"),
        [
            ([sys.executable, "-c", "raise SystemExit(7)"], "the command: it ended with 7"),
            (["/no/such/program"], "the command: it cannot be started (FileNotFoundError)"),
        ],
    )
    def test_one_that_fails_is_told_once(
        self, tmp_path: Path, command: list[str], words: str
    ) -> None:
        told = Told(tmp_path, command=command, min_interval_seconds=0.0)
        complaints = told.say(alert(), alert())
        assert [words in each.message for each in complaints] == [True]

    def test_one_that_hangs_is_killed_with_its_children(self, tmp_path: Path) -> None:
        pid_file = tmp_path / "pid"
        source = (
            "import subprocess, sys, time\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
            f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
            "time.sleep(60)\n"
        )
        told = Told(tmp_path, command=[sys.executable, "-c", source], timeout_seconds=1.0)
        (complaint,) = told.say(alert())
        assert "had not ended within 1 s, and was killed" in complaint.message
        assert is_gone(int(pid_file.read_text()))

    def test_the_end_waits_until_the_last_message_is_on_its_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = subprocess.Popen

        def slow(*arguments: Any, **named: Any) -> Any:
            time.sleep(0.3)
            return real(*arguments, **named)

        monkeypatch.setattr("ecotui.engine.messenger.subprocess.Popen", slow)
        told = Told(tmp_path, command=["true"])
        told.messenger(failed())
        told.messenger.close()
        assert [each.is_fed.is_set() for each in told.messenger._carriers] == [True]
        assert told.messenger.wait(WAIT_SECONDS)

    def test_the_last_message_outlives_the_engine(self, tmp_path: Path) -> None:
        marker = tmp_path / "arrived"
        source = f"import time; time.sleep(1); open({str(marker)!r}, 'w').write('x')"
        told = Told(tmp_path, command=[sys.executable, "-c", source])
        told.messenger(finished())
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        started = time.monotonic()
        told.messenger.close()
        assert time.monotonic() - started < 1.0
        assert not marker.exists()
        assert told.messenger.wait(WAIT_SECONDS)
        assert marker.exists()


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


class TestWhatIsTold:
    @pytest.mark.parametrize(
        ("event", "occasion", "severity", "words"),
        [
            (finished(), "finished", "note", "training completed (epochs, epoch 2 of 2) after 5 s"),
            (failed(), "failed", "critical", "failed: no room"),
            (
                RunStopped(reason="asked", epoch=1, step=3, checkpoint=None),
                "stopped",
                "note",
                "stopped at step 3: asked",
            ),
            (RunPaused(step=4, why="hot"), "paused", "warning", "paused at step 4: hot"),
            (alert("critical"), "alerts", "critical", "w"),
            (
                SavingFailed(step=1, what="full", remedy="r", last_checkpoint=None, waits=True),
                "alerts",
                "critical",
                "checkpoints cannot be written: full",
            ),
            (
                LoaderRebuilt(step=1, what="killed", workers_before=2, workers=1, rebuilds_left=2),
                "alerts",
                "warning",
                "killed",
            ),
        ],
    )
    def test_every_occasion_has_its_words(
        self, event: Event, occasion: str, severity: str, words: str
    ) -> None:
        message = message_of(event)
        assert message is not None
        assert (message.occasion, message.severity, message.what) == (occasion, severity, words)

    def test_a_short_job_and_a_complaint_about_messages_are_nothing_to_tell(self) -> None:
        assert message_of(finished().model_copy(update={"why": "job"})) is None
        assert message_of(alert(code="notification_failed")) is None

    @pytest.mark.parametrize(
        ("settings", "events", "expected"),
        [
            ({"severity": "critical"}, [alert("warning"), alert("critical")], ["critical"]),
            ({"severity": "warning"}, [alert("note"), alert("warning")], ["warning"]),
            ({"severity": "note"}, [alert("note")], ["note"]),
            ({"events": ["failed"]}, [alert("critical"), failed()], ["critical"]),
            ({"events": ["finished"]}, [failed(), finished()], ["note"]),
            ({}, [RunStopped(reason="r", epoch=1, step=1, checkpoint=None)], []),
        ],
    )
    def test_only_what_is_asked_for_is_passed_on(
        self,
        serve: Serve,
        tmp_path: Path,
        settings: dict[str, Any],
        events: list[Event],
        expected: list[str],
    ) -> None:
        server = serve(with_status(200))
        told = Told(tmp_path, webhook=server.url, min_interval_seconds=0.0, **settings)
        told.say(*events)
        assert [body["severity"] for body in server.bodies] == expected
        assert told.events == events

    def test_a_flood_of_alerts_is_counted_and_a_graver_one_comes_through(
        self, serve: Serve, tmp_path: Path
    ) -> None:
        server = serve(with_status(200))
        told = Told(tmp_path, webhook=server.url, min_interval_seconds=60.0)
        told.say(alert(), alert(), alert(), alert("note"))
        told.say(alert("critical"), alert("critical"), alert("warning"))
        told.now = 59.9
        told.say(alert("warning"))
        told.now = 60.0
        told.say(alert("warning"))
        kept = [(body["severity"], body["num_kept_back"]) for body in server.bodies]
        assert kept == [("warning", 0), ("critical", 2), ("warning", 3)]

    def test_the_end_of_a_run_waits_for_no_interval(self, serve: Serve, tmp_path: Path) -> None:
        server = serve(with_status(200))
        told = Told(tmp_path, webhook=server.url, min_interval_seconds=1e6)
        told.say(alert(), RunPaused(step=1, why="w"), failed())
        assert {body["event"] for body in server.bodies} == {"alerts", "paused", "failed"}

    def test_without_anybody_to_tell_no_process_is_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[object] = []
        monkeypatch.setattr(threading.Thread, "start", started.append)
        told = Told(tmp_path)
        told.messenger(failed())
        told.messenger.close()
        assert started == []


def test_a_run_tells_its_end_and_keeps_the_secret_out_of_all_it_states_and_writes_but_its_config(
    harness: Harness, serve: Serve
) -> None:
    server = serve(with_status(500))
    run = harness.new(notify={"webhook": server.url, "retry_seconds": 0.05}, train={"epochs": 1})
    events, _ = harness.run(run)
    deadline = time.monotonic() + WAIT_SECONDS
    while sum(body["event"] == "finished" for body in server.bodies) < 3:
        assert time.monotonic() < deadline, server.bodies
        time.sleep(0.05)
    assert {body["event"] for body in server.bodies if body["event"] != "alerts"} == {"finished"}
    assert all(SECRET not in event.model_dump_json() for event in events)
    holding = {
        path.name
        for path in run.path.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    }
    assert holding == {"config.toml", "resolved.toml"}


def test_a_run_that_pauses_before_its_training_tells_it(harness: Harness, serve: Serve) -> None:
    server = serve(with_status(200))
    run = harness.new(notify={"webhook": server.url}, train={"epochs": 1})

    def hook(event: Event) -> None:
        if isinstance(event, SetupAdvanced) and event.doing == "loading PyTorch and timm":
            append_command(run.commands, PauseRun())
        if isinstance(event, RunPaused):
            append_command(run.commands, ContinueRun())

    events, _ = harness.run(run, hook)
    begun = [each.stage if isinstance(each, StageStarted) else each.kind for each in events]
    assert begun.index("run_paused") < begun.index("train")
    deadline = time.monotonic() + WAIT_SECONDS
    while "paused" not in {body["event"] for body in server.bodies}:
        assert time.monotonic() < deadline, server.bodies
        time.sleep(0.05)


def test_a_guard_that_trips_reaches_people(serve: Serve, tmp_path: Path) -> None:
    server = serve(with_status(200))
    trip = GuardTripped(
        layer=1,
        guard="gpu_fault",
        severity="critical",
        what="hot",
        observed=4.0,
        limit=5.0,
        unit="°C",
        advice="cool it",
        action="pause",
        step=12,
    )
    Told(tmp_path, webhook=server.url).say(trip)
    (body,) = server.bodies
    assert (body["name"], body["step"], body["message"]) == ("gpu_fault", 12, "hot")
