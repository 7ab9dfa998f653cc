"""Records between the engine and one worker, over a socket of their own.

A record is JSON behind its length; one may carry the descriptor of a file. Each
worker has its own socket, so that one that dies or stops amid a record, or with
a lock in its hand, is in nobody's way.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque
from typing import Any

_HEADER = struct.Struct("!II")
"""Length of the record, bytes; how many descriptors come with it, 0 or 1."""

_BITE_BYTES = 65_536
_MAX_DESCRIPTORS = 4
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

Record = dict[str, Any]


class Channel:
    """One end of a connection.

    Args:
        end: A connected stream socket of the Unix family.
        is_patient: Wait in `receive` and `send` (a worker); the engine never does.
    """

    def __init__(self, end: socket.socket, *, is_patient: bool) -> None:
        end.setblocking(is_patient)
        self._end = end
        self._read = bytearray()
        self._unsent = bytearray()
        self._descriptors: deque[int] = deque()

    def fileno(self) -> int:
        """Return the socket's descriptor, for a selector."""
        return self._end.fileno()

    @property
    def has_unsent(self) -> bool:
        """Whether a part of a record waits for room in the socket."""
        return bool(self._unsent)

    def send(self, record: Record, descriptor: int | None = None) -> None:
        """Send a record; of one end that is not patient, as much of it as there is room for.

        Args:
            record: Whatever JSON can hold.
            descriptor: Of a file that the other end gets too; a patient end's only.

        Raises:
            OSError: The other end is gone.
        """
        body = json.dumps(record, separators=(",", ":")).encode()
        frame = _HEADER.pack(len(body), descriptor is not None) + body
        if descriptor is not None:
            sent = socket.send_fds(self._end, [frame], [descriptor])
            frame = frame[sent:]
        self._unsent += frame
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room.

        Raises:
            OSError: The other end is gone.
        """
        while self._unsent:
            try:
                sent = self._end.send(self._unsent)
            except BlockingIOError:
                return
            del self._unsent[:sent]

    def receive(self) -> list[tuple[Record, int | None]]:
        """Return the whole records that have arrived, each with its descriptor.

        Reads once: a patient end waits for the first byte, the other one takes
        what is there. The descriptors are the caller's to close.

        Raises:
            EOFError: The other end is closed.
            OSError: The connection is broken, or a descriptor was lost on its way
                because this process has too many files open.
        """
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                self._end, _BITE_BYTES, _MAX_DESCRIPTORS, _CLOSE_ON_EXEC
            )
        except BlockingIOError:
            return []
        self._descriptors.extend(descriptors)
        if flags & socket.MSG_CTRUNC:
            raise OSError("too many open files: a batch could not be taken over")
        if not data:
            raise EOFError
        self._read += data
        return self._whole()

    def _whole(self) -> list[tuple[Record, int | None]]:
        found = []
        while len(self._read) >= _HEADER.size:
            length, has_descriptor = _HEADER.unpack_from(self._read)
            end = _HEADER.size + length
            if len(self._read) < end:
                break
            record = json.loads(bytes(self._read[_HEADER.size : end]))
            del self._read[:end]
            found.append((record, self._descriptors.popleft() if has_descriptor else None))
        return found

    def close(self) -> None:
        """Close the socket and every descriptor that nobody has taken."""
        while self._descriptors:
            os.close(self._descriptors.popleft())
        self._end.close()
