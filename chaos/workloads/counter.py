"""Counters: each key holds a sum, which clients add to and read."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Option, Plain
from chaos.workloads.micro import option
from chaos.workloads.mix import keys, operations

OPTIONS: Mapping[str, Option] = {
    "most": Option(about="the most that one add adds; it adds 1 or more", default=1),
}


class Adds:
    """One client's operations."""

    def __init__(self, shape: LoadShape, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._key = keys(shape, rng)
        self._most = option(shape, OPTIONS, "most")
        self._rng = rng

    def next(self) -> Invocation:
        """The next operation."""
        f, key = self._operation(), self._key()
        return Invocation(f, key, None if f == "read" else self._rng.randint(1, self._most))

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Nothing to learn."""


class Counter(Plain):
    """See `chaos.workloads.base.Workload`. Adds are not unique: they need not be told apart."""

    name = "counter"
    about = "Adds to counters under keys, and reads of them."
    operations: Mapping[str, str] = {
        "add": "add an amount to the key's counter",
        "read": "read the key's counter",
    }
    default_mix: Mapping[str, float] = {"add": 3, "read": 2}
    properties: Sequence[str] = ("counter", "linearizable-counter")
    options = OPTIONS

    def generator(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> Adds:
        """The endless operations of a client."""
        return Adds(shape, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read of each key, the keys being dealt out over the clients."""
        return (Invocation("read", f"k{i}") for i in range(client, shape.keys, clients))


WORKLOAD = Counter()
