"""An audit in which reading a file is played: what is left is what the audit does around it."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from ecotui.engine.audit import sweep
from ecotui.engine.audit.reading import Look
from ecotui.engine.audit.records import Outcome
from ecotui.engine.audit.scan import scan
from ecotui.engine.data.index import DataIndex

_GREYS = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)


def scanned(index: DataIndex) -> object:
    """Audit all files of an index, as if each of them were a sound JPEG."""

    def fetch(_: str) -> Look:
        return Look(Outcome.READ, format="JPEG", width=640, height=480, greys=_GREYS)

    with patch.object(sweep, "fetch", fetch):
        return scan(
            index,
            max_pixels=50_000_000,
            rechecks=True,
            poll=lambda: None,
            advance=lambda count: None,
            threads=2,
        )
