"""All checks of the machine, in the order they are told."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from ecotui.engine.machine import disks, graphics, memory, processors, screen, surroundings
from ecotui.engine.versions import Inventory
from ecotui.findings import CheckReported
from ecotui.jobs import TerminalFacts


def check_machine(
    inventory: Inventory, runs_path: Path, terminal: TerminalFacts | None, *, is_quick: bool
) -> Iterator[CheckReported]:
    """Yield the verdicts on the machine, one at a time as they are found.

    Args:
        inventory: Of the interpreter, whose torch the driver is judged by.
        runs_path: Where the runs lie; need not exist.
        terminal: Of the person; None where nobody looked.
        is_quick: Only memory and disk.
    """
    yield memory.check_memory()
    yield disks.check_disk(runs_path)
    if is_quick:
        return
    yield processors.check_processors()
    yield memory.check_swap()
    yield memory.check_shared_memory()
    yield processors.check_open_files()
    yield disks.check_disk_speed(runs_path)
    yield disks.check_network_file_system(runs_path, surroundings.hub_cache())
    yield disks.check_clock(runs_path)
    yield surroundings.check_cache()
    yield surroundings.check_hub()
    yield surroundings.check_proxy()
    yield surroundings.check_locale()
    yield surroundings.check_logout()
    yield screen.check_terminal(terminal)
    yield screen.check_clipboard(terminal)
    told = graphics.ask_driver()
    yield graphics.check_gpus(told)
    yield graphics.check_driver(told, inventory)
    yield graphics.check_mps(has_mps=_is_apple_silicon())


def _is_apple_silicon() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"
