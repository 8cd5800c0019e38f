"""Long fork: keys written once each, and reads of groups of them that may disagree on the order.

Two readers that see two writes in opposite orders have seen a state that no snapshot of one
database can show, though each of them alone looks right.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Option, Plain
from chaos.workloads.micro import MODELS, option, transaction
from chaos.workloads.mix import operations, unique_values

READS_MAX = 30  # of one group by one client; then it goes on, whether it is all written or not


class Groups:
    """One client's transactions: its own key of the present group, if it has one, and reads.

    Key j of group g belongs to client (g·size + j) mod clients, so that different clients write a
    group. All go to the next group when they see that this one is complete, and so stay together.
    """

    def __init__(
        self, shape: LoadShape, size: int, place: tuple[int, int], rng: random.Random
    ) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._size = size
        self._client, self._clients = place
        self._value = unique_values(*place)
        self._rng = rng
        self._reads = 0
        self.group = 0
        self._own = self._keys_of_mine()

    def _keys_of_mine(self) -> list[int]:
        first = self.group * self._size
        return [
            key for key in range(first, first + self._size) if key % self._clients == self._client
        ]

    def next(self) -> Invocation:
        """A write of one key, or a read of the whole group in any order."""
        if self._own and self._operation() == "w":
            return transaction([("w", self._own[0], next(self._value))])
        self._reads += 1
        first = self.group * self._size
        order = self._rng.sample(range(first, first + self._size), self._size)
        return transaction([("r", key, None) for key in order])

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Go on when the group is complete; write again what certainly was not written."""
        micros = json.loads((result and result.payload) or operation.payload or "[]")
        if micros[0][0] == "w":
            if result is not None:
                self._own = self._own[1:]
            return
        complete = result is not None and all(value is not None for _, _, value in micros)
        if complete or self._reads >= READS_MAX:
            self.group, self._reads = self.group + 1, 0
            self._own = self._keys_of_mine()


class LongFork(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "long-fork"
    about = "Single writes of keys, each written once, and reads of groups of keys."
    operations: Mapping[str, str] = {
        "w": "write a key that nobody else writes, once",
        "r": "read all keys of a group",
    }
    default_mix: Mapping[str, float] = {"w": 1, "r": 1}
    properties: Sequence[str] = ("long-fork", "rw-register", *MODELS)
    options: Mapping[str, Option] = {
        "size": Option(about="keys in a group", default=2, least=2, most=100)
    }

    def generator(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> Groups:
        """The endless transactions of client number `client` of `clients`."""
        return Groups(shape, option(shape, self.options, "size"), (client, clients), rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """One read of the client's last group."""
        size, group = option(shape, self.options, "size"), getattr(last, "group", 0)
        yield transaction([("r", key, None) for key in range(group * size, (group + 1) * size)])


WORKLOAD = LongFork()
