"""The demo's data: scikit-learn's real handwritten digits, written once as PNG files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ecotui.config import DEMO_DATA_SETS, DEMO_PREFIX
from ecotui.errors import EnvironmentFaultError, UsageError
from ecotui.paths import user_cache
from ecotui.text import listed, nearest, visible

DIGITS_FOLDER = "digits-v1"
"""Name in the cache; the number changes with what is written."""

DIGITS_MAXIMUM = 16
"""Largest grey value in scikit-learn's digits."""


def demo_root(name: str) -> Path:
    """Return the folder of a demo data set, made on first use.

    Args:
        name: What follows `demo:` in the data root.

    Raises:
        UsageError: There is no such demo.
        EnvironmentFaultError: scikit-learn is absent, or the cache cannot be written.
    """
    if name not in DEMO_DATA_SETS:
        known = [DEMO_PREFIX + demo for demo in DEMO_DATA_SETS]
        close = nearest(DEMO_PREFIX + name, known) or known
        raise UsageError(
            f"there is no demo data set '{visible(DEMO_PREFIX + name)}'",
            f"one of {listed(known)}",
            f"set data.root = '{close[0]}'",
        )
    root = user_cache() / DIGITS_FOLDER
    # Not `Path.is_dir`, which raises where the cache may not be looked into.
    if os.path.isdir(root):
        return root
    digits = _load_digits()
    try:
        _write_whole(root, digits)
    except OSError as error:
        raise EnvironmentFaultError(
            f"the demo's images cannot be written to {visible(root)}: "
            f"{visible(error.strerror or error)}",
            "a cache folder that can be written",
            "make it writable, or set XDG_CACHE_HOME to a folder that is",
        ) from None
    return root


def _load_digits() -> Any:
    try:
        from sklearn.datasets import load_digits  # noqa: PLC0415
    except ImportError:
        raise EnvironmentFaultError(
            "the demo data comes with scikit-learn, which is not installed",
            "scikit-learn 1.4 or later",
            'pip install "ecotui[demo]"',
        ) from None
    return load_digits()


def _write_whole(root: Path, digits: Any) -> None:
    """Write the folder under another name, then rename it: it is there whole or not at all."""
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{DIGITS_FOLDER}-", dir=root.parent))
    try:
        _write_images(unfinished, digits)
        os.rename(unfinished, root)
    except OSError:
        # Another process may have been faster; its folder is the same, and stands.
        if not os.path.isdir(root):
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_images(folder: Path, digits: Any) -> None:
    for label in range(10):
        (folder / str(label)).mkdir()
    scaled = np.rint(digits.images * (255 / DIGITS_MAXIMUM)).astype(np.uint8)
    for number, (pixels, label) in enumerate(zip(scaled, digits.target, strict=True)):
        Image.fromarray(pixels).save(folder / str(label) / f"{number:04d}.png")
