"""How long `ecotui --help` takes next to the import of click alone; the target is 1.5 times."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPEATS = 15
TARGET_RATIO = 1.5


def seconds(*arguments: str) -> float:
    """Return how long a fresh interpreter takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Time both in turns, so that a busy machine slows both."""
    pairs = [
        (seconds("-m", "ecotui", "--help"), seconds("-c", "import click")) for _ in range(REPEATS)
    ]
    ours, click = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"ecotui --help: {1_000 * ours:.0f} ms (median of {REPEATS})")
    print(f"import click:  {1_000 * click:.0f} ms")
    print(f"ratio: {ours / click:.2f} (target: at most {TARGET_RATIO})")


if __name__ == "__main__":
    main()
