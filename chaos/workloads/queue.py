"""Queues: clients put elements in, each once, and take them out.

In the end each client takes what is left in its share of the queues until they are empty. An
element that was handed to a consumer who died comes back when the broker has noticed, perhaps late:
so it looks again after a pause, and again, until nothing came for several times.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Dialogue, Generator, LoadShape, Option, Plain, Script
from chaos.workloads.micro import option
from chaos.workloads.mix import keys, operations, unique_values

OPTIONS: Mapping[str, Option] = {
    "looks": Option(
        about="in the end: how often in a row a client must find its queues empty",
        default=3,
        most=100,
    ),
    "look-every-ms": Option(
        about="in the end: how long it waits before it looks again, in milliseconds",
        default=500,
        least=0,
        most=10_000,
    ),
}
DRAIN_FAILURES_MAX = 100  # of one client in the end; then it gives up


class Elements:
    """One client's operations."""

    def __init__(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._key = keys(shape, rng)
        self._value = unique_values(client, clients)

    def next(self) -> Invocation:
        """The next operation."""
        f, key = self._operation(), self._key()
        return Invocation(f, key, next(self._value) if f == "enqueue" else None)

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Nothing to learn: an element is put in once, whatever became of it."""


def drain(share: Sequence[str], looks: int, pause_s: float) -> Script:
    """Dequeues from each queue of `share` until all were found empty `looks` times in a row."""
    empty, failures = 0, 0
    while share and empty < looks:
        empty += 1
        for key in share:
            wait_s = pause_s if empty > 1 and key == share[0] else 0.0
            while failures < DRAIN_FAILURES_MAX:
                result = yield Invocation("dequeue", key, pause_s=wait_s)
                wait_s = 0.0
                if result is None:
                    failures += 1  # it may have taken something, which may come back
                    empty = 0
                elif result.value is None:
                    break
                else:
                    empty = 0
        if failures >= DRAIN_FAILURES_MAX:
            return


class Queue(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "queue"
    about = "Elements put into queues, each once, and taken out; in the end until all are empty."
    operations: Mapping[str, str] = {
        "enqueue": "put in an element that nobody else puts in",
        "dequeue": "take an element out, or learn that there is none",
    }
    default_mix: Mapping[str, float] = {"enqueue": 1, "dequeue": 1}
    properties: Sequence[str] = ("at-least-once", "total-queue", "linearizable-queue")
    options = OPTIONS

    def setup(self, shape: LoadShape) -> Sequence[Invocation]:
        """Make the queues, those that are not there yet."""
        return [Invocation("create", f"k{i}") for i in range(shape.keys)]

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> Elements:
        """The endless operations of client number `client` of `clients`."""
        return Elements(shape, client, clients, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Dialogue:
        """Takes all that is left, the queues being dealt out over the clients."""
        share = [f"k{i}" for i in range(client, shape.keys, clients)]
        pause_s = option(shape, OPTIONS, "look-every-ms") / 1000
        return Dialogue(drain(share, option(shape, OPTIONS, "looks"), pause_s))


WORKLOAD = Queue()
