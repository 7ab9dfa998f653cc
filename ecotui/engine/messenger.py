"""Passes on what a person who does not watch should know, without ever holding up a step.

Each message is carried by a process of its own (`delivery_script`), started and fed by a
thread: a slow or hanging address costs training nothing, and the last message of a run
still arrives when the engine has left. The address is given on the process's standard
input, where nobody else can read it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui.engine import delivery_script
from ecotui.engine.emit import Emit
from ecotui.engine.messages import DELIVERY_FAILED, Message, message_of
from ecotui.envelope import Event, Severity
from ecotui.findings import HealthAlerted
from ecotui.notify_settings import VARIABLE_PREFIX, NotifyConfig, fault_of, masked
from ecotui.paths import RunDir
from ecotui.text import visible

SCRIPT = Path(delivery_script.__file__)
MAX_UNDER_WAY = 8
"""Messages carried at once; those beyond are dropped and counted."""
FEED_SECONDS = 5.0
"""How long the engine's end waits for its last messages to be on their way."""
SPARE_SECONDS = 10.0
"""Beyond all attempts, before a carrier that does not end is killed."""
_RANKS: dict[Severity, int] = {"note": 0, "warning": 1, "critical": 2}


@dataclass(slots=True)
class _Carrier:
    """A message on its way."""

    thread: threading.Thread
    is_fed: threading.Event


class Messenger:
    """Passes events on, and tells people of some of them.

    Args:
        emit: Where the facts go.
        config: Whom to tell, and of what.
        run: That the messages are about.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        emit: Emit,
        config: NotifyConfig,
        run: RunDir,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._emit = emit
        self._config = config
        self._run = run
        self._clock = clock
        self._guard = threading.Lock()
        self._told_at: dict[Severity, float] = {}
        self._num_kept_back = 0
        self._carriers: list[_Carrier] = []
        self._has_failed = False
        self._address, self._fault = _address(config.webhook)

    def __call__(self, event: Event) -> None:
        """Pass an event on, and see to it that people are told where they want to be.

        Emits:
            HealthAlerted, the first time that a message does not arrive.
        """
        self._emit(event)
        if not (self._config.webhook or self._config.command):
            return
        if self._fault:
            self._complain(self._fault)
            self._fault = ""
        message = message_of(event)
        if message is not None and message.occasion in self._config.events:
            self._tell(message)

    def close(self) -> None:
        """Wait until the last messages are on their way, though not until they have arrived."""
        deadline = time.monotonic() + FEED_SECONDS
        for carrier in self._carriers:
            carrier.is_fed.wait(max(0.0, deadline - time.monotonic()))

    def wait(self, seconds: float) -> bool:
        """Wait until all messages have arrived or failed, and say whether they have."""
        deadline = time.monotonic() + seconds
        for carrier in self._carriers:
            carrier.thread.join(max(0.0, deadline - time.monotonic()))
        return not any(carrier.thread.is_alive() for carrier in self._carriers)

    def _tell(self, message: Message) -> None:
        if not (self._address or self._config.command):
            return
        with self._guard:
            if message.occasion == "alerts" and not self._is_due(message.severity):
                self._num_kept_back += _RANKS[message.severity] >= _RANKS[self._config.severity]
                return
            self._carriers = [each for each in self._carriers if each.thread.is_alive()]
            is_alert = message.occasion == "alerts"
            if is_alert and len(self._carriers) >= MAX_UNDER_WAY:
                self._num_kept_back += 1
                return
            kept_back, self._num_kept_back = self._num_kept_back, 0
            is_fed = threading.Event()
            job = self._job(message, kept_back)
            thread = threading.Thread(
                target=self._carry, args=(job, is_fed), name="message", daemon=True
            )
            self._carriers.append(_Carrier(thread, is_fed))
        thread.start()

    def _is_due(self, severity: Severity) -> bool:
        """Say whether an alert may be passed on; a graver one waits only for its like."""
        if _RANKS[severity] < _RANKS[self._config.severity]:
            return False
        now = self._clock()
        alike = [at for told, at in self._told_at.items() if _RANKS[told] >= _RANKS[severity]]
        if alike and now - max(alike) < self._config.min_interval_seconds:
            return False
        self._told_at[severity] = now
        return True

    def _job(self, message: Message, num_kept_back: int) -> bytes:
        config, run_id = self._config, visible(self._run.run_id)
        content: dict[str, Any] = {
            "text": f"ecotui {run_id}: {message.text}",
            "event": message.occasion,
            "severity": message.severity,
            "name": message.name,
            "message": message.what,
            "advice": message.advice,
            "step": message.step,
            "run": run_id,
            "run_dir": visible(self._run.path),
            "host": visible(socket.gethostname()),
            "at": time.time(),
            "num_kept_back": num_kept_back,
        }
        environment = {
            "ECOTUI_EVENT": message.occasion,
            "ECOTUI_SEVERITY": message.severity,
            "ECOTUI_MESSAGE": content["text"],
            "ECOTUI_RUN": run_id,
            "ECOTUI_RUN_DIR": content["run_dir"],
        }
        job = {
            "message": content,
            "environment": environment,
            "command": list(config.command),
            "webhook": self._address,
            "timeout_seconds": config.timeout_seconds,
            "retry_seconds": config.retry_seconds,
        }
        return json.dumps(job).encode()

    def _carry(self, job: bytes, is_fed: threading.Event) -> None:
        """Start a carrier, give it the message, and wait for what becomes of it."""
        config = self._config
        limit = 4 * config.timeout_seconds + 3 * config.retry_seconds + SPARE_SECONDS
        try:
            child = subprocess.Popen(
                [sys.executable, "-I", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            assert child.stdin is not None  # noqa: S101 - it was asked for
            assert child.stdout is not None  # noqa: S101 - likewise
            with child.stdin as pipe:
                pipe.write(job)
            is_fed.set()
            killer = threading.Timer(limit, child.kill)
            killer.daemon = True
            killer.start()
            with child.stdout as pipe:
                said = pipe.read(4_096)
            code = child.wait()
            killer.cancel()
        except OSError as error:
            is_fed.set()
            self._complain(visible(error.strerror or error))
            return
        if code != 0:
            self._complain(visible(said.decode("utf-8", "replace"), limit=300) or f"status {code}")

    def _complain(self, why: str) -> None:
        """Tell once that messages do not arrive; every time in the log."""
        address = masked(self._config.webhook)
        where = f" ({address})" if address else ""
        told = f"a message about this run could not be delivered{where}: {why}"
        sys.stderr.write(f"ecotui: {told}\n")
        with self._guard:
            has_failed, self._has_failed = self._has_failed, True
        if not has_failed:
            self._emit(
                HealthAlerted(
                    severity="warning",
                    code=DELIVERY_FAILED,
                    message=told,
                    advice="check [notify] in the configuration; the training is not touched by it",
                )
            )


def _address(webhook: str | None) -> tuple[str, str]:
    """Return the address to post to, and what is wrong with it; both may be empty."""
    if webhook is None or not webhook.startswith(VARIABLE_PREFIX):
        return webhook or "", ""
    name = webhook.removeprefix(VARIABLE_PREFIX)
    address = os.environ.get(name, "")
    fault = fault_of(address) if address and not address.startswith(VARIABLE_PREFIX) else "is empty"
    return ("", f"the variable {name} {fault}") if fault else (address, "")
