"""Which packages are installed, and whether their versions are those that ecotui needs."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from importlib import metadata

from ecotui.engine.verdicts import failed, noted, passed
from ecotui.events import CheckReported
from ecotui.text import listed

SHOWN = ("torch", "torchvision", "timm", "numpy", "pillow", "pydantic", "textual", "safetensors")
"""Packages whose versions are told where all is well."""

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*\(?([^;()]*)\)?\s*$")
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


def version_of(package: str) -> str | None:
    """Return the installed version; None where the package is absent or its record damaged."""
    try:
        found: str | None = metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
    return found


def release_of(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (2, 3, 0) for ``2.3.0a0+cpu``."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()


def requirements() -> tuple[Requirement, ...]:
    """Return what ecotui needs to run, from its own record; empty where it has none."""
    try:
        lines = metadata.requires("ecotui") or []
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


def pip_install(*packages: str) -> str:
    """Return the command that installs packages for this very interpreter."""
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])


def check_python() -> CheckReported:
    """Judge the interpreter's version."""
    seen = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < (3, 11):  # noqa: UP036 - told in words where somebody got round pip
        return failed(
            "python",
            f"Python {seen} ({sys.executable})",
            "Python 3.11 or later",
            "make a new environment: python3.11 -m venv .venv",
        )
    return passed("python", f"Python {seen} ({sys.executable})")


def check_packages() -> CheckReported:
    """Judge the versions of all packages that ecotui needs."""
    needed = requirements()
    versions = {name: version_of(name) for name in (*SHOWN, *(each.name for each in needed))}
    seen = listed((f"{name} {versions[name]}" for name in SHOWN), limit=len(SHOWN))
    if not needed:
        return noted("packages", f"ecotui is not installed as a package here; seen: {seen}")
    wrong = [each for each in needed if not _is_met(each, versions[each.name])]
    if not wrong:
        return passed("packages", seen)
    return failed(
        "packages",
        listed(_told(each.name, versions[each.name]) for each in wrong),
        listed(str(each) for each in wrong),
        pip_install(*(str(each) for each in wrong)),
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
