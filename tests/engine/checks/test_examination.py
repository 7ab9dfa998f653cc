"""Budget, leaving out, accepting, `preflight.json`, previews, and nothing left behind."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from ecotui.commands import StopRun, append_command
from ecotui.config import PreflightConfig
from ecotui.engine import preflight as preflight_module
from ecotui.engine.assembly import Parts, assemble
from ecotui.engine.checks import evaluation, loop, passes
from ecotui.engine.checks.augmentation import check_augmentation_strength
from ecotui.engine.checks.batches import check_loader
from ecotui.engine.checks.budget import Budget
from ecotui.engine.checks.finding import Finding
from ecotui.engine.checks.material import Material
from ecotui.engine.checks.passes import Pass, check_first_pass, run_pass
from ecotui.engine.checks.record import Record
from ecotui.engine.control import Control, StopFlag
from ecotui.engine.data.index import build_index
from ecotui.engine.generators import pack_generators
from ecotui.engine.planning.deciding import Decision
from ecotui.engine.preflight import FIRST_TOLD, Check, preflight
from ecotui.engine.readiness import check_readiness
from ecotui.engine.train_state import LoopState
from ecotui.errors import EcoError, ExitCode
from ecotui.events import CheckReported, Event, RunFailed, StageFinished
from ecotui.jobs import PreflightJob
from ecotui.plans import PreviewWritten
from ecotui.preflight_register import CHECKS, PARTS
from tests.engine.checks import breaking as broken
from tests.engine.harness import Harness, final_weights, of, same

FOUR_LINES = [
    "transform validation passed",
    "pre-training sanity check passed",
    "all 14 checked images are 32x32",
    "the model takes them and gives 6 x 3, a score for each of 3 classes",
]


def examine(harness: Harness, **sections: Any) -> tuple[Any, list[Event], ExitCode]:
    run = harness.new(PreflightJob(), **sections)
    events, code = harness.run(run)
    return run, events, code


def reports(events: list[Event]) -> list[CheckReported]:
    return [check for check in of(CheckReported, events) if check.layer > 1]


def assembled(harness: Harness, **sections: Any) -> Parts:
    config = harness.config(**sections)
    return assemble(config, build_index(config.data, config.train.seed), lambda _: None)


def material(harness: Harness, parts: Parts, seconds: float = 120.0, **rest: Any) -> Material:
    run = harness.new()
    control = Control(run.commands, 0, lambda _: None, StopFlag())
    made = Material(parts, run, PreflightConfig(**rest), control, Budget(seconds))
    made.take_samples("train")
    made.take_samples("val")
    return made


def test_when_all_is_well_four_sentences_come_first(harness: Harness) -> None:
    _, events, code = examine(harness)
    assert code == ExitCode.DONE
    found = reports(events)
    assert [check.what for check in found[:4]] == FOUR_LINES
    assert tuple(check.check for check in found[:4]) == FIRST_TOLD
    assert not any(check.part_of for check in found[:4])
    assert {check.part_of for check in found[4:]} == {"transforms", "first_batch"}


def test_what_is_no_pass_is_told_before_them(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.network(broken.WithAnIdleWeight)(monkeypatch)
    _, events, _ = examine(harness)
    found = reports(events)
    assert [check.check for check in found[:2]] == ["gradients", "transforms"]
    assert found[2].what == "pre-training sanity check passed, with 1 warning"


def test_every_verdict_stands_in_the_record_with_its_figures_and_time(harness: Harness) -> None:
    run, events, _ = examine(harness, preflight={"skip": ["previews"]})
    record = json.loads(run.preflight.read_text())
    kept = {entry["check"]: entry for entry in record["checks"]}
    assert kept.keys() == {check.check for check in reports(events)}
    assert kept["normalisation"]["figures"]["mean"] == pytest.approx([0.5, 0.5, 0.5])
    assert kept["initial_loss"]["figures"]["chance"] == pytest.approx(1.0986, abs=1e-4)
    assert kept["gradients"]["figures"]["num_without_gradient"] == 0
    assert all(entry["seconds"] >= 0 for entry in kept.values())
    assert sum(entry["seconds"] for entry in kept.values()) <= record["seconds"]
    assert (record["level"], record["budget_seconds"]) == ("quick", 120.0)
    assert record["skipped"] == [{"check": "previews", "why": "left out by preflight.skip"}]


def test_the_record_is_written_where_a_check_fails_too(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.transforms(lambda image: image[:, :-1], only="train")(monkeypatch)
    run, _, code = examine(harness)
    assert code == ExitCode.PREFLIGHT
    record = json.loads(run.preflight.read_text())
    assert {entry["check"]: entry["verdict"] for entry in record["checks"]}["image_size"] == "fail"
    why = {entry["check"]: entry["why"] for entry in record["skipped"]}
    assert why["finite_numbers"] == "image_size failed"


def test_numbers_that_json_has_no_word_for_are_null(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.network(broken.with_nan_in_a_weight)(monkeypatch)
    run, _, _ = examine(harness)
    (entry,) = [
        each
        for each in json.loads(run.preflight.read_text())["checks"]
        if each["check"] == "finite_numbers"
    ]
    assert entry["figures"]["loss"] is None


def test_a_failure_does_not_hide_another_that_has_nothing_to_do_with_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.transforms(lambda image: image.flip(0), only="evaluate")(monkeypatch)
    broken.network(broken.OfTooManyClasses)(monkeypatch)
    _, events, code = examine(harness)
    assert code == ExitCode.PREFLIGHT
    failed = [check.check for check in reports(events) if check.verdict == "fail"]
    assert failed == ["channel_order", "output_shape"]
    assert of(RunFailed, events)[0].what == reports(events)[0].what
    assert not [stage for stage in of(StageFinished, events) if stage.stage == "preflight"]


@pytest.mark.parametrize("name", ["initial_loss", "first_batch"])
def test_a_check_can_be_left_out(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    broken.network(broken.TooSure)(monkeypatch)
    run, events, code = examine(harness, preflight={"skip": [name, "overfit"]})
    assert code == ExitCode.DONE
    found = {check.check for check in reports(events)}
    assert "initial_loss" not in found
    assert ("gradients" in found) == (name == "initial_loss")
    assert "transforms" in found
    skipped = {entry["check"] for entry in json.loads(run.preflight.read_text())["skipped"]}
    assert "initial_loss" in skipped


def test_a_warning_can_be_accepted_and_is_a_note_then(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.network(broken.WithAnIdleWeight)(monkeypatch)
    run, events, _ = examine(harness, preflight={"accept": ["gradients"]})
    (found,) = [check for check in reports(events) if check.check == "gradients"]
    assert found.verdict == "note"
    assert found.what.startswith("accepted: no gradient reaches idle")
    assert "pre-training sanity check passed" in [check.what for check in reports(events)]
    kept = {entry["check"]: entry for entry in json.loads(run.preflight.read_text())["checks"]}
    assert kept["gradients"]["accepted"]
    assert not kept["labels"]["accepted"]


def test_an_error_cannot_be_accepted(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    broken.network(broken.Dropping)(monkeypatch)
    _, events, code = examine(harness, preflight={"accept": ["repeatable_evaluation"]})
    assert code == ExitCode.PREFLIGHT
    assert "an error cannot be accepted" in of(RunFailed, events)[0].remedy


@pytest.mark.parametrize("key", ["skip", "accept"])
def test_names_that_nobody_knows_are_refused_with_the_nearest(harness: Harness, key: str) -> None:
    _, events, code = examine(harness, preflight={key: ["overfitt"]})
    assert code == ExitCode.USAGE
    (failed,) = of(RunFailed, events)
    assert f"preflight.{key}" in failed.what
    assert "did you mean overfit" in failed.remedy
    assert all(name in failed.expected for name in (*CHECKS, *PARTS))


def test_without_time_it_does_less_and_says_so(harness: Harness) -> None:
    run, events, code = examine(harness, preflight={"budget_seconds": 1e-6})
    assert code == ExitCode.DONE
    (note,) = reports(events)
    assert (note.check, note.verdict) == ("budget", "note")
    assert "gradients" in note.what
    assert "preflight.budget_seconds" in note.what
    why = {
        entry["check"]: entry["why"] for entry in json.loads(run.preflight.read_text())["skipped"]
    }
    assert why["gradients"] == "there was no time left"


def test_a_budget_runs_out_and_is_shared() -> None:
    now = 100.0
    budget = Budget(10.0, clock=lambda: now)
    assert (budget.left, budget.share(0.5, 3.0), budget.share(0.2, 3.0)) == (10.0, 3.0, 2.0)
    now = 104.0
    assert (budget.spent, budget.left) == (4.0, 6.0)
    now = 120.0
    assert (budget.left, budget.share(0.5, 3.0)) == (0.0, 0.0)


def test_batches_that_take_too_long_to_read_are_not_waited_for(harness: Harness) -> None:
    made = material(harness, assembled(harness))
    made.seconds_a_sample = 60.0
    (finding,) = check_loader(made)
    assert finding.verdict == "note"
    assert "preflight.budget_seconds" in finding.what
    assert not made.batches
    # Samples stand in for them.
    assert [each.verdict for each in check_first_pass(made)] == ["pass"] * 5


def test_a_slow_model_is_looked_at_with_fewer_images(harness: Harness) -> None:
    made = material(harness, assembled(harness))
    made.seconds_an_image = 4.0
    assert made.affordable(32, passes=3, fraction=0.25) == 2
    made.seconds_an_image = 0.5
    assert made.affordable(32, passes=3, fraction=0.25) in (19, 20)
    assert made.affordable(1, passes=3, fraction=0.25) == 1


@pytest.mark.parametrize(("seconds", "steps", "verdict"), [(0.0, 30, "note"), (60.0, 5, "note")])
def test_learning_by_heart_is_bounded_by_seconds_and_by_steps(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int, verdict: str
) -> None:
    rate = {"learning_rate": 1e-7, "min_learning_rate": 0.0}
    made = material(harness, assembled(harness, train=rate))
    monkeypatch.setattr(loop, "MAX_SECONDS", {"quick": seconds, "full": seconds})
    monkeypatch.setattr(loop, "MAX_STEPS", {"quick": steps, "full": steps})
    (finding,) = loop.check_overfit(made)
    assert finding.verdict == verdict
    assert finding.figures["steps"] == (0 if seconds == 0.0 else steps)


def test_a_model_that_was_trained_is_not_rehearsed(harness: Harness) -> None:
    made = material(harness, assembled(harness))
    made.is_trained = True
    assert [each.verdict for each in loop.check_overfit(made)] == ["note"]
    found = {each.check: each.verdict for each in check_first_pass(made)}
    assert found["initial_loss"] == "note"


def test_in_fp16_the_scale_of_gradients_is_looked_for(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.in_fp16(broken.network(broken.LoudBackwards))(monkeypatch)
    parts = assembled(harness)
    made = material(harness, parts)
    found = {each.check: each for each in check_first_pass(made)}
    assert found["precision"].verdict == "pass"
    scale = found["precision"].figures["scale"]
    assert isinstance(scale, float)
    assert 128 <= scale < 65_536
    assert parts.trainable.scaler.get_scale() == 65_536
    (finding,) = loop.check_optimizer_step(made)
    assert finding.verdict == "pass"


def test_a_copy_that_finds_no_room_is_left_out(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any) -> Any:
        raise RuntimeError("out of memory")

    made = material(harness, assembled(harness))
    monkeypatch.setattr(copy, "deepcopy", full)
    assert [each.verdict for each in loop.check_optimizer_step(made)] == ["note"]
    assert [each.verdict for each in loop.check_overfit(made)] == ["note"]


def test_the_share_that_crops_keep_is_measured(harness: Harness) -> None:
    for scale in (0.2, 0.5, 1.0):
        augment = {"scale": [scale, scale], "ratio": [1.0, 1.0]}
        made = material(harness, assembled(harness, augment=augment))
        (finding,) = check_augmentation_strength(made)
        assert finding.figures["kept_fraction"] == pytest.approx(scale, rel=0.15)


def test_a_check_that_crashes_is_a_failure_with_a_way_around_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: Any) -> Any:
        raise RuntimeError("\x1b[2Jno such kernel")

    monkeypatch.setattr(evaluation, "_independent", crash)
    _, events, code = examine(harness)
    assert code == ExitCode.PREFLIGHT
    (failed,) = of(RunFailed, events)
    assert "no such kernel" in failed.what
    assert "\x1b" not in failed.what
    assert "preflight.skip" in failed.remedy
    assert "Traceback" in capsys.readouterr().err


# What is left behind -----------------------------------------------------------------------------

LIVELY: dict[str, Any] = {
    "train": {"ema": True, "epochs": 1, "optimizer": "lamb"},
    "augment": {"mixup": 0.4, "cutmix": 0.5},
    "model": {"drop_rate": 0.3, "drop_path_rate": 0.1},
}


@pytest.mark.parametrize("level", ["quick", "full"])
def test_with_and_without_it_training_gives_the_same_bits(harness: Harness, level: str) -> None:
    plain, _ = harness.train(**LIVELY, preflight={"level": "off"})
    other, events = harness.train(**LIVELY, preflight={"level": level, "skip": []})
    assert "overfit" in {check.check for check in reports(events)}
    assert same(final_weights(plain), final_weights(other))


def test_everything_is_put_back(harness: Harness) -> None:
    parts = assembled(harness, **LIVELY)
    trainable = parts.trainable
    trainable.network.train()
    # Modes of their own, as where a backbone is frozen.
    next(trainable.network.children()).eval()
    next(trainable.ema.module.children()).train()

    def state() -> dict[str, Any]:
        generators, record = pack_generators()
        return {
            "weights": {n: t.clone() for n, t in trainable.network.state_dict().items()},
            "average": {n: t.clone() for n, t in trainable.ema.module.state_dict().items()},
            "generators": {n: t.clone() for n, t in generators.items()},
            "rest": (
                record,
                [module.training for module in trainable.network.modules()],
                [module.training for module in trainable.ema.module.modules()],
                [weight.requires_grad for weight in trainable.network.parameters()],
                [weight.grad for weight in trainable.network.parameters()],
                len(trainable.optimizer.state),
                [group["lr"] for group in trainable.optimizer.param_groups],
                trainable.scaler.state_dict(),
                parts.supervision.attend,
            ),
        }

    before = state()
    preflight(material(harness, parts, level="full"), lambda _: None, Record("full", 120.0))
    after = state()
    for name in ("weights", "average", "generators"):
        assert same(before[name], after[name]), name
    assert before["rest"] == after["rest"]


def test_everything_is_put_back_where_the_model_crashes(harness: Harness) -> None:
    parts = assembled(harness)
    before = {n: t.clone() for n, t in parts.trainable.network.state_dict().items()}
    images_BCHW = torch.zeros(4, 3, 32, 32)
    with pytest.raises(IndexError):
        run_pass(parts, images_BCHW, torch.tensor([0, 1, 2, 9]))
    assert same(before, dict(parts.trainable.network.state_dict()))


# Previews ----------------------------------------------------------------------------------------


def test_previews_show_what_the_model_sees(harness: Harness, tmp_path: Any) -> None:
    root = tmp_path / "plain"
    colours = {"amber": (250, 180, 20), "teal": (20, 120, 130)}
    for name, colour in colours.items():
        (root / name).mkdir(parents=True)
        for number in range(6):
            Image.new("RGB", (90, 60), colour).save(root / name / f"{number}.png")
    run, events, code = examine(
        harness,
        data={"root": str(root), "image_size": 160},
        preflight={"skip": ["overfit", "augmentation_strength"]},
    )
    assert code == ExitCode.DONE
    written = of(PreviewWritten, events)
    assert [each.subject for each in written] == ["train"] * 4 + ["val"] * 4
    assert len({each.path for each in written}) == len(written)
    for each in written:
        with Image.open(run.path / each.path) as picture:
            assert picture.format == "PNG"
            assert picture.size == (128, 128)
            got = picture.convert("RGB").getpixel((64, 64))
        assert each.path.startswith("previews/")
        assert (root / each.source).is_file()
        if each.subject == "val":
            wanted = colours[each.source.partition("/")[0]]
            assert got == pytest.approx(wanted, abs=1)


def test_a_stop_is_answered_between_two_checks(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = harness.new(PreflightJob())

    def ask(_: Material) -> list[Finding]:
        append_command(run.commands, StopRun(reason="enough"))
        return []

    def go_on(_: Material) -> list[Finding]:
        pytest.fail("it went on to the next check")

    two = (Check(("samples",), ask), Check(("labels",), go_on))
    monkeypatch.setattr(preflight_module, "SEQUENCE", two)
    _, code = harness.run(run)
    assert code == ExitCode.RESUMABLE
    assert run.preflight.is_file()


def test_off_looks_at_nothing(harness: Harness) -> None:
    run = harness.new()
    control = Control(run.commands, 0, lambda _: None, StopFlag())
    events: list[Event] = []
    check_readiness(
        assembled(harness),
        run,
        PreflightConfig(level="off"),
        control,
        events.append,
        decision=Decision(),
        loop=LoopState(),
    )
    assert not events
    assert not run.preflight.exists()


def test_a_failed_check_ends_the_run_with_its_three_lines(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken.network(broken.OfTooManyClasses)(monkeypatch)
    with pytest.raises(EcoError) as caught:
        preflight(material(harness, assembled(harness)), lambda _: None, Record("quick", 120.0))
    assert caught.value.exit_code == ExitCode.PREFLIGHT
    assert "a score for each class" in caught.value.expected


@pytest.mark.parametrize(
    ("loss", "has_trained_head", "num_images", "verdict"),
    [
        (1.1, False, 4, "pass"),
        (6.0, False, 4, "pass"),
        (11.2, False, 4, "warn"),
        (2.5, True, 4, "pass"),
        (2.7, True, 4, "warn"),
        (0.01, True, 8, "pass"),
        (0.01, False, 4, "pass"),
        (0.01, False, 8, "warn"),
    ],
)
def test_the_first_loss_is_judged_by_where_the_classifier_comes_from(
    harness: Harness, loss: float, has_trained_head: bool, num_images: int, verdict: str
) -> None:
    parts = assembled(harness)
    parts.built = replace(parts.built, has_trained_head=has_trained_head)
    seen = Pass(num_images, loss, True, (), (), (), 1.0)
    assert passes._initial_loss(material(harness, parts), seen).verdict == verdict
