"""Randomness as a function of what it is for, never of what happened before.

Sample order, augmentation and mixing are drawn from seeds derived here, so they
do not depend on the number of workers, and a run can be resumed at any step.
Knows no generator: whoever draws brings its own.
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, purpose: str, *counters: int) -> int:
    """Return a seed in 0 to 2^63 - 1 for one purpose and place.

    A keyed hash rather than a sum: seed + epoch + id would make neighbours collide.

    Args:
        seed: Of the run.
        purpose: What the randomness is for, such as `order` or `augment`.
        counters: Where: epoch, sample id, step.
    """
    key = ":".join(["ecotui", str(seed), purpose, *map(str, counters)])
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
