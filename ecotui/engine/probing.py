"""Child processes that try what the engine will need, so that a crash or a hang is an answer.

Knows which child tries what and what follows from its end; what answers mean is judged
elsewhere. A first child imports everything once and forks the trials. What it died of is
left out by the child after it; what died or hung in a fork is tried once more, alone.
"""

from __future__ import annotations

import importlib.machinery
import os
import selectors
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from ecotui.engine.probe_behaviours import NEEDS
from ecotui.engine.probe_child import Child, ending_of
from ecotui.text import visible

IMPORTS = ("numpy", "torch", "PIL", "torchvision", "timm", "safetensors")
"""Modules imported, in order; each may need those before it."""
BEHAVIOURS = tuple(name for name in NEEDS if name not in ("accelerator",))
"""What every environment is tried with: names of `probe_behaviours.BEHAVIOURS`."""
QUICK_BEHAVIOURS = ("writing", "numpy_torch", "torchvision", "decoding", "timm", "device")
DEVICE_BEHAVIOURS = ("device", "accelerator")
OWN_MODULE = {
    "torch": "torch",
    "numpy_torch": "numpy",
    "torchvision": "torchvision",
    "decoding": "PIL",
    "timm": "timm",
    "safetensors": "safetensors",
}
"""Checks that fail where a module cannot be imported."""

LIMIT_SECONDS = 60.0
"""All together; importing torch takes 4 s on a slow machine, 20 s from a cold disk."""
PATIENCE_SECONDS = 10.0
"""For a behaviour in a fork, and for an import that neither reads nor touches any memory."""
POLL_SECONDS = 0.05
_SMALL_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """How one step went.

    Attributes:
        seen: What it found; None where it failed.
        fault: What went wrong, harmless text; empty where it went well.
    """

    seen: dict[str, Any] | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be tried.

    Attributes:
        device: Where to compute: `auto`, or a device's name.
        python: The interpreter to try.
        runs_path: Where it is tried to write.
        model: Name that timm should know; empty for none.
        behaviours: Names of `probe_behaviours.BEHAVIOURS`.
        limit_seconds: For everything.
        patience_seconds: See `PATIENCE_SECONDS`.
        in_step: The child tells every module, for an engine that imports them after it.
    """

    device: str = "auto"
    python: str = sys.executable
    runs_path: Path = Path("runs")
    model: str = ""
    behaviours: tuple[str, ...] = BEHAVIOURS
    limit_seconds: float = LIMIT_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    in_step: bool = False

    def request(self) -> dict[str, Any]:
        """Return what the behaviours need to know."""
        is_linux = sys.platform.startswith("linux")
        return {
            "device": self.device,
            "runs": str(self.runs_path),
            "model": self.model,
            "workers": _SMALL_WORKERS,
            "start_method": "fork" if is_linux else "spawn",
        }


class Probe:
    """Tries everything in children of an interpreter, begun at once; a context manager.

    Args:
        wish: What is to be tried.
    """

    def __init__(self, wish: Wish | None = None) -> None:
        self.wish = wish or Wish()
        self._deadline = time.monotonic() + self.wish.limit_seconds
        self._selector = selectors.DefaultSelector()
        self._children: list[Child] = []
        self._found: dict[str, Answer] = {}
        self._blocked: list[str] = []
        self._tried_alone: set[str] = set()
        self._modules: dict[str, int] = {}
        self.launch_fault = ""
        self._first = self._begin_first()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children:
            child.end()
            child.close()
        self._children = []
        self._selector.close()

    def answers(self, poll: Callable[[], None]) -> dict[str, Answer]:
        """Wait for all answers, by the name of the check; what was not tried has none.

        Args:
            poll: Called while waiting, every 50 ms; what it raises ends the wait.
        """
        while self._children:
            self.pump(poll)
        return self._by_check()

    def inventory(self, poll: Callable[[], None]) -> dict[str, Any] | None:
        """Wait for what the interpreter says of itself; None where it never does."""
        while self._children and "inventory" not in self._found:
            self.pump(poll)
        answer = self._found.get("inventory")
        return None if answer is None else answer.seen

    @property
    def shadows(self) -> tuple[str, ...]:
        """Files in the person's folder that have the name of a module that was imported."""
        told = [self._found[name].seen for name in ("inventory", "imports") if name in self._found]
        return tuple(dict.fromkeys(each for seen in told if seen for each in seen["shadows"]))

    @property
    def last_words(self) -> str:
        """How the first child ended, where it never answered."""
        return visible(self.launch_fault or self._first_end, limit=300)

    def has_passed(self, module: str) -> bool | None:
        """Say whether the first child is past the import of a module; None once it is over."""
        if self._first is None or self._first not in self._children:
            return None
        if "imports" in self._found:
            return True
        place = self._modules.get(module)
        return place is not None and place < len(self._modules) - 1

    @property
    def has_imported_all(self) -> bool:
        """Whether a child came to the end of its imports and lost none to a crash."""
        return "imports" in self._found and not self._blocked

    def pump(self, poll: Callable[[], None]) -> None:
        """Listen for at most 50 ms, and act on children that have ended."""
        poll()
        ready = self._selector.select(POLL_SECONDS)
        for key, _ in ready:
            if not key.data.hear(key.fileobj):
                self._selector.unregister(key.fileobj)
        is_late = time.monotonic() > self._deadline
        for child in list(self._children):
            self._take(child)
            if not ready and child.is_gone():
                self._conclude(child, "")  # What it left behind may hold its pipes.
            elif is_late:
                self._conclude(child, f"no answer within {self.wish.limit_seconds:g} s")
            elif child.is_silent(self.wish.patience_seconds):
                self._conclude(
                    child, f"no answer within {self.wish.patience_seconds:g} s, and no sign of work"
                )

    def _begin_first(self) -> Child | None:
        wished = self.wish.behaviours
        alone = [name for name in DEVICE_BEHAVIOURS if name in wished or name == "accelerator"]
        if is_accelerator_likely() and "model" in wished:
            wished = tuple(name for name in wished if name not in alone)
            self._begin(_modules_for(alone), alone, alone=True)
        self._first_end = ""
        return self._begin(IMPORTS, wished, inventory=True, in_step=self.wish.in_step)

    def _begin(
        self,
        imports: Collection[str],
        behaviours: Collection[str],
        *,
        alone: bool = False,
        inventory: bool = False,
        in_step: bool = False,
    ) -> Child | None:
        request = {
            **self.wish.request(),
            "imports": [name for name in imports if name not in self._blocked],
            "behaviours": list(behaviours),
            "blocked": self._blocked,
            "fork": not alone and sys.platform.startswith("linux"),
            "limit_seconds": max(1.0, self._deadline - time.monotonic()),
            "patience_seconds": self.wish.patience_seconds,
            "inventory": inventory,
            "in_step": in_step,
            "parent": os.getpid(),
        }
        try:
            child = Child(self.wish.python, request, alone=alone)
        except OSError as error:
            self.launch_fault = f"{type(error).__name__}: {error}"
            return None
        for pipe in child.pipes:
            self._selector.register(pipe, selectors.EVENT_READ, child)
        self._children.append(child)
        return child

    def _take(self, child: Child) -> None:
        """Take in what a child has told since the last time."""
        for told in child.take():
            if "module" in told or "loaded" in told:
                if child is self._first:
                    self._pass(told)
                continue
            step, state = str(told.get("step")), told.get("state")
            if state == "done" and isinstance(told.get("seen"), dict):
                self._found.setdefault(step, Answer(told["seen"]))
            elif state == "failed":
                self._found.setdefault(step, Answer(None, visible(told.get("error"), limit=1_000)))
            elif state in ("died", "hung") and step not in self._tried_alone:
                self._tried_alone.add(step)
                self._begin(_modules_for([step]), [step], alone=True)

    def _pass(self, told: dict[str, Any]) -> None:
        """Note modules that the first child looks for, or had loaded before it began."""
        loaded = told.get("loaded")
        for name in loaded if isinstance(loaded, list) else [told.get("module")]:
            self._modules.setdefault(str(name), len(self._modules))

    def _conclude(self, child: Child, late: str) -> None:
        """Let a child go, and have what it left undone tried by another."""
        child.end()
        for pipe in child.pipes:
            if not pipe.closed and pipe in self._selector.get_map():
                child.drain(pipe)
                self._selector.unregister(pipe)
        self._take(child)
        child.close()
        self._children.remove(child)
        how = late or ending_of(child.status)
        fault = how + (f"; its last words: {child.last_words}" if child.last_words else "")
        if child is self._first:
            self._first_end = fault
        culprit = self._culprit(child)
        if culprit:
            self._found[culprit] = Answer(None, fault)
        if culprit and time.monotonic() < self._deadline:
            self._go_on(child, culprit)

    def _culprit(self, child: Child) -> str:
        """Return the step that a child was at when it ended; empty where it was through."""
        if child.begun and child.begun not in self._found:
            return child.begun
        left = [name for name in child.behaviours if name in self._tried_alone]
        return left[0] if child.alone and left and left[0] not in self._found else ""

    def _go_on(self, child: Child, culprit: str) -> None:
        """Try what is left without what the last child died of."""
        if culprit.startswith("import:"):
            self._blocked.append(culprit.removeprefix("import:"))
        left = [name for name in child.behaviours if name not in self._found and name != culprit]
        possible = [name for name in left if not set(NEEDS[name]) & set(self._blocked)]
        is_import = culprit.startswith("import:") and not child.alone
        if possible or is_import:
            self._begin(
                child.imports if is_import else _modules_for(possible), possible, alone=child.alone
            )

    def _by_check(self) -> dict[str, Answer]:
        """Join what is known of a check's own import with how the behaviour went."""
        found = {}
        for check in ("torch", *NEEDS):
            own = self._found.get(f"import:{OWN_MODULE.get(check, '')}")
            if own is not None and (own.seen is None or check == "torch"):
                found[check] = own
            elif check in self._found:
                found[check] = self._found[check]
        return {
            check: answer
            for check, answer in found.items()
            # It cannot be imported because of another that is left out: nothing of its own.
            if not (self._blocked and "halted; None in sys.modules" in answer.fault)
        }


class FollowingImports:
    """Lets this process import a module once a child is past it: a finder for `sys.meta_path`.

    What a child died of is then never imported here.

    Args:
        probe: Whose first child goes ahead.
        poll: Called while waiting; what it raises ends the import.
    """

    def __init__(self, probe: Probe, poll: Callable[[], None]) -> None:
        self._probe = probe
        self._poll = poll

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Wait until the child is past a module; find nothing.

        Raises:
            LeaderLostError: The child ended before it had imported everything.
        """
        del path, target
        while not (passed := self._probe.has_passed(name)):
            if passed is None and not self._probe.has_imported_all:
                raise LeaderLostError(name)
            if passed is None:
                break
            self._probe.pump(self._poll)
        return None

    def __enter__(self) -> Self:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.meta_path.remove(self)


class LeaderLostError(BaseException):
    """The child that goes ahead is gone; not an `Exception`, so that no package handles it."""


def is_accelerator_likely() -> bool:
    """Say whether this machine seems to have a GPU, without asking any library."""
    if sys.platform == "darwin":
        return True
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


def _modules_for(behaviours: Collection[str]) -> tuple[str, ...]:
    needed = {module for name in behaviours for module in NEEDS[name]}
    return tuple(name for name in IMPORTS if name in needed)
