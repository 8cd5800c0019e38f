"""One connection to one ZooKeeper server through kazoo, and the four-letter words.

What kazoo does by itself and what becomes of it here (kazoo 2.10 and later):

- It connects again for ever after a loss, and tries commands again: `connection_retry` and
  `command_retry` try once (`max_tries=1`; 0 would be for ever, for kazoo compares after counting).
  A lost connection ends the session's use: kazoo's thread ends, and nothing is sent again.
- It moves between the hosts it knows, in random order: it knows one.
- It looks for a server that takes writes when one that does not has answered: `read_only` is off.
- It waits for answers without end: every wait has a deadline.
- It connects and shakes hands for as long as a session lasts: both have a deadline of their own.
- It sends pings from a thread of its own, which keep the session alive while its user stands
  still; without `heartbeats` it sends none, and the session is a lease.
- `stop` says goodbye and waits ten seconds for the answer: `close` gives it a moment, then cuts the
  connection. `cut` says nothing: to the server the client is gone when its session is over.
- It logs what it meets: silenced.

What it has queued and not yet sent when the connection is lost is dropped with the same errors as
what was sent; so these are indefinite, though nothing may have been sent.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
from kazoo.retry import KazooRetry

from chaos.systems.base import Address, NotConnected

GOODBYE_S = 0.3
LOOK_S = 0.005
ANSWER_BYTES_MAX = 1 << 20

_SILENT = logging.Logger("kazoo, silenced", level=logging.CRITICAL + 1)


class Handler(SequentialThreadingHandler):  # type: ignore[misc]
    """kazoo's threads and sockets, with a way to end them at once."""

    def __init__(self, connect_s: float, *, heartbeats: bool) -> None:
        super().__init__()
        self.error: Exception | None = None  # what ended kazoo's thread, or kept it from connecting
        self.threads: list[threading.Thread] = []
        self._connect_s = connect_s
        self._heartbeats = heartbeats
        self._line: socket.socket | None = None
        self._ended = False

    def create_connection(self, address: Address, **_: Any) -> socket.socket:
        """Connect, within a deadline that is not the session's."""
        try:
            line = socket.create_connection(address, timeout=self._connect_s)
        except OSError as error:
            self.error = error
            raise
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line = line
        if self._ended:  # nobody waits any more, and a handshake could take long
            self.cut()
        return line

    def select(self, *lists: Any) -> Any:
        """Wait for sockets. kazoo waits for two, with a time limit, when there is nothing to do
        but to send the next ping."""
        if len(lists) == 4 and len(lists[0]) == 2 and not self._heartbeats:
            lists = lists[:3]
        return super().select(*lists)

    def spawn(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> threading.Thread:
        """Start a thread that keeps what it dies of."""

        def guarded() -> None:
            try:
                func(*args, **kwargs)
            except Exception as error:
                self.error = error

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        self.threads.append(thread)
        return thread

    def cut(self) -> None:
        """End the connection, also one that is yet to be made; whoever waits for it wakes up."""
        self._ended = True
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)


class Session:
    """A session with one server, opened by being made: NotConnected if that fails in time."""

    def __init__(
        self, address: Address, timeout_s: float, session_s: float, *, heartbeats: bool = True
    ) -> None:
        self._timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s
        self._handler = Handler(timeout_s, heartbeats=heartbeats)
        self.kazoo = KazooClient(
            hosts=f"{address[0]}:{address[1]}",
            timeout=session_s,
            handler=self._handler,
            randomize_hosts=False,
            read_only=False,
            connection_retry=KazooRetry(max_tries=1),
            command_retry=KazooRetry(max_tries=1),
            logger=_SILENT,
        )
        live = self.kazoo.start_async()
        while not live.wait(LOOK_S):
            if not self._handler.threads[-1].is_alive() or time.monotonic() > self._end_s:
                break
        if live.is_set():
            return
        late = self._handler.threads[-1].is_alive()
        self.cut()
        why = "timed out" if late else self._handler.error or "it serves nobody just now"
        raise NotConnected(f"connecting to {address[0]}:{address[1]}: {why}")

    @property
    def connected(self) -> bool:
        """Whether the server has not ended it, as far as one has heard."""
        return bool(self.kazoo.connected)

    def begin(self) -> None:
        """An operation begins: its answers are waited for until its deadline."""
        self._end_s = time.monotonic() + self._timeout_s

    def wait(self, asked: Any) -> Any:
        """What one of kazoo's `…_async` gives; KazooTimeoutError after the operation's deadline."""
        return asked.get(timeout=max(0.0, self._end_s - time.monotonic()))

    def close(self) -> None:
        """Say goodbye, which ends the session and all that goes with it; never raises."""
        timer = threading.Timer(GOODBYE_S, self._handler.cut)
        timer.daemon = True
        timer.start()
        self._end()
        timer.cancel()

    def cut(self) -> None:
        """Drop the connection; the session stays until its time is over. Never raises."""
        self._handler.cut()
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(KazooException, KazooTimeoutError, OSError, AttributeError):
            self.kazoo.stop()
        with contextlib.suppress(Exception):
            self.kazoo.close()


def ask(address: Address, word: str, timeout_s: float) -> str:
    """The answer to a four-letter word; each takes a connection, which the server closes.

    OSError if there is none in time.
    """
    end_s = time.monotonic() + timeout_s
    answer = b""
    with socket.create_connection(address, timeout=timeout_s) as line:
        line.sendall(word.encode())
        while len(answer) < ANSWER_BYTES_MAX:
            line.settimeout(max(0.001, end_s - time.monotonic()))
            got = line.recv(1 << 16)
            if not got:
                break
            answer += got
    if not answer:
        raise ConnectionError("the connection was closed without an answer")
    return answer.decode(errors="replace")
