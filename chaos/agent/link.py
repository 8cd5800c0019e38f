"""The controller's end of a pod's agent: JSON lines over the container's attached stdin/stdout.

Nothing listens in the pod, and it works through any Docker connection. When this process dies the
engine closes the agent's standard input, and the agent heals everything.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Protocol

from chaos.errors import FaultError

_HEADER = struct.Struct(">BxxxI")  # the engine's frame: stream (1 stdout, 2 stderr), length
BEAT_S = 1.0

Answer = dict[str, Any]


class _Socket(Protocol):
    def recv(self, size: int) -> bytes: ...
    def sendall(self, data: bytes) -> None: ...
    def shutdown(self, how: int) -> None: ...
    def close(self) -> None: ...


class AgentLink:
    """Requests to one agent, many at a time; a beat each second keeps its leases alive."""

    def __init__(self, node: str, attached: Any) -> None:
        """`attached`: what the engine's driver gave for the container's stdin and stdout."""
        self.node = node
        self._attached = attached
        # The driver wraps the socket in a read-only file; closing the socket alone leaks that.
        self._socket: _Socket = getattr(attached, "_sock", attached)
        self._lock = threading.Lock()
        self._next_id = 0
        self._waiting: dict[int, Future[Answer]] = {}
        self._closed = threading.Event()
        self._stderr = ""
        threading.Thread(target=self._read, name=f"agent-{node}", daemon=True).start()
        threading.Thread(target=self._beat, name=f"beat-{node}", daemon=True).start()

    def send(self, do: str, **arguments: Any) -> Future[Answer]:
        """Ask and do not wait. The future holds the answer, or FaultError."""
        future: Future[Answer] = Future()
        with self._lock:
            if self._closed.is_set():
                future.set_exception(self._gone())
                return future
            self._next_id += 1
            number = self._next_id
            self._waiting[number] = future
            line = json.dumps({"id": number, "do": do, **arguments}) + "\n"
            try:
                self._socket.sendall(line.encode())
            except OSError:
                self._waiting.pop(number, None)
                future.set_exception(self._gone())
        return future

    def ask(self, do: str, deadline_s: float = 5.0, **arguments: Any) -> Answer:
        """Ask and wait. FaultError when the agent refuses, is gone, or is silent too long."""
        return wait(self.send(do, **arguments), self.node, do, deadline_s)

    @property
    def closed(self) -> bool:
        """Whether the line is dead: hung up, or the agent or the engine ended."""
        return self._closed.is_set()

    def close(self) -> None:
        """Hang up: the agent reads end-of-file and heals."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._attached.close()
            self._socket.close()

    def _gone(self) -> FaultError:
        last = self._stderr.strip().splitlines()[-1:] or [""]
        return FaultError(f"the agent of {self.node} is gone", detail=last[0])

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_S):
            self.send("beat")

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise OSError("end of stream")
            data += more
        return data

    def _read(self) -> None:
        partial = b""
        try:
            while True:
                stream, length = _HEADER.unpack(self._receive(_HEADER.size))
                data = self._receive(length)
                if stream == 2:
                    self._stderr = (self._stderr + data.decode(errors="replace"))[-4000:]
                    continue
                *lines, partial = (partial + data).split(b"\n")
                for line in lines:
                    self._settle(json.loads(line))
        except (OSError, ValueError):
            pass
        finally:
            self._closed.set()
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            for future in waiting.values():
                future.set_exception(self._gone())

    def _settle(self, answer: Answer) -> None:
        with self._lock:
            future = self._waiting.pop(answer.get("id") or 0, None)
        if future is None:
            return
        if answer.get("ok"):
            future.set_result(answer)
        else:
            future.set_exception(FaultError(f"the agent of {self.node}: {answer.get('error')}"))


def wait(future: Future[Answer], node: str, do: str, deadline_s: float = 5.0) -> Answer:
    """The future's answer; FaultError when it takes longer than the deadline."""
    try:
        return future.result(deadline_s)
    except FutureTimeout:
        raise FaultError(
            f"the agent of {node} did not answer {do!r} within {deadline_s:g} s"
        ) from None


def ask_all(
    links: Mapping[str, AgentLink],
    requests: Mapping[str, tuple[str, dict[str, Any]]],
    deadline_s: float = 5.0,
) -> dict[str, Answer]:
    """Ask several agents at once: `requests[node] = (do, arguments)`; all answers by node."""
    futures = {node: links[node].send(do, **args) for node, (do, args) in requests.items()}
    return {n: wait(f, n, requests[n][0], deadline_s) for n, f in futures.items()}
