"""What a plan proposes is printed so that it can be applied: as TOML, and as flags."""

from __future__ import annotations

import tomllib

from ecotui.config_file import settings_layer
from ecotui.foresight_text import as_flags, foresight_lines, settings_lines
from ecotui.plans import PlanProposed

SETTINGS = '[compute]\nworkers = 4\n\n[train]\nbatch_size = 64\noptimizer = "sgd"\n'


def plan(settings: str = SETTINGS) -> PlanProposed:
    return PlanProposed(
        batch_size=32,
        micro_batch_size=32,
        workers=1,
        learning_rate=1e-3,
        peak_memory_bytes=2_000_000_000,
        memory_limit_bytes=4_000_000_000,
        margin_fraction=0.1,
        images_per_second=50.0,
        bottleneck="data",
        epoch_seconds=60.0,
        run_seconds=1_200.0,
        checkpoint_bytes=1_000_000,
        disk_needed_bytes=5_000_000,
        disk_free_bytes=9_000_000,
        settings=settings,
        notes=("reading is slow",),
    )


def test_the_fragment_is_toml_after_its_heading() -> None:
    lines = settings_lines(plan())
    assert tomllib.loads("\n".join(lines)) == tomllib.loads(SETTINGS)


def test_the_flags_mean_what_the_fragment_says() -> None:
    (line,) = [line for line in foresight_lines(plan()) if "--set" in line]
    flags = line.partition(": ")[2].partition(": ")[2].replace('"', "").split("--set ")[1:]
    layer = settings_layer([flag.strip() for flag in flags])
    assert layer.table == tomllib.loads(SETTINGS)


def test_a_plan_without_better_settings_proposes_none() -> None:
    assert settings_lines(plan("")) == settings_lines(None) == []
    assert not any("--set" in line for line in foresight_lines(plan("")))


def test_settings_that_are_none_break_nothing() -> None:
    assert as_flags("not = [toml") == as_flags("lone = 1") == ""
    assert "\x1b" not in "".join(settings_lines(plan("\x1b[2J = 1\n")))
