"""A checkpoint is compared with the run before anything of the run is changed."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotui.engine import checkpoint
from ecotui.engine.checkpoint import commit, step_name
from ecotui.engine.generators import pack_generators
from ecotui.engine.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    BadCheckpointError,
    FileRecord,
    OtherFormatError,
    decode_json,
    encode_manifest,
    read_manifest,
)
from ecotui.engine.restoring import MisfitError, newest_restorable, restore
from ecotui.engine.train_state import LoopState, Trainable, collect_files
from tests.engine.test_train_state import advance, make


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    """On a busy machine the threads of a small model wait for one another most of the time."""
    torch.set_num_threads(1)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trainable, schedule = make("adamw", seed=1)
    advance(trainable, schedule, range(2))
    files = collect_files(trainable, LoopState(step=2))
    return commit(tmp_path / "c", step_name(tmp_path / "c", 2), files, {"step": 2}).path


def fingerprint(trainable: Trainable) -> list[torch.Tensor]:
    tensors = [
        *trainable.network.state_dict().values(),
        *trainable.ema.module.state_dict().values(),
    ]
    for entry in trainable.optimizer.state_dict()["state"].values():
        tensors += [value for value in entry.values() if isinstance(value, torch.Tensor)]
    generators = list(pack_generators()[0].values())
    return [tensor.clone() for tensor in (*tensors, *generators)]


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads((path / "loop.json").read_text())
    change(record)
    (path / "loop.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["loop"].update(step="2"),
        lambda record: record["loop"].update(hits=True),
        lambda record: record["loop"].update(loss_sum="much"),
        lambda record: record.pop("generators"),
        lambda record: record["generators"].update(numpy=["MT19937", 1]),
        lambda record: record["generators"].update(python=[99, None]),
        lambda record: record["scaler"].update(scale=2.0),
        lambda record: record["optimizer_groups"].pop(0),
        lambda record: record["optimizer_groups"][-1]["numbers"].update({"9999.step": 1}),
        lambda record: record["optimizer_groups"][-1]["numbers"].update({"-1.step": 1}),
    ],
)
def test_what_does_not_fit_changes_nothing(
    saved: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(saved, change)
    trainable, schedule = make("adamw", seed=2)
    advance(trainable, schedule, range(1))
    random.seed(77)
    before = fingerprint(trainable)
    with pytest.raises(MisfitError):
        restore(saved, trainable)
    assert all(map(torch.equal, before, fingerprint(trainable)))


@pytest.mark.parametrize("swapped", ["ema.safetensors", "optim.safetensors", "model.safetensors"])
def test_files_of_another_model_change_nothing(saved: Path, swapped: str) -> None:
    other = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(other.parameters())
    other(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    scaler: Any = make("adamw", seed=1)[0].scaler
    files = collect_files(Trainable(other, None, optimizer, scaler), LoopState())
    wanted = "optim.safetensors" if swapped.startswith("optim") else "model.safetensors"
    (saved / swapped).write_bytes(b"".join(files[wanted]))  # type: ignore[arg-type]
    trainable, schedule = make("adamw", seed=2)
    advance(trainable, schedule, range(1))
    before = fingerprint(trainable)
    with pytest.raises(MisfitError):
        restore(saved, trainable)
    assert all(map(torch.equal, before, fingerprint(trainable)))


def test_one_that_does_not_fit_stays_and_the_one_before_is_taken(saved: Path) -> None:
    folder = saved.parent
    trainable, _ = make("adamw", seed=1)
    files: dict[str, Any] = {**collect_files(trainable, LoopState(step=3)), "loop.json": b"{}"}
    misfit = commit(folder, step_name(folder, 3), files, {}).path
    found, told = newest_restorable(folder, trainable, lambda facts: None)
    assert found is not None
    assert (found.path, found.loop.step) == (saved, 2)
    assert told == [f"{misfit.name}: it cannot be read: 'loop'"]
    assert misfit.is_dir()


def test_the_facts_are_looked_at_before_anything_is_compared(saved: Path) -> None:
    seen: list[dict[str, Any]] = []

    class OtherClassesError(Exception):
        pass

    def refuse(facts: dict[str, Any]) -> None:
        seen.append(facts)
        raise OtherClassesError

    trainable: Any = None
    with pytest.raises(OtherClassesError):
        newest_restorable(saved.parent, trainable, refuse)
    assert seen == [{"step": 2}]


def test_one_of_another_format_is_told_and_left_where_it_is(saved: Path) -> None:
    text = (saved / MANIFEST).read_text()
    newer = text.replace(f'"format": {FORMAT_VERSION}', f'"format": {FORMAT_VERSION + 1}')
    (saved / MANIFEST).write_text(newer)
    with pytest.raises(OtherFormatError):
        read_manifest(saved)
    found, told = checkpoint.newest_valid(saved.parent)
    assert found is None
    assert "format" in told[0]
    assert saved.is_dir()


def test_links_pipes_and_giants_are_not_followed_nor_read(saved: Path, tmp_path: Path) -> None:
    import os

    outside = tmp_path / "outside"
    (saved / "loop.json").rename(outside)
    (saved / "loop.json").symlink_to(outside)
    with pytest.raises(BadCheckpointError, match=r"loop\.json"):
        checkpoint.verify(saved)
    (saved / "loop.json").unlink()
    os.mkfifo(saved / "loop.json")
    with pytest.raises(BadCheckpointError, match="no plain file"):
        checkpoint.verify(saved)
    with (saved / MANIFEST).open("wb") as file:
        file.truncate(10**10)
    with pytest.raises(BadCheckpointError, match="more than"):
        checkpoint.verify(saved)
    link = saved.parent / "step-0000000009-00000000"
    link.symlink_to(tmp_path)
    told: list[str] = []
    assert list(checkpoint.valid_steps(saved.parent, told)) == []
    assert len(told) == 2
    assert checkpoint.list_steps(saved.parent) == []


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": -Infinity}', "[" * 100_000, '{"a": 1']
)
def test_json_that_can_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json(text.encode())


@given(where=st.integers(0, 10_000), bit=st.integers(0, 7))
@settings(max_examples=80, deadline=None)
def test_a_flipped_bit_in_a_manifest_is_found_or_means_nothing(where: int, bit: int) -> None:
    facts = {"step": 7, "environment": {"torch": "2.2", "threads": 2}, "finite": True, "x": 0.1}
    content = bytearray(encode_manifest({"a.json": FileRecord(12, "ab" * 32)}, facts))
    content[where % len(content)] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / MANIFEST).write_bytes(content)
        try:
            read = read_manifest(path)
        except BadCheckpointError:
            return
    assert read.facts == facts
    assert read.files == {"a.json": FileRecord(12, "ab" * 32)}
