"""What the torch-free look at a file sees, and that no change of its bytes brings it down."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecotui.engine.foreign.inspection import Inspected, inspect
from ecotui.engine.foreign.specs import RefusedFileError, TensorSpec
from ecotui.engine.foreign.state_dict import classes_of
from tests.faults.hostile_files import GOOD, archive, tensor

STATE = {"fc.weight": torch.ones(5, 3), "fc.bias": torch.zeros(5), "bn.n": torch.tensor(7)}
SPECS = {
    "fc.weight": TensorSpec("F32", (5, 3)),
    "fc.bias": TensorSpec("F32", (5,)),
    "bn.n": TensorSpec("I64", ()),
}


def seen(path: Path) -> Inspected:
    with path.open("rb") as file:
        return inspect(file, path.stat().st_size)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


WRAPPED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "plain": (STATE, ()),
    "ordered": (OrderedDict(STATE), ()),
    "lightning": (
        {
            "epoch": 3,
            "state_dict": {f"model.{name}": value for name, value in STATE.items()},
            "lr_schedulers": [{"milestones": Counter([1, 2]), "base": (0.1, None, True)}],
            "hyper_parameters": {"size": torch.Size((3, 4)), "dtype": torch.bfloat16},
            "device": torch.device("cuda:0"),
            "big": 2**40,
        },
        ("state_dict",),
    ),
    "timm": (
        {"state_dict": {"fc.weight": torch.ones(1)}, "state_dict_ema": STATE, "metric": 1.5},
        ("state_dict_ema",),
    ),
    "parallel": ({"model": {f"module.{name}": value for name, value in STATE.items()}}, ("model",)),
    "averaged": (
        {"n_averaged": torch.tensor(9)}
        | {f"module._orig_mod.{name}": value for name, value in STATE.items()},
        (),
    ),
    "nested": ({"model": {"state_dict": STATE}}, ("model", "state_dict")),
    "parameters": ({name: torch.nn.Parameter(value, False) for name, value in STATE.items()}, ()),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_state_dict_is_found_in_the_customs_of_trainers(name: str, tmp_path: Path) -> None:
    content, keys = WRAPPED[name]
    found = seen(saved(tmp_path / "file.bin", content))
    assert (found.kind, found.chosen.keys) == ("torch", keys)
    assert dict(found.chosen.specs) == SPECS
    assert classes_of(found.chosen.specs) == 5


def test_views_and_shared_numbers_are_seen_as_what_they_are(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    found = seen(saved(tmp_path / "x", {"a": base.t(), "b": base[1:], "c": base, "d": base[:0]}))
    assert [spec.shape for spec in found.chosen.specs.values()] == [(4, 3), (2, 4), (3, 4), (0, 4)]
    assert found.wanted_bytes == 4 * (12 + 8 + 12)


def test_a_whole_model_is_refused_with_the_name_of_what_it_asks_for(tmp_path: Path) -> None:
    with pytest.raises(RefusedFileError) as caught:
        seen(saved(tmp_path / "model.pth", torch.nn.Linear(2, 2)))
    assert "torch.nn.modules.linear.Linear" in caught.value.what
    assert "state_dict()" in caught.value.remedy


def test_a_file_without_a_state_dict_tells_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(RefusedFileError) as caught:
        seen(saved(tmp_path / "x", {"epoch": 3, "optimizer": {"a": [1, 2]}}))
    assert "epoch, optimizer" in caught.value.what


def test_a_model_of_ten_thousand_tensors_is_not_too_large(tmp_path: Path) -> None:
    numbers = torch.zeros(1)
    state = {f"blocks.{index}.weight": numbers for index in range(8_000)}
    assert len(seen(saved(tmp_path / "x", state)).chosen.specs) == 8_000


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.pth"
    torch.save(WRAPPED["lightning"][0], path)
    return path


def inspected(raw: bytes, path: Path) -> Inspected | None:
    path.write_bytes(raw)
    try:
        return seen(path)
    except RefusedFileError:
        return None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_any_byte_does_more_than_refuse(
    data: st.DataObject, good: Path, tmp_path: Path
) -> None:
    raw = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    inspected(bytes(raw[: len(raw) - cut]), tmp_path / "changed")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, len(GOOD) - 1),
    with_=st.binary(min_size=0, max_size=3),
    over=st.integers(0, 3),
)
def test_what_is_let_through_torch_loads_with_the_same_names_and_shapes(
    place: int, with_: bytes, over: int, tmp_path: Path
) -> None:
    path = tmp_path / "changed.pth"
    archive(path, GOOD[:place] + with_ + GOOD[place + over :])
    try:
        found = seen(path)
    except RefusedFileError:
        return
    loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in found.chosen.keys:
        loaded = loaded[key]
    for old, new in found.chosen.names.items():
        assert tuple(loaded[old].shape) == found.chosen.specs[new].shape


OPCODES = [bytes([code]) for code in b"\x80}]()tu.seaRbQq\x00h\x00K\x05N\x88\x85\x86\x87\x93\x81"]
PIECES = [*OPCODES, b"K\x03", b"q\x01", b"h\x01", tensor(), b"X\x01\x00\x00\x00a", b"}"]


@settings(max_examples=400)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
def test_no_order_of_opcodes_does_more_than_refuse(pieces: list[bytes]) -> None:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as made:
        made.writestr("a/data.pkl", b"\x80\x02" + b"".join(pieces))
        made.writestr("a/data/0", bytes(32))
    descriptor = os.memfd_create("weights") if hasattr(os, "memfd_create") else -1
    if descriptor < 0:
        pytest.skip("needs memfd")
    with os.fdopen(descriptor, "w+b") as file:
        file.write(raw.getvalue())
        file.flush()
        try:
            inspect(file, len(raw.getvalue()))
        except RefusedFileError:
            return
