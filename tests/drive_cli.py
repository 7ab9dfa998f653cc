"""The command `ecotui` with the stand-in engine: `python drive_cli.py HOW ARGS...`."""

from __future__ import annotations

import sys
from pathlib import Path

from ecotui import session
from ecotui.cli import main

STAND_IN = Path(__file__).parent / "stand_in_engine.py"

if __name__ == "__main__":
    session.ENGINE_ARGV = (sys.executable, str(STAND_IN), sys.argv[1])
    main(sys.argv[2:])
