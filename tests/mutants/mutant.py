"""What a mutant is: one line of ecotui that says something else, and the tests that must notice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutant:
    """A change that must not go unnoticed.

    Attributes:
        name: What is changed, for a person; unique.
        path: Of the file, relative to the repository.
        old: Text that occurs exactly once in it.
        new: What stands there instead.
        tests: Files, classes or tests of which at least one has to fail, as pytest takes them.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]

    def mutated(self, source: str) -> str:
        """Return the file's text with the change; refused where it is not clear what is meant."""
        if source.count(self.old) != 1 or self.old == self.new:
            times = source.count(self.old)
            raise ValueError(f"{self.name}: its text occurs {times} times in {self.path}")
        return source.replace(self.old, self.new)


def mutants_of(
    path: str, tests: Iterable[str], *changes: tuple[str, str, str] | tuple[str, str, str, str]
) -> tuple[Mutant, ...]:
    """Return the mutants of one file.

    Args:
        path: Of the file, below `ecotui`.
        tests: Below `tests`, for all of them.
        changes: Name, old text and new text; a fourth part names other tests, blanks between.
    """
    common = tuple(tests)
    made = []
    for name, old, new, *own in changes:
        chosen = own[0].split() if own else common
        made.append(
            Mutant(name, f"ecotui/{path}", old, new, tuple(f"tests/{each}" for each in chosen))
        )
    return tuple(made)
