"""Runs the tests of mutants: each in a forked process, over a copy of the repository.

The libraries are imported once, before anything is forked, and nothing of ecotui: each process
imports the mutated tree afresh. The checkout is never written to.
"""

from __future__ import annotations

import compileall
import gc
import os
import py_compile
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.mutants.mutant import ROOT, Mutant

Verdict = Literal["killed", "survived", "timed out", "broken"]

COPIED = ("ecotui", "tests", "configs", "docs", "schemas", "benchmarks")
COPIED_FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "LICENSE")
LIMIT_SECONDS = 300.0
"""For the tests of one mutant, at least: one that hangs has been noticed."""
_PASSED, _FAILED = 0, 1
"""Of pytest's exit codes, the two that say what the tests found."""


@dataclass(frozen=True)
class Outcome:
    """What the tests made of a mutant.

    Attributes:
        mutant: None for the tree as it is.
        verdict: A mutant that breaks the collection of the tests is `broken`, and proves nothing.
        seconds: That the tests took.
        log: What they printed.
    """

    mutant: Mutant | None
    verdict: Verdict
    seconds: float
    log: str


def import_libraries() -> None:
    """Import what the tests need beside ecotui; no thread may begin."""
    import hypothesis  # noqa: F401
    import numpy  # noqa: F401
    import pydantic  # noqa: F401
    import pytest  # noqa: F401
    import safetensors.torch  # noqa: F401
    import textual.app  # noqa: F401
    import timm  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # the collector of a child would otherwise copy every page


def make_tree(place: Path) -> Path:
    """Return a copy of the repository whose byte code is good for just the text it is of."""
    place.mkdir(parents=True)
    for name in COPIED:
        leave_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, place / name, ignore=leave_out)
    for name in COPIED_FILES:
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, place / name)
    # By the hash of the text: by time and size, a change of one letter would not be seen.
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    for name in ("ecotui", "tests"):
        compileall.compile_dir(place / name, quiet=2, invalidation_mode=mode)
    return place


@dataclass
class _Running:
    mutant: Mutant | None
    tree: Path
    log: Path
    started: float
    kept: bytes = b""


def run_all(
    mutants: Iterable[Mutant | None],
    trees: Iterable[Path],
    tests: tuple[str, ...] = (),
    limit_seconds: float = LIMIT_SECONDS,
) -> Iterator[Outcome]:
    """Run mutants, as many at once as there are trees, and yield what became of each.

    Args:
        mutants: None stands for the tree as it is.
        trees: From `make_tree`.
        tests: To be run instead of each mutant's own.
        limit_seconds: For the tests of each.
    """
    waiting, free = list(mutants), list(trees)
    running: dict[int, _Running] = {}
    while waiting or running:
        while waiting and free:
            mutant, tree = waiting.pop(0), free.pop()
            chosen = tests or (mutant.tests if mutant else ())
            begun = _begin(mutant, tree, chosen)
            running[begun[0]] = begun[1]
        for pid, one in list(running.items()):
            outcome = _outcome(pid, one, limit_seconds)
            if outcome is not None:
                del running[pid]
                free.append(one.tree)
                yield outcome
        time.sleep(0.02)


def _begin(mutant: Mutant | None, tree: Path, tests: tuple[str, ...]) -> tuple[int, _Running]:
    one = _Running(mutant, tree, tree.with_suffix(".log"), time.monotonic())
    if mutant is not None:
        path = tree / mutant.path
        one.kept = path.read_bytes()
        path.write_text(mutant.mutated(one.kept.decode()))
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _be_pytest(tree, one.log, ("-x", *tests) if mutant else tests)
    return pid, one


def _be_pytest(tree: Path, log: Path, arguments: tuple[str, ...]) -> None:
    """Run tests as `python -m pytest` does in that tree; never returns."""
    code = 3
    try:
        os.setsid()
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for target in (1, 2):
            os.dup2(written, target)
        os.chdir(tree)
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.path[:] = [str(tree), *(each for each in sys.path if not _is_checkout(each))]
        for name in [each for each in sys.modules if each.partition(".")[0] in ("ecotui", "tests")]:
            del sys.modules[name]
        import pytest

        plain = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=short")
        # The libraries were imported before pytest could rewrite their assertions.
        early = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
        lane = ("-m", "not slow and not torture", *early)
        code = int(pytest.main([*plain, *lane, *arguments]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)


def _is_checkout(folder: str) -> bool:
    return Path(folder or ".").resolve() == ROOT


def _outcome(pid: int, one: _Running, limit_seconds: float) -> Outcome | None:
    seconds = time.monotonic() - one.started
    done, status = os.waitpid(pid, os.WNOHANG)
    is_late = not done and seconds > limit_seconds
    if not done and not is_late:
        return None
    if is_late:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if one.mutant is not None:
        (one.tree / one.mutant.path).write_bytes(one.kept)
    code = os.waitstatus_to_exitcode(status) if done else None
    known: dict[int | None, Verdict] = {None: "timed out", _PASSED: "survived", _FAILED: "killed"}
    log = one.log.read_text(errors="replace")
    return Outcome(one.mutant, known.get(code, "broken"), seconds, log)
