"""Facts about an interpreter that show without importing any package; run by `probe_script`.

Standard library alone, Python 3.8 or newer. Nothing here runs code of a package: versions
come from their records, builds from the text of `version.py`.
"""

from __future__ import annotations

import importlib.machinery
import os
import platform
import re
import site
import sys
import sysconfig
from importlib import metadata
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pillow",
    "safetensors",
    "huggingface-hub",
    "pydantic",
    "textual",
    "rich",
    "click",
    "platformdirs",
    "simplejpeg",
    "tomli-w",
    "scikit-learn",
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
    "pip",
    "uv",
    "ecotui",
)
"""Distributions whose records are read."""

MODULES = ("torch", "torchvision", "timm", "numpy", "PIL", "safetensors", "cv2", "pip", "ecotui")
"""Modules whose place is looked for."""

COMMONLY_SHADOWED = (
    *MODULES[:6],
    *("random", "queue", "types", "typing", "logging", "tempfile", "copy", "math", "json"),
    *("string", "struct", "select", "socket", "secrets", "statistics", "token", "tokenize"),
    *("inspect", "io", "operator", "platform", "pathlib", "enum", "dataclasses", "numbers"),
    *("collections", "functools", "itertools", "threading", "multiprocessing", "warnings"),
    *(
        "calendar",
        "datetime",
        "email",
        "csv",
        "html",
        "http",
        "signal",
        "ssl",
        "yaml",
        "huggingface_hub",
    ),
)
"""Modules that importing torch and timm imports: a file of that name stands in their way."""

_MAX_CHARACTERS = 300
_ENDINGS = (".py", *importlib.machinery.EXTENSION_SUFFIXES)


def take_inventory() -> dict[str, Any]:
    """Return what there is to know about this interpreter and its packages."""
    purelib = sysconfig.get_paths()["purelib"]
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "machine": platform.machine(),
        "system": platform.system(),
        "purelib": purelib,
        "path": [entry for entry in sys.path if isinstance(entry, str)][:100],
        "user_site": _user_site(),
        "externally_managed": sys.prefix == sys.base_prefix
        and os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")),
        "conda": os.path.isdir(os.path.join(sys.prefix, "conda-meta")),
        "packages": {name: found for name, found in map(_records, PACKAGES) if found},
        "requires": _requires("ecotui"),
        "origins": {name: found for name, found in map(_origin, MODULES) if found},
        "builds": {name: _build(name) for name in ("torch", "torchvision")},
    }


def shadows_in(folder: str, names: tuple[str, ...] = COMMONLY_SHADOWED) -> list[str]:
    """Return the files of a folder that Python would take for a module of another place."""
    found: list[str] = []
    for name in names if folder else ():
        files = [os.path.join(folder, name + ending) for ending in _ENDINGS]
        package = os.path.join(folder, name, "__init__.py")
        found += [path for path in (*files, package) if os.path.isfile(path)][:1]
    return found


def _records(name: str) -> tuple[str, list[dict[str, str]]]:
    """Return every record of a distribution on the path, the one that counts first."""
    found = []
    try:
        for each in metadata.Distribution.discover(name=name):
            place = str(each.locate_file(""))
            fact = {
                "version": _cut(each.metadata["Version"]),
                "place": _cut(os.path.abspath(place)),
                "installer": _cut((each.read_text("INSTALLER") or "").strip()),
                "local": "editable" if _is_editable(each) else "",
            }
            if fact not in found:
                found.append(fact)
    except Exception as error:
        found.append({"version": "", "place": "", "installer": "", "fault": _cut(error)})
    return name, found[:5]


def _is_editable(record: metadata.Distribution) -> bool:
    return '"editable": true' in (record.read_text("direct_url.json") or "")


def _requires(name: str) -> list[str]:
    try:
        return [_cut(line) for line in metadata.requires(name) or []][:100]
    except Exception:
        return []


def _origin(name: str) -> tuple[str, str]:
    """Return where Python would load a module from, without loading it."""
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, sys.path)
        return name, _cut(spec.origin or "") if spec is not None else ""
    except Exception:
        return name, ""


def _build(name: str) -> dict[str, Any]:
    """Return the version and the CUDA release that a package says it was built with."""
    origin = _origin(name)[1]
    try:
        with open(
            os.path.join(os.path.dirname(origin), "version.py"), encoding="utf-8", errors="replace"
        ) as file:
            text = file.read(20_000)
    except (OSError, ValueError):
        return {}
    found = {}
    for key in ("__version__", "cuda", "hip"):
        match = re.search(rf"^{key}\b[^=\n]*=\s*(None|'[^'\n]*'|\"[^\"\n]*\")", text, re.MULTILINE)
        if match:
            found[key.strip("_")] = "" if match.group(1) == "None" else match.group(1)[1:-1][:60]
    return found


def _user_site() -> str:
    """Return the user's own folder of packages where it is in use and holds something."""
    try:
        folder = site.getusersitepackages()
        is_used = bool(site.ENABLE_USER_SITE) and folder in sys.path
        return folder if is_used and os.path.isdir(folder) and os.listdir(folder) else ""
    except Exception:
        return ""


def _cut(text: object) -> str:
    return str(text)[:_MAX_CHARACTERS]
