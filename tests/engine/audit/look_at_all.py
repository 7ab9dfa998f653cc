"""Looks at every file of a folder with little memory, and prints what came of each, as JSON.

Run as a process of its own: the limit holds for it alone.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from ecotui.engine.audit.looks import measure
from ecotui.engine.audit.reading import look
from ecotui.engine.audit.records import Trait

GIGABYTE = 2**30


def main() -> None:
    """Look at the files below the folder named on the command line."""
    folder, max_pixels = Path(sys.argv[1]), int(sys.argv[2])
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + GIGABYTE, held + GIGABYTE))
    for path in sorted(folder.iterdir()):
        started = time.process_time()
        seen = look(path, max_pixels=max_pixels, wants_colours=True)
        if seen.greys is not None:
            measure([seen.greys])
        told = {
            "name": path.name,
            "outcome": seen.outcome.name,
            "traits": [trait.name for trait in Trait(seen.traits)],
            "reason": seen.reason,
            "size": [seen.width, seen.height],
            "seconds": time.process_time() - started,
        }
        print(json.dumps(told), flush=True)  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
