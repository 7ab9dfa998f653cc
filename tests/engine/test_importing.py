"""Good files of weights come out with the same numbers; the rest is refused or cleared away."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch

from ecotui.config import DataConfig, ModelConfig
from ecotui.engine import importing
from ecotui.engine.foreign import confinement, loading
from ecotui.engine.foreign.header import read_header
from ecotui.engine.foreign.loading import Order
from ecotui.engine.model import build_model
from ecotui.errors import ExitCode, UsageError
from ecotui.events import (
    Event,
    LogWritten,
    RunFailed,
    RunFinished,
    RunStopped,
    StageAdvanced,
    WeightsImported,
)
from ecotui.jobs import ImportJob
from tests.engine.harness import Harness, of

MODEL, CLASSES = "test_resnet", 5


def network() -> torch.nn.Module:
    torch.manual_seed(3)
    made: torch.nn.Module = timm.create_model(MODEL, num_classes=CLASSES).eval()
    return made


def under(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda state: {"epoch": 4, name: state}


WRAPPINGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "plain": lambda state: state,
    "lightning": lambda state: {
        "state_dict": {f"model.{name}": value for name, value in state.items()},
        "hyper_parameters": {"lr": 0.1},
    },
    "timm": lambda state: {
        "arch": MODEL,
        "state_dict": {name: torch.zeros_like(value) for name, value in state.items()},
        "state_dict_ema": state,
    },
    "parallel": lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
    "tied": lambda state: {**state, "copy": state["fc.weight"], "part": state["fc.weight"][:2]},
}


@pytest.fixture
def unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load in this process, which spares the seconds that torch takes to be imported."""

    def load(order: Order, order_path: Path, poll: Callable[[], None]) -> str:
        del order_path
        poll()
        loading._obey(Order(**json.loads(order.as_json())))
        return ""

    monkeypatch.setattr(importing, "load_confined", load)
    monkeypatch.setattr(loading, "_limit_memory", lambda num_bytes: None)


def run_import(
    harness: Harness, source: Path, target: Path, model: str | None = None
) -> tuple[list[Event], ExitCode]:
    job = ImportJob(source=str(source), output=str(target), model=model)
    return harness.run(harness.new(job))


def logits_of(path: Path) -> torch.Tensor:
    data = DataConfig.model_validate({"root": "x", "image_size": 32})
    config = ModelConfig(name=MODEL, weights=str(path))
    with torch.inference_mode():
        out: torch.Tensor = build_model(config, data, CLASSES).network.eval()(images())
    return out


def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.usefixtures("unconfined")
@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_good_file_gives_the_same_logits(name: str, harness: Harness, tmp_path: Path) -> None:
    made = network()
    source, target = tmp_path / "foreign.bin", tmp_path / "made" / "own.safetensors"
    torch.save(WRAPPINGS[name](made.state_dict()), source)
    events, code = run_import(harness, source, target)
    assert code == ExitCode.DONE, events[-1]
    (imported,) = of(WeightsImported, events)
    assert imported.num_classes == CLASSES
    assert imported.num_bytes == target.stat().st_size
    with torch.inference_mode():
        assert torch.equal(logits_of(target), made(images()))
    with target.open("rb") as file:
        metadata = read_header(file).metadata
    assert metadata["source"] == source.name
    assert metadata["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert os.listdir(target.parent) == [target.name]


def test_the_confined_child_does_the_same_and_shows_how_far_it_is(
    harness: Harness, tmp_path: Path
) -> None:
    made = network()
    state = {**made.state_dict(), "padding": torch.zeros(2_000_000)}
    source, target = tmp_path / "foreign.pth", tmp_path / "own.safetensors"
    torch.save({"state_dict": state}, source)
    events, code = run_import(harness, source, target, MODEL)
    assert code == ExitCode.DONE, events[-1]
    (imported,) = of(WeightsImported, events)
    assert (imported.found_under, imported.model) == ("state_dict", MODEL)
    assert imported.fitting == f"{len(state) - 1} of {len(state) - 1} tensors"
    assert any("padding" in note.message for note in of(LogWritten, events))
    assert {event.stage: event.done for event in of(StageAdvanced, events)} == {
        "check": source.stat().st_size // 1_000_000,
        "convert": target.stat().st_size // 1_000_000,
    }
    loaded = safetensors.torch.load_file(target)
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


@pytest.mark.usefixtures("unconfined")
def test_a_safetensors_file_needs_no_particular_torch_and_a_pickle_does(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "version_of", lambda name: "2.9.1+cpu")
    state = network().state_dict()
    safetensors.torch.save_file(state, tmp_path / "one.pth")
    torch.save(state, tmp_path / "two.safetensors")
    events, code = run_import(harness, tmp_path / "one.pth", tmp_path / "a.safetensors")
    assert code == ExitCode.DONE, events[-1]
    assert of(WeightsImported, events)[0].form == "safetensors"
    events, code = run_import(harness, tmp_path / "two.safetensors", tmp_path / "b.safetensors")
    assert code == ExitCode.ENVIRONMENT
    failed = of(RunFailed, events)[0]
    assert "2.9.1" in failed.what
    assert "torch>=2.10" in failed.remedy
    assert not (tmp_path / "b.safetensors").exists()


@pytest.mark.usefixtures("unconfined")
def test_weights_of_another_model_are_refused_and_nothing_is_kept(
    harness: Harness, tmp_path: Path
) -> None:
    torch.save(network().state_dict(), tmp_path / "x.pth")
    folder = tmp_path / "made"
    events, code = run_import(harness, tmp_path / "x.pth", folder / "x.safetensors", "test_vit")
    assert code == ExitCode.USAGE
    assert "weights of another model" in of(RunFailed, events)[0].what
    assert os.listdir(folder) == []


@pytest.mark.usefixtures("unconfined")
def test_nothing_is_overwritten_even_where_it_comes_meanwhile(
    harness: Harness, tmp_path: Path
) -> None:
    torch.save(network().state_dict(), tmp_path / "x.pth")
    target = tmp_path / "x.safetensors"
    job = ImportJob(source=str(tmp_path / "x.pth"), output=str(target))

    def intrude(event: Event) -> None:
        if event.kind == "stage_finished":
            target.write_bytes(b"mine")

    for hook in (intrude, None):
        events, code = harness.run(harness.new(job), hook)
        assert code == ExitCode.USAGE
        assert "exists already" in of(RunFailed, events)[0].what
        assert target.read_bytes() == b"mine"
        assert list(tmp_path.glob(".x*")) == []


@pytest.mark.usefixtures("unconfined")
def test_a_file_that_changes_meanwhile_is_not_taken(harness: Harness, tmp_path: Path) -> None:
    source, target = tmp_path / "x.pth", tmp_path / "x.safetensors"
    torch.save(network().state_dict(), source)

    def change(event: Event) -> None:
        if event.kind == "stage_started":
            os.utime(source, ns=(1, 1))

    job = ImportJob(source=str(source), output=str(target))
    events, code = harness.run(harness.new(job), change)
    assert code == ExitCode.ERROR
    assert "changed while it was read" in of(RunFailed, events)[0].what
    assert not target.exists()


def test_a_child_that_dies_or_takes_for_ever_is_an_answer(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(network().state_dict(), tmp_path / "x.pth")
    target = tmp_path / "x.safetensors"
    (tmp_path / "dying.py").write_text("import os; os.kill(os.getpid(), 9)")
    (tmp_path / "waiting.py").write_text("import time; time.sleep(600)")
    monkeypatch.setattr(confinement, "LIMIT_SECONDS", 1.0)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for module, words in (("dying", "SIGKILL"), ("waiting", "within 1 s")):
        monkeypatch.setattr(confinement, "_MODULE", module)
        events, code = run_import(harness, tmp_path / "x.pth", target)
        assert code == ExitCode.ERROR
        assert words in of(RunFailed, events)[0].what
        assert not target.exists()


def test_a_wish_to_stop_ends_the_child(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecotui.commands import StopRun, append_command

    torch.save(network().state_dict(), tmp_path / "x.pth")
    (tmp_path / "waiting.py").write_text("import time; time.sleep(600)")
    monkeypatch.setattr(confinement, "_MODULE", "waiting")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = ImportJob(source=str(tmp_path / "x.pth"), output=str(tmp_path / "x.safetensors"))
    run = harness.new(job)

    def stop(event: Event) -> None:
        if event.kind == "stage_started":
            append_command(run.commands, StopRun())

    events, code = harness.run(run, stop)
    assert code == ExitCode.RESUMABLE
    assert of(RunStopped, events)
    assert not of(RunFinished, events)


def test_the_childs_own_variables_cannot_loosen_what_it_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in confinement._environment()


LIMITED = """
import os, sys
from ecotui.engine.foreign import loading
loading._limit_output(1_000)
loading._limit_memory(1_000)
try:
    bytearray(3_000_000_000)
except MemoryError:
    print("memory")
loading._SPARE_BYTES = 0
loading._limit_output(10)
try:
    with open(sys.argv[1], "wb", buffering=0) as file:
        file.write(bytes(10))
        file.write(bytes(10))
except OSError as error:
    print("file")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_the_child_has_limits_on_memory_and_on_what_it_writes(tmp_path: Path) -> None:
    import subprocess
    import sys

    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "x")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout.split() == ["memory", "file"], ran.stderr


class TestModelWeights:
    def write(self, path: Path, classes: int = CLASSES, name: str = MODEL, **rest: Any) -> Path:
        made = timm.create_model(name, num_classes=classes, **rest)
        safetensors.torch.save_file(made.state_dict(), path)
        return path

    def build(self, path: Path, name: str = MODEL, size: int = 32, **rest: Any) -> Any:
        data = DataConfig.model_validate({"root": "x", "image_size": size})
        return build_model(ModelConfig(name=name, weights=str(path)), data, CLASSES, **rest)

    def test_a_classifier_for_other_classes_is_left_out_and_said_so(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "x.safetensors", classes=7)
        built = self.build(path)
        stored = safetensors.torch.load_file(path)
        state = built.network.state_dict()
        assert torch.equal(state["conv1.0.weight"], stored["conv1.0.weight"])
        assert state["fc.weight"].shape[0] == CLASSES
        assert built.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert "90 of 92 tensors fit" in built.notes[1]
        assert "fc.weight, fc.bias" in built.notes[2]

    def test_weights_of_another_model_are_a_usage_error_that_names_what_is_missing(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError) as caught:
            self.build(self.write(tmp_path / "x.safetensors", name="test_vit"))
        assert "conv1.0.weight" in caught.value.what
        assert MODEL in caught.value.expected

    def test_positions_are_fitted_to_another_input_size(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "x.safetensors", name="test_vit")
        built = self.build(path, "test_vit", size=64)
        total = len(built.network.state_dict())
        assert any(f"{total} of {total} tensors fit" in note for note in built.notes)

    def test_a_checkpoint_to_come_makes_the_file_needless(self, tmp_path: Path) -> None:
        built = self.build(tmp_path / "gone.safetensors", has_state=True)
        assert built.weights_sha256 is None

    def test_what_is_no_sound_file_is_refused_with_the_next_step(self, tmp_path: Path) -> None:
        torch.save(network().state_dict(), tmp_path / "x.pth")
        for path, word in ((tmp_path / "x.pth", "import-weights"), (tmp_path / "no", "correct")):
            with pytest.raises(UsageError) as caught:
                self.build(path)
            assert word in caught.value.remedy

    def test_a_run_records_the_file_and_goes_on_without_it(
        self, harness: Harness, tmp_path: Path
    ) -> None:
        from ecotui.engine import checkpoint
        from tests.engine.test_resumption import stop_at

        path = self.write(tmp_path / "x.safetensors")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        often = {"interval_seconds": 1e-6, "background": False}
        run = harness.new(model={"weights": str(path)}, checkpoint=often)
        harness.run(run, stop_at(run, 3))
        path.unlink()
        events, code = harness.run(run, attempt=2)
        assert code == ExitCode.DONE, events[-1]
        newest = checkpoint.list_steps(run.checkpoints)[0]
        assert checkpoint.verify(newest)["weights"] == digest
