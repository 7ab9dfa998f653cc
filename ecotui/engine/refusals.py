"""Where a repair keeps its hands off, and what to do instead."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ecotui.engine.packages import Installed, Surroundings
from ecotui.text import listed, visible

_SYSTEM_PREFIXES = (Path("/usr"), Path("/System"), Path("/Library"))
"""Where operating systems keep the Python that they need themselves."""
OLDEST_PYTHON = (3, 11)


def refusal_of(
    around: Surroundings, targets: Iterable[str], *, uv: str | None, is_root: bool | None = None
) -> str:
    """Return why nothing may be changed there and what to do instead; empty where it may.

    Args:
        around: The interpreter.
        targets: Normalised names of the packages that would be changed.
        uv: Path of uv; None where it is not there.
        is_root: Whether this user is root; asked of the system where not given.

    Source:
        PEP 668 (EXTERNALLY-MANAGED). Conda's manual, "Using pip in a conda environment": pip
        belongs into environments of their own, and conda does not know what pip changed.
    """
    root = os.geteuid() == 0 if is_root is None else is_root
    where = visible(around.prefix)
    conda = [name for name in targets if _installer(around, name) == "conda"]
    if around.is_managed:
        return f"the system's package manager has {where} in its care (PEP 668). {advice(around)}"
    if around.is_conda_base:
        return (
            f"{where} is conda's base environment, which conda itself runs in. Make one of "
            "its own: conda create -n ecotui python=3.11 pip, then conda activate ecotui and "
            "python -m pip install ecotui"
        )
    if root and not around.is_venv and around.prefix in _SYSTEM_PREFIXES:
        return f"{where} is the system's own Python, and you are root. {advice(around)}"
    if around.is_conda and conda:
        return (
            f"conda installed {listed(conda)}, and pip would change it behind conda's back. "
            f"Ask conda for it: conda install -p {shlex.quote(where)}, with the versions above"
        )
    locked = [place for place in around.site if not _is_writable(place)]
    if locked:
        return f"{visible(locked[0])} cannot be written to. {advice(around)}"
    if not around.has_pip and uv is None:
        return (
            "this Python has no pip, and there is no uv. First: "
            f"{shlex.join([around.python, '-m', 'ensurepip'])}"
        )
    return ""


def advice(around: Surroundings) -> str:
    """Return how to make an environment in which everything may be changed."""
    is_new_enough = around.version >= OLDEST_PYTHON
    python = around.python if is_new_enough else "python3.11"
    return (
        f"Make an environment of your own: {shlex.join([python, '-m', 'venv', '.venv'])}, "
        "then .venv/bin/python -m pip install ecotui, then .venv/bin/ecotui doctor"
    )


def _installer(around: Surroundings, name: str) -> str:
    found: Installed | None = around.packages.get(name)
    return "" if found is None else found.installer


def _is_writable(place: Path) -> bool:
    """Try it: permissions do not tell of a file system that is read-only."""
    try:
        with tempfile.TemporaryFile(prefix=".ecotui-", dir=place):
            return True
    except OSError:
        return False
