"""Whole runs, in this process, on a few small photos."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from PIL import Image

from ecotui.check_register import QUICK_CHECKS
from ecotui.commands import SaveCheckpoint, StopRun, append_command
from ecotui.config import RunConfig
from ecotui.config_file import parse_file
from ecotui.engine import assembly, checkpoint, model, step
from ecotui.engine.data.transforms import build_transforms
from ecotui.engine.input_spec import InputSpec
from ecotui.engine.preflight import FIRST_TOLD
from ecotui.errors import ExitCode
from ecotui.events import (
    BestCheckpointChanged,
    CheckpointSaved,
    CheckReported,
    ConfigChanged,
    EpochFinished,
    Event,
    ExportWritten,
    GuardTripped,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopped,
    SampleSetAside,
    StageStarted,
    StepsTaken,
    ValidationFinished,
)
from ecotui.jobs import ExportJob
from ecotui.mistakes import read_mistakes
from tests.engine.harness import Harness, copy_of, final_weights, of, same


def test_a_run_states_every_fact_in_its_place(harness: Harness) -> None:
    run, events = harness.train()
    kinds = [event.kind for event in events]
    milestones = [
        "stage_started",
        "check_reported",
        "setup_advanced",
        "run_started",
        "epoch_started",
        "steps_taken",
        "validation_finished",
        "best_checkpoint_changed",
        "epoch_finished",
        "checkpoint_saved",
        "run_finished",
    ]
    assert [kinds.index(kind) for kind in milestones] == sorted(map(kinds.index, milestones))
    assert kinds[-1] == "run_finished"
    assert kinds.count("epoch_finished") == 2

    (started,) = of(RunStarted, events)
    assert started.class_names == ("cat", "dog", "owl")
    assert (started.num_train, started.num_val, started.num_test) == (18, 6, 0)
    assert (started.steps_per_epoch, started.image_size) == (4, 32)
    # Every stage that follows was announced; the environment was examined before.
    order = [stage.stage for stage in of(StageStarted, events)]
    assert order[:2] == ["diagnose", "preflight"]
    assert set(order[1:]) == set(started.stages)
    layers = [(check.check, check.layer) for check in of(CheckReported, events)]
    told = [check for check in of(CheckReported, events) if check.layer in (2, 3)]
    assert [check.check for check in told if not check.part_of] == list(FIRST_TOLD)
    assert {check.verdict for check in told} == {"pass"}
    assert {check for check, layer in layers if layer == 1} == set(QUICK_CHECKS)
    assert sum(steps.num_steps for steps in of(StepsTaken, events)) == 8
    (finished,) = of(RunFinished, events)
    assert (finished.why, finished.epochs_done, finished.step) == ("epochs", 2, 8)
    assert (run.path / finished.best_checkpoint / "model.safetensors").is_file()


def test_a_run_leaves_files_that_anything_can_read(harness: Harness) -> None:
    run, events = harness.train()
    with run.metrics.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    last = of(ValidationFinished, events)[-1]
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(last.accuracy)
    record = json.loads((run.path / last.file).read_text())
    assert [entry["name"] for entry in record["per_class"]] == ["cat", "dog", "owl"]
    assert sum(map(sum, record["confusion"])) == last.num_images == 6
    environment = json.loads(run.environment.read_text())
    assert environment["packages"]["torch"]
    kept = {finding["check"]: finding for finding in environment["diagnosis"]}
    assert kept.keys() == set(QUICK_CHECKS)
    assert kept["torch"]["verdict"] == "pass"
    with run.split.open() as file:
        assert len(list(csv.DictReader(file))) == 24
    resolved = parse_file(run.resolved)
    assert resolved.compute.device == "cpu"
    assert "auto" not in json.dumps(resolved.compute.model_dump())
    assert resolved.data.layout == "classes"


def test_the_resolved_config_repeats_the_run_bit_for_bit(harness: Harness) -> None:
    settings: dict[str, Any] = {
        "train": {"ema": True, "ema_decay": 0.9, "label_smoothing": 0.1},
        "augment": {"mixup": 0.4, "cutmix": 0.5, "auto_augment": "rand-m9-mstd0.5-inc1"},
        "model": {"drop_rate": 0.2},
    }
    run, _ = harness.train(**settings)
    again = harness.new()
    again.config.write_text(run.resolved.read_text())
    torch.manual_seed(12345)
    _, code = harness.run(again)
    assert code == ExitCode.DONE
    assert same(final_weights(run), final_weights(again))
    assert run.resolved.read_text() == again.resolved.read_text()


def test_the_number_of_workers_and_preflight_change_no_bit(harness: Harness) -> None:
    plain, _ = harness.train(train={"epochs": 1}, preflight={"level": "off"})
    other, _ = harness.train(
        train={"epochs": 1}, compute={"workers": 2}, preflight={"level": "full", "skip": []}
    )
    assert same(final_weights(plain), final_weights(other))


def test_another_seed_gives_other_weights(harness: Harness) -> None:
    one, _ = harness.train(train={"epochs": 1})
    other, _ = harness.train(train={"epochs": 1, "seed": 1})
    assert not same(final_weights(one), final_weights(other))


def test_micro_batches_give_the_same_update_where_nothing_depends_on_the_batch(
    harness: Harness,
) -> None:
    settings: dict[str, Any] = {
        "model": {"name": "test_vit"},
        "train": {"max_steps": 1, "warmup_epochs": 0.0, "optimizer": "sgd", "ema": False},
    }
    whole, _ = harness.train(**settings)
    settings["train"] = {**settings["train"], "micro_batch_size": 1}
    split, events = harness.train(**settings)
    assert of(RunStarted, events)[0].micro_batch_size == 1
    one, other = final_weights(whole), final_weights(split)
    for name in one:
        assert torch.allclose(one[name], other[name], atol=1e-5), name


@pytest.mark.parametrize(
    "sections",
    [
        {"train": {"optimizer": "lamb", "scheduler": "step", "layer_decay": 0.8}},
        {"train": {"class_weights": "balanced", "clip_gradient_norm": 0.5}},
        {"data": {"sampling": "balanced"}, "augment": {"random_erasing": 0.5}},
        {"compute": {"precision": "bf16", "channels_last": True}},
        {"model": {"drop_path_rate": 0.1, "gradient_checkpointing": True}},
        {"model": {"name": "test_vit", "drop_rate": 0.1}, "data": {"image_size": 48}},
        {"train": {"scheduler": "none", "optimizer": "sgd", "batch_size": 5}},
    ],
)
def test_settings_of_timm_and_torch_train(harness: Harness, sections: dict[str, Any]) -> None:
    sections = {**sections, "train": {"epochs": 1, **sections.get("train", {})}}
    run, events = harness.train(**sections)
    assert all(torch.isfinite(weight).all() for weight in final_weights(run).values())
    assert of(StepsTaken, events)[-1].loss is not None


def test_a_frozen_backbone_stays_as_it_is_and_then_learns(harness: Harness) -> None:
    frozen: dict[str, dict[str, torch.Tensor]] = {}
    run = harness.new(train={"epochs": 2, "freeze_epochs": 1}, checkpoint={"keep": 5})

    def keep(event: Event) -> None:
        if isinstance(event, CheckpointSaved):
            frozen[event.path] = final_weights(run)

    harness.run(run, keep)
    first, second = frozen.values()
    torch.manual_seed(0)
    untrained, _ = harness.train(
        train={"epochs": 1, "learning_rate": 1e-12, "min_learning_rate": 0.0, "freeze_epochs": 1}
    )
    start = final_weights(untrained)
    body = [name for name in start if not name.startswith("fc.")]
    assert all(torch.equal(first[name], start[name]) for name in body)
    assert not torch.equal(first["fc.weight"], start["fc.weight"])
    assert not torch.equal(second["layer1.0.conv1.weight"], first["layer1.0.conv1.weight"])


def test_the_best_checkpoint_loads_in_plain_timm_with_the_same_logits(
    harness: Harness, photo_folder: Path
) -> None:
    run, events = harness.train(train={"ema": True, "ema_decay": 0.9})
    best = run.path / of(RunFinished, events)[0].best_checkpoint
    last = of(BestCheckpointChanged, events)[-1]
    assert best.name == f"best_model_epoch{last.epoch}_acc{100 * last.accuracy:.2f}"
    loaded = timm.create_model(f"local-dir:{best}", pretrained=True).eval()
    own = timm.create_model("test_resnet", num_classes=3).eval()
    own.load_state_dict(safetensors.torch.load_file(best / "model.safetensors"))
    config = timm.data.resolve_data_config({}, model=loaded)
    assert config["input_size"] == (3, 32, 32)
    assert loaded.pretrained_cfg["label_names"] == ["cat", "dog", "owl"]

    photo = Image.open(next(photo_folder.rglob("*.png"))).convert("RGB")
    theirs = timm.data.create_transform(**config, is_training=False)(photo)
    spec = InputSpec(32, config["mean"], config["std"], config["interpolation"], config["crop_pct"])
    transforms = build_transforms(spec, RunConfig().augment)
    ours = transforms.normalisation(transforms.evaluate(photo))
    # Of a photo that is enlarged, Pillow rounds once more in the whole than in the part.
    assert float((theirs - ours).abs().mean()) < 1 / 255 / min(spec.std)
    with torch.inference_mode():
        assert torch.equal(loaded(ours[None]), own(ours[None]))


def test_best_is_what_was_evaluated(harness: Harness) -> None:
    """With a moving average, the weights that scored are the weights that are saved."""
    run, _ = harness.train(train={"ema": True, "ema_decay": 0.9, "epochs": 1})
    (newest, *_) = checkpoint.list_steps(run.checkpoints)
    average = safetensors.torch.load_file(newest / "ema.safetensors")
    best = checkpoint.find_best(run.checkpoints)
    assert best is not None
    assert same(safetensors.torch.load_file(best / "model.safetensors"), average)
    assert not same(final_weights(run), average)


def test_early_stopping_counts_epochs_without_a_better_figure(harness: Harness) -> None:
    _, events = harness.train(
        train={
            "epochs": 20,
            "learning_rate": 1e-12,
            "min_learning_rate": 0.0,
            "early_stopping_epochs": 2,
            "metric": "accuracy",
            "warmup_learning_rate": 1e-13,
        },
    )
    (finished,) = of(RunFinished, events)
    assert finished.why == "early_stopping"
    assert finished.epochs_done < 20
    best_epoch = of(BestCheckpointChanged, events)[-1].epoch
    assert finished.epochs_done - best_epoch == 2
    told = of(GuardTripped, events)[-1]
    assert (told.layer, told.guard, told.severity) == (7, "early_stopping", "note")
    assert "no better accuracy for 2 epochs" in told.what


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "loss"])
def test_the_chosen_metric_chooses_the_best(harness: Harness, metric: str) -> None:
    _, events = harness.train(train={"epochs": 4, "metric": metric})
    figures = [
        {"accuracy": seen.accuracy, "macro_f1": seen.macro_f1, "loss": seen.loss}[metric]
        for seen in of(ValidationFinished, events)
    ]
    wanted = min(figures) if metric == "loss" else max(figures)
    assert of(BestCheckpointChanged, events)[-1].value == pytest.approx(wanted)


def test_the_test_split_is_scored_once_with_the_best_weights(harness: Harness) -> None:
    run, events = harness.train(
        data={"test_fraction": 0.25, "val_fraction": 0.25}, train={"epochs": 3}
    )
    tests = [seen for seen in of(ValidationFinished, events) if seen.split == "test"]
    assert len(tests) == 1
    assert tests[0].num_images == 6
    assert tests[0].epoch == of(BestCheckpointChanged, events)[-1].epoch
    assert (run.evaluations / "test.json").is_file()


def test_only_the_newest_checkpoints_and_the_best_stay(harness: Harness) -> None:
    run, events = harness.train(train={"epochs": 5}, checkpoint={"keep": 2})
    steps = checkpoint.list_steps(run.checkpoints)
    assert [path.name[:15] for path in steps] == ["step-0000000020", "step-0000000016"]
    assert len([p for p in run.checkpoints.iterdir() if p.name.startswith("best_")]) == 1
    dropped = [event for event in events if event.kind == "checkpoint_dropped"]
    saved = [*of(CheckpointSaved, events), *of(BestCheckpointChanged, events)]
    folders = [path for path in run.checkpoints.iterdir() if path.is_dir()]
    assert len(saved) - len(dropped) == len(folders)


def test_the_interval_saves_within_an_epoch(harness: Harness) -> None:
    _, events = harness.train(
        train={"epochs": 1}, checkpoint={"interval_seconds": 1e-6, "keep": 100}
    )
    assert [saved.reason for saved in of(CheckpointSaved, events)] == ["interval"] * 4 + ["end"]


def test_the_step_limit_ends_the_run_validated_and_saved(harness: Harness) -> None:
    run, events = harness.train(train={"max_steps": 2, "epochs": 9})
    (finished,) = of(RunFinished, events)
    assert (finished.why, finished.step) == ("max_steps", 2)
    assert of(ValidationFinished, events)
    assert len(checkpoint.list_steps(run.checkpoints)) == 1


@pytest.mark.parametrize("moment", ["check_reported", "epoch_started", "stage_started"])
def test_a_stop_at_any_stage_is_saved_and_resumable(harness: Harness, moment: str) -> None:
    run = harness.new(train={"epochs": 3})
    asked = StopRun(reason="asked by a test")

    def ask(event: Event) -> None:
        is_moment = event.kind == moment and getattr(event, "stage", "validate") == "validate"
        if is_moment and getattr(event, "layer", 2) > 1 and not run.commands.exists():
            append_command(run.commands, asked)

    events, code = harness.run(run, ask)
    assert code == ExitCode.RESUMABLE
    last = events[-1]
    assert isinstance(last, RunStopped)
    assert last.reason == "asked by a test"
    assert last.checkpoint is not None
    assert checkpoint.verify(run.path / last.checkpoint)["step"] == last.step


def test_a_requested_checkpoint_is_saved_at_the_next_step(harness: Harness) -> None:
    run = harness.new(train={"epochs": 1})

    def ask(event: Event) -> None:
        if event.kind == "epoch_started":
            append_command(run.commands, SaveCheckpoint())

    events, _ = harness.run(run, ask)
    requested = [saved for saved in of(CheckpointSaved, events) if saved.reason == "request"]
    assert [saved.step for saved in requested] == [1]


def test_photos_that_cannot_be_read_are_set_aside_by_name_and_the_run_goes_on(
    tmp_path: Path, photo_folder: Path, harness: Harness
) -> None:
    copied = copy_of(photo_folder, tmp_path / "copy")
    broken = sorted(copied.rglob("*.png"))[:3]
    for path in broken:
        path.write_bytes(path.read_bytes()[:60])
    run, events = harness.train(data={"root": str(copied)}, train={"epochs": 2})
    named = {event.path for event in of(SampleSetAside, events)}
    assert named == {str(path.relative_to(copied)) for path in broken}
    assert len(of(SampleSetAside, events)) == 3
    lines = [json.loads(line) for line in run.quarantine.read_text().splitlines()]
    assert {line["path"] for line in lines} == named
    assert of(EpochFinished, events)[-1].num_set_aside == 3


def test_full_preflight_warns_of_a_few_unreadable_files_and_refuses_many(
    tmp_path: Path, photo_folder: Path, harness: Harness
) -> None:
    copied = copy_of(photo_folder, tmp_path / "copy")
    files = sorted(copied.rglob("*.png"))
    files[0].write_bytes(b"")
    settings: dict[str, Any] = {"data": {"root": str(copied)}, "preflight": {"level": "full"}}
    _, events = harness.train(**settings, train={"epochs": 1})
    verdicts = {check.check: check.verdict for check in of(CheckReported, events)}
    assert verdicts["files"] == "warn"
    for path in files[:8]:
        path.write_bytes(b"")
    run = harness.new(**settings)
    events, code = harness.run(run)
    assert code == ExitCode.PREFLIGHT
    (failed,) = of(RunFailed, events)
    assert "8 of 24 files cannot be read" in failed.what
    assert not failed.discard


def test_a_model_that_gives_no_finite_loss_is_stopped_by_preflight(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(*arguments: Any, **settings: Any) -> Any:
        built: Any = model.build_model(*arguments, **settings)
        with torch.no_grad():
            built.network.get_classifier().bias[0] = float("nan")
        return built

    monkeypatch.setattr(assembly, "build_model", poisoned)
    events, code = harness.run(harness.new())
    assert code == ExitCode.PREFLIGHT
    assert of(RunFailed, events)[0].what.startswith("not finite")


def test_memory_that_runs_out_ends_with_its_own_code_and_the_setting_to_lower(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(step.Stepper, "compute_gradients", explode)
    events, code = harness.run(harness.new())
    assert code == ExitCode.OUT_OF_MEMORY
    assert "data.image_size" in of(RunFailed, events)[0].remedy
    halved = [each.new for each in of(ConfigChanged, events)]
    assert halved == ["2"]  # BatchNorm needs two


def test_an_exception_nobody_foresaw_is_told_in_three_lines_and_traced_in_the_log(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(*_: object) -> None:
        raise KeyError("\x1b[2Jsurprise")

    monkeypatch.setattr(step.Stepper, "compute_gradients", explode)
    events, code = harness.run(harness.new(train={"epochs": 1}))
    assert code == ExitCode.ERROR
    failed = of(RunFailed, events)[0]
    assert "KeyError" in failed.what
    assert "\x1b" not in failed.what
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sections", "code", "said"),
    [
        ({"data": {"root": "/does/not/exist"}}, ExitCode.USAGE, "/does/not/exist"),
        ({"model": {"name": "resnt18"}}, ExitCode.USAGE, "resnt18"),
        ({"model": {"name": "test_vit"}, "data": {"image_size": 8}}, ExitCode.USAGE, "8 x 8"),
        ({"train": {"optimizer": "adamv"}}, ExitCode.USAGE, "adamv"),
        ({"compute": {"device": "cuda:99"}}, ExitCode.ENVIRONMENT, "cuda:99"),
        ({"augment": {"auto_augment": "nonsense"}}, ExitCode.USAGE, "nonsense"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_begun(
    harness: Harness, sections: dict[str, Any], code: ExitCode, said: str
) -> None:
    events, got = harness.run(harness.new(**sections))
    assert got == code
    failed = events[-1]
    assert isinstance(failed, RunFailed)
    assert failed.discard
    assert said in failed.what
    assert failed.expected
    assert failed.remedy
    assert {stage.stage for stage in of(StageStarted, events)} == {"diagnose"}


@pytest.mark.parametrize("name", ["[]", "a\x1b[31mb", "new\nline", "[@click=app.quit]x[/]"])
def test_hostile_class_names_train_and_are_shown_harmless(
    tmp_path: Path, harness: Harness, write_photo: Callable[[Path], Path], name: str
) -> None:
    root = tmp_path / "hostile"
    for class_name in (name, "plain"):
        for number in range(5):
            write_photo(root / class_name.replace("/", "\\") / f"{number}.png")
    _, events = harness.train(data={"root": str(root)}, train={"epochs": 1})
    for event in events:
        text = json.loads(event.model_dump_json())
        assert "\x1b" not in str(text.values())
        assert "\n" not in "".join(text.get("class_names", ()))


def test_weights_are_exported_as_a_plain_state_dict_and_as_a_folder(
    harness: Harness, tmp_path: Path
) -> None:
    run, _ = harness.train(train={"epochs": 1})
    best = checkpoint.find_best(run.checkpoints)
    assert best is not None
    weights = safetensors.torch.load_file(best / "model.safetensors")
    target = tmp_path / "out" / "model.pth"
    job = ExportJob(run_path=str(run.path), format="pth", output=str(target))
    events, code = harness.run(harness.new(job))
    assert code == ExitCode.DONE
    assert same(torch.load(target, weights_only=True), weights)
    assert of(ExportWritten, events)[0].num_bytes == target.stat().st_size

    events, code = harness.run(harness.new(job))
    assert code == ExitCode.USAGE
    assert "exists already" in of(RunFailed, events)[0].what

    folder = tmp_path / "out" / "folder"
    job = ExportJob(run_path=str(run.path), format="timm", output=str(folder))
    assert harness.run(harness.new(job))[1] == ExitCode.DONE
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert same(loaded.state_dict(), weights)


def test_a_damaged_best_model_is_not_exported(harness: Harness, tmp_path: Path) -> None:
    run, _ = harness.train(train={"epochs": 1})
    best = checkpoint.find_best(run.checkpoints)
    assert best is not None
    content = bytearray((best / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (best / "model.safetensors").write_bytes(content)
    job = ExportJob(run_path=str(run.path), format="pth", output=str(tmp_path / "x.pth"))
    events, code = harness.run(harness.new(job))
    assert code == ExitCode.ERROR
    assert "damaged" in of(RunFailed, events)[0].what
    assert not (tmp_path / "x.pth").exists()


def test_a_finished_run_keeps_small_pictures_of_its_surest_mistakes(harness: Harness) -> None:
    run, events = harness.train()
    record = json.loads(run.mistakes.read_text())
    best = of(BestCheckpointChanged, events)[-1]
    assert (record["split"], record["epoch"]) == ("val", best.epoch)
    num_wrong = round(6 * (1 - best.accuracy))
    assert len(record["mistakes"]) == num_wrong
    for mistake in record["mistakes"]:
        assert mistake["true"] != mistake["predicted"]
        with Image.open(run.path / mistake["preview"]) as picture:
            assert max(picture.size) <= 128
    faces = read_mistakes(run, of(ValidationFinished, events)[best.epoch - 1])
    assert [each.picture is not None for each in faces] == [True] * num_wrong
