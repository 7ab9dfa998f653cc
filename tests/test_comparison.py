"""Runs side by side: the best of each figure, and only the settings that differ."""

from __future__ import annotations

from collections.abc import Callable

from ecotui.comparison import curve_of, figure_rows, read_run, setting_rows, settings_of
from ecotui.paths import RunDir

Recorded = Callable[[str], RunDir]


def test_the_best_of_each_figure_is_marked(recorded: Recorded) -> None:
    runs = [read_run(recorded(name)) for name in ("stopped", "full_run")]
    rows = {row.name: row for row in figure_rows(runs)}
    assert rows["accuracy"].values == ("50.00%", "72.50%")
    assert rows["accuracy"].best == {1}
    assert rows["loss"].best == {1}  # the lowest
    assert rows["ended"].values == ("stopped", "all epochs")
    assert rows["test accuracy"].values == ("-", "70.00%")
    assert not rows["test accuracy"].best


def test_equal_figures_have_no_best(recorded: Recorded) -> None:
    run = read_run(recorded("full_run"))
    assert not any(row.best for row in figure_rows([run, run]))


def test_only_settings_that_differ_are_told_by_dotted_key(recorded: Recorded) -> None:
    first, second = recorded("full_run"), recorded("stopped")
    first.config.write_text('name = "a"\n[train]\nepochs = 3\nlearning_rate = 0.1\n')
    second.resolved.write_text('name = "a"\n[train]\nepochs = 4\nlearning_rate = 0.1\nema = true\n')
    rows = setting_rows([read_run(first), read_run(second)])
    assert [(row.name, row.values) for row in rows] == [
        ("train.epochs", ("3", "4")),
        ("train.ema", ("-", "True")),
    ]


def test_what_cannot_be_read_or_is_secret_is_not_told(recorded: Recorded) -> None:
    run = recorded("full_run")
    run.config.write_text('[notify]\nwebhook = "https://example.org/secret"\n')
    assert "secret" not in settings_of(run)["notify.webhook"]
    run.config.write_bytes(b"\xff")
    assert settings_of(run) == {}


def test_curves_are_over_epochs(recorded: Recorded) -> None:
    run = read_run(recorded("full_run"))
    epochs = [epoch for epoch, _ in curve_of(run, run.state.val_accuracy)]
    assert epochs == [1.0, 2.0, 3.0]
