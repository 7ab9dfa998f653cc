"""What a child process tries, in any Python from 3.8 on: `python probe_script.py REQUEST`.

REQUEST is JSON: `imports` and `behaviours` to try, `blocked` modules that an earlier child
died of, `fork`, `limit_seconds` for everything and `patience_seconds` for one behaviour, and
what the behaviours need. Imports once what the healthy behaviours need, before any device is
initialised, and forks a process for each of them, so that a crash or a hang takes nothing
else along. Tells each step as it begins and ends, as a JSON line on stdout; a step begun and
not ended is what Python died of.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
"""Its modules would stand before others of the same names."""


def _folder_to_leave_out():
    # type: () -> str
    """Return where the person is: none of its code is run; empty where packages belong there."""
    try:
        folder = os.path.realpath(os.getcwd())
    except OSError:
        return ""
    is_library = os.path.basename(folder) in ("site-packages", "dist-packages", "lib-dynload")
    return "" if is_library or folder == os.path.dirname(os.path.realpath(os.__file__)) else folder


FOLDER = _folder_to_leave_out()
sys.path[:] = [
    entry
    for entry in sys.path
    if entry and os.path.realpath(entry) not in (FOLDER, os.path.realpath(_HERE))
]

import contextlib  # noqa: E402
import errno  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from typing import Any, Dict, List  # noqa: E402, UP035 - evaluated by Python 3.8

MAX_WORDS_BYTES = 8_192
_answers = -1
"""Descriptor that answers go to; what libraries print on stdout goes to stderr instead."""


def main() -> None:
    """Take the inventory, try the imports, then the behaviours."""
    global _answers  # noqa: PLW0603 - one process, one place for answers
    request = json.loads(sys.argv[1])
    if "parent" in request:
        _leave_with(int(request["parent"]))
    # Should nobody wait any more, even a hang in native code ends.
    signal.alarm(int(float(request["limit_seconds"])) + 5)
    _answers = os.dup(1)
    os.set_inheritable(_answers, False)
    os.dup2(2, 1)
    inventory = _beside("probe_inventory")
    behaviours = _beside("probe_behaviours")
    if request.get("inventory"):
        seen = inventory.take_inventory()
        seen["shadows"] = inventory.shadows_in(FOLDER)
        _tell(step="inventory", state="done", seen=seen)
    for name in request.get("blocked") or ():
        sys.modules[name] = None  # type: ignore[assignment]
    if request.get("in_step"):
        # What is loaded by now is never looked for again, and nobody need wait for it.
        _tell(loaded=[name for name in sys.modules if name not in request.get("blocked", ())])
        sys.meta_path.insert(0, Reporter())
    for name in request.get("imports") or ():
        _import(name)
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, Reporter)]
    _tell(step="imports", state="done", seen={"shadows": inventory.shadows_in(FOLDER, _loaded())})
    _try_all(behaviours, request)
    os._exit(0)


def _leave_with(parent: int) -> None:
    """End this process when the one that asks has died, however it died."""
    if sys.platform.startswith("linux"):
        # Without ctypes the alarm ends it, later.
        with contextlib.suppress(Exception):
            kernel = importlib.import_module("ctypes").CDLL(None)
            kernel.prctl(1, signal.SIGKILL, 0, 0, 0)  # 1: PR_SET_PDEATHSIG; a fork loses it
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    """Look every half second whether the parent lives."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class Reporter:
    """Tells the name of each module before it is looked for; finds none itself."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Tell a name."""
        del path, target
        os.write(_answers, b'{"module": "' + name.encode("ascii", "replace")[:200] + b'"}\n')


def _beside(name: str) -> Any:
    """Load a module that lies beside this one, whatever else has its name."""
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    spec = importlib.util.spec_from_file_location(name, os.path.join(_HERE, name + ".py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def _loaded() -> tuple[str, ...]:
    """Return the names of the modules that were imported, without those Python starts with."""
    return tuple(name for name in sys.modules if "." not in name and name not in _AT_START)


_AT_START = frozenset(
    ("__main__", "abc", "builtins", "codecs", "encodings", "io", "os", "site", "stat", "sys")
)
"""Modules that are loaded before any folder is looked at."""


def _import(name: str) -> None:
    step = "import:" + name
    _tell(step=step, state="begun")
    try:
        module = importlib.import_module(name)
        seen = {
            "version": str(getattr(module, "__version__", "")),
            "file": str(getattr(module, "__file__", "") or ""),
        }
        _tell(step=step, state="done", seen=seen)
    except BaseException as error:
        _tell(step=step, state="failed", error=_said(error))


def _try_all(behaviours: Any, request: Dict[str, Any]) -> None:  # noqa: UP006
    """Try every behaviour whose packages are there, forked where that is safe."""
    left = [
        name
        for name in request.get("behaviours") or ()
        if all(sys.modules.get(need) is not None for need in behaviours.NEEDS[name])
    ]
    if not request.get("fork"):
        for name in left:
            _tell(step=name, state="begun")
            _tell(**_outcome(name, behaviours.BEHAVIOURS[name], request))
        return
    running = []  # type: List[Trial]
    at_once = max(2, os.cpu_count() or 1)
    while left or running:
        while left and len(running) < at_once:
            name = left.pop(0)
            running.append(Trial(name, behaviours.BEHAVIOURS[name], request))
        _listen(running)
        running = [trial for trial in running if not trial.is_over()]


def _outcome(name: str, behaviour: Any, request: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    try:
        return {"step": name, "state": "done", "seen": behaviour(request)}
    except BaseException as error:
        return {"step": name, "state": "failed", "error": _said(error)}


class Trial:
    """One behaviour in a forked process, with a time limit.

    Args:
        name: Of the behaviour.
        behaviour: What to try.
        request: What it needs.
    """

    def __init__(self, name: str, behaviour: Any, request: Dict[str, Any]) -> None:  # noqa: UP006
        self.name = name
        self.patience_seconds = float(request["patience_seconds"])
        self.deadline = time.monotonic() + self.patience_seconds
        self.answer, self.words = b"", b""
        self.reading, answer_end = os.pipe()
        self.hearing, words_end = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _leave_with(parent)
            os.setpgid(0, 0)  # Its own workers are ended with it.
            signal.alarm(int(self.patience_seconds) + 5)
            os.dup2(words_end, 1)
            os.dup2(words_end, 2)
            told = json.dumps(_outcome(name, behaviour, request)).encode()
            os.write(answer_end, told[:60_000])
            os._exit(0)
        os.close(answer_end)
        os.close(words_end)

    def is_over(self) -> bool:
        """Look whether it has ended or must be ended; tell how, once it has."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        is_late = pid == 0 and time.monotonic() > self.deadline
        if pid == 0 and not is_late:
            return False
        self.end()
        _drain(self)
        if is_late:
            os.waitpid(self.pid, 0)
        for descriptor in (self.reading, self.hearing):
            os.close(descriptor)
        _tell(**self._told(status, is_late))
        return True

    def end(self) -> None:
        """Kill it with everything that it started."""
        for kill, pid in ((os.killpg, self.pid), (os.kill, self.pid)):
            with contextlib.suppress(OSError):
                kill(pid, signal.SIGKILL)

    def _told(self, status: int, is_late: bool) -> Dict[str, Any]:  # noqa: UP006
        if not is_late:
            with contextlib.suppress(ValueError):
                return dict(json.loads(self.answer.decode()))
        words = self.words.decode("utf-8", "replace")
        how = {"seconds": self.patience_seconds} if is_late else {"status": _status(status)}
        state = "hung" if is_late else "died"
        return {"step": self.name, "state": state, "seen": how, "words": words}


def _listen(running: List[Trial]) -> None:  # noqa: UP006
    """Collect what the trials say, for at most 20 ms."""
    by_descriptor = {}
    for trial in running:
        by_descriptor[trial.reading] = by_descriptor[trial.hearing] = trial
    ready, _, _ = select.select(list(by_descriptor), [], [], 0.02)
    got_something = False
    for descriptor in ready:
        got_something = _take(by_descriptor[descriptor], descriptor) or got_something
    if ready and not got_something:
        time.sleep(0.005)  # Closed on the other side; the process is about to end.


def _take(trial: Trial, descriptor: int) -> bool:
    try:
        chunk = os.read(descriptor, 65_536)
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
        return False
    if descriptor == trial.reading:
        trial.answer += chunk
    else:
        trial.words = (trial.words + chunk)[-MAX_WORDS_BYTES:]
    return bool(chunk)


def _drain(trial: Trial) -> None:
    for descriptor in (trial.reading, trial.hearing):
        os.set_blocking(descriptor, False)
        while _take(trial, descriptor):
            pass


def _status(status: int) -> int:
    """Return how a process ended as `subprocess` says it: negative for a signal."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:4_000]


def _tell(**answer: Any) -> None:
    line = json.dumps(answer).encode() + b"\n"
    while line:
        line = line[os.write(_answers, line) :]


if __name__ == "__main__":
    main()
