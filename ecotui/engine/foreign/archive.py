"""The table of contents of a zip archive, as torch.save writes it and in no other way.

A reader that is lenient can be shown another archive than the one that torch
opens; this one knows a single layout, and unpacks nothing.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from ecotui.engine.foreign.specs import SAVE_AGAIN, refused
from ecotui.text import visible

LOCAL_MAGIC = b"PK\x03\x04"
PICKLE_NAME = "data.pkl"
MAX_MEMBERS = 65_000
MAX_DIRECTORY_BYTES = 16_000_000
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_MAX_32, _MAX_16 = 0xFFFF_FFFF, 0xFFFF
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_STORED = 0
_ZIP64_FIELD = 1
_NAME = re.compile(r"[^/\\\x00-\x1f]{1,255}(/[A-Za-z0-9_.+-]{1,100}){1,3}")
"""The first folder is called as the file was when it was saved; all else is torch's own."""
_SCRIPT_NAMES = frozenset({"constants.pkl", "code"})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive.

    Attributes:
        offset: Where its bytes begin in the archive.
        num_bytes: How many there are; they are stored as they are.
    """

    offset: int
    num_bytes: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the table of contents."""

    name: str
    raw_name: bytes
    header_offset: int
    num_bytes: int


class _FaultError(Exception):
    """What is wrong with an archive."""


def read_archive(file: BinaryIO) -> Mapping[str, Member]:
    """Read and check the table of contents; the names are without the common first folder.

    Raises:
        RefusedFileError: It is not an archive of torch.save.
    """
    try:
        entries, directory_offset = _entries(file, os.fstat(file.fileno()).st_size)
        members = _members(file, entries, directory_offset)
    except _FaultError as fault:
        raise refused(f"the archive is not one that torch.save writes: {fault}") from None
    except (struct.error, UnicodeDecodeError):
        raise refused("the archive is damaged: its table of contents cannot be read") from None
    if _SCRIPT_NAMES & {name.partition("/")[0] for name in members}:
        raise refused("the archive is a TorchScript program, not weights")
    if PICKLE_NAME not in members:
        raise refused(
            "the zip archive holds no weights of torch.save", f"unpack it first; or {SAVE_AGAIN}"
        )
    return members


def read_member(file: BinaryIO, member: Member) -> bytes:
    """Return a member's bytes."""
    file.seek(member.offset)
    return file.read(member.num_bytes)


def _entries(file: BinaryIO, file_bytes: int) -> tuple[list[_Entry], int]:
    count, directory_bytes, directory_offset, directory_end = _end_record(file, file_bytes)
    if count > MAX_MEMBERS or directory_bytes > MAX_DIRECTORY_BYTES:
        raise _FaultError(f"it claims {count:,} members")
    if directory_offset + directory_bytes != directory_end:
        raise _FaultError("something lies before or behind its table of contents")
    file.seek(directory_offset)
    directory = file.read(directory_bytes)
    entries, position = [], 0
    for _ in range(count):
        entry, position = _entry(directory, position)
        entries.append(entry)
    if position != directory_bytes:
        raise _FaultError("its table of contents is longer than it says")
    return entries, directory_offset


def _end_record(file: BinaryIO, file_bytes: int) -> tuple[int, int, int, int]:
    """Return count, size, offset and end of the table of contents."""
    end_offset = file_bytes - _END.size
    if end_offset < 0:
        raise _FaultError("it is cut short")
    file.seek(end_offset)
    magic, disk, other_disk, here, count, size, offset, comment = _END.unpack(file.read(_END.size))
    if magic != b"PK\x05\x06" or comment or disk or other_disk or here != count:
        raise _FaultError("it is cut short, or something is appended to it")
    file.seek(max(0, end_offset - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if locator[:4] == b"PK\x06\x07" and len(locator) == _LOCATOR.size:
        return _end_record_64(file, locator, end_offset, (count, size, offset))
    if count == _MAX_16 or _MAX_32 in (size, offset):
        raise _FaultError("its table of contents has no place")
    return count, size, offset, end_offset


def _end_record_64(
    file: BinaryIO, locator: bytes, end_offset: int, short: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    _, disk, offset, num_disks = _LOCATOR.unpack(locator)
    if disk or num_disks != 1 or offset != end_offset - _LOCATOR.size - _END64.size:
        raise _FaultError("its table of contents has two places")
    file.seek(offset)
    magic, size, _, _, this, other, here, count, directory_bytes, begin = _END64.unpack(
        file.read(_END64.size)
    )
    if magic != b"PK\x06\x06" or size != _END64.size - 12 or this or other or here != count:
        raise _FaultError("its table of contents has no place")
    for long, brief, limit in zip(
        (count, directory_bytes, begin), short, (_MAX_16, _MAX_32, _MAX_32), strict=True
    ):
        if brief not in (long, limit):
            raise _FaultError("its table of contents has two places")
    return count, directory_bytes, begin, offset


def _entry(directory: bytes, position: int) -> tuple[_Entry, int]:
    fields = _CENTRAL.unpack_from(directory, position)
    magic, flags, method, packed, size = fields[0], fields[3], fields[4], fields[8], fields[9]
    name_bytes, extra_bytes, comment_bytes, offset = (*fields[10:13], fields[16])
    if magic != b"PK\x01\x02":
        raise _FaultError("its table of contents is damaged")
    begin = position + _CENTRAL.size
    raw_name = directory[begin : begin + name_bytes]
    name = raw_name.decode("utf-8")
    extra = directory[begin + name_bytes : begin + name_bytes + extra_bytes]
    shown = visible(name, limit=80)
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise _FaultError(f"'{shown}' is no name of a member")
    if flags & _ENCRYPTED:
        raise _FaultError(f"'{shown}' is encrypted")
    size, packed, offset = _wide(extra, size, packed, offset)
    if method != _STORED or packed != size:
        raise _FaultError(f"'{shown}' is compressed")
    end = begin + name_bytes + extra_bytes + comment_bytes
    return _Entry(name, raw_name, offset, size), end


def _wide(extra: bytes, *short: int) -> list[int]:
    """Return size, packed size and offset, from the zip64 field where they stand there."""
    wide = b""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == _ZIP64_FIELD:
            if wide or length > len(extra) - 4:
                raise _FaultError("a member has two sizes")
            wide = extra[4 : 4 + length]
        extra = extra[4 + length :]
    found = []
    for value in short:
        if value == _MAX_32:
            (value,), wide = struct.unpack_from("<Q", wide), wide[8:]  # noqa: PLW2901
        found.append(value)
    return found


def _members(file: BinaryIO, entries: list[_Entry], limit: int) -> dict[str, Member]:
    """Find the bytes of each entry, and see that no two share any."""
    if not entries:
        raise _FaultError("it is empty")
    roots = {entry.name.partition("/")[0] for entry in entries}
    if len(roots) != 1:
        raise _FaultError("its members lie in several folders")
    members: dict[str, Member] = {}
    expected, seen = 0, set()
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.header_offset < expected or (not members and entry.header_offset != 0):
            raise _FaultError(f"'{visible(entry.name, limit=80)}' overlaps another member")
        name = entry.name.partition("/")[2]
        # torch looks names up without regard to case.
        if name.lower() in seen:
            raise _FaultError(f"'{visible(name, limit=80)}' is there twice")
        seen.add(name.lower())
        members[name] = _member(file, entry)
        expected = members[name].offset + members[name].num_bytes
    if expected > limit:
        raise _FaultError("its members reach beyond its end")
    return members


def _member(file: BinaryIO, entry: _Entry) -> Member:
    file.seek(entry.header_offset)
    fields = _LOCAL.unpack(file.read(_LOCAL.size))
    magic, flags, method, name_bytes, extra_bytes = (*fields[:1], *fields[2:4], *fields[9:11])
    same_name = file.read(name_bytes) == entry.raw_name
    if magic != LOCAL_MAGIC or not same_name or method != _STORED or flags & _ENCRYPTED:
        raise _FaultError(f"'{visible(entry.name, limit=80)}' is listed as what it is not")
    offset = entry.header_offset + _LOCAL.size + name_bytes + extra_bytes
    return Member(offset, entry.num_bytes)
