"""A knock: whether anybody is there at all."""

from __future__ import annotations

import socket

from chaos.systems.base import Address


def knock(address: Address, say: bytes, within_s: float) -> str:
    """answered; silent (somebody may listen, and says nothing in time); or refused.

    Through a proxy, nobody listening looks like a connection that is closed at once.
    """
    try:
        with socket.create_connection(address, timeout=within_s) as line:
            line.settimeout(within_s)
            line.sendall(say)
            return "answered" if line.recv(64) else "refused"
    except TimeoutError:
        return "silent"
    except OSError:
        return "refused"
