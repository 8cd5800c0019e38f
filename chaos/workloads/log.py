"""Logs: clients send messages to them and poll them in the order of their offsets.

A client polls the logs that it was assigned, or those that its consumer group deals to it. A client
that was opened anew has none and begins at the beginning. Whoever judges the history must be able
to tell: a place in a log is lost with a poll that did not succeed, and with an assignment without
that log. So logs are only assigned again after a poll that failed, or while nothing has failed
since the last that did not.

In the end each log is sent one message more and read by one client from its beginning to its end,
so that of each message that was acknowledged it is known whether it is there.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Dialogue, Generator, LoadShape, Option, Plain, Script
from chaos.workloads.micro import LENGTH, option, transaction
from chaos.workloads.mix import keys, operations, unique_values

OPTIONS: Mapping[str, Option] = {
    "subscribe": Option(
        about="0: each client is assigned logs; 1: they share them, as a consumer group",
        default=0,
        least=0,
        most=1,
    ),
    "rebalance-every": Option(
        about="every so many of its operations a client is assigned some of the logs, drawn anew, "
        "or subscribes again; 0: never",
        default=0,
        least=0,
    ),
    "length": LENGTH,
}
END_FAILURES_MAX = 100  # of one client in the end; then it gives up
ENDS = 2  # polls in a row that show nothing new: the end of a log whose last message was seen
ENDS_MAX = 40  # the same where it was not: a replica may have to catch up first
LATE_S = 0.1  # from one of these polls to the next


def assign(logs: Sequence[str], f: str = "assign") -> Invocation:
    """Poll these from now on."""
    return Invocation(f, payload=json.dumps(logs, separators=(",", ":")))


class Messages:
    """One client's operations."""

    def __init__(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> None:
        self._operation = operations(shape, WORKLOAD.operations, WORKLOAD.default_mix, rng)
        self._key = keys(shape, rng)
        self._by = "subscribe" if option(shape, OPTIONS, "subscribe") else "assign"
        self._every = option(shape, OPTIONS, "rebalance-every")
        self._length = option(shape, OPTIONS, "length")
        self._rng = rng
        self._logs = [f"k{i}" for i in range(shape.keys)]
        self._assigned = False
        self._at_place = False  # since its last poll nothing has failed
        self._since = 0  # operations since it got its logs
        self.values = unique_values(client, clients)

    def next(self) -> Invocation:
        """The next operation."""
        self._since += 1
        if not self._assigned:
            return assign(self._logs, self._by)
        if self._every and self._since > self._every and self._at_place:
            some = self._rng.sample(self._logs, self._rng.randint(1, len(self._logs)))
            return assign(sorted(some) if self._by == "assign" else self._logs, self._by)
        f = self._operation()
        if f == "txn":
            return self._transaction()
        return Invocation("poll") if f == "poll" else self._send()

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Learn whether it has its logs, and its place in them: only polls tell."""
        done = result is not None
        if operation.f in ("assign", "subscribe"):
            self._assigned, self._at_place, self._since = True, False, 0
        elif operation.f == "poll" or '["poll"]' in (operation.payload or ""):
            self._assigned = self._at_place = done
        elif not done:
            self._at_place = False

    def _send(self) -> Invocation:
        return Invocation("send", self._key(), next(self.values))

    def _transaction(self) -> Invocation:
        """Sends and polls, as many of the ones as of the others."""
        micros: list[list[str | int]] = []
        for _ in range(self._rng.randint(1, self._length)):
            poll = self._rng.random() < 0.5
            micros.append(["poll"] if poll else ["send", self._key(), next(self.values)])
        return transaction(micros)


def to_the_end(share: Sequence[str], values: Iterator[int]) -> Script:
    """Send one message more to each log of `share`, then poll them from the beginning to there."""
    failures = 0
    last: set[int] = set()
    for log in share:
        while failures < END_FAILURES_MAX:
            value = next(values)  # what had no answer may be there, and twice it may not be
            if (yield Invocation("send", log, value)) is not None:
                last.add(value)
                break
            failures += 1
    steps = [assign([]), assign(share)]  # the first forgets every place
    ends = 0
    while share and failures < END_FAILURES_MAX and ends < (ENDS if not last else ENDS_MAX):
        operation = steps[0] if steps else Invocation("poll", pause_s=LATE_S * (ends > ENDS))
        result = yield operation
        if result is None:
            failures += 1
            steps = steps or [assign(share)]
        elif steps:
            del steps[0]
        else:
            shown = json.loads(result.payload or "{}")
            last -= {message[1] for messages in shown.values() for message in messages}
            ends = 0 if shown else ends + 1


class Log(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "log"
    about = "Messages sent to logs with offsets, and polled in their order, alone or in a group."
    operations: Mapping[str, str] = {
        "send": "append a message that nobody else sends to a log",
        "poll": "read what comes next in the client's logs",
        "txn": "a transaction of 1 to `length` sends and polls, where the system has such",
    }
    default_mix: Mapping[str, float] = {"send": 1, "poll": 1}
    properties: Sequence[str] = ("log", "group-at-least-once", "group-exactly-once")
    options = OPTIONS

    def setup(self, shape: LoadShape) -> Sequence[Invocation]:
        """Make the logs, those that are not there yet."""
        return [Invocation("create", f"k{i}") for i in range(shape.keys)]

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> Messages:
        """The endless operations of client number `client` of `clients`."""
        return Messages(shape, client, clients, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Dialogue:
        """Each log is read by one client."""
        share = [f"k{i}" for i in range(client, shape.keys, clients)]
        values = last.values if isinstance(last, Messages) else unique_values(client, clients)
        return Dialogue(to_the_end(share, values))


WORKLOAD = Log()
