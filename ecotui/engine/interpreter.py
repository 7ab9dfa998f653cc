"""What is known of an interpreter's surroundings: its path, and who put packages there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from ecotui.engine.verdicts import failed, noted, passed, warned
from ecotui.engine.versions import Inventory
from ecotui.findings import CheckReported
from ecotui.text import listed, visible

_RECORD_OF = {"PIL": "pillow", "torch": "torch", "torchvision": "torchvision", "timm": "timm"}
_RECORD_OF |= {"numpy": "numpy", "safetensors": "safetensors"}
_CONDA_FRAGILE = ("torch", "torchvision", "numpy", "pillow")


def check_shadowing(
    inventory: Inventory, shadows: Iterable[str], broken: Collection[str]
) -> CheckReported:
    """Find files that stand in the way of modules of their names.

    Args:
        inventory: Of the interpreter.
        shadows: Files in the person's folder that have the name of a module that training
            imports; nothing of them was run.
        broken: Modules that cannot be used.
    """
    files = [visible(path) for path in dict.fromkeys((*inventory.shadows, *shadows))]
    if files:
        names = [_module_of(path) for path in files]
        return failed(
            "shadowing",
            f"{listed(files)} {'stands' if len(files) == 1 else 'stand'} before Python's own "
            f"{listed(names)} wherever Python is started in this folder",
            f"no file that is called {listed(names)} in the folder where Python is started",
            "rename it, or start ecotui in another folder",
        )
    foreign = foreign_modules(inventory)
    if not foreign:
        return passed("shadowing", "no file hides a module of the same name")
    told = listed(f"{name} is loaded from {place}" for name, place in foreign.items())
    report = failed if set(foreign) & set(broken) else warned
    return report(
        "shadowing",
        f"{told}, which stands before the installed one",
        "packages from the environment of this Python",
        "take that folder out of PYTHONPATH (unset PYTHONPATH), or remove it",
    )


def foreign_modules(inventory: Inventory) -> dict[str, str]:
    """Return modules that are loaded from elsewhere than where they are installed."""
    found = {}
    for module, package in _RECORD_OF.items():
        origin, records = inventory.origins.get(module, ""), inventory.packages.get(package, ())
        if not origin or not records or records[0].is_editable:
            continue
        place = (
            Path(origin).parent.parent if origin.endswith("__init__.py") else Path(origin).parent
        )
        if not any(_is_same(place, Path(record.place)) for record in records):
            found[module] = origin
    return found


def check_interpreter(inventory: Inventory, *, is_own: bool) -> CheckReported:
    """Say where this Python differs from the one that a person may have in mind.

    Args:
        inventory: Of the interpreter.
        is_own: It is the one that ecotui runs in.
    """
    if inventory.user_site and inventory.prefix != inventory.base_prefix:
        return warned(
            "interpreter",
            f"packages of {inventory.user_site} count beside those of the environment "
            f"{inventory.prefix}",
            "an environment whose packages are all its own",
            "export PYTHONNOUSERSITE=1, or make the environment anew without system packages",
        )
    first = shutil.which("python") or shutil.which("python3")
    told = f"packages are those of {inventory.purelib}"
    if first is None or not is_own or _is_within(first, inventory.prefix):
        return passed("interpreter", told)
    return noted(
        "interpreter",
        f"{told}; the command python is another one ({visible(first)}): install packages with "
        f"{inventory.executable} -m pip",
    )


def check_records(inventory: Inventory) -> CheckReported:
    """Find packages that are recorded twice, or whose record says no version."""
    double = {
        name: records for name, records in inventory.packages.items() if len(_distinct(records)) > 1
    }
    if double:
        told = listed(
            f"{name} {' and '.join(record.version or '?' for record in records)}"
            for name, records in double.items()
        )
        name, records = next(iter(double.items()))
        places = {record.place for record in records}
        advice = (
            f"remove one: {inventory.executable} -m pip uninstall {name}, then install it again"
            if len(places) == 1
            else f"keep one of the folders {listed(sorted(places))} on Python's path"
        )
        return warned("records", f"installed more than once: {told}", "one record each", advice)
    damaged = [
        name
        for name, records in inventory.packages.items()
        if not records[0].version or not records[0].version[0].isdigit()
    ]
    if damaged:
        return warned(
            "records",
            f"the record of {listed(damaged)} says no version that can be read: "
            + listed(inventory.packages[name][0].version or "none" for name in damaged),
            "whole records",
            inventory.pip_install("--force-reinstall", "--no-deps", *damaged),
        )
    return passed("records", "every package is recorded once")


def check_conda(inventory: Inventory) -> CheckReported:
    """Find packages of conda beside packages of pip where they share libraries."""
    if not inventory.is_conda:
        return noted("conda_pip", "not an environment of conda")
    by = {
        name: inventory.packages[name][0].installer or "conda"
        for name in _CONDA_FRAGILE
        if name in inventory.packages
    }
    if len(set(by.values())) < 2:
        return passed("conda_pip", f"all of {listed(by)} come from {next(iter(by.values()), '-')}")
    return warned(
        "conda_pip",
        "one environment, two installers: "
        + listed(f"{name} by {who}" for name, who in by.items()),
        "torch, torchvision, numpy and pillow from one of them",
        f"make a new environment: {inventory.new_environment()}",
    )


def _distinct(records: Iterable[object]) -> set[object]:
    return set(records)


def _module_of(path: str) -> str:
    name = Path(path).name
    return Path(path).parent.name if name == "__init__.py" else name.partition(".")[0]


def _is_same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _is_within(path: str, prefix: str) -> bool:
    return os.path.abspath(path).startswith(os.path.join(prefix, "")) or os.path.realpath(
        os.path.dirname(path)
    ).startswith(os.path.join(os.path.realpath(prefix), ""))
