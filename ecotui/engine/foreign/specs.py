"""What a file says of its tensors, and how a file that is not trusted is refused."""

from __future__ import annotations

from dataclasses import dataclass

from ecotui.errors import UsageError

ITEM_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
    "C64": 8,
}
"""Bytes of one number by the name that safetensors gives its type."""

MAX_DIMENSIONS = 16
MAX_NAME_CHARACTERS = 400
MAX_TENSORS = 60_000

PICKLED = "the state dict of a model, saved by a current torch.save, or a safetensors file"
"""What is expected of a file, in a person's words."""
SAVE_AGAIN = (
    "where the file was made, save the weights alone: torch.save(model.state_dict(), FILE), or "
    "safetensors.torch.save_file(model.state_dict(), FILE)"
)


class RefusedFileError(UsageError):
    """A file from outside is not what it may be; nothing of it was loaded."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a file says of one tensor.

    Attributes:
        dtype: As safetensors names it: a key of `ITEM_BYTES`.
        shape: Length of each dimension; empty for a single number.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def num_elements(self) -> int:
        """Numbers in it."""
        return product(self.shape)

    @property
    def num_bytes(self) -> int:
        """Bytes of its numbers, side by side."""
        return self.num_elements * ITEM_BYTES[self.dtype]


def product(shape: tuple[int, ...]) -> int:
    """Return the number of elements of a shape."""
    elements = 1
    for length in shape:
        elements *= length
    return elements


def refused(what: str, remedy: str = SAVE_AGAIN, expected: str = PICKLED) -> RefusedFileError:
    """Return the refusal of a file, in a person's words."""
    return RefusedFileError(what, expected, remedy)


def is_plain_name(name: str) -> bool:
    """Say whether a name may be a tensor's: printable, not too long, not the format's own."""
    return 0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable() and not name.startswith("__")
