"""Changes to the config that a run is to be started from, and to its list of photos to leave out.

Two files are written, both the person's own: the config and the exclusion list. A shipped config,
or that of a run, is copied into the working directory first and never changed. Each change can be
taken back, unless somebody else has changed the file since.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui import exclusion_list
from ecotui.config_file import LoadedConfig, load_config
from ecotui.draft import Draft
from ecotui.durable import write_whole
from ecotui.errors import EcoError, UsageError
from ecotui.paths import shipped_configs
from ecotui.text import counted, visible
from ecotui.toml_edit import Settings, edited

HEAD = "# Photos to leave out, a path relative to the data a line; see docs/audit.md of ecotui."
MAX_LIST_BYTES = 200_000_000
_PATHS = {"data": ("root", "exclude"), "model": ("weights",)}
"""Settings that are relative to the file they stand in; those of `config_file`."""


@dataclass(frozen=True, slots=True)
class _Write:
    """A file as it was and as it became; None where there was none."""

    path: Path
    before: bytes | None
    after: bytes


@dataclass(frozen=True, slots=True)
class _Step:
    words: str
    writes: tuple[_Write, ...]
    was_copy: bool
    path: Path
    settings: tuple[str, ...]


class Amendments:
    """The changes made to one config since it was chosen.

    Args:
        loaded: The config.
        folder: Where a copy goes.
        is_own: Whether the file is the person's, to be changed where it is. A shipped config
            never is.
    """

    def __init__(self, loaded: LoadedConfig, folder: Path, *, is_own: bool = True) -> None:
        shipped = loaded.path in shipped_configs().values()
        self._name = loaded.name
        self._origin = loaded.path
        self._settings = tuple(loaded.settings)
        self._must_copy = shipped or not is_own
        self._is_copy = False
        self._path = _free(folder / f"{loaded.name}.toml") if self._must_copy else loaded.path
        self._steps: list[_Step] = []
        self._loaded = loaded

    def is_about(self, loaded: LoadedConfig) -> bool:
        """Say whether a config is the one that these changes were made to."""
        return loaded.path in (self._origin, self._path)

    @property
    def draft(self) -> Draft:
        """How the config stands, as of the last change."""
        return Draft(
            self._loaded,
            self._path,
            self._must_copy,
            frozenset(visible(os.fsdecode(name)) for name in self._names()),
            tuple(step.words for step in self._steps),
        )

    def reload(self) -> LoadedConfig:
        """Return the config as it stands in its file now, whoever changed it.

        Raises:
            UsageError: It is not there any more, or not valid.
        """
        again = load_config(str(self._source), self._settings)
        self._loaded = LoadedConfig(again.config, again.path, self._name, self._settings)
        return self._loaded

    # Changing -------------------------------------------------------------------------------------

    def put(self, settings: Settings, words: str) -> str:
        """Put settings into the config; return what was done, in words.

        Raises:
            EcoError: The file cannot be written, or would not be a valid config any more.
        """
        write = self._config_write(settings)
        written = {f"{part}.{key}" for part, values in settings.items() for key in values}
        # What was set on the command line would go before what is written now.
        kept = tuple(each for each in self._settings if each.partition("=")[0] not in written)
        self._do(words, (write,), kept)
        return f"{words}: written into {visible(self._path)}"

    def leave_out(self, names: Collection[str], words: str) -> str:
        """Put photos on the exclusion list, which is made and named in the config where need be.

        Args:
            names: Paths relative to the data, as an exclusion list has them.
            words: What is done, for the person.

        Raises:
            EcoError: A file cannot be written.
        """
        known = self._names()
        new = [name for name in names if exclusion_list.read(name.encode()) not in known]
        if not new:
            return "they are left out already"
        path, writes = self._list_path()
        before = _content(path)
        text = before if before is not None else f"{HEAD}\n".encode()
        if text and not text.endswith(b"\n"):
            text += b"\n"
        after = text + "".join(f"{name}\n" for name in new).encode()
        self._do(words, (_Write(path, before, after), *writes), self._settings)
        return f"{words}: {counted(len(new), 'photo')} on the list {visible(path)}"

    def keep(self, names: Collection[str], words: str) -> str:
        """Take photos from the exclusion list.

        Raises:
            EcoError: The list cannot be written.
        """
        path = self._list()
        before = None if path is None else _content(path)
        if path is None or before is None:
            return "nothing is left out"
        meant = {exclusion_list.read(name.encode()) for name in names}
        lines = before.splitlines(keepends=True)
        left = [line for line in lines if exclusion_list.read(line.rstrip(b"\n")) not in meant]
        if len(left) == len(lines):
            return "they are kept already"
        after = b"".join(left)
        self._do(words, (_Write(path, before, after),), self._settings)
        return f"{words}: {counted(len(lines) - len(left), 'photo')} off the list {visible(path)}"

    def undo(self) -> str:
        """Take the last change back; return what was done, in words.

        Raises:
            EcoError: A file was changed since by somebody else, or cannot be written.
        """
        if not self._steps:
            return "nothing was changed here yet"
        step = self._steps[-1]
        for write in step.writes:
            if _content(write.path) != write.after:
                raise EcoError(
                    f"{visible(write.path)} was changed since by somebody else",
                    "the file as ecotui wrote it",
                    "look at the file, and change it back by hand",
                )
        for write in step.writes:
            _put(write.path, write.before)
        self._steps.pop()
        self._is_copy, self._path, self._settings = step.was_copy, step.path, step.settings
        self.reload()
        return f"undone: {step.words}"

    def _do(self, words: str, writes: tuple[_Write, ...], settings: tuple[str, ...]) -> None:
        step = _Step(words, writes, self._is_copy, self._path, self._settings)
        done: list[_Write] = []
        try:
            for write in writes:
                _put(write.path, write.after)
                done.append(write)
            self._is_copy = self._is_copy or any(each.path == self._path for each in writes)
            self._settings = settings
            self.reload()
        except EcoError:
            for write in done:
                _put(write.path, write.before)
            self._is_copy, self._settings = step.was_copy, step.settings
            raise
        self._steps.append(step)

    # Files ----------------------------------------------------------------------------------------

    @property
    def _source(self) -> Path:
        """The file that the config stands in now."""
        return self._path if self._is_copy or not self._must_copy else self._origin

    def _config_write(self, settings: Settings) -> _Write:
        source = self._source
        content = _content(source)
        if content is None:
            raise UsageError(
                f"{visible(source)} is gone", "the config of this run", "put it back, or choose one"
            )
        text = content.decode("utf-8-sig")
        if source != self._path:
            self._path = _free(self._path)  # Something may have come there meanwhile.
            text = edited(text, _absolute(text, source.parent), label=str(source))
        after = edited(text, settings, label=str(self._path)).encode()
        return _Write(self._path, None if source != self._path else content, after)

    def _list(self) -> Path | None:
        named = self._loaded.config.data.exclude
        return Path(named) if named else None

    def _list_path(self) -> tuple[Path, tuple[_Write, ...]]:
        """Return the path of the exclusion list, and what has to be written for it to be read."""
        named = self._list()
        if named is not None:
            return named, ()
        path = _free(self._path.with_name(f"{self._path.stem}-exclude.txt"))
        return path, (self._config_write({"data": {"exclude": path.name}}),)

    def _names(self) -> set[bytes]:
        path = self._list()
        content = None if path is None else _content(path)
        if content is None:
            return set()
        found = (exclusion_list.read(line) for line in content.split(b"\n"))
        return {name for name in found if name is not None}


def names_found(
    path: Path, category: str, numbers: Collection[int], *, every: bool = False
) -> list[str]:
    """Return photos that a finding of an audit is about, as an exclusion list has them.

    Args:
        path: Of the file of all findings.
        category: Of the finding.
        numbers: Which of its entries; none for all that the audit would leave out.
        every: Instead of those that it would leave out, all that there are.

    Raises:
        EcoError: The file cannot be read.
    """
    try:
        findings = json.loads(path.read_bytes())["findings"]
        entries = next(each["entries"] for each in findings if each["category"] == category)
        chosen: Iterable[Mapping[str, Any]] = (
            [entry for number, entry in enumerate(entries) if number in numbers]
            if numbers
            else [entry for entry in entries if every or entry["left_out"]]
        )
        return sorted({entry["path"] for entry in chosen})
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise EcoError(
            f"the findings of the audit cannot be read: {visible(error)}",
            "the file that the audit has written",
            "check again, and then leave them out",
        ) from None


def names_shown(shown: Collection[str]) -> list[str]:
    """Return photos as an exclusion list has them, from the way they are shown.

    Raises:
        EcoError: Something in a name is not shown as it is, so that the name is not known.
    """
    unclear = [name for name in shown if "\\" in name or name.endswith("…") or not name]
    if unclear:
        raise EcoError(
            f"the real name of {visible(unclear[0], limit=80)} is not known here",
            "a name of plain characters, or the findings of a full check",
            "check all, and then leave it out",
        )
    return sorted({exclusion_list.written(os.fsencode(name)) for name in shown})


def _absolute(text: str, folder: Path) -> Settings:
    """Return the paths in a config as they have to stand in a copy elsewhere."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}  # `edited` says so.
    found: dict[str, dict[str, str]] = {}
    for section, keys in _PATHS.items():
        inner = table.get(section)
        for key in keys:
            value = inner.get(key) if isinstance(inner, dict) else None
            if isinstance(value, str) and value and not value.startswith("demo:"):
                whole = os.path.abspath(folder / Path(value).expanduser())
                found.setdefault(section, {})[key] = whole
    return found


def _free(path: Path) -> Path:
    """Return the path, or one with a number where something is there already."""
    tried, number = path, 2
    while tried.exists() or tried.is_symlink():
        tried = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return tried


def _content(path: Path) -> bytes | None:
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise OSError(f"larger than {MAX_LIST_BYTES:,} bytes")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EcoError(
            f"{visible(path)} cannot be read: {visible(error.strerror or error)}",
            "a readable file",
            "check its permissions",
        ) from None


def _put(path: Path, content: bytes | None) -> None:
    try:
        if content is None:
            path.unlink(missing_ok=True)
        else:
            # A link stays one: what it leads to is written. So do the rights to a file: there
            # may be an address in it that is nobody else's business.
            target = Path(os.path.realpath(path))
            mode = target.stat().st_mode if target.exists() else None
            write_whole(target, content)
            if mode is not None:
                target.chmod(mode & 0o7777)
    except OSError as error:
        raise EcoError(
            f"{visible(path)} cannot be written: {visible(error.strerror or error)}",
            "a folder that this user may write to, on a disk with room",
            "make room or give yourself the right; or start ecotui in another folder",
        ) from None
