"""Conversations over a client's link, timed: what comes back, in how many pieces, how it ends."""

from __future__ import annotations

import contextlib
import select
import socket
import statistics
import time
from dataclasses import dataclass

from chaos.systems.base import Address

CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One conversation. Times count from when sending began, after the connect.

    `end`: enough (all that was wanted came), closed (orderly, by the other side), reset, refused
    (no connection), silent (nothing more came in time).
    """

    end: str
    end_ms: float = 0.0
    end_ns: int  # on the monotonic clock
    reads: tuple[tuple[float, int], ...] = ()  # (milliseconds, bytes received until then)

    @property
    def received_bytes(self) -> int:
        """All that came."""
        return self.reads[-1][1] if self.reads else 0

    @property
    def first_ms(self) -> float:
        """When the first bytes came; 0 if none did."""
        return self.reads[0][0] if self.reads else 0.0

    @property
    def last_ms(self) -> float:
        """When the last bytes came; 0 if none did."""
        return self.reads[-1][0] if self.reads else 0.0

    @property
    def bytes_per_s(self) -> float:
        """How fast answers came: the slope through all reads, of which one late one says little.
        0 when everything came in one."""
        if len(self.reads) < 2 or self.first_ms == self.last_ms:
            return 0.0
        slope: float = statistics.linear_regression(*zip(*self.reads, strict=True)).slope
        return slope * 1e3


def talk(address: Address, send: bytes, *, want_bytes: int, within_s: float) -> Talk:
    """Connect, send all of `send` while reading, until `want_bytes` came or it ended."""
    began_ns = time.monotonic_ns()
    try:
        with socket.create_connection(address, timeout=within_s) as line:
            return _exchange(line, send, want_bytes, began_ns + int(within_s * 1e9))
    except OSError as error:
        now = time.monotonic_ns()
        end = "silent" if isinstance(error, TimeoutError) else "refused"
        return Talk(end=end, end_ms=(now - began_ns) / 1e6, end_ns=now)


def _exchange(line: socket.socket, send: bytes, want_bytes: int, until_ns: int) -> Talk:
    line.setblocking(False)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    left = memoryview(send)
    received = 0
    reads: list[tuple[float, int]] = []
    began_ns = now = time.monotonic_ns()
    end = "silent"
    poll = select.poll()
    while now < until_ns:
        poll.register(line, select.POLLIN | (select.POLLOUT if left else 0))
        ready = poll.poll((until_ns - now) / 1e6 + 1)
        now = time.monotonic_ns()
        if not ready:
            continue
        try:
            if left and ready[0][1] & select.POLLOUT:
                with contextlib.suppress(BlockingIOError):
                    left = left[line.send(left[:CHUNK_BYTES]) :]
            if not ready[0][1] & ~select.POLLOUT:
                continue
            data = line.recv(CHUNK_BYTES)
        except BlockingIOError:
            continue
        except OSError:
            end = "reset"
            break
        if not data:
            end = "closed"
            break
        received += len(data)
        reads.append(((now - began_ns) / 1e6, received))
        if received >= want_bytes:
            end = "enough"
            break
    return Talk(end=end, end_ms=(now - began_ns) / 1e6, end_ns=now, reads=tuple(reads))


def hang_up(address: Address, knock: bytes, within_s: float) -> tuple[str, float]:
    """Connect, ask, wait for an answer, close our side; how long until the other side has closed.

    (how it ended, milliseconds): closed, or reset; silent when it had not within `within_s`.
    """
    try:
        with socket.create_connection(address, timeout=within_s) as line:
            line.settimeout(within_s)
            line.sendall(knock)
            if not line.recv(CHUNK_BYTES):
                return "refused", 0.0
            line.shutdown(socket.SHUT_WR)
            began_ns = time.monotonic_ns()
            try:
                while line.recv(CHUNK_BYTES):
                    pass
                end = "closed"
            except TimeoutError:
                end = "silent"
            except OSError:
                end = "reset"
            return end, (time.monotonic_ns() - began_ns) / 1e6
    except TimeoutError:
        return "silent", 0.0
    except OSError:
        return "refused", 0.0
