"""Tells what surrounds an interpreter: its folders, who manages it, its packages.

`python -c TEXT`, run by its text and never imported: needs the standard library of Python
3.8 or later alone. Answers with one JSON line on stdout, the last one printed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import sysconfig
from importlib import metadata
from typing import Any


def is_local(distribution: metadata.Distribution) -> bool:
    """Say whether a package stands in a folder of the user's own, or came from there."""
    told = json.loads(distribution.read_text("direct_url.json") or "{}")
    return "dir_info" in told or "vcs_info" in told or str(told.get("url")).startswith("file:")


def packages(site: list[str]) -> dict[str, Any]:
    """List the packages, the first of a name on the path only, as Python imports them."""
    found: dict[str, Any] = {}
    for each in metadata.distributions():
        try:
            name, version = each.metadata["Name"], each.version
            folder = os.path.realpath(str(each.locate_file("")))
            local = is_local(each)
            installer = (each.read_text("INSTALLER") or "").strip()
        except Exception:  # noqa: S112 - a damaged record is no package; the checks tell of it.
            continue
        if name and version and name not in found:
            links = (os.path.join(place, name + ".egg-link") for place in site)
            local = local or any(os.path.exists(link) for link in links)
            found[name] = [str(version), folder, bool(local), installer]
    return found


def main() -> None:
    """Print the answer."""
    paths = sysconfig.get_paths()
    site = sorted({os.path.realpath(paths["purelib"]), os.path.realpath(paths["platlib"])})
    marker = os.path.join(paths["stdlib"], "EXTERNALLY-MANAGED")
    conda = os.path.join(sys.prefix, "conda-meta")
    records = os.listdir(conda) if os.path.isdir(conda) else []
    is_venv = sys.prefix != sys.base_prefix
    told = {
        "version": list(sys.version_info[:3]),
        "prefix": sys.prefix,
        "is_venv": is_venv,
        "site": site,
        "scripts": os.path.realpath(paths["scripts"]),
        # PEP 668: a virtual environment has no marker of its own and is free.
        "is_managed": not is_venv and os.path.isfile(marker),
        "is_conda": os.path.isdir(conda),
        # Only the base environment holds conda itself.
        "is_conda_base": any(name.startswith("conda-") and name[6:7].isdigit() for name in records),
        "has_pip": importlib.util.find_spec("pip") is not None,
        "packages": packages(site),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
