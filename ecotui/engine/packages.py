"""What surrounds an interpreter: its folders, who manages it, and which packages it has.

The interpreter itself is asked, in a process of its own; nothing of its packages is imported.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecotui.errors import EnvironmentFaultError
from ecotui.text import visible

SURVEY_LIMIT_SECONDS = 60.0
_SCRIPT = Path(__file__).with_name("package_script.py")


@dataclass(frozen=True, slots=True)
class Installed:
    """One package.

    Attributes:
        name: As its record has it.
        version: As its record has it.
        folder: Where it lies: a folder of Python's path.
        is_local: It is edited in place, or was built from a folder of the user's own.
        installer: Who installed it, such as `pip`, `uv` or `conda`; empty where nobody says.
    """

    name: str
    version: str
    folder: Path
    is_local: bool
    installer: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an interpreter told.

    Attributes:
        python: Its path.
        version: Such as (3, 11, 7).
        prefix: Folder of the environment.
        is_venv: It is a virtual environment.
        site: Folders into which pip installs, without links on the way.
        scripts: Folder of the commands that packages bring.
        is_managed: The system's own package manager has it (PEP 668).
        is_conda: Conda made the environment.
        is_conda_base: It is the one that conda itself runs in.
        has_pip: pip can be run.
        packages: By normalised name (see `normalised`).
    """

    python: str
    version: tuple[int, ...]
    prefix: Path
    is_venv: bool
    site: tuple[Path, ...]
    scripts: Path
    is_managed: bool
    is_conda: bool
    is_conda_base: bool
    has_pip: bool
    packages: dict[str, Installed]


def normalised(name: str) -> str:
    """Return a package's name as comparisons need it (PEP 503): `pydantic-core`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def survey(python: str) -> Surroundings:
    """Ask an interpreter what surrounds it.

    Raises:
        EnvironmentFaultError: It does not answer.
    """
    # In an empty folder: a random.py where the person stands would be imported.
    with tempfile.TemporaryDirectory(prefix="ecotui-") as folder:
        try:
            done = subprocess.run(
                [python, "-c", _SCRIPT.read_text(encoding="utf-8")],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SURVEY_LIMIT_SECONDS,
                check=False,
            )
            told = json.loads((done.stdout.splitlines() or [b""])[-1])
            return _understood(python, told)
        except (OSError, subprocess.TimeoutExpired, ValueError, LookupError, TypeError) as error:
            raise EnvironmentFaultError(
                f"{visible(python)} does not tell its packages: {visible(error, limit=200)}",
                "a Python that starts, 3.8 or later",
                f"try it yourself: {visible(python)} -m pip list",
            ) from error


def changes(before: Surroundings, after: Surroundings) -> tuple[str, ...]:
    """Return each package that is another now, as `name 1.2 -> 1.3`; absent ones say so."""
    told = []
    for name in sorted(before.packages.keys() | after.packages.keys()):
        old, new = before.packages.get(name), after.packages.get(name)
        if old != new:
            first, second = (each.version if each else "absent" for each in (old, new))
            told.append(visible(f"{name} {first} -> {second}", limit=200))
    return tuple(told)


def _understood(python: str, told: dict[str, Any]) -> Surroundings:
    packages = {
        normalised(name): Installed(name, version, Path(folder), local, installer)
        for name, (version, folder, local, installer) in told["packages"].items()
    }
    return Surroundings(
        python=python,
        version=tuple(told["version"]),
        prefix=Path(told["prefix"]),
        is_venv=told["is_venv"],
        site=tuple(Path(place) for place in told["site"]),
        scripts=Path(told["scripts"]),
        is_managed=told["is_managed"],
        is_conda=told["is_conda"],
        is_conda_base=told["is_conda_base"],
        has_pip=told["has_pip"],
        packages=packages,
    )
