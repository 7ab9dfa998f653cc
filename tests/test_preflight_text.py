"""How `ecotui preflight` tells what it found: four sentences first, else the worst first."""

from __future__ import annotations

from typing import Any

import pytest

from ecotui.errors import UsageError
from ecotui.events import CheckReported, RunFinished, StageStarted
from ecotui.narration import progress, remarks
from ecotui.plans import AuditReported, PreflightRecorded, PreviewWritten
from ecotui.preflight_register import ACCEPTABLE, CHECKS, PARTS, SUMMARIES, check_known
from ecotui.preflight_text import preflight_lines
from ecotui.state import RunState, fold
from tests.test_foresight_text import plan

SOUND = "ready to train: ecotui"


def check(name: str, verdict: str, layer: int = 3, **rest: Any) -> CheckReported:
    bad = verdict in ("warn", "fail")
    return CheckReported.model_validate(
        {
            "check": name,
            "layer": layer,
            "verdict": verdict,
            "what": f"{name} was looked at",
            "expected": "something better" if bad else "",
            "remedy": "--set key=value" if bad else "",
            **rest,
        }
    )


def lines_of(*found: Any) -> list[str]:
    ended = RunFinished(
        why="job", epochs_done=0, epochs_planned=0, step=0, best_checkpoint=None, seconds=1.0
    )
    state = RunState()
    for event in (*found, ended):
        state = fold(state, event)
    return preflight_lines(state, SOUND, "ecotui config apply HERE")


def test_when_all_is_well_what_passed_stands_first_and_its_parts_are_passed_over() -> None:
    lines = lines_of(
        check("budget", "note"),
        check("transforms", "pass", 2),
        check("first_batch", "pass"),
        check("gradients", "pass", part_of="first_batch"),
    )
    assert lines == [
        "pass: transforms was looked at",
        "pass: first_batch was looked at",
        "note: budget was looked at",
        SOUND,
    ]


def test_otherwise_the_worst_stands_first() -> None:
    lines = lines_of(
        check("gradients", "warn", part_of="first_batch"),
        check("image_size", "pass", 2),
        check("precision", "fail", part_of="first_batch"),
        AuditReported(category="duplicates", verdict="warn", num_files=2, what="two are the same"),
        check("disk", "warn", 1),
        check("torch", "pass", 1),
    )
    told = [line for line in lines if not line.startswith(" ")]
    assert told == [
        "fail: precision was looked at",
        "warn: gradients was looked at",
        "warn: two are the same",
        "warn: disk was looked at",
        "pass: image_size was looked at",
        "1 check failed",
    ]
    assert lines[1:3] == ["  expected: something better", "  to fix: --set key=value"]


def test_what_was_left_out_what_it_took_and_where_it_is_kept_come_last() -> None:
    recorded = PreflightRecorded(
        file="preflight.json",
        folder="/runs/preflight/mine\x1b",
        level="full",
        seconds=121.0,
        budget_seconds=120.0,
        shortened=("audit: 9 of 10 photos. To look at all: ecotui audit CONFIG",),
    )
    picture = PreviewWritten(subject="val", path="previews/val-0.png", source="a/0.png")
    lines = lines_of(check("transforms", "pass", 2), picture, plan(), recorded)
    assert lines[0] == "pass: transforms was looked at"
    assert lines[-5:] == [
        "# or: ecotui config apply HERE",
        "not looked at: audit: 9 of 10 photos. To look at all: ecotui audit CONFIG",
        "checked in 2 min 01 s of the 2 min 00 s that preflight.budget_seconds allows",
        "kept in /runs/preflight/mine\\e: preflight.json, previews/, plan.toml",
        SOUND,
    ]
    assert remarks(recorded, RunState()) == lines[-4:-3]


def test_warnings_of_the_audit_count_and_accepted_ones_do_not() -> None:
    found = {
        verdict: AuditReported(category=verdict, verdict=verdict, num_files=1, what="one")
        for verdict in ("warn", "note")
    }
    assert lines_of(found["warn"])[-1] == f"{SOUND}; 1 warning"
    assert lines_of(found["note"])[-1] == SOUND


def test_a_broken_environment_is_told_whole() -> None:
    lines = lines_of(check("torch", "fail", 1), check("python", "pass", 1))
    assert [line for line in lines if not line.startswith(" ")] == [
        "fail: torch was looked at",
        "pass: python was looked at",
        "1 check failed",
    ]


@pytest.mark.parametrize(
    ("verdict", "part_of", "is_told"),
    [("pass", "", True), ("pass", "first_batch", False), ("warn", "first_batch", True)],
)
def test_a_run_tells_a_part_only_where_it_did_not_pass(
    verdict: str, part_of: str, is_told: bool
) -> None:
    event = check("gradients", verdict, part_of=part_of)
    assert bool(remarks(event, RunState())) is is_told


def test_a_download_is_told_in_units_that_people_read() -> None:
    event = StageStarted(stage="weights", total=97_000_000, unit="bytes")
    state = fold(RunState(), event)
    assert remarks(event, state) == ["stage: weights (97.0 MB)"]
    assert progress(state) == "weights: 0 bytes of 97.0 MB"


def test_names_are_known_or_refused_with_the_nearest() -> None:
    check_known([*CHECKS, *PARTS], "preflight.skip")
    check_known(["few_photos", "files", "plan_disk"], "preflight.accept", ACCEPTABLE)
    with pytest.raises(UsageError):
        check_known(["few_photos"], "preflight.skip")
    with pytest.raises(UsageError) as caught:
        check_known(["labels", "gradient\x1b"], "preflight.accept")
    assert "preflight.accept" in caught.value.what
    assert "\x1b" not in caught.value.what
    assert "gradients" in caught.value.remedy
    with pytest.raises(UsageError) as caught:
        check_known(["zzz"], "preflight.skip")
    assert caught.value.remedy == "correct or remove it"


def test_summaries_are_checks_too() -> None:
    assert SUMMARIES.keys() <= CHECKS.keys()
    assert not {*PARTS} & CHECKS.keys()
