"""Change ecotui in one place after the other, and see that tests notice.

python -m tests.mutants [--only WORD ...] [--list] [--trust] [--jobs N]

Ends with 1 where a mutant survives, or where the tests fail without one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults.server import ONE_THREAD
from tests.mutants.every import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.running import (
    LIMIT_SECONDS,
    Outcome,
    import_libraries,
    make_tree,
    run_all,
)

LOG_LINES = 15
PLAIN_LIMIT_SECONDS = 3_600.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="in a mutant's name or file"
    )
    parser.add_argument("--list", action="store_true", help="name them, and run nothing")
    parser.add_argument("--trust", action="store_true", help="that all tests pass without any")
    parser.add_argument("--jobs", type=int, default=2, help="at once (%(default)s)")
    asked = parser.parse_args()
    chosen = [
        mutant
        for mutant in MUTANTS
        if any(word in f"{mutant.path} {mutant.name}" for word in asked.only)
    ]
    if not chosen:
        print(f"no mutant has {asked.only} in its name or file: --list names them all")
        return 2
    if asked.list:
        print(*(f"{each.path}: {each.name}" for each in chosen), sep="\n")
        return 0
    os.environ.update(ONE_THREAD)
    import_libraries()
    with tempfile.TemporaryDirectory(prefix="ecotui-mutants-") as folder:
        trees = [make_tree(Path(folder) / f"tree-{number}") for number in range(asked.jobs)]
        return _run(chosen, trees, trusts=asked.trust)


def _run(chosen: list[Mutant], trees: list[Path], *, trusts: bool) -> int:
    limit_seconds = LIMIT_SECONDS
    if not trusts:
        every = tuple(sorted({test for mutant in chosen for test in mutant.tests}))
        (plain,) = run_all([None], trees[:1], every, PLAIN_LIMIT_SECONDS)
        print(f"without a mutant: {plain.verdict.replace('survived', 'all pass')}", flush=True)
        if plain.verdict != "survived":
            print(plain.log)
            return 1
        # All tests together take so long: on a busy machine, those of one mutant may, too.
        limit_seconds = max(limit_seconds, plain.seconds)
    counts: Counter[str] = Counter()
    survivors = []
    for outcome in run_all(chosen, trees, limit_seconds=limit_seconds):
        counts[outcome.verdict] += 1
        if outcome.verdict in ("survived", "broken"):
            survivors.append(outcome)
        _tell(outcome)
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    print(f"{counts.total()} mutants: {told}")
    for outcome in survivors:
        print(f"  {outcome.verdict}: {_named(outcome)}")
    return 1 if survivors else 0


def _tell(outcome: Outcome) -> None:
    print(f"{outcome.verdict:9} {outcome.seconds:5.1f} s  {_named(outcome)}", flush=True)
    if outcome.verdict == "broken":
        print(*outcome.log.splitlines()[-LOG_LINES:], sep="\n", flush=True)


def _named(outcome: Outcome) -> str:
    mutant = outcome.mutant
    return f"{mutant.name}  ({mutant.path})" if mutant else "the tree as it is"


if __name__ == "__main__":
    sys.exit(main())
