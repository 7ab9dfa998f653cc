"""Delivers one message to a webhook and a command; run as a process of its own.

    python -I delivery_script.py < job.json

Only the standard library, and nothing of ecotui: it must start fast, and it outlives the
engine whose last message it carries. What went wrong is one line on stdout, without the
address: that may hold a secret.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import IO, Any

ATTEMPTS = 3
MAX_JOB_BYTES = 1_000_000
_AGAIN = frozenset({408, 425, 429})
"""Statuses that ask for another attempt, beside those of a server at fault."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirection would carry the message to somebody nobody named."""

    def redirect_request(
        self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow none; it is an error then."""
        del req, fp, code, msg, headers, newurl


def post(url: str, body: bytes, timeout_seconds: float, retry_seconds: float) -> str:
    """Post a message; return what went wrong at last, empty where it arrived."""
    opener = _opener()
    fault = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(retry_seconds * 2 ** (attempt - 1))
        fault, is_final = _post_once(opener, url, body, timeout_seconds)
        if not fault or is_final:
            return fault
    return f"{fault}, {ATTEMPTS} times"


def _opener() -> urllib.request.OpenerDirector:
    """Return what speaks HTTP and HTTPS, through the proxies that are set, and nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _NoRedirect(),
    ):
        opener.add_handler(handler)
    return opener


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in a block that takes longer.

    A socket's own limit starts anew with every byte of an answer that trickles.
    """

    def give_up(number: int, frame: object) -> None:
        del number, frame
        raise TimeoutError

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _post_once(
    opener: urllib.request.OpenerDirector, url: str, body: bytes, timeout_seconds: float
) -> tuple[str, bool]:
    """Try once; return what went wrong, and whether trying again is of no use."""
    headers = {"Content-Type": "application/json", "User-Agent": "ecotui"}
    try:
        # The opener knows no other scheme than the two.
        request = urllib.request.Request(  # noqa: S310
            url, data=body, headers=headers, method="POST"
        )
        with (
            _limited(timeout_seconds),
            opener.open(request, timeout=timeout_seconds) as answer,
        ):
            answer.read(1)
    except urllib.error.HTTPError as error:
        return f"it answered with status {error.code}", error.code < 500 and error.code not in (
            _AGAIN
        )
    except TimeoutError:
        return f"no answer within {timeout_seconds:g} s", False
    except urllib.error.URLError as error:
        return f"it cannot be reached ({type(error.reason).__name__})", False
    except (OSError, ValueError) as error:
        return f"it cannot be reached ({type(error).__name__})", False
    except Exception as error:  # http.client has a family of its own for broken answers
        return f"its answer makes no sense ({type(error).__name__})", False
    return "", True


def run(argv: list[str], body: bytes, names: dict[str, str], timeout_seconds: float) -> str:
    """Run a command once; return what went wrong, empty where it ended well."""
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **names},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"it cannot be started ({type(error).__name__})"
    try:
        child.communicate(body, timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return f"it had not ended within {timeout_seconds:g} s, and was killed"
    return "" if child.returncode == 0 else f"it ended with {child.returncode}"


def main() -> int:
    """Deliver what stdin says."""
    job = json.loads(sys.stdin.buffer.read(MAX_JOB_BYTES))
    body = json.dumps(job["message"]).encode()
    faults = []
    if job["command"]:
        fault = run(job["command"], body, job["environment"], job["timeout_seconds"])
        faults += [f"the command: {fault}"] if fault else []
    if job["webhook"]:
        fault = post(job["webhook"], body, job["timeout_seconds"], job["retry_seconds"])
        faults += [f"the webhook: {fault}"] if fault else []
    sys.stdout.write("; ".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
