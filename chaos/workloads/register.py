"""Registers: each key holds one integer, which clients read, write, and compare-and-set."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Plain
from chaos.workloads.mix import keys, operations, unique_values


class RegisterGenerator:
    """One client's operations. A cas expects what this client last saw under the key.

    When it has seen nothing there yet, a write takes the cas's place: a cas that must fail would
    say little.
    """

    def __init__(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._key = keys(shape, rng)
        self._value = unique_values(client, clients)
        self._seen: dict[str | None, int] = {}

    def next(self) -> Invocation:
        """The next operation."""
        f, key = self._operation(), self._key()
        if f == "read":
            return Invocation("read", key)
        expected = self._seen.get(key) if f == "cas" else None
        if expected is None:
            return Invocation("write", key, next(self._value))
        return Invocation("cas", key, next(self._value), expected)

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Remember what a success showed."""
        if result is None:
            return
        value = result.value if operation.f == "read" else operation.value
        if value is not None:
            self._seen[operation.key] = value


class Register(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "register"
    about = "Reads, writes and compare-and-sets of single integers under keys."
    operations: Mapping[str, str] = {
        "read": "read the key's value",
        "write": "replace the key's value",
        "cas": "replace the key's value if it is the one this client last saw",
    }
    default_mix: Mapping[str, float] = {"read": 5, "write": 4, "cas": 1}
    properties: Sequence[str] = ("convergence", "staleness", "sequential", "linearizable-register")

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> RegisterGenerator:
        """The endless operations of client number `client` of `clients`."""
        return RegisterGenerator(shape, client, clients, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read of each key, the keys being dealt out over the clients."""
        return (Invocation("read", f"k{i}") for i in range(client, shape.keys, clients))


WORKLOAD = Register()
