"""Conversations over real sockets: how they end, and how fast bytes came."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from chaos.faults.wire import Talk, hang_up, talk
from chaos.systems.base import Address

Serve = Callable[[Callable[[socket.socket], None]], Address]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server on loopback that treats each connection so, in a thread."""
    servers: list[socket.socket] = []

    def start(treat: Callable[[socket.socket], None]) -> Address:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def accept() -> None:
            while True:
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    treat(line)

        threading.Thread(target=accept, daemon=True).start()
        host, port = server.getsockname()
        return host, port

    yield start
    for server in servers:
        server.close()


def reset(line: socket.socket) -> None:
    """Close it so that the other side sees a reset."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read(line: socket.socket, size: int) -> None:
    """Read that many bytes."""
    while size > 0 and (data := line.recv(size)):
        size -= len(data)


def test_a_big_request_and_a_big_answer(serve: Serve) -> None:
    def treat(line: socket.socket) -> None:
        read(line, 3_000_000)
        line.sendall(b"y" * 2_000_000)
        time.sleep(1)

    reply = talk(serve(treat), b"x" * 3_000_000, want_bytes=2_000_000, within_s=10)
    assert (reply.end, reply.received_bytes) == ("enough", 2_000_000)
    assert 0 < reply.first_ms <= reply.last_ms <= reply.end_ms


@pytest.mark.parametrize("end", ["closed", "reset", "silent"])
def test_how_it_ends(serve: Serve, end: str) -> None:
    def treat(line: socket.socket) -> None:
        read(line, 4)
        line.sendall(b"abc")
        time.sleep(0.05)
        if end == "reset":
            reset(line)
        if end == "silent":
            time.sleep(0.3)

    reply = talk(serve(treat), b"ping", want_bytes=10, within_s=0.2)
    assert reply.end == end
    assert reply.received_bytes == 3


def test_nobody_there(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    assert talk(address, b"ping", want_bytes=1, within_s=1).end == "refused"
    assert hang_up(address, b"ping", 1)[0] == "refused"


def test_the_rate_of_answers(serve: Serve) -> None:
    """One late read in the middle says little."""
    steady = [(k * 10.0, 1000 * (k + 1)) for k in range(20)]
    assert Talk(end="enough", end_ns=0, reads=tuple(steady)).bytes_per_s == pytest.approx(100_000)
    steady[10] = (160.0, 11_000)
    assert Talk(end="enough", end_ns=0, reads=tuple(sorted(steady))).bytes_per_s == pytest.approx(
        100_000, rel=0.1
    )
    assert Talk(end="enough", end_ns=0, reads=((5.0, 1000),)).bytes_per_s == 0


def test_how_long_a_close_takes(serve: Serve) -> None:
    def treat(line: socket.socket) -> None:
        read(line, 4)
        line.sendall(b"pong")
        while line.recv(1):
            pass
        time.sleep(0.15)

    end, ms = hang_up(serve(treat), b"ping", 2)
    assert end == "closed"
    assert 140 < ms < 1000
