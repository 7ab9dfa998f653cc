"""What `ecotui --help` costs beside importing click: `python benchmarks/help.py [ROUNDS]`.

Claim: at most 1.5 times `python -c "import click"`. Both are run in turn, so
that a busy machine slows both, and both find their bytecode, as where they are installed.
Prints one JSON object on stdout, keeps it in `benchmarks/results/help.json`, and prints one line
for a person on stderr.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parts.keeping import keep

DEFAULT_ROUNDS = 30
TARGET_RATIO = 1.5
RESULT = Path(__file__).with_name("results") / "help.json"
ENVIRON = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def command() -> list[str]:
    """Return the installed command beside this interpreter, or else the module."""
    script = shutil.which("ecotui", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "ecotui"]


def seconds_of(argv: Sequence[str]) -> float:
    """Run a command to its end and return how long it took."""
    started = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True, env=ENVIRON)
    return time.perf_counter() - started


def measure(rounds: int) -> dict[str, float]:
    """Return the medians in seconds, and the median of the rounds' ratios."""
    ours, peer = [*command(), "--help"], [sys.executable, "-c", "import click"]
    seconds_of(ours), seconds_of(peer)
    pairs = [(seconds_of(ours), seconds_of(peer)) for _ in range(rounds)]
    return {
        "rounds": rounds,
        "help_seconds": statistics.median(help_seconds for help_seconds, _ in pairs),
        "click_seconds": statistics.median(click_seconds for _, click_seconds in pairs),
        "ratio": statistics.median(mine / theirs for mine, theirs in pairs),
        "target_ratio": TARGET_RATIO,
    }


def main() -> None:
    """Measure, keep and print."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS)
    keep(RESULT, found)
    print(json.dumps(found))
    print(
        f"ecotui --help takes {found['help_seconds'] * 1e3:.0f} ms, "
        f"{found['ratio']:.2f} times 'import click' ({found['click_seconds'] * 1e3:.0f} ms); "
        f"the target is {found['target_ratio']:.1f}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
