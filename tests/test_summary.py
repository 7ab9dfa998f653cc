from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from ecotui.errors import ExitCode
from ecotui.events import (
    BestCheckpointChanged,
    ClassScore,
    EngineLost,
    RunFailed,
    RunFinished,
    RunStopped,
    ValidationFinished,
)
from ecotui.paths import RunDir
from ecotui.state import Ending, RunState, fold
from ecotui.summary import as_error, exit_code, summary_lines

RUN = RunDir(Path("/runs/one"))


def finished(**changes: object) -> RunFinished:
    known = {
        "why": "epochs",
        "epochs_done": 20,
        "epochs_planned": 20,
        "step": 200,
        "best_checkpoint": None,
        "seconds": 61.0,
    }
    return RunFinished.model_validate(known | changes)


def failed(code: int, *, discard: bool = False) -> RunFailed:
    return RunFailed(
        what="w\x1b", expected="e", remedy="r", exit_code=code, checkpoint=None, discard=discard
    )


def validation(names: list[str], num_classes: int | None = None) -> ValidationFinished:
    return ValidationFinished(
        split="val",
        epoch=1,
        step=1,
        num_images=9,
        loss=1.0,
        accuracy=0.5,
        accuracy_top5=1.0,
        macro_f1=0.5,
        per_class=tuple(
            ClassScore(name=name, precision=0.5, recall=0.5, f1=index / 1_000, support=3)
            for index, name in enumerate(reversed(names))
        ),
        num_classes=num_classes or len(names),
        file="evaluations/epoch-000001.json",
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (finished(), ExitCode.DONE),
        (RunStopped(reason="r", epoch=1, step=1, checkpoint=None), ExitCode.RESUMABLE),
        (failed(4), ExitCode.HEALTH),
        (failed(5), ExitCode.ENVIRONMENT),
        (failed(6), ExitCode.OUT_OF_MEMORY),
        (failed(99), ExitCode.ERROR),
        (EngineLost(last_words=(), checkpoint=None), ExitCode.ERROR),
        (None, ExitCode.ERROR),
    ],
)
def test_every_ending_has_its_exit_code(ending: Ending | None, code: ExitCode) -> None:
    assert exit_code(ending) == code


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "all 20 epochs after 1 min 01 s"),
        ({"why": "early_stopping", "epochs_done": 15}, "early stopping at 15 of 20 epochs after"),
        ({"why": "max_steps", "epochs_done": 3}, "step limit 200 reached in epoch 3 of 20 after"),
    ],
)
def test_why_it_ended_is_said_in_words(changes: dict[str, object], words: str) -> None:
    first = summary_lines(fold(RunState(), finished(**changes)), RUN)[0]
    assert first.startswith(f"training completed: {words}")


def test_many_classes_are_cut_to_the_weakest_and_counted() -> None:
    names = [f"class {index:03d}" for index in range(100)]
    state = fold(fold(RunState(), validation(names, num_classes=250)), finished())
    lines = summary_lines(state, RUN)
    rows = [line for line in lines if line.startswith("  class 0")]
    assert len(rows) == 30
    assert "class 099" in rows[0]
    assert "class 070" in rows[-1]
    assert any("220 more classes not shown: evaluations/" in line for line in lines)


def test_wide_long_and_hostile_names_keep_the_columns() -> None:
    names = ["[/]", "a\x1b[31m", "x" * 90, "段ボール箱", "newline\nname"]
    lines = summary_lines(fold(fold(RunState(), validation(names)), finished()), RUN)
    table = lines[lines.index("validation of epoch 1, class by class:") + 1 :][:6]
    assert {cell_len(line) for line in table} == {cell_len(table[0])}
    assert cell_len(table[0]) <= 80
    assert "\x1b" not in "".join(lines)


def test_a_best_by_another_metric_says_so() -> None:
    best = BestCheckpointChanged(
        path="checkpoints/b", epoch=2, step=1, metric="loss", value=1, accuracy=0.5, macro_f1=0.4
    )
    lines = summary_lines(fold(fold(RunState(), best), finished()), RUN)
    assert "best validation accuracy 50.00%, macro F1 0.4000 (epoch 2, chosen by loss)" in lines
    assert "best checkpoint: /runs/one/checkpoints/b" in lines


def test_a_failure_is_three_lines_and_the_log() -> None:
    lines = summary_lines(fold(RunState(), failed(1)), RUN)
    assert lines == [
        "error: w\\e",
        "expected: e",
        "to fix: r",
        "to examine the environment: ecotui doctor",
        "log: /runs/one/engine.log",
        "more: docs/troubleshooting.md#exit-code-1",
    ]
    gone = summary_lines(fold(RunState(), failed(2, discard=True)), RUN)
    assert gone == lines[:3]


@pytest.mark.parametrize(
    ("code", "helps"), [(1, True), (3, False), (4, False), (5, True), (6, True)]
)
def test_the_doctor_is_named_where_it_helps(code: int, helps: bool) -> None:
    lines = summary_lines(fold(RunState(), failed(code)), RUN)
    assert ("to examine the environment: ecotui doctor" in lines) == helps
    assert lines[-1] == f"more: docs/troubleshooting.md#exit-code-{code}"
    assert "log: /runs/one/engine.log" in lines


def test_a_lost_engine_ends_with_the_log_and_the_page() -> None:
    lost = EngineLost(last_words=("killed",), checkpoint=None)
    lines = summary_lines(fold(RunState(), lost), RUN)
    assert lines[-3:] == [
        "to examine the environment: ecotui doctor",
        "log: /runs/one/engine.log",
        "more: docs/troubleshooting.md#exit-code-1",
    ]


def test_an_unhappy_end_becomes_the_error_of_who_waited() -> None:
    error = as_error(fold(RunState(), failed(5)))
    assert (error.what, error.exit_code) == ("w\\e", ExitCode.ENVIRONMENT)
    assert error.more == (
        "to examine the environment: ecotui doctor",
        "more: docs/troubleshooting.md#exit-code-5",
    )
    lost = as_error(fold(RunState(), EngineLost(last_words=("a", "b"), checkpoint=None)))
    assert (lost.what, lost.exit_code) == ("the engine is gone: b", ExitCode.ERROR)


def test_a_stop_before_any_training_says_that_nothing_was_saved() -> None:
    stop = RunStopped(reason="asked", epoch=0, step=0, checkpoint=None)
    lines = summary_lines(fold(RunState(), stop), RUN)
    assert "nothing had been trained yet, so no checkpoint was saved" in lines
    assert summary_lines(RunState(), RUN) == ["run one has not ended"]
