"""Rollbacks, memory that runs out, samples set aside, and what of it survives a death."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ecotui.commands import MeasureNorms, append_command
from ecotui.config_file import parse_file
from ecotui.engine import checkpoint, evaluate, loss, step
from ecotui.engine.data import dataset
from ecotui.engine.host_copy import HostCopy
from ecotui.engine.manifest import read_manifest
from ecotui.engine.soundness import Soundness, weights_digest
from ecotui.engine.superseding import clear_superseded, superseded
from ecotui.errors import ExitCode
from ecotui.events import (
    BestCheckpointChanged,
    CheckpointSaved,
    CommandAnswered,
    ConfigChanged,
    EpochFinished,
    Event,
    GuardTripped,
    LogWritten,
    RunFailed,
    RunFinished,
    RunResumed,
    SampleSetAside,
    StepsTaken,
    ValidationFinished,
)
from ecotui.healing import IncidentRecorded, RunRolledBack
from tests.engine.harness import Harness, final_weights, of, same
from tests.engine.injector import (
    INF,
    NAN,
    OUT_OF_MEMORY,
    Injector,
    average,
    failing_backward,
    failing_update,
    in_evaluation,
    loss_of,
    marked_sample,
    moment,
    raising,
)

QUIET: dict[str, Any] = {"preflight": {"level": "off"}}
LENIENT: dict[str, Any] = {"max_lost_fraction": 0.99, "warn_lost_fraction": 0.99}


def settings(**sections: dict[str, Any]) -> dict[str, Any]:
    return {**QUIET, "guards": LENIENT, **sections}


def always(patch: pytest.MonkeyPatch, is_bad: Callable[[int], bool] = lambda _: True) -> list[int]:
    """Make the loss NaN in every step of a kind; returns the steps that were tried."""
    tried: list[int] = []
    real, measure = loss.Objective.summed, step.Stepper.measure

    def watched(self: Any, batch: Any, number: int) -> Any:
        tried.append(number)
        return measure(self, batch, number)

    def summed(self: Any, *arguments: Any) -> Any:
        is_training = torch.is_grad_enabled()
        return real(self, *arguments) * (NAN if is_training and is_bad(tried[-1]) else 1.0)

    patch.setattr(step.Stepper, "measure", watched)
    patch.setattr(loss.Objective, "summed", summed)
    return tried


class TestRollback:
    def test_it_goes_back_to_memory_and_passes_the_bad_batches_over(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried = always(monkeypatch, lambda number: number in (5, 6, 7))
        # Nothing is on the disk before the first epoch is done.
        told = settings(train={"epochs": 1, "batch_size": 2}, guards=LENIENT)
        run, events = harness.train(**told)
        (back,) = of(RunRolledBack, events)
        assert (back.from_step, back.to_step, back.source) == (7, 0, "memory")
        assert (back.num_rollbacks, back.rollbacks_left, back.learning_rate_factor) == (1, 2, 1.0)
        assert back.num_skipped_batches == 3
        assert tried == [*range(8), *range(5), 8]
        assert of(RunFinished, events)[0].step == 9
        actions = [trip.action for trip in of(GuardTripped, events) if trip.layer == 5]
        assert actions == ["skip_batch", "skip_batch", "rollback"]
        assert all(torch.isfinite(each).all() for each in final_weights(run).values())

    def test_it_goes_back_to_the_disk_where_memory_holds_nothing(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(HostCopy, "take", _no_room)
        always(monkeypatch, lambda number: number in (5, 6, 7))
        run, events = harness.train(**settings(train={"epochs": 3}))
        (back,) = of(RunRolledBack, events)
        assert (back.to_step, back.epoch, back.source) == (4, 1, "disk")
        again = [each.epoch for each in of(EpochFinished, events)]
        assert again == [1, 2, 3]
        rows = run.metrics.read_text().splitlines()
        assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3"]

    def test_without_any_sound_state_it_stops(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(HostCopy, "take", _no_room)
        always(monkeypatch, lambda number: number in (0, 1, 2))
        events, code = harness.run(harness.new(**settings()))
        assert code == ExitCode.HEALTH
        assert "no sound state" in of(RunFailed, events)[0].what

    def test_the_learning_rate_is_halved_from_the_second_time_on(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        always(monkeypatch, lambda number: number in (1, 2, 3, 5, 6, 7, 9, 10, 11))
        train = {"epochs": 2, "batch_size": 2, "scheduler": "none", "learning_rate": 1e-3}
        run, events = harness.train(**settings(train=train))
        backs = of(RunRolledBack, events)
        assert [back.learning_rate_factor for back in backs] == [1.0, 0.5, 0.25]
        assert [back.rollbacks_left for back in backs] == [2, 1, 0]
        assert of(StepsTaken, events)[-1].learning_rate == pytest.approx(0.25e-3)
        facts = json.loads(
            next(iter(checkpoint.list_steps(run.checkpoints))).joinpath("loop.json").read_text()
        )
        assert facts["loop"]["num_rollbacks"] == 3

    def test_a_data_set_that_is_always_nan_ends_within_the_budget(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tried = always(monkeypatch)
        run = harness.new(**settings(train={"epochs": 9, "batch_size": 2}))
        events, code = harness.run(run)
        assert code == ExitCode.HEALTH
        assert len(of(RunRolledBack, events)) == 3
        failed = of(RunFailed, events)[0]
        assert "after 3 rollbacks" in failed.what
        assert "train.learning_rate" in failed.remedy
        assert len(tried) == 12
        assert len(list(run.incidents.glob("*.json"))) == len(of(IncidentRecorded, events)) > 0

    def test_a_loss_that_jumps_and_stays_up_leads_back(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, where = step.Stepper.measure, {"step": 0}

        def measure(self: Any, batch: Any, number: int) -> Any:
            where["step"] = number
            measured = real(self, batch, number)
            if where["step"] in range(70, 95) and not where.get("over"):
                measured[0] = 50.0
            return measured

        monkeypatch.setattr(step.Stepper, "measure", measure)
        train = {"epochs": 12, "batch_size": 2}
        hook = lambda event: where.update(over=1) if isinstance(event, RunRolledBack) else None  # noqa: E731
        run = harness.new(**settings(train=train, guards={**LENIENT, "rollback_steps": 30}))
        events, code = harness.run(run, hook)
        assert code == ExitCode.DONE
        (back,) = of(RunRolledBack, events)
        assert (back.guard, back.from_step) == ("loss_spike", 89)
        assert back.to_step <= 40
        assert back.num_skipped_batches >= 20

    def test_a_poisoned_best_can_not_latch(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every photo of the first validation would be recognised, with scores of NaN."""
        real: Any = evaluate._score
        spoilt = {"left": 1}

        def score(network: Any, images: Any, labels: Any, *rest: Any) -> Any:
            found = real(network, images, labels, *rest)
            if spoilt["left"]:
                spoilt["left"] -= 1
                figures = torch.tensor([NAN, float(labels.numel())])
                num_classes = rest[-1]
                return evaluate._Scores(labels * (num_classes + 1), figures, found.sample_ids)
            return found

        monkeypatch.setattr(evaluate, "_score", score)
        _, events = harness.train(**settings())
        assert len(of(RunRolledBack, events)) == 1
        bests = of(BestCheckpointChanged, events)
        values = {each.accuracy for each in of(ValidationFinished, events) if each.loss is not None}
        assert bests
        assert {each.accuracy for each in bests} <= values

    def test_a_broken_state_that_is_only_seen_when_it_is_saved_is_gone_back_from(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ecotui.engine.protection import Protection

        moment(NAN)(Injector(monkeypatch, at=7))
        monkeypatch.setattr(Protection, "judge_state", lambda self: None)
        run, events = harness.train(**settings())
        assert [back.guard for back in of(RunRolledBack, events)] == ["nonfinite_state"]
        for path in checkpoint.list_steps(run.checkpoints):
            assert read_manifest(path).facts["finite"] is True

    def test_a_broken_target_gives_way_to_another_one(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The copy in memory is spoilt by faulty memory; what is on the disk is taken."""
        take = HostCopy.take

        def spoilt(self: HostCopy, captured: Any, number: int) -> Any:
            taken = take(self, captured, number)
            next(iter(taken["model.safetensors"].values())).view(-1)[0] = NAN
            return taken

        monkeypatch.setattr(HostCopy, "take", spoilt)
        always(monkeypatch, lambda number: number in (5, 6, 7))
        run, events = harness.train(**settings(train={"epochs": 3}))
        (back,) = of(RunRolledBack, events)
        assert (back.source, back.to_step) == ("disk", 4)
        assert all(torch.isfinite(each).all() for each in final_weights(run).values())

    def test_when_it_is_told_no_state_of_a_later_step_stands(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        always(monkeypatch, lambda number: number in (9, 10, 11))
        told = settings(train={"epochs": 3}, checkpoint={"interval_seconds": 1e-6, "keep": 50})
        run = harness.new(**told)
        steps: list[int] = []

        def look(event: Event) -> None:
            if isinstance(event, RunRolledBack):
                steps.extend(map(checkpoint.step_of, checkpoint.list_steps(run.checkpoints)))

        events, _ = harness.run(run, look)
        (back,) = of(RunRolledBack, events)
        assert steps
        assert max(steps) == back.to_step

    def test_a_spike_that_is_interrupted_begins_anew(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = step.Stepper.measure

        def measure(self: Any, batch: Any, number: int) -> Any:
            measured = real(self, batch, number)
            if 60 <= number < 75 or 76 <= number < 91:
                measured[0] = 50.0
            return measured

        monkeypatch.setattr(step.Stepper, "measure", measure)
        _, events = harness.train(**settings(train={"epochs": 12, "batch_size": 2}))
        assert of(RunRolledBack, events) == []

    def test_the_state_is_looked_at_every_hundred_steps_and_no_later(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        average(NAN)(Injector(monkeypatch, at=1))
        guards = {**LENIENT, "check_state_every_steps": 3}
        train = {"epochs": 1, "batch_size": 2, "ema": True}
        _, events = harness.train(**settings(train=train, guards=guards))
        (trip,) = [each for each in of(GuardTripped, events) if each.guard == "nonfinite_state"]
        assert trip.step == 3
        assert "average of" in trip.what

    def test_the_copy_in_memory_stays_while_a_run_is_thrown_off(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A save that is asked for in the middle of it waits for the disk instead."""
        from ecotui.engine.saving import Saver

        taken: list[int] = []
        take = HostCopy.take

        def noted(self: HostCopy, captured: Any, number: int) -> Any:
            taken.append(number)
            return take(self, captured, number)

        monkeypatch.setattr(HostCopy, "take", noted)
        monkeypatch.setattr(Saver, "is_due", lambda self: self._background.wait() is None)
        always(monkeypatch, lambda number: number in (5, 6))
        told = {"keep": 50, "background": True}
        _, events = harness.train(**settings(checkpoint=told, train={"epochs": 1, "batch_size": 2}))
        saved = {each.step for each in of(CheckpointSaved, events)}
        assert saved >= {6, 7}
        assert 0 in taken
        assert not {6, 7} & set(taken)

    def test_scores_that_are_not_finite_beside_a_finite_loss_break_a_validation(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def hide(logits_BK: torch.Tensor) -> torch.Tensor:
            hidden = logits_BK.clone()
            hidden[:, -1] = -INF  # no photo of that class is in the first batch
            return hidden

        in_evaluation(hide)(Injector(monkeypatch, at=0))
        _, events = harness.train(**settings())
        assert [back.guard for back in of(RunRolledBack, events)] == ["nonfinite_validation_loss"]


def _no_room(*_: Any) -> Any:
    raise MemoryError


class TestMemory:
    @pytest.mark.parametrize("fault", [raising, failing_backward])
    def test_a_step_tried_again_is_one_of_smaller_parts_from_the_start(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, fault: Any
    ) -> None:
        """With dropout: the random numbers are those of the step that failed."""
        model = {"name": "test_vit", "drop_rate": 0.3}
        train = {"epochs": 1, "micro_batch_size": 2}
        small, _ = harness.train(**settings(model=model, train=train))
        with monkeypatch.context() as patch:
            fault(RuntimeError(OUT_OF_MEMORY))(Injector(patch, at=0))
            run, events = harness.train(**settings(model=model, train={"epochs": 1}))
        assert same(final_weights(small), final_weights(run))
        (changed,) = of(ConfigChanged, events)
        assert (changed.key, changed.old, changed.new) == ("train.micro_batch_size", "4", "2")
        assert "memory" in changed.why
        assert parse_file(run.resolved).train.micro_batch_size == 2
        (newest, *_) = checkpoint.list_steps(run.checkpoints)
        assert read_manifest(newest).facts["exactness"] == "E1"
        assert of(RunFinished, events)[0].step == 4

    def test_it_goes_down_to_one_and_then_ends_with_its_code(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raising(RuntimeError(OUT_OF_MEMORY))(Injector(monkeypatch, at=0, times=99))
        run = harness.new(**settings(model={"name": "test_vit"}))
        events, code = harness.run(run)
        assert code == ExitCode.OUT_OF_MEMORY
        assert [each.new for each in of(ConfigChanged, events)] == ["2", "1"]
        assert [trip.action for trip in of(GuardTripped, events)] == [
            "shrink_micro_batch",
            "shrink_micro_batch",
            "stop",
        ]

    def test_more_images_at_once_are_tried_again_once(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guards = {**LENIENT, "grow_after_steps": 3}
        raising(RuntimeError(OUT_OF_MEMORY))(Injector(monkeypatch, at=0))
        _, events = harness.train(**settings(guards=guards))
        changes = of(ConfigChanged, events)
        assert [(each.new, each.step) for each in changes] == [("2", 0), ("4", 2)]

    def test_where_that_fails_it_stays_small(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = step.Stepper.measure

        def measure(self: Any, batch: Any, number: int) -> Any:
            if self._parts.compute.micro_batch_size > 2:
                raise RuntimeError(OUT_OF_MEMORY)
            return real(self, batch, number)

        monkeypatch.setattr(step.Stepper, "measure", measure)
        guards = {**LENIENT, "grow_after_steps": 2}
        _, events = harness.train(**settings(train={"epochs": 3}, guards=guards))
        assert [each.new for each in of(ConfigChanged, events)] == ["2", "4", "2"]

    def test_an_update_that_ran_out_of_it_is_undone_whole(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        train = {"epochs": 1, "micro_batch_size": 2}
        model = {"name": "test_vit"}
        small, _ = harness.train(**settings(model=model, train=train))
        with monkeypatch.context() as patch:
            failing_update(RuntimeError(OUT_OF_MEMORY))(Injector(patch, at=0))
            run, events = harness.train(**settings(model=model, train={"epochs": 1}))
        (back,) = of(RunRolledBack, events)
        assert (back.num_rollbacks, back.num_skipped_batches) == (0, 0)
        assert same(final_weights(small), final_weights(run))

    def test_an_evaluation_goes_on_with_fewer_images_and_the_same_result(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, quiet = harness.train(**settings())

        def explode(_: Any) -> Any:
            raise RuntimeError(OUT_OF_MEMORY)

        in_evaluation(explode)(Injector(monkeypatch, at=0, times=2))
        _, events = harness.train(**settings())
        told = [[each.accuracy for each in of(ValidationFinished, run)] for run in (quiet, events)]
        assert told[0] == told[1]
        whats = [trip.what for trip in of(GuardTripped, events) if trip.guard == "out_of_memory"]
        assert ["going on with 2" in whats[0], "going on with 1" in whats[1]] == [True, True]


class TestSetAside:
    def broken(self, root: Path, every: int) -> set[str]:
        found = sorted(root.rglob("*.png"))[::every]
        for path in found:
            path.write_bytes(path.read_bytes()[:60])
        return {str(path.relative_to(root)) for path in found}

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_batch_keeps_its_size_whatever_the_workers(
        self, harness: Harness, tmp_path: Path, workers: int
    ) -> None:
        root = two_shades(tmp_path / "shades")
        wanted = self.broken(root, 33)
        sizes: list[int] = []
        run, events = harness.train(
            **settings(data={"root": str(root)}, compute={"workers": workers})
        )
        sizes = [each.step_in_epoch for each in of(StepsTaken, events)]
        assert sizes
        assert {each.path for each in of(SampleSetAside, events)} == wanted
        digests = [each.weights_digest for each in of(EpochFinished, events)]
        other, _ = harness.train(**settings(data={"root": str(root)}))
        assert same(final_weights(run), final_weights(other))
        assert all(digests)

    def test_the_replacement_is_a_function_of_seed_epoch_and_sample(self, tmp_path: Path) -> None:
        made = shades_dataset(tmp_path, replaces=True)
        first = made.replacement(0, 3)
        again, later = made.replacement(0, 3), made.replacement(1, 3)
        assert first is not None
        assert again is not None
        assert later is not None
        assert first.sample_id == again.sample_id != 3
        assert torch.equal(first.image_CHW, again.image_CHW)
        others = {getattr(made.replacement(epoch, 3), "sample_id", 3) for epoch in range(8)}
        assert len(others) > 2
        assert made._index.labels[list(others)].tolist() == [made._index.labels[3]] * len(others)

    def test_a_replacement_that_fails_too_gives_way_to_another_one(self, tmp_path: Path) -> None:
        made = shades_dataset(tmp_path, replaces=True)
        first = made.replacement(0, 3)
        assert first is not None
        made.leave_out(first.sample_id, "out")
        second = made.replacement(0, 3)
        assert second is not None
        assert second.sample_id not in (3, first.sample_id)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda image: image * NAN, "not finite"),
            (lambda image: image * 1e9, "out of all proportion"),
            (lambda image: image[:, :-1], "shape"),
            (lambda image: image.double(), "float64"),
        ],
    )
    def test_what_the_transforms_spoil_is_a_failure_with_its_reason(
        self, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], said: str
    ) -> None:
        made = shades_dataset(tmp_path, change=change)
        found = made[(0, 1)]
        assert isinstance(found, dataset.Failure)
        assert said in found.reason

    def test_a_sample_that_breaks_every_pass_is_kept_out_until_it_is_wanted_back(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            marked_sample(lambda output: output * NAN)(Injector(patch, at=1))
            run, events = harness.train(**settings(train={"epochs": 3}))
        (incident,) = of(IncidentRecorded, events)
        assert (incident.cause, len(incident.files)) == ("data", 1)
        record = json.loads((run.path / incident.file).read_text())
        assert [each["file"] for each in record["samples"] if each["fails_alone"]] == list(
            incident.files
        )
        assert record["as_is"]["loss"] == "nan"
        assert record["as_is"]["gradient_norms"]
        assert record["as_is"]["activations"]
        assert len(record["last_steps"]) == 2
        lines = [json.loads(line) for line in run.quarantine.read_text().splitlines()]
        assert [(line["path"], line["kept_out"]) for line in lines] == [(incident.files[0], True)]
        assert [trip for trip in of(GuardTripped, events) if trip.action == "skip_batch"] == []

        def kept_out() -> list[int]:
            (newest, *_) = checkpoint.list_steps(run.checkpoints)
            loop = json.loads((newest / "loop.json").read_text())["loop"]
            found: list[int] = loop["quarantined"]
            return found

        assert len(kept_out()) == 1
        harness.run(run, attempt=2, settings=("train.epochs=4",))
        assert len(kept_out()) == 1
        with run.quarantine.open("a") as file:
            file.write(json.dumps({"path": incident.files[0], "returned": True}) + "\n")
        harness.run(run, attempt=3, settings=("train.epochs=5",))
        assert kept_out() == []


class TestIncidents:
    def test_looking_into_a_passing_fault_leaves_no_trace(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With dropout and BatchNorm, which running the batch again draws from and changes."""
        weights = []
        causes: list[str] = []
        for count in (0, 5):
            with monkeypatch.context() as patch:
                loss_of(NAN)(Injector(patch, at=2))
                run, events = harness.train(
                    **settings(model={"drop_rate": 0.3}, guards={**LENIENT, "max_incidents": count})
                )
            weights.append(final_weights(run))
            causes += [each.cause for each in of(IncidentRecorded, events)]
        assert causes == ["hardware"]
        assert same(*weights)

    def test_they_are_bounded_in_number(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        always(monkeypatch, lambda number: number % 2 == 0)
        guards = {**LENIENT, "max_incidents": 2, "max_nonfinite_fraction": 1.0}
        run, events = harness.train(**settings(guards=guards))
        assert len(of(IncidentRecorded, events)) == 2
        assert len(list(run.incidents.glob("*.json"))) == 2

    def test_a_fault_of_every_sample_is_the_models(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        always(monkeypatch, lambda number: number == 2)
        _, events = harness.train(**settings())
        (incident,) = of(IncidentRecorded, events)
        assert incident.cause == "model"
        assert len(incident.files) == 4

    def test_what_fp32_cures_is_precision(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = loss.Objective.summed
        steps = {"tried": 0}

        def summed(self: Any, logits_BK: Any, targets: Any) -> Any:
            steps["tried"] += 1
            is_half = logits_BK.dtype == torch.bfloat16 and steps["tried"] >= 3
            is_half = is_half and steps["tried"] < 30 and torch.is_grad_enabled()
            return real(self, logits_BK, targets) * (
                NAN if is_half and steps["tried"] <= 4 else 1.0
            )

        monkeypatch.setattr(loss.Objective, "summed", summed)
        _, events = harness.train(**settings(compute={"precision": "bf16"}, train={"epochs": 1}))
        (incident,) = of(IncidentRecorded, events)
        assert incident.cause == "precision"
        assert "fp32" in incident.advice


def test_a_model_with_batchnorm_is_sound_after_a_batch_of_nan(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of NaN through BatchNorm: without the running statistics put back, every evaluation
    that follows is NaN."""
    real, calls = step.Stepper.measure, []

    def poisoned(self: Any, batch: Any, number: int) -> Any:
        calls.append(number)
        if number == 2:
            batch = type(batch)(batch.images_BCHW * NAN, batch.labels_B, batch.sample_ids, ())
        return real(self, batch, number)

    monkeypatch.setattr(step.Stepper, "measure", poisoned)
    run, events = harness.train(**settings())
    assert of(RunRolledBack, events) == []
    assert all(each.loss is not None for each in of(ValidationFinished, events))
    assert all(torch.isfinite(each).all() for each in final_weights(run).values())


@pytest.mark.parametrize("mode", ["norm", "adaptive"])
def test_without_faults_healing_on_and_off_give_the_same_bits(harness: Harness, mode: str) -> None:
    train = {"clip_mode": mode, "ema": True}
    augment = {"mixup": 0.3}
    on, events = harness.train(train=train, augment=augment)
    off, _ = harness.train(train=train, augment=augment, guards={"healing": False})
    assert same(final_weights(on), final_weights(off))
    assert [trip for trip in of(GuardTripped, events) if trip.layer < 7] == []
    digests = [each.weights_digest for each in of(EpochFinished, events)]
    assert len(set(digests)) == 2
    assert all(len(digest) == 32 for digest in digests)


class Dead(BaseException):
    """Stands for a kill: nothing handles it, nothing is saved."""


@pytest.mark.parametrize("moment_of_death", ["saving", "saved", "dropping", "told", "after"])
def test_a_run_that_dies_inside_a_rollback_goes_on_from_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, moment_of_death: str
) -> None:
    told = settings(train={"epochs": 4})

    def is_bad(number: int) -> bool:
        return number in (5, 6, 7)

    with monkeypatch.context() as patch:
        always(patch, is_bad)
        quiet, _ = harness.train(**told)
    run = harness.new(**told)
    with monkeypatch.context() as patch:
        always(patch, is_bad)

        def die(event: Event) -> None:
            is_saved = isinstance(event, CheckpointSaved) and event.reason == "rollback"
            if moment_of_death == "saved" and is_saved:
                raise Dead
            if moment_of_death == "told" and isinstance(event, RunRolledBack):
                raise Dead
            if moment_of_death == "after" and isinstance(event, StepsTaken) and event.step >= 9:
                raise Dead

        if moment_of_death == "saving":
            patch.setattr("ecotui.engine.rollback.cut_metrics", _die)
        if moment_of_death == "dropping":
            patch.setattr("ecotui.engine.saving.Saver.void_later", _die)
        with pytest.raises(Dead):
            harness.run(run, die)
    with monkeypatch.context() as patch:
        always(patch, is_bad)
        events, code = harness.run(run, attempt=2)
    assert code == ExitCode.DONE
    (resumed,) = of(RunResumed, events)
    assert resumed.from_step <= 8
    assert same(final_weights(quiet), final_weights(run))
    rows = run.metrics.read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4"]


def _die(*_: Any) -> Any:
    raise Dead


def test_states_that_were_gone_back_from_are_not_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"

    def save(number: int, rollbacks: int) -> str:
        name = checkpoint.step_name(folder, number)
        checkpoint.commit(folder, name, {"x": b"x"}, {"rollbacks": rollbacks})
        return name

    old, void, later = save(10, 0), save(50, 0), save(40, 0)
    new = save(20, 1)
    assert {path.name for path in superseded(folder)} == {void, later}
    beyond = save(60, 1)
    clear_superseded(folder)
    assert {path.name for path in checkpoint.list_steps(folder)} == {old, new, beyond}


def test_a_state_is_looked_at_without_what_was_never_finite() -> None:
    network = torch.nn.BatchNorm1d(3)
    network.register_buffer("mask", torch.tensor([0.0, -INF]))
    optimizer = torch.optim.AdamW(network.parameters())
    trainable: Any = type("T", (), {"network": network, "ema": None, "optimizer": optimizer})
    looked = Soundness(trainable)
    assert looked.exempt == {"mask"}
    assert looked.broken() == []
    network(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    assert looked.broken() == []
    digest = weights_digest(network)
    for spoil, name in (
        (network.weight.data, "weight"),
        (network.running_var, "running_var"),
        (optimizer.state[network.bias]["exp_avg"], "exp_avg of bias"),
    ):
        assert spoil is not None
        kept = spoil[1].clone()
        for bad in (NAN, INF, -INF):
            spoil[1] = bad
            assert looked.broken() == [name]
        spoil[1] = kept
    assert weights_digest(network) == digest
    network.weight.data[0] += 1e-6
    assert weights_digest(network) != digest


def two_shades(root: Path, count: int = 50) -> Path:
    generator = np.random.Generator(np.random.PCG64(3))
    for shade, name in ((60, "dark"), (190, "light")):
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.integers(-50, 50, size=(16, 16, 3)) + shade
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


def shades_dataset(
    tmp_path: Path,
    change: Callable[[torch.Tensor], torch.Tensor] = lambda image: image,
    *,
    replaces: bool = False,
) -> dataset.PhotoDataset:
    from ecotui.config import DataConfig
    from ecotui.engine.data.index import build_index

    index = build_index(DataConfig(root=str(two_shades(tmp_path / "shades", 12))), 0)

    def transform(photo: Image.Image) -> torch.Tensor:
        noise = torch.rand(1)
        return change(torch.from_numpy(np.asarray(photo, np.float32).transpose(2, 0, 1)) + noise)

    return dataset.PhotoDataset(
        index, transform, seed=1, max_pixels=10**6, replaces=replaces, image_size=16
    )


def test_norms_of_each_layer_are_written_down_on_request_and_change_nothing(
    harness: Harness,
) -> None:
    quiet, _ = harness.train(model={"drop_rate": 0.3})
    run = harness.new(model={"drop_rate": 0.3})

    def ask(event: Event) -> None:
        if isinstance(event, StepsTaken) and not run.commands.exists():
            append_command(run.commands, MeasureNorms())

    events, _ = harness.run(run, ask)
    (answer,) = of(CommandAnswered, events)
    assert answer.accepted
    (path,) = run.incidents.glob("norms-*.json")
    told = json.loads(path.read_text())
    assert told["gradient_norms"]
    assert all(value >= 0 for value in told["gradient_norms"].values())
    assert any(path.name in each.message for each in of(LogWritten, events))
    assert same(final_weights(quiet), final_weights(run))
