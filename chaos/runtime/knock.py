"""One request to a database, and what came of it: whether anybody is there at all."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from chaos.systems.base import Address

REACTION_S = 0.4  # a database that reacts does so within a few ms; a slow machine gets more


@dataclass(frozen=True, slots=True)
class Reaction:
    """What came of one request through a client link.

    `kind`: answered (bytes or an orderly close came from the server), refused, reset, closed (the
    proxy hung up at once, as it does when its upstream refuses), silent (nothing in time).
    """

    kind: str
    ms: float
    at_ns: int


def request(address: Address, knock: bytes, within_s: float = REACTION_S) -> Reaction:
    """Connect, send what a live server answers at once (`knock`), see what comes back."""
    start = time.monotonic_ns()

    def done(kind: str) -> Reaction:
        now = time.monotonic_ns()
        return Reaction(kind, (now - start) / 1e6, now)

    try:
        with socket.create_connection(address, timeout=within_s) as line:
            line.sendall(knock)
            line.settimeout(max(0.001, within_s - (time.monotonic_ns() - start) / 1e9))
            return done("answered" if line.recv(64) else "closed")
    except TimeoutError:
        return done("silent")
    except ConnectionRefusedError:
        return done("refused")
    except OSError:
        return done("reset")
