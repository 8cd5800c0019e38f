"""Sockets that behave badly, and specs that point at them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from chaos.systems.base import ClientSpec, Node, System

Behaviour = str  # silent | closes | refuses


@pytest.fixture
def nodes() -> list[Node]:
    return [
        Node(name=f"n{k}", zone=f"z{k}", role=role, address=f"198.18.7.{9 + k}")
        for k, role in ((1, "primary"), (2, None), (3, None))
    ]


@pytest.fixture
def listening() -> Iterator[Callable[[Behaviour], int]]:
    """A loopback port where something listens and says nothing, hangs up, or nobody listens."""
    with ExitStack() as stack:

        def listen(behaviour: Behaviour) -> int:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = int(server.getsockname()[1])
            if behaviour == "refuses":
                server.close()
            elif behaviour == "closes":
                threading.Thread(target=_hang_up, args=(server,), daemon=True).start()
            return port

        yield listen


def _hang_up(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(1)
            try:
                connection.recv(1 << 16)
            except OSError:
                pass


@pytest.fixture
def spec_at() -> Callable[..., ClientSpec]:
    """A spec for one node, every port of which is the given one."""

    def make(system: System, port: int, **options: str) -> ClientSpec:
        return ClientSpec(
            zone="z1",
            home="n1",
            endpoints={"n1": dict.fromkeys(system.ports, ("127.0.0.1", port))},
            settings={"_addresses": {"n1": "198.18.7.10"}},
            options=options,
            timeout_s=0.3,
        )

    return make
