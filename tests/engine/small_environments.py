"""Virtual environments of a few kilobytes, with a real pip and packages made for the test."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pip

TORCH = """
import numpy
__version__ = "2.2.0"
def from_numpy():
    if numpy.__version__ >= "2":
        raise RuntimeError("Numpy is not available")
"""
"""Stands for a PyTorch that was built for NumPy 1."""


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    source: str = "",
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel that holds one package, with a command and a manual page of its own."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    data = f"{module}-{version}.data/data/share/man/{module}-{version}.1"
    wanted = "".join(f"Requires-Dist: {each}\n" for each in requires)
    content = {
        f"{module}/__init__.py": source or f'__version__ = "{version}"\n',
        f"{module}/part.py": f"# part of {version}\n",
        data: f"the manual of {version}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{wanted}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{module}-tell = {module}:tell\n",
        **(files or {}),
    }
    record = "".join(f"{path},{_hash(text)},{len(text)}\n" for path, text in content.items())
    content[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in content.items():
            archive.writestr(inner, text)
    return path


class SmallEnvironment:
    """An environment with a pip that stands outside of it.

    Args:
        path: To be made.
        wheels: From which pip installs.
        like: To be copied; a new one where not given.
    """

    def __init__(self, path: Path, wheels: Path, like: SmallEnvironment | None = None) -> None:
        self.path, self.wheels = path, wheels
        if like is None:
            argv = [sys.executable, "-m", "venv", "--without-pip", str(path)]
            subprocess.run(argv, check=True, capture_output=True)
        else:
            shutil.copytree(like.path, path, symlinks=True)
        self.python = str(path / "bin" / "python")
        release = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        self.site = path / "lib" / release / "site-packages"
        self.tools = path.with_name(f"{path.name}-tools")
        self.tools.mkdir()
        self.give_pip()
        (self.site / "tools.pth").write_text(f"{self.tools}\n")

    def give_pip(self) -> None:
        source = Path(str(pip.__file__)).parent
        (self.tools / "pip").symlink_to(source)
        (record,) = source.parent.glob("pip-*.dist-info")
        (self.tools / record.name).symlink_to(record)

    def give_fake_pip(self, source: str) -> None:
        """Put a pip in place of the real one that does what the test wants."""
        (self.tools / "pip").unlink()
        (self.tools / "pip").mkdir()
        (self.tools / "pip" / "__init__.py").write_text("")
        check = "import sys\nif sys.argv[1] == 'check': sys.exit(0)\n"
        (self.tools / "pip" / "__main__.py").write_text(check + source)

    def take_pip(self) -> None:
        for path in self.tools.iterdir():
            path.unlink()

    def install(self, *specifiers: str) -> None:
        argv = [self.python, "-m", "pip", "install", "-q", *specifiers]
        subprocess.run(argv, check=True, capture_output=True, env=self.environ())

    def environ(self) -> dict[str, str]:
        return {**os.environ, **self.settings()}

    def settings(self) -> dict[str, str]:
        """Return variables that keep pip to the test's own wheels."""
        return {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
        }

    def try_out(self, source: str) -> str:
        """Run Python there and return the last line of its complaint, empty where it is well."""
        done = subprocess.run(
            [self.python, "-B", "-c", source], capture_output=True, text=True, check=False
        )
        return (done.stderr.strip().splitlines() or ["died"])[-1] if done.returncode else ""

    def listing(self) -> dict[str, str]:
        """Return every file with its content, those that Python compiles left out."""
        return {
            str(path.relative_to(self.path)): (
                os.readlink(path) if path.is_symlink() else path.read_bytes().hex()
            )
            for path in sorted(self.path.rglob("*"))
            if "__pycache__" not in path.parts and (path.is_symlink() or path.is_file())
        }

    def versions(self) -> dict[str, str]:
        source = (
            "import json\nfrom importlib import metadata\n"
            "print(json.dumps({d.metadata['Name']: d.version for d in metadata.distributions()}))"
        )
        done = subprocess.run([self.python, "-c", source], capture_output=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return {name: version for name, version in found.items() if name != "pip"}


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
