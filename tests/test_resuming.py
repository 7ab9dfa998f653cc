"""How a run goes on: with which settings, what is advised, and what is refused."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecotui import resuming, session
from ecotui.cli import main
from ecotui.config import RunConfig
from ecotui.config_file import parse_file, to_toml
from ecotui.errors import ExitCode, UsageError
from ecotui.paths import RunDir, list_runs
from ecotui.resume_settings import (
    ALLOWED_KEYS,
    as_settings,
    differences,
    exactness_of,
    flattened,
    is_allowed,
    with_settings,
)

Capture = pytest.CaptureFixture[str]
Recorded = Callable[[str], RunDir]
TESTS = Path(__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


def run_cli(*argv: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return int(str(caught.value.code))


@pytest.fixture
def engine_that(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def choose(how: str) -> None:
        argv = (sys.executable, str(TESTS / "stand_in_engine.py"), how)
        monkeypatch.setattr(session, "ENGINE_ARGV", argv)

    return choose


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.toml").write_text('[data]\nroot = "photos"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settle(run: RunDir, **train: object) -> RunDir:
    """Give a recorded run the settings it had."""
    table = {"data": {"root": "/photos"}, "train": {"epochs": 3, "batch_size": 32, **train}}
    run.resolved.write_text(to_toml(RunConfig.model_validate(table)))
    return run


def passed_on(run: RunDir) -> list[str]:
    argv: list[str] = json.loads((run.path / "argv.json").read_text())
    return [argv[i + 1] for i, word in enumerate(argv) if word == "--set"]


# Settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        "train.epochs=9",
        "train.max_steps=100",
        "train.learning_rate=0.01",
        "train.min_learning_rate=0.0",
        "train.batch_size=8",
        "train.micro_batch_size=2",
        "train.early_stopping_epochs=4",
        "train.target_accuracy=0.9",
        "data.root=/elsewhere",
        "compute.workers=3",
        "compute.device=cpu",
        "checkpoint.keep=5",
        "preflight.level=off",
        'guards.silenced=["nonfinite_loss"]',
    ],
)
def test_what_may_change_is_passed_to_the_engine_as_it_will_read_it(setting: str) -> None:
    before = RunConfig()
    changed = with_settings(before, [setting])
    assert changed != before
    assert with_settings(before, as_settings(before, changed)) == changed
    assert [each.key for each in differences(before, changed)] == [setting.partition("=")[0]]


@pytest.mark.parametrize(
    "setting",
    ["model.name=resnet50", "train.seed=4", "augment.mixup=0.2", "train.optimizer=sgd", "name=x"],
)
def test_what_would_be_another_training_is_refused_by_name(setting: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(RunConfig(), [setting, "train.epochs=30"])
    assert setting.partition("=")[0] in caught.value.what
    assert "train.epochs" in caught.value.expected
    assert "train.epochs" not in caught.value.what


@pytest.mark.parametrize("setting", ["train.epochs=0", "train.epochs", "train.epoch=3", "lr=1"])
def test_a_value_that_is_not_possible_is_told_as_any_other(setting: str) -> None:
    with pytest.raises(UsageError):
        with_settings(RunConfig(), [setting])


def test_a_whole_batch_at_once_stays_so() -> None:
    def micro(batch: int, micro: int, *settings: str) -> object:
        config = RunConfig.model_validate(
            {"train": {"batch_size": batch, "micro_batch_size": micro}}
        )
        return with_settings(config, settings).train.micro_batch_size

    assert micro(32, 32, "train.batch_size=5") == 5
    assert micro(32, 8, "train.batch_size=64") == 8
    assert micro(32, 32, "train.batch_size=64", "train.micro_batch_size=16") == 16


def test_a_setting_that_is_as_it_was_may_be_repeated() -> None:
    config = RunConfig()
    assert with_settings(config, ["model.name=resnet18", "train.seed=0"]) == config


WITHOUT_A_TRACE = ("checkpoint", "preflight", "guards", "watch", "notify")


@given(st.sampled_from(sorted(flattened(RunConfig()))))
def test_every_setting_has_an_exactness_and_a_rule(key: str) -> None:
    change = [type(each)(key, "a", "b") for each in differences(RunConfig(), RunConfig(name="x"))]
    level = exactness_of(change)
    section = key.partition(".")[0]
    if section == "compute":
        assert level == ("E2" if key == "compute.workers" else "E1")
    if section in WITHOUT_A_TRACE:
        assert level == "E2"
    if section == "augment" or key in ("train.batch_size", "train.learning_rate", "train.epochs"):
        assert level == "E0"
    assert is_allowed(key) == (key in ALLOWED_KEYS or section in ("compute", *WITHOUT_A_TRACE))


# Which run, and what is advised ------------------------------------------------------------------


def test_settings_reach_the_engine(
    recorded: Recorded, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("finishes")
    run = settle(recorded("stopped"))
    code = run_cli(
        "resume",
        str(run.path),
        "--headless",
        "--set",
        "train.epochs=5",
        "--set",
        "train.seed=0",
        "--set",
        "compute.workers=2",
    )
    assert code == ExitCode.DONE
    assert passed_on(run) == ["train.epochs=5", "compute.workers=2"]
    assert run_cli("resume", str(run.path), "--headless", "--set", "model.name=x") == 2
    told = capsys.readouterr().err
    assert "model.name cannot be changed on resume" in told


def test_a_finished_run_needs_more_to_do(
    recorded: Recorded, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("finishes")
    run = settle(recorded("clean_run"))
    assert run_cli("resume", str(run.path), "--headless") == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "has finished all it was asked for" in told
    assert f"ecotui resume {run.run_id} --set train.epochs=6" in told
    enough = ("--set", "train.learning_rate=0.001")
    assert run_cli("resume", str(run.path), "--headless", *enough) == ExitCode.USAGE
    assert run_cli("resume", str(run.path), "-q", "--set", "train.epochs=4") == ExitCode.DONE
    assert passed_on(run) == ["train.epochs=4"]


def test_a_run_extended_by_its_settings_goes_on(recorded: Recorded) -> None:
    run = settle(recorded("clean_run"))
    resuming.extend(run, 5)
    assert resuming.plan_for(run).settings == ()
    assert parse_file(run.resolved).train.epochs == 5


def test_a_run_that_stopped_early_names_the_setting_that_keeps_it(recorded: Recorded) -> None:
    run = settle(recorded("early_stopped"), epochs=20, early_stopping_epochs=2)
    with pytest.raises(UsageError) as caught:
        resuming.plan_for(run, ["train.epochs=30"])
    assert "train.early_stopping_epochs=" in caught.value.remedy
    assert resuming.plan_for(run, ["train.early_stopping_epochs=9"]).settings


@pytest.mark.parametrize("name", ["engine_lost", "out_of_memory"])
def test_after_a_death_half_the_micro_batch_is_offered_and_halved_again(
    name: str, recorded: Recorded
) -> None:
    run = recorded("failed" if name == "out_of_memory" else name)
    if name == "out_of_memory":
        log = run.events.read_bytes()
        lines = log.splitlines(keepends=True)
        last = json.loads(lines[-1])
        assert last["kind"] == "run_failed"
        lines[-1] = json.dumps({**last, "exit_code": 6}).encode() + b"\n"
        run.events.write_bytes(b"".join(lines))
    settle(run, batch_size=8, micro_batch_size="auto")
    (sentence,) = resuming.plan_for(run).advice
    assert "--set train.micro_batch_size=4" in sentence
    taken: list[str] = []
    for _ in range(3):
        going = resuming.plan_for(run, smaller=True)
        assert going.advice == ()
        taken += going.settings
        changed = with_settings(parse_file(run.resolved), going.settings)
        run.resolved.write_text(to_toml(changed))
    assert taken == [f"train.micro_batch_size={size}" for size in (4, 2, 1)]
    assert resuming.plan_for(run).advice == ()
    with pytest.raises(UsageError, match="one image already"):
        resuming.plan_for(run, smaller=True)


@pytest.mark.parametrize("name", ["stopped", "failed", "guard_stopped"])
def test_after_any_other_end_nothing_is_offered(name: str, recorded: Recorded) -> None:
    assert resuming.plan_for(settle(recorded(name))).advice == ()


def test_the_offer_is_printed_and_taken_by_a_flag(
    recorded: Recorded, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    engine_that("finishes")
    run = settle(recorded("engine_lost"))
    assert run_cli("resume", str(run.path), "--headless", "--smaller") == ExitCode.DONE
    assert passed_on(run) == ["train.micro_batch_size=16"]
    again = settle(RunDir(run.path), micro_batch_size=16)
    again.events.write_bytes((TESTS / "recordings" / "engine_lost.jsonl").read_bytes())
    capsys.readouterr()
    assert run_cli("resume", str(run.path), "--json") == ExitCode.DONE
    printed = capsys.readouterr()
    assert "--set train.micro_batch_size=8" in printed.err
    assert all(line.startswith('{"kind"') for line in printed.out.splitlines())


# One line for a scheduler ------------------------------------------------------------------------


def test_if_exists_begins_then_goes_on_then_is_done(
    place: Path, engine_that: Callable[[str], None], capsys: Capture
) -> None:
    line = ("resume", "--if-exists", "tiny.toml", "--set", "train.epochs=2")
    engine_that("runs out of time")
    assert run_cli(*line) == ExitCode.RESUMABLE
    (run,) = list_runs(place / "runs")
    assert run_cli(*line) == ExitCode.RESUMABLE
    engine_that("finishes")
    assert run_cli(*line) == ExitCode.DONE
    assert run.events.read_bytes().count(b"engine_started") == 3
    assert [found.run_id for found in list_runs(place / "runs")] == [run.run_id]
    capsys.readouterr()
    assert run_cli(*line) == ExitCode.DONE
    told = capsys.readouterr().err
    assert f"{run.run_id} is finished: nothing to do" in told
    assert f"ecotui resume {run.run_id} --set train.epochs=4" in told
    assert run.events.read_bytes().count(b"engine_started") == 3


@pytest.mark.parametrize("way", ["extend", "set"])
def test_if_exists_goes_on_with_a_finished_run_that_is_given_more_to_do(
    way: str, place: Path, engine_that: Callable[[str], None]
) -> None:
    engine_that("finishes")
    line = ["resume", "--if-exists", "tiny.toml"]
    assert run_cli(*line, "--set", "train.epochs=2") == ExitCode.DONE
    (run,) = list_runs(place / "runs")
    assert resuming.wanting(run) == "train.epochs=4"
    assert resuming.wanting(run, ["train.epochs=2", "data.image_size=999"]) == "train.epochs=4"
    assert resuming.wanting(run, ["train.epochs=9", "train.max_steps=8"]) == "train.max_steps=16"
    if way == "extend":
        assert run_cli("extend", str(run.path), "--epochs", "9") == ExitCode.DONE
        assert resuming.wanting(run) is None
    else:
        line += ["--set", "train.epochs=9"]
    assert run_cli(*line) == ExitCode.DONE
    assert run.events.read_bytes().count(b"engine_started") == 2
    run.resolved.write_text("broken = [")
    assert resuming.wanting(run) == "train.epochs=4"


def test_if_exists_takes_the_newest_run_of_that_name_only(
    place: Path, engine_that: Callable[[str], None]
) -> None:
    engine_that("runs out of time")
    (place / "tiny-2.toml").write_text('[data]\nroot = "photos"\n')
    for config in ("tiny.toml", "tiny-2.toml", "tiny.toml"):
        assert run_cli("-q", config) == ExitCode.RESUMABLE
    runs = [run for run in list_runs(place / "runs") if not run.run_id.startswith("tiny-2-")]
    os.utime(runs[0].config, (2e9, 2e9))
    engine_that("finishes")
    assert run_cli("resume", "--if-exists", "tiny.toml", "-q") == ExitCode.DONE
    attempts = [run.events.read_bytes().count(b"engine_started") for run in runs]
    assert attempts == [2, 1]


@pytest.mark.parametrize(
    "argv",
    [
        ("resume", "latest", "--if-exists", "tiny.toml"),
        ("resume", "--if-exists", "tiny.toml", "--smaller"),
        ("resume", "--if-exists", "nothing"),
        ("resume", "--if-exists", "tiny.toml", "--time-limit", "soon"),
        ("resume", "--if-exists", "tiny.toml", "--requeue"),
        ("resume", "latest", "--requeue"),
        ("tiny.toml", "--detach", "--requeue"),
        ("--headless", "tiny.toml", "--requeue"),
    ],
)
def test_contradicting_flags_are_refused_before_anything_begins(
    argv: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert run_cli(*argv) == ExitCode.USAGE
    assert not (place / "runs").exists()


def test_a_time_limit_reaches_the_engine_as_an_end(
    place: Path, engine_that: Callable[[str], None]
) -> None:
    engine_that("finishes")
    assert run_cli("-q", "tiny.toml", "--time-limit", "1:00:00") == ExitCode.DONE
    (run,) = list_runs(place / "runs")
    argv = json.loads((run.path / "argv.json").read_text())
    ends_at = float(argv[argv.index("--ends-at") + 1])
    assert ends_at - run.config.stat().st_mtime == pytest.approx(3_600.0, abs=30.0)
    asked_at = float(argv[argv.index("--asked-at") + 1])
    assert asked_at == pytest.approx(ends_at - 3_600.0, abs=30.0)


@pytest.mark.parametrize("name", ["batch_size", "learning_rate"])
def test_what_was_measured_once_is_not_measured_again(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(RunConfig(), [f"train.{name}=auto"])
    assert f"train.{name}" in caught.value.what
    before = RunConfig.model_validate({"train": {name: "auto"}})
    assert with_settings(before, ["train.epochs=3"]).train.epochs == 3
