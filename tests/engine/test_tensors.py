"""Tensors become safetensors files that the library reads back bit for bit."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecotui.engine import tensors
from ecotui.engine.checkpoint import finished
from ecotui.engine.snapshot import Snapshot
from ecotui.engine.tensor_file import ITEM_BYTES, read_header
from ecotui.engine.tensors import TensorFile, find_finite

DTYPES = [
    dtype
    for dtype, told in tensors._DTYPES.items()
    if told in set(getattr(safetensors.torch, "_TYPES", ITEM_BYTES))
]


def bits(tensor: torch.Tensor) -> bytes:
    return bytes(tensors.as_bytes(tensor))


def write(path: Path, held: dict[str, torch.Tensor]) -> Path:
    path.write_bytes(b"".join(TensorFile(held)))
    return path


@st.composite
def named_tensors(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    names = draw(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=6))
    held = {}
    for name in names:
        if name == "__metadata__":
            continue
        dtype = draw(st.sampled_from(DTYPES))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        size = torch.empty(shape, dtype=dtype).numel() * torch.empty(0, dtype=dtype).element_size()
        content = draw(st.binary(min_size=size, max_size=size))
        if dtype == torch.bool:
            content = bytes(byte & 1 for byte in content)
        raw = torch.tensor(list(content), dtype=torch.uint8)
        held[name] = raw.view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
    return held


@given(held=named_tensors())
@settings(max_examples=150, deadline=None)
def test_any_tensors_of_any_type_are_read_back_bit_for_bit(held: dict[str, torch.Tensor]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.safetensors", held)
        read = safetensors.torch.load_file(path)
        header = read_header(path)
    assert read.keys() == held.keys() == header.keys()
    for name, tensor in held.items():
        assert read[name].dtype == tensor.dtype
        assert tuple(read[name].shape) == tuple(tensor.shape) == header[name].shape
        assert bits(read[name]) == bits(tensor)


def test_every_type_of_the_format_is_written() -> None:
    assert {torch.bfloat16, torch.bool, torch.int64, torch.float32, torch.uint8} <= set(DTYPES)
    for told, size in ITEM_BYTES.items():
        for dtype, name in tensors._DTYPES.items():
            assert name != told or torch.empty(0, dtype=dtype).element_size() == size
    with pytest.raises(TypeError, match="complex128"):
        tensors.describe({"z": torch.zeros(1, dtype=torch.complex128)})


def test_the_header_ends_on_eight_bytes_and_each_tensor_at_its_own_size(tmp_path: Path) -> None:
    held = {
        "a": torch.ones(3, dtype=torch.bool),
        "b": torch.ones(2),
        "c": torch.ones((), dtype=torch.float64),
    }
    content = write(tmp_path / "x", held).read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    table = json.loads(content[8 : 8 + length])
    assert [table[name]["data_offsets"] for name in "cba"] == [[0, 8], [8, 16], [16, 19]]


def test_what_lies_otherwise_in_memory_is_written_row_by_row(tmp_path: Path) -> None:
    image = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    row = torch.arange(6.0).reshape(2, 3)
    read = safetensors.torch.load_file(
        write(tmp_path / "x", {"i": image, "t": row.T, "e": row[:1]})
    )
    assert torch.equal(read["i"], image)
    assert torch.equal(read["t"], row.T)
    assert torch.equal(read["e"], row[:1])


def test_weights_that_share_memory_are_written_apart(tmp_path: Path) -> None:
    weight = torch.ones(3)
    read = safetensors.torch.load_file(write(tmp_path / "x", {"a": weight, "b": weight}))
    assert torch.equal(read["a"], read["b"])


@pytest.mark.parametrize("content", [b"", b"12345678", b"\xff" * 8, b"\x02" + b"\0" * 7 + b"[]"])
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_header(tmp_path / "x")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64]
)
def test_a_single_number_that_is_not_finite_is_found(bad: float, dtype: torch.dtype) -> None:
    sound = torch.full((300, 300), torch.finfo(dtype).max, dtype=dtype)
    assert finished(find_finite({"step": torch.tensor(3), "a": sound})) is True
    sound[299, 7] = bad
    assert finished(find_finite({"a": torch.ones(2), "b": sound})) is False
    assert finished(find_finite({"b": sound.T})) is False


def test_a_snapshot_does_not_follow_training_and_uses_its_memory_again() -> None:
    snapshot = Snapshot()
    state = {"model": {"w": torch.ones(1_000), "b": torch.ones(3, dtype=torch.bfloat16)}}
    finished(snapshot.prepare(state))
    first = snapshot.take(state)["model"]
    state["model"]["w"].zero_()
    assert first["w"].sum() == 1_000
    place = first["w"].data_ptr()
    again = snapshot.take(state)["model"]
    assert again["w"].data_ptr() == place
    assert again["w"].sum() == 0


def test_a_snapshot_follows_what_the_state_is_made_of() -> None:
    snapshot = Snapshot()
    finished(snapshot.prepare({"model": {"w": torch.ones(4), "gone": torch.ones(1)}}))
    wider = {"model": {"w": torch.full((5,), 2.0)}, "optim": {"0.step": torch.tensor(7)}}
    taken = snapshot.take(wider)
    assert torch.equal(taken["model"]["w"], torch.full((5,), 2.0))
    assert taken["model"].keys() == {"w"}
    assert taken["optim"]["0.step"] == 7


def test_a_snapshot_has_the_layout_of_what_it_copies() -> None:
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    taken = Snapshot().take({"model": {"w": weight}})["model"]["w"]
    assert taken.stride() == weight.stride()
    assert torch.equal(taken, weight)


@given(held=named_tensors(), threads=st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_a_snapshot_of_any_tensors_has_all_their_bits(
    held: dict[str, torch.Tensor], threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        taken = Snapshot().take({"x": held})["x"]
    finally:
        torch.set_num_threads(before)
    assert {name: bits(t) for name, t in taken.items()} == {n: bits(t) for n, t in held.items()}


def test_a_snapshot_copies_large_views_and_gaps_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecotui.engine.snapshot._COPIED_AT_ONCE_BYTES", 1_000)
    whole = torch.randn(300, 40)
    held = {"all": whole, "rows": whole[7:90], "columns": whole[:, 3:9], "turned": whole.T}
    held["one"] = whole[:1, :1].expand(50, 60)
    taken = Snapshot().take({"x": held})["x"]
    assert all(torch.equal(taken[name], tensor) for name, tensor in held.items())
