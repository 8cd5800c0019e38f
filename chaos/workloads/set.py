"""A set: clients add integers, each once, and read the whole of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Plain
from chaos.workloads.mix import operations, unique_values


class SetGenerator:
    """One client's operations."""

    def __init__(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._value = unique_values(client, clients)

    def next(self) -> Invocation:
        """The next operation."""
        if self._operation() == "read":
            return Invocation("read")
        return Invocation("add", None, next(self._value))

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Nothing to learn: an element is added once, whatever became of it."""


class Set(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "set"
    about = "Adds of integers, each once, and reads of the whole set."
    operations: Mapping[str, str] = {
        "add": "add an element that nobody else adds",
        "read": "read all elements",
    }
    default_mix: Mapping[str, float] = {"add": 1}
    properties: Sequence[str] = ("set", "set-full", "convergence", "linearizable-set")

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> SetGenerator:
        """The endless operations of client number `client` of `clients`."""
        return SetGenerator(shape, client, clients, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read by each client, through the node it happens to be at."""
        return iter([Invocation("read")])


WORKLOAD = Set()
