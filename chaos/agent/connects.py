"""TCP connects from this pod, many at once: can a port be reached? Standard library only."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

AT_ONCE_MAX = 500


class Connects:
    """Connects begun by one command and looked at by another, so that the agent never waits."""

    def __init__(self) -> None:
        self._begun: dict[str, list[tuple[str, socket.socket | None]]] = {}

    def do_connect(self, request: dict[str, Any]) -> None:
        """Begin to connect each of `lanes`, "FROM TO PORT"; `name` names them for `connected`."""
        if len(request["lanes"]) > AT_ONCE_MAX:
            raise ValueError(f"at most {AT_ONCE_MAX} connects at once")
        self._drop(request["name"])
        self._begun[request["name"]] = [(lane, _begin(lane)) for lane in request["lanes"]]

    def do_connected(self, request: dict[str, Any]) -> dict[str, Any]:
        """What came of `name` so far, and the end of it: by "FROM TO PORT", open, refused (which
        takes an answer as well) or silent."""
        found = {lane: _outcome(line) for lane, line in self._begun.get(request["name"], ())}
        self._drop(request["name"])
        return {"connected": found}

    def tick(self) -> None:
        """Nothing to renew."""

    def heal(self) -> None:
        """Nothing to undo."""

    def able(self) -> dict[str, Any]:
        """Always."""
        return {}

    def _drop(self, name: str) -> None:
        for _, line in self._begun.pop(name, ()):
            if line is not None:
                line.close()


def _begin(lane: str) -> socket.socket | None:
    """A socket that connects; None when the kernel knows no way there."""
    source, destination, port = lane.split(" ")
    line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    line.setblocking(False)
    # Reset at the end: nothing of it may linger in the database's pod.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        line.bind((source, 0))
        line.connect((destination, int(port)))
    except BlockingIOError:
        return line
    except OSError:
        line.close()
        return None
    return line


def _outcome(line: socket.socket | None) -> str:
    if line is None:
        return "silent"
    code = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code == errno.ECONNREFUSED:
        return "refused"
    try:
        line.getpeername()
    except OSError:
        return "silent"
    return "open"
