"""Files of weights that harm who trusts them; made by the tests, never kept.

Each recipe writes one file. Those in `RUNS_CODE` touch the canary when they are
loaded the usual way, which a control proves.
"""

from __future__ import annotations

import copyreg
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Recipe = Callable[[Path, Path], None]
"""Takes where to write and the canary that must not be touched."""

ROOT = "archive"
FLOATS = b"\x00\x00\x80?" * 8
"""Eight ones, as they lie in `data/0`."""


def text(word: str) -> bytes:
    raw = word.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def lengths(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def glob(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def storage(
    kind: str = "FloatStorage", key: str = "0", count: int = 8, word: str = "storage"
) -> bytes:
    named = text(word) + glob("torch", kind) + text(key) + text("cpu") + number(count)
    return b"(" + named + b"tQ"


def tensor(
    shape: tuple[int, ...] = (2, 4),
    strides: tuple[int, ...] = (4, 1),
    offset: int = 0,
    numbers: bytes = b"",
    hooks: bytes = glob("collections", "OrderedDict") + b")R",
) -> bytes:
    arguments = (numbers or storage()) + number(offset) + lengths(shape) + lengths(strides)
    return glob("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"\x89" + hooks + b"tR"


def table(*values: bytes) -> bytes:
    """A pickle of a dict of values, the names made up."""
    pairs = b"".join(text(f"fc{index}.weight") + value for index, value in enumerate(values))
    return b"\x80\x02}(" + pairs + b"u."


def archive(path: Path, data: bytes, **more: bytes) -> None:
    """Write an archive as torch.save does, around any pickle."""
    members = {
        "data.pkl": data,
        "byteorder": b"little",
        "data/0": FLOATS,
        **more,
        "version": b"3\n",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for name, content in members.items():
            made.writestr(f"{ROOT}/{name}", content)


def raw(content: bytes) -> Recipe:
    def write(path: Path, canary: Path) -> None:
        del canary
        path.write_bytes(content)

    return write


class Calls:
    """Pickles as a call of something."""

    def __init__(self, called: Any, *arguments: Any) -> None:
        self.call = (called, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def shell(canary: Path) -> str:
    return f"touch '{canary}'"


def opening(canary: Path) -> str:
    return f"open({str(canary)!r}, 'w').close()"


def reduced(called: Any, words: Callable[[Path], str], protocol: int = 2) -> Recipe:
    def write(path: Path, canary: Path) -> None:
        archive(path, pickle.dumps({"a": Calls(called, words(canary))}, protocol))

    return write


def spelt(make: Callable[[Path], bytes]) -> Recipe:
    def write(path: Path, canary: Path) -> None:
        archive(path, make(canary))

    return write


def fixed(data: bytes, **more: bytes) -> Recipe:
    return lambda path, canary: archive(path, data, **more)


def stack_global(canary: Path) -> bytes:
    """Spell the name of the call out of pieces from the memo, as scanners overlook."""
    put = text("system") + b"\x94" + text("posix") + b"\x94" + b"00"
    called = b"h\x01h\x00\x93"
    return b"\x80\x02" + put + b"}(" + text("a") + called + text(shell(canary)) + b"\x85Ru."


def inst(canary: Path) -> bytes:
    return b"\x80\x02}(S'a'\n(S" + repr(shell(canary)).encode() + b"\niposix\nsystem\nu."


def obj(canary: Path) -> bytes:
    return b"\x80\x02}(" + text("a") + b"(" + glob("posix", "system") + text(shell(canary)) + b"ou."


def popen(canary: Path) -> bytes:
    """Start a program by making an object, for those who only look for functions."""
    arguments = text("/bin/sh") + text("-c") + text(shell(canary))
    argv = b"](" + arguments + b"e"
    return b"\x80\x02}(" + text("a") + glob("subprocess", "Popen") + argv + b"\x85Ru."


def extension(canary: Path) -> bytes:
    copyreg.add_extension("posix", "system", 240)
    try:
        return pickle.dumps({"a": Calls(os.system, shell(canary))}, 2)
    finally:
        copyreg.remove_extension("posix", "system", 240)


def from_bytes(canary: Path) -> bytes:
    """A pickle within the pickle, handed to torch to load."""
    inner = io.BytesIO()
    inner.write(pickle.dumps(Calls(os.system, shell(canary))))
    called = glob("torch.storage", "_load_from_bytes")
    raw = inner.getvalue().decode("latin1")
    encoded = glob("_codecs", "encode") + text(raw) + text("latin1") + b"\x86R"
    return b"\x80\x02}" + text("a") + called + encoded + b"\x85Rs."


def built(canary: Path) -> bytes:
    """Give an object a state of another's: BUILD runs `__setstate__`, here of a partial."""
    made = glob("functools", "partial") + glob("builtins", "print") + b"\x85R"
    made += b"(" + glob("posix", "system") + b")}}tb"
    called = glob("builtins", "map") + made + b"]" + text(shell(canary)) + b"a\x86R"
    return b"\x80\x02}" + text("a") + glob("builtins", "list") + called + b"\x85Rs."


def bare(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Calls(os.system, shell(canary)), 2))


def legacy(path: Path, canary: Path) -> None:
    """The form before 1.6: a row of pickles behind a magic number."""
    rows = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, Calls(os.system, shell(canary)))
    path.write_bytes(b"".join(pickle.dumps(row, 2) for row in rows))


def tar(path: Path, canary: Path) -> None:
    with tarfile.open(path, "w") as made:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            content = pickle.dumps(Calls(os.system, shell(canary)))
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))


def nested(path: Path, canary: Path) -> None:
    inner = path.with_name("inner.pth")
    archive(inner, pickle.dumps({"a": Calls(os.system, shell(canary))}, 2))
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("model.pth", inner.read_bytes())
    inner.unlink()


GOOD = table(tensor())


def patched(change: Callable[[bytes], bytes], **more: bytes) -> Recipe:
    """Write a sound archive, then change its bytes."""

    def write(path: Path, canary: Path) -> None:
        del canary
        archive(path, GOOD, **more)
        path.write_bytes(change(path.read_bytes()))

    return write


def zipped(name: str, *, packed: bool = False, content: bytes = b"x") -> Recipe:
    """Add a member that torch.save never writes."""

    def write(path: Path, canary: Path) -> None:
        del canary
        archive(path, GOOD)
        kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "a", kind) as made:
            made.writestr(zipfile.ZipInfo(name), content, kind)

    return write


def encrypted(raw: bytes) -> bytes:
    place = raw.index(b"PK\x01\x02")
    return raw[: place + 8] + b"\x01\x00" + raw[place + 10 :]


def overlapping(raw: bytes) -> bytes:
    """Let the second member begin where the first does."""
    first = raw.index(b"PK\x01\x02")
    second = raw.index(b"PK\x01\x02", first + 4)
    return raw[: second + 42] + raw[first + 42 : first + 46] + raw[second + 46 :]


def two_directories(path: Path, canary: Path) -> None:
    """Two archives in one file: a lenient reader finds the first, another the second."""
    archive(path, GOOD)
    first = path.read_bytes()
    archive(path, pickle.dumps({"a": Calls(os.system, shell(canary))}, 2))
    path.write_bytes(first + path.read_bytes())


def another_local_name(raw: bytes) -> bytes:
    return raw.replace(b"archive/data.pkl", b"archive/data.pk1", 1)


def same_name_twice(path: Path, canary: Path) -> None:
    zipped(f"{ROOT}/data.pk2", content=GOOD)(path, canary)
    path.write_bytes(path.read_bytes().replace(b"data.pk2", b"data.pkl"))


def many_members(raw: bytes) -> bytes:
    """Claim more members than any model has, in a table of contents that is not read for it."""
    claim = struct.pack("<HH", 65_500, 65_500)
    return raw[:-14] + claim + raw[-10:]


def safetensors(header: bytes | dict[str, Any], data: bytes = FLOATS, claim: int = -1) -> Recipe:
    raw = json.dumps(header).encode() if isinstance(header, dict) else header

    def write(path: Path, canary: Path) -> None:
        del canary
        path.write_bytes(struct.pack("<Q", len(raw) if claim < 0 else claim) + raw + data)

    return write


def entry(begin: int, end: int, shape: tuple[int, ...], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def hooked() -> bytes:
    """Keep a tensor's hooks in the memo, and fill them once the tensor is made."""
    made = tensor(hooks=glob("collections", "OrderedDict") + b")R" + b"q\x01")
    hook = b"h\x01" + number(0) + text("x") + b"s"
    return b"\x80\x02}(" + text("a") + made + text("b") + hook + b"u."


RUNS_CODE: dict[str, Recipe] = {
    "os_system": reduced(os.system, shell),
    "eval": reduced(eval, opening),
    "exec": reduced(exec, opening),
    "protocol_4": reduced(os.system, shell, protocol=4),
    "stack_global_from_the_memo": spelt(stack_global),
    "inst": spelt(inst),
    "obj": spelt(obj),
    "popen": spelt(popen),
    "load_from_bytes": spelt(from_bytes),
    "build_with_setstate": spelt(built),
    "legacy_pickles": legacy,
}
"""Touch the canary where torch loads them without `weights_only`."""

OTHERS: dict[str, Recipe] = {
    "name_with_escapes": fixed(table(tensor()).replace(b"_rebuild", b"_\\x72ebuild")),
    "extension_codes": spelt(extension),
    "bare_pickle": bare,
    "tar": tar,
    "nested_zip": nested,
    "newobj_ex": fixed(
        b"\x80\x02}(" + text("a") + glob("collections", "OrderedDict") + b")}\x92u."
    ),
    "persistent_id_as_text": fixed(b"\x80\x02}(" + text("a") + b"Pstorage\nu."),
    "persistent_id_of_a_module": fixed(table(tensor(numbers=storage(word="module")))),
    "persistent_id_out_of_the_archive": fixed(table(tensor(numbers=storage(key="../../x")))),
    "persistent_id_of_a_program": fixed(
        b"\x80\x02}(" + text("a") + glob("torch", "device") + b"Qu."
    ),
    "more_numbers_than_there_are": fixed(table(tensor(numbers=storage(count=9)))),
    "numbers_of_two_kinds": fixed(
        table(tensor(), tensor((4,), (1,), numbers=storage("DoubleStorage", count=4)))
    ),
    "strides_out_of_memory": fixed(table(tensor(strides=(4_000, 1)))),
    "offset_out_of_memory": fixed(table(tensor(offset=2**40))),
    "negative_offset": fixed(table(tensor(offset=-8))),
    "negative_stride": fixed(table(tensor(strides=(-4, 1)))),
    "a_billion_elements_of_one": fixed(table(tensor((10**9,), (0,)))),
    "shape_beyond_all_integers": fixed(table(tensor((2**62, 2**62), (0, 0)))),
    "hooks_after_the_fact": fixed(hooked()),
    "hooks_of_a_kind": fixed(table(tensor(hooks=b"}" + number(0) + text("x") + b"s"))),
    "allowed_by_torch_alone": fixed(
        b"\x80\x02}"
        + text("a")
        + glob("torch._utils", "_rebuild_device_tensor_from_numpy")
        + b"(NNNNtRs."
    ),
    "ordered_dict_of_calls": fixed(
        b"\x80\x02" + glob("collections", "OrderedDict") + b"](" + number(1) + b"e\x85R."
    ),
    "call_of_a_tensor": fixed(b"\x80\x02}" + text("a") + tensor() + b")Rs."),
    "state_of_a_tensor": fixed(b"\x80\x02}" + text("a") + tensor() + b"}bs."),
    "attributes_of_a_state_dict": fixed(
        b"\x80\x02"
        + glob("collections", "OrderedDict")
        + b")R}"
        + text("__class__")
        + text("x")
        + b"sb."
    ),
    "another_pickle_behind": fixed(GOOD + GOOD),
    "millions_of_opcodes": fixed(b"\x80\x02" + b"}q\x00" * 2_000_000 + b"."),
    "nested_beyond_measure": fixed(b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b"."),
    "lists_in_lists": fixed(b"\x80\x02" + b"]" * 399_000 + b"a" * 398_999 + b"."),
    "string_of_4_gb": fixed(b"\x80\x02X\xff\xff\xff\xff" + b"a" * 100 + b"."),
    "string_of_8_mb": fixed(b"\x80\x02}" + text("\U0001f600" * 1_950_000) + b"Ns."),
    "number_without_end": fixed(b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b"."),
    "memo_of_nothing": fixed(b"\x80\x02h\x07."),
    "empty_stack": fixed(b"\x80\x02R."),
    "no_end": fixed(b"\x80\x02}"),
    "control_characters_in_a_name": fixed(
        b"\x80\x02}" + text("\x1b]52;c;aGk=\x07") + tensor() + b"s."
    ),
    "table_of_80_mb": lambda path, canary: archive(path, b"\x80\x02" + bytes(80_000_000)),
    "code_of_torchscript": fixed(GOOD, **{"constants.pkl": b".", "code/x.py": b"1"}),
    "name_that_leads_out": zipped("../../evil"),
    "absolute_name": zipped("/evil"),
    "second_root": zipped("other/data.pkl"),
    "same_name_twice": same_name_twice,
    "same_name_in_capitals": zipped(f"{ROOT}/DATA.PKL", content=GOOD),
    "compressed_bomb": zipped(f"{ROOT}/data/1", packed=True, content=bytes(30_000_000)),
    "encrypted": patched(encrypted),
    "overlapping_members": patched(overlapping),
    "two_directories": two_directories,
    "something_in_front": patched(lambda raw: raw[:40] + raw),
    "something_appended": patched(lambda raw: raw + b"PK"),
    "cut_short": patched(lambda raw: raw[: len(raw) // 2]),
    "another_local_name": patched(another_local_name),
    "many_members": patched(many_members),
    "empty_file": raw(b""),
    "web_page": raw(b"<!DOCTYPE html>"),
    "st_overlap": safetensors({"a": entry(0, 32, (8,)), "b": entry(16, 32, (4,))}),
    "st_hole": safetensors({"a": entry(0, 16, (4,)), "b": entry(20, 32, (3,))}),
    "st_beyond_the_end": safetensors({"a": entry(0, 64, (16,))}),
    "st_less_than_there_is": safetensors({"a": entry(0, 16, (4,))}),
    "st_shape_and_size_differ": safetensors({"a": entry(0, 32, (9,))}),
    "st_dtype_and_size_differ": safetensors({"a": entry(0, 32, (8,), "F64")}),
    "st_unknown_dtype": safetensors({"a": entry(0, 32, (8,), "OBJECT")}),
    "st_a_billion_elements": safetensors({"a": entry(0, 32, (10**9,))}),
    "st_shape_overflows": safetensors({"a": entry(0, 32, (2**63, 2**63, 8))}),
    "st_negative": safetensors({"a": entry(-32, 0, (8,))}),
    "st_booleans_for_numbers": safetensors({"a": entry(0, 32, (True, 8))}),
    "st_header_claims_everything": safetensors(b"{", claim=2**63),
    "st_header_of_90_mb": safetensors(b"{" + b" " * 90_000_000 + b"}"),
    "st_header_of_lists": safetensors(b'{"a":[' + b"[]," * 2_500_000 + b"[]]}"),
    "st_header_of_words": safetensors(b'{"a":[' + b'"ab",' * 990_000 + b'""]}'),
    "st_header_nested": safetensors(b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}"),
    "st_same_name_twice": safetensors(
        b'{"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},'
        b'"a":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}'
    ),
    "st_nan": safetensors(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,32]}}'),
    "st_no_utf_8": safetensors(b'{"\xff":1}'),
    "st_name_with_escapes": safetensors({"\x1b[2J": entry(0, 32, (8,))}),
    "st_metadata_of_objects": safetensors({"__metadata__": {"a": {}}, "a": entry(0, 32, (8,))}),
    "st_empty": safetensors({}, b""),
}
"""Refused without anybody having to run them."""

HOSTILE: dict[str, Recipe] = {**RUNS_CODE, **OTHERS}
