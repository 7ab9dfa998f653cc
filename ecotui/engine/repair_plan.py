"""Which commands would mend what a diagnosis found, the fewest that do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ecotui.engine.packages import Surroundings, normalised
from ecotui.engine.refusals import advice, refusal_of
from ecotui.events import CheckReported, RepairPlanned, RepairStep
from ecotui.text import listed, visible

_OPTIONS = {"--force-reinstall", "--no-deps", "--upgrade", "--no-cache-dir"}
"""What a command of a repair may ask of pip; an address or a folder never."""
_SPECIFIER = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[\w,.-]+\])?"
    r"((===?|~=|!=|<=?|>=?)[\w.*+!-]+)?(,(===?|~=|!=|<=?|>=?)[\w.*+!-]+)*"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done.

    Attributes:
        steps: In order, causes before what follows from them.
        targets: Normalised names of the packages that they name.
        refusal: Why nothing may be done; empty where it may.
    """

    steps: tuple[RepairStep, ...]
    targets: tuple[str, ...]
    refusal: str

    def told(self, around: Surroundings) -> RepairPlanned:
        """Return the plan as an event."""
        present = [around.packages[name] for name in self.targets if name in around.packages]
        return RepairPlanned(
            python=visible(around.python),
            steps=self.steps,
            packages_before=tuple(f"{each.name}=={visible(each.version)}" for each in present),
            refusal=self.refusal,
        )


def make_plan(
    failures: Sequence[CheckReported], around: Surroundings, *, uv: str | None = None
) -> Plan:
    """Plan a repair: each failed check's own command, none for what an earlier one mends.

    A package is named by one step only. What another check wants of it mostly follows
    from the same cause; what does not, shows when everything is examined again.

    Args:
        failures: Checks that failed, the cause first.
        around: The interpreter whose packages are meant.
        uv: Path of uv, which is used where the interpreter has no pip.
    """
    steps: list[RepairStep] = []
    named: dict[str, int] = {}
    local: list[str] = []
    for check in failures:
        specifiers = _specifiers(check.fix, around.python)
        names = [normalised(found["name"]) for found in specifiers]
        own = [name for name in names if name in around.packages and around.packages[name].is_local]
        local += own
        if not names or own:
            continue
        earlier = next((named[name] for name in names if name in named), None)
        if earlier is not None:
            step = steps[earlier]
            steps[earlier] = step.model_copy(update={"checks": (*step.checks, check.check)})
            continue
        named |= dict.fromkeys(names, len(steps))
        argv = _argv(check.fix, around, uv)
        steps.append(RepairStep(argv=argv, why=check.what, checks=(check.check,)))
    if not steps:
        return Plan((), (), _nothing_helps(around, local))
    return Plan(tuple(steps), tuple(named), refusal_of(around, named, uv=uv))


def _specifiers(fix: tuple[str, ...], python: str) -> list[re.Match[str]]:
    """Return what a command would install; empty where it is none that may be run."""
    if fix[:4] != (python, "-m", "pip", "install"):
        return []
    wanted = [word for word in fix[4:] if word not in _OPTIONS]
    matches = [_SPECIFIER.fullmatch(word) for word in wanted]
    found = [match for match in matches if match is not None]
    return found if len(found) == len(wanted) else []


def _argv(fix: tuple[str, ...], around: Surroundings, uv: str | None) -> tuple[str, ...]:
    if around.has_pip or uv is None:
        return fix
    return (uv, "pip", "install", "--python", around.python, *fix[4:])


def _nothing_helps(around: Surroundings, local: list[str]) -> str:
    if local:
        return (
            f"{listed(dict.fromkeys(local))} comes from a folder of your own and is left alone: "
            "install it again from there"
        )
    return (
        "no command mends what failed here: do what is told above, check by check. Where "
        f"nothing helps: {advice(around)[0].lower()}{advice(around)[1:]}"
    )
