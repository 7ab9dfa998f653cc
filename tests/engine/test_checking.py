"""The jobs that examine and train nothing, in this process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from ecotui.check_register import CHECKS, QUICK_CHECKS
from ecotui.commands import StopRun, append_command
from ecotui.engine import assembly
from ecotui.engine.data.transforms import Transforms, build_transforms
from ecotui.engine.probing import Answer
from ecotui.errors import ExitCode
from ecotui.events import (
    CheckReported,
    Event,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    StageFinished,
    StageStarted,
)
from ecotui.jobs import DiagnoseJob, PreflightJob
from ecotui.plans import PlanProposed
from tests.engine.conftest import Answering
from tests.engine.harness import Harness, of

NO_NUMPY = Answer(None, "RuntimeError: Numpy is not available")


def of_the_wrong_size(*arguments: Any) -> Transforms:
    made = build_transforms(*arguments)

    def shrink(photo: Any) -> torch.Tensor:
        return made.train(photo)[:, :-1]

    return replace(made, train=shrink)


def test_the_diagnose_job_examines_the_environment(harness: Harness) -> None:
    events, code = harness.run(harness.new(DiagnoseJob(runs_path=str(harness.path))))
    assert code == ExitCode.DONE
    assert [check.verdict for check in of(CheckReported, events) if check.check == "timm"] == [
        "pass"
    ]
    assert isinstance(events[-1], RunFinished)
    assert events[-1].why == "job"
    assert not of(RunStarted, events)


@pytest.mark.parametrize("job", [DiagnoseJob(runs_path="/nowhere"), PreflightJob(), None])
def test_a_broken_environment_ends_every_job_before_anything_is_begun(
    harness: Harness, answering: Answering, job: Any
) -> None:
    answering(numpy_torch=NO_NUMPY)
    events, code = harness.run(harness.new(job))
    assert code == ExitCode.ENVIRONMENT
    assert isinstance(events[-1], RunFailed)
    assert events[-1].discard
    assert "NumPy" in events[-1].what
    assert "pip install" in events[-1].remedy
    assert len(of(CheckReported, events)) in (len(CHECKS), len(QUICK_CHECKS))
    assert not of(RunStarted, events)


def test_a_run_may_go_without_being_examined(harness: Harness, answering: Answering) -> None:
    answering(numpy_torch=NO_NUMPY)
    _, events = harness.train(train={"max_steps": 1}, preflight={"level": "off"})
    assert not [check for check in of(CheckReported, events) if check.layer < 4]


@pytest.mark.parametrize(("level", "stages"), [("off", 2), ("quick", 2), ("full", 3)])
def test_the_preflight_job_looks_and_trains_nothing(
    harness: Harness, level: str, stages: int
) -> None:
    run = harness.new(PreflightJob(), preflight={"level": level})
    events, code = harness.run(run)
    assert code == ExitCode.DONE
    (started,) = of(RunStarted, events)
    seen = [stage.stage for stage in of(StageStarted, events)]
    assert seen == ["diagnose", *started.stages]
    assert len(started.stages) == stages
    assert len(of(StageFinished, events)) == len(seen)
    photos = 24 if level == "full" else 14
    said = [check for check in of(CheckReported, events) if check.layer > 1]
    assert [check.what for check in said if not check.part_of][-4:] == [
        "transform validation passed",
        "pre-training sanity check passed",
        f"all {photos} checked images are 32x32",
        "the model takes them and gives 6 x 3, a score for each of 3 classes",
    ]
    # Nothing but the request and the records lies there.
    left = {path.name for path in run.path.iterdir()}
    found = {"audit.json", "previews"} if level == "full" else set()
    # Settings are proposed where measuring finds better ones, as it may on a busy machine.
    (plan,) = of(PlanProposed, events)
    found |= {"plan.toml"} if plan.settings else set()
    assert left == {"config.toml", "job.json", "preflight.json"} | found


@pytest.mark.parametrize("job", [PreflightJob(), None])
def test_transforms_of_the_wrong_size_are_layer_two_and_exit_3(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, job: Any
) -> None:
    monkeypatch.setattr(assembly, "build_transforms", of_the_wrong_size)
    events, code = harness.run(harness.new(job))
    assert code == ExitCode.PREFLIGHT
    (failure,) = [check for check in of(CheckReported, events) if check.verdict == "fail"]
    assert (failure.check, failure.layer) == ("image_size", 2)
    assert isinstance(events[-1], RunFailed)
    assert "(3, 31, 32)" in events[-1].what
    assert not events[-1].discard


def test_an_examination_can_be_stopped(harness: Harness) -> None:
    run = harness.new(PreflightJob())

    def ask(event: Event) -> None:
        if isinstance(event, CheckReported) and not run.commands.exists():
            append_command(run.commands, StopRun(reason="enough"))

    events, code = harness.run(run, ask)
    assert code == ExitCode.RESUMABLE
    assert isinstance(events[-1], RunStopped)
