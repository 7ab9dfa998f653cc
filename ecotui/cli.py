"""argv to one verb; every heavy import is deferred to the verb that needs it."""

from __future__ import annotations


def main() -> None:
    """Run the command `ecotui`."""
    raise SystemExit(2)
