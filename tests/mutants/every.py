"""All mutants: of guards, of recovery, and of what watches and tells."""

from __future__ import annotations

from tests.mutants.guards import GUARD_MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.recovery import RECOVERY_MUTANTS
from tests.mutants.watching import WATCH_MUTANTS

MUTANTS: tuple[Mutant, ...] = (*GUARD_MUTANTS, *RECOVERY_MUTANTS, *WATCH_MUTANTS)
