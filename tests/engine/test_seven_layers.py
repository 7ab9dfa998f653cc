"""Each layer of protection broken once: seen in the events, on the screen and in print.

The run is real, in this process; its log is then read by the real app (under a
pilot) and by the real headless printer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import pytest
import torch

from ecotui.app import EcoApp
from ecotui.engine import assembly, evaluate, model, step, trainer
from ecotui.engine.data.transforms import Transforms, build_transforms
from ecotui.engine.probing import Answer
from ecotui.errors import ExitCode
from ecotui.events import LAYER_NAMES, EngineStarted, Event, Layer
from ecotui.headless import follow
from ecotui.layers import LayerStatus
from ecotui.paths import RunDir
from ecotui.printing import Style
from ecotui.session import attach
from ecotui.state import RunState, fold
from ecotui.stream import EventWriter, Tail
from tests.engine.conftest import Answering
from tests.engine.harness import Harness

NAN = float("nan")


@dataclass(frozen=True)
class Tools:
    """What breaking a layer may need."""

    patch: pytest.MonkeyPatch
    answering: Answering


def break_environment(tools: Tools) -> None:
    tools.answering(numpy_torch=Answer(None, "RuntimeError: Numpy is not available"))


def break_transforms(tools: Tools) -> None:
    def wrong(*arguments: Any) -> Transforms:
        made = build_transforms(*arguments)
        return replace(made, train=lambda photo: made.train(photo)[:, :-1])

    tools.patch.setattr(assembly, "build_transforms", wrong)


def break_model(tools: Tools) -> None:
    def poisoned(*arguments: Any, **settings: Any) -> Any:
        built: Any = model.build_model(*arguments, **settings)
        with torch.no_grad():
            built.network.get_classifier().bias[0] = NAN
        return built

    tools.patch.setattr(assembly, "build_model", poisoned)


def break_step(tools: Tools, how: Callable[..., Any]) -> None:
    real = step.Stepper.compute_gradients

    def compute(self: Any, batch: Any, number: int) -> Any:
        measured = real(self, batch, number)
        return how(measured) if number == 1 else measured

    tools.patch.setattr(step.Stepper, "compute_gradients", compute)


def break_batch(tools: Tools) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("a kernel failed")

    break_step(tools, fail)


def break_loss(tools: Tools) -> None:
    break_step(tools, lambda measured: step.Gradients(NAN, measured.norm))


def break_gradients(tools: Tools) -> None:
    break_step(tools, lambda measured: step.Gradients(measured.loss, NAN))


def break_validation(tools: Tools) -> None:
    real = evaluate.evaluate

    def broken(*arguments: Any) -> evaluate.Evaluation:
        result = real(*arguments)
        return evaluate.Evaluation(NAN, result.accuracy_top5, result.confusion_KK)

    tools.patch.setattr(trainer, "evaluate", broken)


BROKEN: dict[Layer, tuple[Callable[[Tools], None], ExitCode, LayerStatus, str]] = {
    1: (break_environment, ExitCode.ENVIRONMENT, "tripped", "Numpy is not available"),
    2: (break_transforms, ExitCode.PREFLIGHT, "tripped", "the transforms make"),
    3: (break_model, ExitCode.PREFLIGHT, "tripped", "not finite"),
    4: (break_batch, ExitCode.DONE, "acted", "a kernel failed"),
    5: (break_loss, ExitCode.DONE, "acted", "the loss is not finite"),
    6: (break_gradients, ExitCode.DONE, "acted", "the gradients are not finite"),
    7: (break_validation, ExitCode.HEALTH, "tripped", "the validation loss is not finite"),
}


def run_with_log(harness: Harness) -> tuple[RunDir, ExitCode]:
    # Layer 4 would speak of every skipped batch too, there being so few.
    run = harness.new(
        guards={
            "max_lost_fraction": 0.9,
            "warn_lost_fraction": 0.9,
            "first_epoch_accuracy": 0.0,
        }
    )
    writer = EventWriter(run.events)
    # The real door states this before anything else.
    writer(EngineStarted(run_id=run.run_id, pid=1, host="here", version="0"))
    _, code = harness.run(run, writer)
    writer.close()
    return run, code


def state_of(run: RunDir) -> RunState:
    return reduce(fold, (event for _, event in Tail(run.events).read()), RunState())


async def screen_texts(run: RunDir) -> dict[str, str]:
    """Return what stands on each of the three screens, and beside each alert, one after another."""
    app = EcoApp(run, run.path.parent)
    texts = {}
    async with app.run_test(size=(120, 100)) as pilot:

        async def shown() -> str:
            await pilot.pause(0.1)
            strips = app.screen._compositor.render_strips()
            return "\n".join(
                "".join(segment.text for segment in strip).rstrip() for strip in strips
            )

        for _ in range(5):
            await pilot.pause(0.1)
        for key, name in (("1", "diagnostic"), ("2", "preflight"), ("3", "training")):
            await pilot.press(key)
            texts[name] = await shown()
        await pilot.press("A", "g")
        for _ in range(8):
            texts["training"] += await shown()
            await pilot.press("j")
    return texts


@pytest.mark.parametrize("layer", BROKEN)
def test_a_broken_layer_speaks_in_events_on_the_screen_and_in_print(
    layer: Layer,
    harness: Harness,
    answering: Answering,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    breaking, code, status, said = BROKEN[layer]
    breaking(Tools(monkeypatch, answering))
    run, got = run_with_log(harness)
    assert got == code

    state = state_of(run)
    assert state.layers[layer - 1].status == status
    assert [other.layer for other in state.layers if other.status == "tripped"] == (
        [layer] if status == "tripped" else []
    )
    facts: list[Event] = [*state.checks, *state.alerts]
    assert any(said in getattr(fact, "what", "") for fact in facts)

    screens = asyncio.run(screen_texts(run))
    lines = "\n".join(screens.values()).splitlines()
    named = f"{layer} {LAYER_NAMES[layer]}"
    # The log of alerts names layers too; the strip says nothing else but how each fares.
    assert any(re.search(rf"{named} +[^ ] {status}\b", line) for line in lines)
    shown = {1: "diagnostic", 2: "preflight", 3: "preflight"}.get(layer, "training")
    assert said in " ".join(screens[shown].split()) or said[:24] in screens[shown]

    capsys.readouterr()
    follow(attach(run), style=Style.PLAIN, owner=False)
    printed = capsys.readouterr()
    assert said in printed.out + printed.err
    if layer > 3:
        assert f"layer {layer} ({LAYER_NAMES[layer]})" in printed.out


def test_with_nothing_broken_every_layer_passes(harness: Harness) -> None:
    run, code = run_with_log(harness)
    assert code == ExitCode.DONE
    status = [layer.status for layer in state_of(run).layers]
    assert status[:3] == ["passed"] * 3
    assert status[3:6] == ["passed"] * 3
    assert status[6] in ("passed", "acted")
