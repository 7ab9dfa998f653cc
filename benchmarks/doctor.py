"""What examining an environment costs: `python benchmarks/doctor.py [ROUNDS]`.

Claims: `ecotui doctor` takes at most 1.5 times importing torch, torchvision and timm once,
plus 2 s; the quick part at the start of a run, which loads the libraries meanwhile, takes at
most 2 s beyond importing them: `first` in an environment that is not known yet, where a child
goes ahead, and `quick` in one that has been survived before. All are run in turn, so that a
busy machine slows all of them.
Prints one JSON object on stdout, keeps it in `benchmarks/results/doctor.json`, and prints one
line for a person on stderr.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.parts.keeping import keep

DEFAULT_ROUNDS = 7
TARGET_RATIO, TARGET_EXTRA_SECONDS = 1.5, 2.0
RESULT = Path(__file__).with_name("results") / "doctor.json"

IMPORTS = "import numpy, torch, PIL, torchvision, timm, safetensors"
QUICK = """
import sys
from pathlib import Path
from ecotui.engine.control import Control, StopFlag
from ecotui.engine.diagnose import Circumstances, diagnose
control = Control(Path("/nowhere"), 0, lambda event: None, StopFlag())
purpose = Circumstances(is_quick=True, loads=True)
diagnose(control, lambda event: None, runs_path=Path(sys.argv[1]), circumstances=purpose)
assert "timm" in sys.modules
"""


def seconds_of(argv: Sequence[str], folder: str, cache: str) -> float:
    """Run a command to its end and return how long it took.

    Args:
        argv: The command.
        folder: In which it runs.
        cache: What is known of the environment lies below it.
    """
    environ = os.environ | {"XDG_CACHE_HOME": cache}
    started = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True, cwd=folder, env=environ)
    return time.perf_counter() - started


def measure(rounds: int) -> dict[str, object]:
    """Return medians in seconds, and what is beyond the targets, negative where they are kept."""
    python = sys.executable
    commands = {
        "imports": [python, "-c", IMPORTS],
        "doctor": [python, "-m", "ecotui", "doctor"],
        "first": [python, "-P", "-c", QUICK, "runs"],
        "quick": [python, "-P", "-c", QUICK, "runs"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, argv in commands.items():
                cache = os.path.join(folder, f"cache-{number if name == 'first' else ''}")
                seconds = seconds_of(argv, folder, cache)
                if number:  # The first round warms the disk's cache.
                    times[name].append(seconds)
    limits = [TARGET_RATIO * each + TARGET_EXTRA_SECONDS for each in times["imports"]]
    beyond = [mine - limit for mine, limit in zip(times["doctor"], limits, strict=True)]
    extra = {
        name: [mine - peer for mine, peer in zip(times[name], times["imports"], strict=True)]
        for name in ("first", "quick")
    }
    return {
        "rounds": rounds,
        "imports_seconds": statistics.median(times["imports"]),
        "doctor_seconds": statistics.median(times["doctor"]),
        "doctor_beyond_target_seconds": statistics.median(beyond),
        "quick_seconds": statistics.median(times["quick"]),
        "first_seconds": statistics.median(times["first"]),
        "quick_beyond_imports_seconds": statistics.median(extra["quick"]),
        "first_beyond_imports_seconds": statistics.median(extra["first"]),
        "all_seconds": times,
    }


def main() -> None:
    """Measure, keep and print."""
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROUNDS)
    keep(RESULT, found)
    print(json.dumps(found))
    print(
        f"importing takes {found['imports_seconds']:.2f} s, ecotui doctor "
        f"{found['doctor_seconds']:.2f} s ({found['doctor_beyond_target_seconds']:+.2f} s against "
        f"{TARGET_RATIO:g} times importing plus {TARGET_EXTRA_SECONDS:g} s), the quick part "
        f"{found['quick_beyond_imports_seconds']:+.2f} s beyond importing, the first time "
        f"{found['first_beyond_imports_seconds']:+.2f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
