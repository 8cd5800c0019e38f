"""Write skew: each transaction reads both registers of a pair and writes one of them.

Under snapshot isolation two of them may each write what the other one read: no serial order has
both. `keys` is the number of pairs: 2p and 2p + 1.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Plain
from chaos.workloads.micro import MODELS, transaction
from chaos.workloads.mix import keys, operations, unique_values


class Pairs:
    """One client's transactions."""

    def __init__(
        self, shape: LoadShape, operation: Mapping[str, str], place: tuple[int, int],
        rng: random.Random,
    ) -> None:  # fmt: skip
        self._operation = operations(shape, operation, WORKLOAD.default_mix, rng)
        self._pair = keys(shape, rng)
        self._value = unique_values(*place)
        self._rng = rng

    def next(self) -> Invocation:
        """Both read, in any order, and with `w` one of them written."""
        first = 2 * int(self._pair()[1:])
        pair = [first, first + 1]
        self._rng.shuffle(pair)
        micros: list[tuple[str, int, int | None]] = [("r", key, None) for key in pair]
        if self._operation() == "w":
            micros.append(("w", self._rng.choice(pair), next(self._value)))
        return transaction(micros)

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Nothing to learn."""


class WriteSkew(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "write-skew"
    about = "Transactions that read both registers of a pair and write one of them."
    operations: Mapping[str, str] = {
        "w": "read both registers of a pair, write one",
        "r": "read both and write nothing",
    }
    default_mix: Mapping[str, float] = {"w": 4, "r": 1}
    properties: Sequence[str] = ("rw-register", *MODELS)

    def generator(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> Pairs:
        """The endless transactions of client number `client` of `clients`."""
        return Pairs(shape, self.operations, (client, clients), rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read of each pair, the pairs being dealt out over the clients."""
        for pair in range(client, shape.keys, clients):
            yield transaction([("r", 2 * pair, None), ("r", 2 * pair + 1, None)])


WORKLOAD = WriteSkew()
