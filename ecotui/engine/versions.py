"""Which packages an interpreter has, and whether their versions are those that ecotui needs."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from ecotui.engine.probe_inventory import take_inventory
from ecotui.engine.verdicts import failed, noted, passed
from ecotui.findings import CheckReported
from ecotui.text import listed, visible

SHOWN = ("torch", "torchvision", "timm", "numpy", "pillow", "pydantic", "textual", "safetensors")
"""Packages whose versions are told where all is well."""
TRAINING = ("torch", "torchvision", "timm", "numpy", "pillow", "safetensors", "huggingface-hub")
"""Packages that are judged where ecotui itself is not installed."""
SAFE_PILLOW = "12.3"
"""The newest Pillow whose fixes are of security. Source: its release notes, 12.1.1 to 12.3.0."""
OLDEST_PYTHON = (3, 11)

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*\(?([^;()]*)\)?\s*$")
_BUILD = re.compile(r"cpu|xpu|cu\d+|rocm[\d.]+")
"""What the build of a torch is called; others, such as a commit, have no torchvision."""
_BOUND = re.compile(r"^(>=|<=|<|>)\s*(\S+)$")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that ecotui needs, with the bounds of its version.

    Attributes:
        name: Of the package.
        bounds: Such as `>=2.2`; kinds of bounds that are not known here never fail.
    """

    name: str
    bounds: tuple[str, ...]

    def admits(self, version: str) -> bool:
        """Say whether a version is within the bounds."""
        return all(_keeps(version, bound) for bound in self.bounds)

    def __str__(self) -> str:
        return self.name + ",".join(self.bounds)


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an installed package.

    Attributes:
        version: As it stands there, harmless text.
        place: Folder that holds the package.
        installer: Such as `pip` or `conda`; empty where it does not say.
        is_editable: The package is loaded from its source, elsewhere.
    """

    version: str
    place: str = ""
    installer: str = ""
    is_editable: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an interpreter is, and which packages it has; nothing of them was run.

    Attributes:
        python: Version.
        executable: Path of the interpreter; commands of remedies begin with it.
        prefix: Of its environment.
        base_prefix: Of the Python that the environment was made with.
        path: Where it looks for modules.
        purelib: Where its packages are installed.
        user_site: The person's own folder of packages, where it counts and is not empty.
        is_conda: The environment was made by conda.
        packages: Every record of a package, the one that counts first.
        requires: What the record of ecotui asks for; empty where it is not installed.
        origins: Where a module would be loaded from.
        builds: What `version.py` of torch and torchvision says: `version`, `cuda`, `hip`.
        shadows: Files in the person's folder that have the name of a module.
    """

    python: str
    executable: str
    prefix: str = ""
    base_prefix: str = ""
    path: tuple[str, ...] = ()
    purelib: str = ""
    user_site: str = ""
    is_conda: bool = False
    packages: dict[str, tuple[Record, ...]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    origins: dict[str, str] = field(default_factory=dict)
    builds: dict[str, dict[str, str]] = field(default_factory=dict)
    shadows: tuple[str, ...] = ()

    @property
    def release(self) -> tuple[int, ...]:
        """Version of Python as numbers."""
        return release_of(self.python)

    def version(self, package: str) -> str | None:
        """Return the installed version; None where the package is absent or says none."""
        records = self.packages.get(package, ())
        return (records[0].version or None) if records else None

    def cuda_of(self, package: str) -> str | None:
        """Return the CUDA release that a build is for: empty for the CPU, None where unknown.

        torchvision's `version.py` asks torch for it and has a constant only in its label:
        `0.28.0+cu130` is for CUDA 13.0.
        """
        build = self.builds.get(package, {})
        if "cuda" in build:
            return None if build.get("hip") else build["cuda"]
        label = (build.get("version") or self.version(package) or "").partition("+")[2]
        if label == "cpu":
            return ""
        cuda = re.fullmatch(r"cu(\d{1,2})(\d)", label)
        return f"{cuda[1]}.{cuda[2]}" if cuda else None

    def pip_install(self, *packages: str) -> tuple[str, ...]:
        """Return the command that installs packages for this very interpreter."""
        return (self.executable, "-m", "pip", "install", *packages)

    def new_environment(self) -> str:
        """Return the commands that make a fresh environment with ecotui in it."""
        folder = "~/ecotui-env"
        python = "python3" if self.release < OLDEST_PYTHON else shlex.quote(self.executable)
        newer = f"{python}.11" if self.release < OLDEST_PYTHON else python
        return f"{newer} -m venv {folder} && {folder}/bin/python -m pip install ecotui"


def read_inventory(told: dict[str, Any]) -> Inventory:
    """Return what an interpreter told of itself, every text made harmless.

    Args:
        told: As `probe_inventory.take_inventory` returns it.
    """

    def word(name: str) -> str:
        return visible(told.get(name) or "", limit=300)

    def words(name: str) -> tuple[str, ...]:
        return tuple(visible(each, limit=300) for each in told.get(name) or ())

    return Inventory(
        python=word("python"),
        executable=str(told.get("executable") or sys.executable),
        prefix=word("prefix"),
        base_prefix=word("base_prefix"),
        path=words("path"),
        purelib=word("purelib"),
        user_site=word("user_site"),
        is_conda=bool(told.get("conda")),
        packages={
            name: tuple(_record(each) for each in found)
            for name, found in (told.get("packages") or {}).items()
        },
        requires=words("requires"),
        origins={name: visible(place) for name, place in (told.get("origins") or {}).items()},
        builds={
            name: {key: visible(value, limit=60) for key, value in build.items()}
            for name, build in (told.get("builds") or {}).items()
        },
        shadows=words("shadows"),
    )


def own_inventory() -> Inventory:
    """Return the inventory of the interpreter that this process runs in."""
    return read_inventory(take_inventory())


def version_of(package: str) -> str | None:
    """Return the version in this process's own environment; None where it is absent."""
    try:
        found: str | None = metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
    return found


def release_of(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (2, 3, 0) for ``2.3.0a0+cpu``."""
    numbers = re.match(r"\d{1,9}(?:\.\d{1,9})*", version)
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()


def requirements(lines: tuple[str, ...] | None = None) -> tuple[Requirement, ...]:
    """Return what ecotui needs to run, from a record of it; empty where there is none.

    Args:
        lines: Of the record; this environment's own when None.
    """
    if lines is None:
        try:
            lines = tuple(metadata.requires("ecotui") or ())
        except metadata.PackageNotFoundError:
            return ()
    matches = [_REQUIREMENT.match(line) for line in lines if ";" not in line]
    return tuple(
        # The record has the bounds in any order; the lower one reads first.
        Requirement(
            match[1],
            tuple(sorted((part.strip() for part in match[2].split(",") if part), reverse=True)),
        )
        for match in matches
        if match
    )


def pip_install(*packages: str, python: str = sys.executable) -> str:
    """Return the command that installs packages for an interpreter."""
    return shlex.join([python, "-m", "pip", "install", *packages])


def partner_of(torch: tuple[int, ...]) -> int:
    """Return the minor number of the torchvision made for a torch 2.

    Since 2.0 with 0.15, the minor numbers have gone on side by side.
    """
    return torch[1] + 15


def fitting_torchvision(torch: str) -> str:
    """Return the torchvision made for a torch: the same release, and the same build.

    Args:
        torch: Its version; `2.2.1+cpu` wants `torchvision==0.17.1+cpu`.

    Source:
        The table of releases in the README of pytorch/vision: from torch 2.1 on, the last
        numbers have gone on side by side as well.
    """
    release = release_of(torch)
    if len(release) < 2 or release[0] != 2:
        return "torchvision"
    if len(release) < 3 or release[1] < 1:
        return f"torchvision==0.{partner_of(release)}.*"
    label = torch.partition("+")[2]
    build = f"+{label}" if _BUILD.fullmatch(label) else ""
    return f"torchvision==0.{partner_of(release)}.{release[2]}{build}"


def fitting(package: str, inventory: Inventory) -> str:
    """Return what to install so that a package fits what is there already.

    Args:
        package: By its name alone, or with bounds.
        inventory: Of the interpreter.
    """
    name = re.split(r"[<>=!~ ]", package, maxsplit=1)[0]
    if name == "torchvision":
        wanted = fitting_torchvision(inventory.version("torch") or "")
        return package if wanted == name else wanted
    vision = release_of(inventory.version("torchvision") or "")
    if name == "torch" and len(vision) == 3 and vision[0] == 0 and vision[1] > partner_of((2, 0)):
        return f"torch==2.{vision[1] - partner_of((2, 0))}.{vision[2]}"
    return package


def check_python(inventory: Inventory) -> CheckReported:
    """Judge the interpreter's version."""
    seen = f"Python {inventory.python} ({inventory.executable})"
    if inventory.release < OLDEST_PYTHON:
        return failed(
            "python",
            seen,
            "Python 3.11 or later",
            f"make a new environment: {inventory.new_environment()}",
        )
    return passed("python", seen)


def check_packages(inventory: Inventory) -> CheckReported:
    """Judge the versions of all packages that ecotui needs."""
    needed = requirements(inventory.requires)
    is_installed = bool(needed)
    if not needed:
        needed = tuple(each for each in requirements() if each.name in TRAINING)
    seen = listed((f"{name} {inventory.version(name)}" for name in SHOWN), limit=len(SHOWN))
    wrong = [each for each in needed if not _is_met(each, inventory.version(each.name))]
    if not wrong:
        told = seen if is_installed else f"ecotui itself is not installed here; seen: {seen}"
        return passed("packages", told) if is_installed else noted("packages", told)
    return failed(
        "packages",
        listed(_told(each.name, inventory.version(each.name)) for each in wrong),
        listed(str(each) for each in wrong),
        _mending(inventory, wrong),
    )


def _mending(inventory: Inventory, wrong: list[Requirement]) -> str | tuple[str, ...]:
    """Return the command that brings the packages; a Python too old for them needs another."""
    if inventory.release < OLDEST_PYTHON:
        return f"make a new environment: {inventory.new_environment()}"
    names = {each.name for each in wrong}
    is_pair = {"torch", "torchvision"} <= names
    wanted = [f"pillow>={SAFE_PILLOW}" if each.name == "pillow" else str(each) for each in wrong]
    return inventory.pip_install(
        *(each if is_pair else fitting(each, inventory) for each in wanted)
    )


def _record(told: dict[str, Any]) -> Record:
    return Record(
        visible(told.get("version") or "", limit=60),
        visible(told.get("place") or "", limit=300),
        visible(told.get("installer") or "", limit=30),
        bool(told.get("local")),
    )


def _is_met(needed: Requirement, version: str | None) -> bool:
    return version is not None and needed.admits(version)


def _told(name: str, version: str | None) -> str:
    return f"{name} is not installed" if version is None else f"{name} {version}"


def _keeps(version: str, bound: str) -> bool:
    match = _BOUND.match(bound)
    if match is None:
        return True
    seen, limit = release_of(version), release_of(match[2])
    length = max(len(seen), len(limit))
    seen += (0,) * (length - len(seen))
    limit += (0,) * (length - len(limit))
    return {">=": seen >= limit, "<=": seen <= limit, "<": seen < limit, ">": seen > limit}[
        match[1]
    ]
