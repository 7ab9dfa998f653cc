"""Every kind of event crosses the wire whole; the vocabulary is written down."""

from __future__ import annotations

import ast
import typing
from pathlib import Path
from types import NoneType

import pytest
from pydantic import ValidationError

from ecotui import events
from ecotui.events import (
    TERMINAL_KINDS,
    AnyEvent,
    BestCheckpointChanged,
    ClassScore,
    EngineLost,
    Event,
    RepairStep,
    TimedPart,
    ValidationFinished,
    event_adapter,
)
from ecotui.plans import AuditExample
from ecotui.stream import decode

KINDS: tuple[type[Event], ...] = typing.get_args(typing.get_args(AnyEvent)[0])
ENVELOPE = set(Event.model_fields)
IDS = [kind.__name__ for kind in KINDS]


def a_value(annotation: object) -> object:
    """Return a value of a field's type that is not its usual default."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return args[-1]
    if origin is tuple:
        return (a_value(args[0]), a_value(args[0]))
    if NoneType in args:
        return a_value(args[0])
    samples: dict[object, object] = {str: "größe [/ \\e", int: 7, float: 0.1, bool: True}
    if annotation is ClassScore:
        return ClassScore(name="a", precision=0.1, recall=0.2, f1=0.3, support=4)
    if annotation is AuditExample:
        return AuditExample(path="größe.jpg", label="a", split="val", other="b.jpg")
    if annotation is TimedPart:
        return TimedPart(name="größe", seconds=0.5)
    if annotation is RepairStep:
        return RepairStep(argv=("pip", "install"), why="größe", checks=("numpy_torch",))
    return samples[annotation]


def an_event(kind: type[Event]) -> Event:
    own = {name: field for name, field in kind.model_fields.items() if name not in ENVELOPE}
    values = {name: a_value(field.annotation) for name, field in own.items()}
    return kind(seq=3, at=1.5, since_start=0.25, **values)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_every_kind_survives_the_wire(kind: type[Event]) -> None:
    event = an_event(kind)
    assert decode(event.model_dump_json().encode()) == event


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_every_kind_is_frozen_documented_and_named_after_its_class(kind: type[Event]) -> None:
    assert kind.__doc__
    words = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")
    assert kind.model_fields["kind"].default == words
    with pytest.raises(ValidationError, match="frozen"):
        an_event(kind).seq = 9  # type: ignore[misc]


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_measurement_that_may_be_missing_may_be_not_finite(kind: type[Event], bad: float) -> None:
    nullable = [
        name
        for name, field in kind.model_fields.items()
        if float in typing.get_args(field.annotation)
    ]
    values = {name: getattr(an_event(kind), name) for name in kind.model_fields}
    event = kind.model_validate(values | dict.fromkeys(nullable, bad))
    assert set(event.nonfinite) == set(nullable)
    assert decode(event.model_dump_json().encode()) == event


def test_the_loss_of_a_diverged_validation_is_still_an_event() -> None:
    values = an_event(ValidationFinished).model_dump() | {"loss": float("nan")}
    event = ValidationFinished.model_validate(values)
    assert event.loss is None
    assert event.nonfinite == ("loss",)


def test_a_figure_that_must_be_there_is_refused_where_it_is_stated() -> None:
    values = an_event(BestCheckpointChanged).model_dump() | {"value": float("nan")}
    with pytest.raises(ValidationError):
        BestCheckpointChanged.model_validate(values)


def test_the_decoder_knows_every_event_class() -> None:
    def below(kind: type[Event]) -> set[type[Event]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    stated = {kind for kind in below(Event) - {Event} if kind.__module__.startswith("ecotui.")}
    assert stated == set(KINDS)
    assert event_adapter() is event_adapter()


def test_the_opening_words_list_every_kind() -> None:
    assert events.__doc__
    missing = [kind.__name__ for kind in KINDS if kind.__name__ not in events.__doc__]
    assert missing == []


def test_the_kinds_that_end_a_run() -> None:
    assert {"run_finished", "run_stopped", "run_failed", "engine_lost"} == TERMINAL_KINDS
    assert {kind.model_fields["kind"].default for kind in KINDS} > TERMINAL_KINDS


def test_a_lost_engine_is_never_stated_by_the_engine() -> None:
    assert EngineLost(last_words=("killed",), checkpoint=None).kind == "engine_lost"
    for path in Path(events.__file__).parent.glob("engine/**/*.py"):
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
        }
        assert "EngineLost" not in names, path


def test_text_of_the_wrong_type_is_refused() -> None:
    assert decode(b'{"kind":"checkpoint_dropped","path":5}') is None
    assert decode(b'{"kind":"checkpoint_dropped"}') is None
