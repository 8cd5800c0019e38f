"""Session: registers read and written by clients that move between nodes.

What a client has written or seen at one node it may not find at the next: which of a session's
guarantees hold depends on where reads go (the client option `reads`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Plain
from chaos.workloads.mix import keys, operations, unique_values

PLACES = 5040  # a multiple of the numbers of nodes up to ten: each is chosen as often as the others


class Sessions:
    """One client's operations, each through a node drawn anew."""

    def __init__(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._key = keys(shape, rng)
        self._value = unique_values(client, clients)
        self._rng = rng

    def next(self) -> Invocation:
        """The next operation."""
        f, key, at = self._operation(), self._key(), self._rng.randrange(PLACES)
        return Invocation(f, key, None if f == "read" else next(self._value), at=at)

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Nothing to learn."""


class Session(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "session"
    about = "Reads and writes of registers by clients that move between nodes."
    operations: Mapping[str, str] = {
        "read": "read the key's value at some node",
        "write": "replace the key's value",
    }
    default_mix: Mapping[str, float] = {"read": 3, "write": 1}
    properties: Sequence[str] = (
        "session-guarantees",
        "convergence",
        "staleness",
        "sequential",
        "linearizable-register",
    )

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> Sessions:
        """The endless operations of client number `client` of `clients`."""
        return Sessions(shape, client, clients, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read of each key by each client, at its home node."""
        return (Invocation("read", f"k{i}") for i in range(shape.keys))


WORKLOAD = Session()
