"""What scripts rely on, as a golden list: config keys, events and their fields, exit codes.

Growing it is a decision, shrinking it breaks somebody. To accept a change:

    ECOTUI_UPDATE_SURFACE=1 python -m pytest tests/test_surface.py
"""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from ecotui.commands import AnyCommand
from ecotui.config import RunConfig
from ecotui.errors import ExitCode
from ecotui.events import AnyEvent, Event, Record
from ecotui.paths import RunDir

GOLDEN = Path(__file__).with_name("surface.txt")
UPDATE = "ECOTUI_UPDATE_SURFACE"


def config_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from config_keys(field.annotation, f"{prefix}{name}.")
        else:
            yield f"config {prefix}{name}"


def records(word: str, kinds: tuple[type[BaseModel], ...], envelope: set[str]) -> Iterator[str]:
    for kind in kinds:
        own = sorted(set(kind.model_fields) - envelope)
        name = kind.model_fields["kind"].default if "kind" in kind.model_fields else kind.__name__
        yield f"{word} {name}: {' '.join(own)}".rstrip()


def members(union: object) -> tuple[type[BaseModel], ...]:
    return typing.get_args(typing.get_args(union)[0])


def surface() -> list[str]:
    """Return one line a name that something outside may have written down."""
    run = RunDir(Path("run"))
    files = [name for name, kind in vars(RunDir).items() if isinstance(kind, property)]
    return [
        *sorted(config_keys(RunConfig)),
        f"event envelope: {' '.join(Event.model_fields)}",
        *sorted(records("event", members(AnyEvent), set(Event.model_fields))),
        *sorted(records("record", tuple(Record.__subclasses__()), set())),
        *sorted(records("command", members(AnyCommand), {"kind", "id"})),
        *(f"exit {code.value} {code.name}" for code in ExitCode),
        *sorted(f"file {getattr(run, name).name}" for name in files if name != "run_id"),
    ]


def test_the_surface_is_the_one_written_down() -> None:
    found = "\n".join(surface()) + "\n"
    if os.environ.get(UPDATE):
        GOLDEN.write_text(found, encoding="utf-8")
        pytest.skip(f"{GOLDEN.name} is written anew")
    written = GOLDEN.read_text(encoding="utf-8").splitlines()
    gone = sorted(set(written) - set(found.splitlines()))
    new = sorted(set(found.splitlines()) - set(written))
    assert (gone, new) == ([], []), f"names that others rely on have changed; see {__file__}"


def test_the_exit_codes_are_the_documented_numbers() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "ERROR": 1,
        "USAGE": 2,
        "PREFLIGHT": 3,
        "HEALTH": 4,
        "ENVIRONMENT": 5,
        "OUT_OF_MEMORY": 6,
        "RESUMABLE": 75,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }
