"""Environments in which a child has survived importing everything, kept for the next run.

Kept is a digest of all that the imports depended on: every file that was loaded, the folders
on Python's path, the settings that libraries read, and the start of the machine. Where one of
them differs, or where a process did not come back from what it tried in such an environment,
nothing is known of it any more. Knows files and their marks; imports and tries nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import resource
import secrets
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ecotui import __version__, lock
from ecotui.durable import write_whole
from ecotui.paths import user_cache

_SETTINGS = (
    *("PYTHON", "LD_", "GLIBC_", "MALLOC_", "ASAN_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("BLIS_", "NUMEXPR_", "NPY_", "NUMPY_", "TORCH", "PYTORCH_", "ATEN_", "TIMM_", "HF_"),
    *("CUDA", "NVIDIA", "NCCL_", "CUDNN_", "CUBLAS_", "HIP_", "HSA_", "ROCR_", "TRITON_"),
)
"""Beginnings of the variables that Python, its libraries and the loader of libraries read."""
_MACHINE_FACTS = ("/proc/sys/kernel/random/boot_id", "/proc/driver/nvidia/version")
_CODE = (".py", ".so")
_MAX_BYTES = 8_000_000
_OWN_FOLDER = str(Path(__file__).parent.parent) + os.sep


@dataclass(frozen=True, slots=True)
class _Record:
    """What is kept: digests, and the files that the second one is of."""

    circumstances: str
    files: tuple[str, ...]
    digest: str


class Survived:
    """What is known of the environment that this process runs in.

    Args:
        folder: Where it is kept; the person's own cache when None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._name = hashlib.sha256(
            "\0".join((sys.executable, sys.prefix, platform.node())).encode()
        ).hexdigest()[:16]
        self._settings = _settings()
        self._circumstances = _circumstances(self._settings)
        self._known: _Record | None = None

    def is_known(self) -> bool:
        """Say whether a child survived this very environment, and every process since."""
        try:
            dead = [path for path in self._attempts() if not lock.is_held(path)]
        except (OSError, RuntimeError):
            return False
        if dead:
            self.forget()
            return False
        record = self._read()
        is_same = (
            record is not None
            and record.circumstances == self._circumstances != ""
            and record.digest == _digest(_marks(record.files))
        )
        self._known = record if is_same else None
        return is_same

    def modules(self) -> tuple[str, ...]:
        """Return the names of the modules and packages that were loaded, where they are known."""
        files = self._known.files if self._known else ()
        folders = tuple(os.path.join(each, "") for each in sys.path if each)
        inside = (
            file.removeprefix(folder)
            for file in files
            for folder in folders
            if file.startswith(folder)
        )
        return tuple(sorted({name.split(os.sep)[0].partition(".")[0] for name in inside}))

    @contextlib.contextmanager
    def attempt(self) -> Iterator[bool]:
        """Leave a mark while something is tried that a process may die of.

        A process that dies leaves it behind, and the next one finds it. Gives False where no
        mark can be left: then nothing must be tried.
        """
        try:
            path = self._place() / f"{self._name}.trying-{os.getpid()}-{secrets.token_hex(4)}"
            held = lock.acquire(path)
        except (OSError, RuntimeError, lock.AlreadyHeldError):
            yield False
            return
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
            held.release()

    def keep(self, began_at: float) -> None:
        """Keep what is loaded now as survived; nothing where that cannot be relied on.

        Args:
            began_at: Unix seconds before which everything was in place. A file that was
                changed later may not be what was loaded.
        """
        marks = _marks(_loaded_files())
        is_settled = all(mark.is_older_than(began_at) for mark in marks)
        # Libraries set some variables themselves: those of before they were loaded count.
        is_same = _circumstances(self._settings) == self._circumstances != ""
        if not (marks and is_settled and is_same):
            return
        content = {
            "circumstances": self._circumstances,
            "files": [mark.path for mark in marks],
            "digest": _digest(marks),
        }
        with contextlib.suppress(OSError, RuntimeError):
            self._place().mkdir(parents=True, exist_ok=True)
            write_whole(self._place() / f"{self._name}.json", json.dumps(content).encode())

    def forget(self) -> None:
        """Know nothing any more."""
        with contextlib.suppress(OSError, RuntimeError):
            (self._place() / f"{self._name}.json").unlink(missing_ok=True)
            for path in self._attempts():
                if not lock.is_held(path):
                    path.unlink(missing_ok=True)

    def _place(self) -> Path:
        return self._folder or user_cache() / "survived"

    def _attempts(self) -> list[Path]:
        return list(self._place().glob(f"{self._name}.trying-*"))

    def _read(self) -> _Record | None:
        try:
            with (self._place() / f"{self._name}.json").open("rb") as file:
                kept = json.loads(file.read(_MAX_BYTES))
            files = kept["files"]
            if not isinstance(files, list) or not all(isinstance(each, str) for each in files):
                return None
            return _Record(str(kept["circumstances"]), tuple(files), str(kept["digest"]))
        except (OSError, RuntimeError, ValueError, LookupError, TypeError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class _Mark:
    """By what a file is known again: another content has another time of change."""

    path: str
    facts: tuple[int, ...]

    def is_older_than(self, seconds: float) -> bool:
        """Say whether it was last changed before a time; byte code is written by the import."""
        return self.path.endswith(".pyc") or (bool(self.facts) and self.facts[0] < seconds * 1e9)


def _marks(files: Iterable[str]) -> list[_Mark]:
    return [_Mark(path, _facts(path)) for path in files]


def _facts(path: str) -> tuple[int, ...]:
    """Return what tells a file from another, the time of change first; nothing where it is gone.

    The time of change of the inode cannot be set: a copy that keeps its dates has a new one.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _digest(told: object) -> str:
    return hashlib.sha256(repr(told).encode("utf-8", "surrogateescape")).hexdigest()


_held: list[tuple[str, str]] | None = None


def hold_settings() -> None:
    """Have the settings of now count for this process: libraries set some as they are loaded."""
    global _held  # noqa: PLW0603 - so is the environment
    _held = _settings()


def _settings() -> list[tuple[str, str]]:
    if _held is not None:
        return _held
    return sorted(each for each in os.environ.items() if each[0].startswith(_SETTINGS))


def _circumstances(settings: list[tuple[str, str]]) -> str:
    """Return a digest of what loading depends on beside the files; empty where it cannot be told.

    After a new start of the machine, processor, kernel and driver may be others.
    """
    facts = [_text(path) for path in _MACHINE_FACTS]
    if not facts[0]:
        return ""
    here = os.path.realpath(os.getcwd()) if _is_somewhere() else ""
    path = [each for each in sys.path if os.path.realpath(each or ".") != here]
    limits = [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_STACK)]
    folders = [(each, _facts(each)) for each in path]
    own = (__version__, sys.version, sys.flags, os.getuid(), platform.machine())
    return _digest((own, facts, settings, limits, folders))


def _is_somewhere() -> bool:
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _loaded_files() -> list[str]:
    """Return every file and folder that importing read, and the sources and libraries beside.

    What lies beside may be loaded later, such as Pillow's decoders. Without ecotui's own files,
    which every process imports anyway. Empty where the system does not tell which libraries
    are loaded.
    """
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    # Fields: addresses, rights, offset, device, inode, path.
    fields = (line.split(maxsplit=5) for line in maps.splitlines())
    found = {each[5] for each in fields if len(each) == 6 and each[5].startswith("/")}
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        named = (getattr(spec, "origin", None), getattr(spec, "cached", None))
        found |= {path for path in named if isinstance(path, str) and os.path.isabs(path)}
    found = {path for path in found if not path.startswith(_OWN_FOLDER) and os.path.isfile(path)}
    folders = {os.path.dirname(path) for path in found if path.endswith(_CODE)}
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            found |= {entry.path for entry in entries if entry.name.endswith(_CODE)}
    return sorted(found | folders)
