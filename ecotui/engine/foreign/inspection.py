"""A file of weights from outside, looked through before anything loads it.

What it is is found from its content, never from its name. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

from ecotui.engine.foreign.archive import LOCAL_MAGIC, PICKLE_NAME, read_archive, read_member
from ecotui.engine.foreign.header import read_header
from ecotui.engine.foreign.pickles import MAX_PICKLE_BYTES, read_pickle
from ecotui.engine.foreign.specs import SAVE_AGAIN, TensorSpec, refused
from ecotui.engine.foreign.state_dict import Chosen, choose
from ecotui.text import bytes_size

Kind = Literal["torch", "safetensors"]

_HEAD_BYTES = 512
_BRACE = 8
"""Where the header of a safetensors file begins, behind its length."""
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
_DOWNLOAD = "download the file again; this is what came instead of it"
_OTHERS = (
    (0, b"\x80", "a bare pickle, which may run any program when it is loaded", SAVE_AGAIN),
    (257, b"ustar", "a tar archive, the form of PyTorch before 0.1.10", SAVE_AGAIN),
    (0, b"version https://git-lfs", "a pointer of git-lfs", "fetch it: git lfs pull"),
    (0, b"<", "a web page", _DOWNLOAD),
    (0, b"\x1f\x8b", "compressed with gzip", "unpack it first"),
    (0, b"\x89HDF", "a file of Keras or HDF5", "export a state dict of PyTorch from it"),
    (0, b"GGUF", "a file of llama.cpp", "use a state dict of PyTorch"),
    (0, b"PK", "a zip archive that is empty or cut short", "download the file again"),
)
"""Where and how other files begin, what they are, and what to do."""
MAX_EXPANSION = 4
"""Weights that share numbers are written apart: at most so many times the file's own size."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file that may be loaded.

    Attributes:
        kind: How.
        chosen: What of it is wanted.
        num_bytes: Of the file.
        wanted_bytes: Of the tensors wanted, written apart.
    """

    kind: Kind
    chosen: Chosen
    num_bytes: int
    wanted_bytes: int


def inspect(file: BinaryIO, num_bytes: int) -> Inspected:
    """Look through a file and say what is to be loaded of it.

    Args:
        file: Open for reading, at any place.
        num_bytes: Its size.

    Raises:
        RefusedFileError: It is not plainly a file of weights.
    """
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if head.startswith(LOCAL_MAGIC):
        return _inspected("torch", choose(_unpickled(file)), num_bytes)
    if head[_BRACE : _BRACE + 1] == b"{":
        tensors: Mapping[str, TensorSpec] = read_header(file).tensors
        return _inspected("safetensors", choose(dict(tensors)), num_bytes)
    if not head:
        raise refused("the file is empty", "download the file again")
    if head.startswith(_LEGACY_MAGIC):
        raise refused(
            "the file is in the form of PyTorch before 1.6, which cannot be looked through safely"
        )
    for offset, magic, what, remedy in _OTHERS:
        if head[offset:].startswith(magic):
            raise refused(f"the file is {what}", remedy)
    raise refused("the file is neither a safetensors file nor an archive of torch.save")


def _unpickled(file: BinaryIO) -> object:
    members = read_archive(file)
    pickle = members[PICKLE_NAME]
    if pickle.num_bytes > MAX_PICKLE_BYTES:
        raise refused(
            f"the file's table of weights takes {bytes_size(pickle.num_bytes)}, "
            f"which is more than any model's"
        )
    found: object = read_pickle(read_member(file, pickle), members)
    return found


def _inspected(kind: Kind, chosen: Chosen, num_bytes: int) -> Inspected:
    wanted = sum(spec.num_bytes for spec in chosen.specs.values())
    if wanted > MAX_EXPANSION * num_bytes:
        raise refused(
            f"the file's tensors would take {bytes_size(wanted)}, and it has "
            f"{bytes_size(num_bytes)}"
        )
    return Inspected(kind, chosen, num_bytes, wanted)
