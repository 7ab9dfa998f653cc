"""Number format and memory layout are measured once, apart from the run, and kept with it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ecotui.commands import StopRun, append_command
from ecotui.config import ComputeConfig
from ecotui.config_file import parse_file
from ecotui.engine.assembly import Parts
from ecotui.engine.compute import Compute
from ecotui.engine.planning import formats
from ecotui.engine.planning.budget import Budget
from ecotui.engine.planning.format_cache import keep, recall
from ecotui.engine.planning.format_choice import TOLERANCE
from ecotui.engine.planning.format_trial import PLAIN, Format, Trial, try_format, without_dropout
from ecotui.engine.planning.formats import choose_formats, open_formats
from ecotui.errors import ExitCode
from ecotui.events import ConfigChanged, Event, LogWritten, RunStarted, StageStarted
from ecotui.paths import user_cache
from ecotui.resolved_config import ResolvedTrain
from tests.engine.harness import Harness, final_weights, of, same
from tests.engine.planning.assembled import assembled, everything_of, same_everything
from tests.engine.planning.made_up_formats import code_of

AUTO = ComputeConfig()


@pytest.fixture
def _pays(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Have even a run of seconds measured, and the cache of each test empty."""
    monkeypatch.setattr(formats, "WORTH_FRACTION", math.inf)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda name: monkeypatch.setattr(formats, "_CODE", code_of(name))


def measured(parts: Parts, name: str, seconds: float = 120.0) -> str:
    wish = open_formats(parts, AUTO)
    assert wish is not None
    return choose_formats(parts, wish, Budget(seconds, lambda: None), code=code_of(name))


def notes_of(events: list[Event]) -> list[str]:
    said = [event.message for event in of(LogWritten, events)]
    return [each for each in said if each.startswith("compute.precision = ")]


@pytest.mark.usefixtures("_pays")
def test_the_child_finds_the_engine_wherever_it_lies(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(formats.__file__).resolve().parents[3]
    elsewhere = [each for each in sys.path if each and Path(each).resolve() != root]
    monkeypatch.setattr(sys, "path", elsewhere)
    assert "3 times the plain speed" in measured(assembled(harness), "all_run")


@pytest.mark.usefixtures("_pays")
def test_the_winner_is_put_into_the_run_and_leaves_no_other_trace(harness: Harness) -> None:
    parts = assembled(harness, train={"ema": True})
    before = everything_of(parts)
    note = measured(parts, "all_run")
    assert "bf16, compute.channels_last = true: 3 times the plain speed" in note
    assert (parts.compute.precision, parts.compute.channels_last) == ("bf16", True)
    assert (parts.config.compute.precision, parts.config.compute.channels_last) == ("bf16", True)
    assert same_everything(before, everything_of(parts))
    for network in (parts.trainable.network, parts.judged):
        weight = next(
            each for each in network.parameters() if each.dim() == 4 and each.shape[1] > 1
        )
        assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("_pays")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("bf16_aborts", "bf16: its process crashed (SIGABRT)"),
        ("bf16_raises", "bf16: RuntimeError: no kernel for"),
        ("bf16_computes_nonsense", "bf16: a loss of 3 where plain fp32 has 2.3"),
    ],
)
def test_a_format_that_crashes_raises_or_computes_nonsense_is_left_out(
    harness: Harness, name: str, why: str
) -> None:
    parts = assembled(harness)
    note = measured(parts, name)
    assert why in note
    assert "\x1b" not in note
    assert (parts.compute.precision, parts.compute.channels_last) == ("fp32", True)


@pytest.mark.usefixtures("_pays")
def test_a_format_that_hangs_costs_no_more_than_its_share(harness: Harness) -> None:
    parts = assembled(harness)
    budget = Budget(40.0, lambda: None)
    wish = open_formats(parts, AUTO)
    assert wish is not None
    note = choose_formats(parts, wish, budget, code=code_of("bf16_hangs"))
    assert budget.spent_seconds < 30.0
    assert parts.compute.precision == "fp32"
    assert "left out" in note or "1.5 times" in note


@pytest.mark.usefixtures("_pays")
def test_where_the_usual_format_cannot_be_measured_it_stays_and_is_not_remembered(
    harness: Harness,
) -> None:
    parts = assembled(harness)
    assert "could not be compared (fp32: its process crashed" in measured(
        parts, "the_plain_one_aborts"
    )
    assert (parts.compute.precision, parts.compute.channels_last) == ("fp32", False)
    wish = open_formats(parts, AUTO)
    assert wish is not None
    assert wish.known is None


@pytest.mark.usefixtures("_pays")
def test_a_stop_while_measuring_ends_the_process_and_the_wait(harness: Harness) -> None:
    class StopError(Exception):
        pass

    def stop() -> None:
        raise StopError

    parts = assembled(harness)
    wish = open_formats(parts, AUTO)
    assert wish is not None
    with pytest.raises(StopError):
        choose_formats(parts, wish, Budget(60.0, stop), code=code_of("all_run"))
    assert parts.compute.precision == "fp32"


@pytest.mark.usefixtures("_pays")
def test_real_trials_in_their_own_processes_compare_formats(harness: Harness) -> None:
    parts = assembled(harness)
    wish = open_formats(parts, AUTO)
    assert wish is not None
    done: list[int] = []
    note = choose_formats(
        parts, wish, Budget(240.0, lambda: None), lambda: done.append(1), code=formats._CODE
    )
    assert "could not be compared" not in note
    assert len(done) == len(wish.formats) == 5


@pytest.mark.usefixtures("_pays")
def test_a_run_keeps_what_was_measured_and_a_resumption_and_a_repetition_take_it(
    harness: Harness, made_up: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up("all_run")
    run = harness.new()

    def stop(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "validate":
            append_command(run.commands, StopRun(reason="enough"))

    events, code = harness.run(run, stop)
    assert code == ExitCode.RESUMABLE
    assert "choose" in [event.stage for event in of(StageStarted, events)]
    assert of(RunStarted, events)[0].precision == "bf16"
    (note,) = notes_of(events)
    assert "measured in" in note
    assert parse_file(run.config).compute.precision == "auto"
    resolved = parse_file(run.resolved).compute
    assert (resolved.precision, resolved.channels_last) == ("bf16", True)

    monkeypatch.setattr(formats, "open_formats", None)
    monkeypatch.setattr("ecotui.engine.planning.deciding.open_formats", _never)
    events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    assert notes_of(events) == []
    assert of(ConfigChanged, events) == []
    assert of(RunStarted, events)[0].precision == "bf16"
    monkeypatch.undo()

    again = harness.new()
    again.config.write_text(run.resolved.read_text())
    events, code = harness.run(again)
    assert code == ExitCode.DONE
    assert notes_of(events) == []
    assert same(final_weights(run), final_weights(again))


def _never(*_: Any) -> None:
    raise AssertionError("a resumed run is not measured")


@pytest.mark.usefixtures("_pays")
def test_the_second_run_of_the_same_starts_no_process(
    harness: Harness, made_up: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up("all_run")
    first, _ = harness.train(train={"epochs": 1})
    monkeypatch.setattr(formats, "_answers", _never)
    second, others = harness.train(train={"epochs": 1})
    assert "measured before on this machine" in notes_of(others)[0]
    assert "choose" not in [event.stage for event in of(StageStarted, others)]
    assert same(final_weights(first), final_weights(second))


@pytest.mark.usefixtures("_pays")
@pytest.mark.parametrize(
    "sections",
    [
        {"compute": {"precision": "fp32", "channels_last": False}},
        {"preflight": {"skip": ["formats", "augmentation_strength", "overfit", "previews"]}},
        {"preflight": {"level": "off"}},
    ],
)
def test_what_is_given_or_not_wanted_is_not_measured(
    harness: Harness, sections: dict[str, Any]
) -> None:
    config = harness.config(**sections)
    parts = assembled(harness, **sections)
    assert open_formats(parts, config.compute) is None


@pytest.mark.usefixtures("_pays")
def test_a_precision_that_is_given_leaves_the_layout_to_be_measured(harness: Harness) -> None:
    given: dict[str, Any] = {"precision": "bf16"}
    parts = assembled(harness, compute=given)
    wish = open_formats(parts, harness.config(compute=given).compute)
    assert wish is not None
    assert {each.precision for each in wish.formats[1:]} == {"bf16"}


def test_a_run_too_short_to_gain_by_it_is_not_measured(harness: Harness) -> None:
    run, events = harness.train(train={"epochs": 1})
    assert "choose" not in [event.stage for event in of(StageStarted, events)]
    assert notes_of(events) == []
    assert parse_file(run.resolved).compute.precision == "fp32"
    parts = assembled(harness, train={"epochs": 100_000})
    assert open_formats(parts, AUTO) is not None


def test_what_is_cached_is_found_under_the_same_facts_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    facts = {"model": "resnet18", "torch": "2.14"}
    trials = [Trial(PLAIN, 0.1, 2.3, 1.0), Trial(Format("bf16", True), fault="crashed")]
    keep(facts, trials)
    found = recall(facts)
    assert found is not None
    assert found[0] == trials[0]
    assert found[1].fault == "crashed"
    assert recall({**facts, "torch": "2.15"}) is None
    (file,) = (user_cache() / "formats").iterdir()
    for nonsense in (b"", b"{}", b"[1", b'{"facts": {}, "trials": [{"format": ["fp8", 1]}]}'):
        file.write_bytes(nonsense)
        assert recall(facts) is None


def test_a_step_in_bf16_computes_about_the_same(harness: Harness) -> None:
    compute = Compute("cpu", "fp32", False, 1, 0, 4, False)
    seen: list[Trial] = []
    for form in (PLAIN, Format("bf16", True)):
        network = assembled(harness, model={"drop_rate": 0.5}).trainable.network
        seen.append(
            try_format(network, form, compute, ResolvedTrain(), shape=(4, 32, 2), seconds=0.01)
        )
    assert all(each.step_seconds > 0.0 and not each.fault for each in seen)
    assert seen[0].loss != seen[1].loss
    assert seen[1].loss == pytest.approx(seen[0].loss, rel=TOLERANCE)
    assert seen[1].norm == pytest.approx(seen[0].norm, rel=TOLERANCE)


def test_weights_that_a_format_makes_infinite_disqualify_it(harness: Harness) -> None:
    network = assembled(harness).trainable.network
    with torch.no_grad():
        next(network.parameters()).fill_(math.inf)
    compute = Compute("cpu", "fp32", False, 1, 0, 4, False)
    seen = try_format(network, PLAIN, compute, ResolvedTrain(), shape=(4, 32, 2), seconds=0.01)
    assert "not finite" in seen.fault


def test_dropout_is_back_after_the_comparison() -> None:
    network = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Dropout(0.0))
    with without_dropout(network):
        assert [module.p for module in network] == [0.0, 0.0]
    assert [module.p for module in network] == [0.3, 0.0]


def test_no_process_can_be_started_and_the_usual_format_stays(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "WORTH_FRACTION", math.inf)

    def refused(*_: Any, **__: Any) -> None:
        raise OSError("Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    parts = assembled(harness)
    assert "could not be compared" in measured(parts, "all_run")
    assert parts.compute.precision == "fp32"
