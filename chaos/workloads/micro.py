"""Transactions of micro-operations, as `docs/transactions.md` writes them, and what draws them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chaos.errors import SpecError
from chaos.record.op import Invocation, Result
from chaos.workloads.base import Generator, LoadShape, Option, Plain
from chaos.workloads.mix import keys, operations, unique_values

MODELS = (  # what a history of transactions can refute or prove, strongest last
    "read-uncommitted",
    "read-committed",
    "read-atomic",
    "causal",
    "parallel-snapshot-isolation",
    "snapshot-isolation",
    "strong-session-snapshot-isolation",
    "serializable",
    "strict-serializable",
)
LENGTH = Option(about="most micro-operations of a transaction; it has 1 or more", default=4)


def transaction(micros: Sequence[Sequence[Any]]) -> Invocation:
    """The invocation of a transaction; its reads are null."""
    return Invocation("txn", payload=json.dumps(micros, separators=(",", ":")))


def option(shape: LoadShape, known: Mapping[str, Option], name: str) -> int:
    """The option as given, or its default; SpecError if it is out of range."""
    rule = known[name]
    value = shape.options.get(name, rule.default)
    if not rule.least <= value <= rule.most:
        raise SpecError(
            f"options: expected {name} from {rule.least} to {rule.most}, got {value}",
        )
    return value


class Micros:
    """One client's transactions: each 1 to `length` micro-operations on keys drawn by the shape.

    There are `shape.keys` keys at a time. With a `lifetime`, a key that has been written so often
    is left, and the next one takes its place: key, key + keys, key + 2·keys, …, so that lists stay
    short. A client knows by what it read, or by what it wrote itself; one that is behind reads a
    full list and follows, so that clients stay at the same keys.
    """

    def __init__(
        self,
        shape: LoadShape,
        workload: Micro,
        place: tuple[int, int],
        rng: random.Random,
        lifetime: int = 0,
    ) -> None:
        self._draw = operations(shape, workload.operations, workload.default_mix, rng)
        self._slot = keys(shape, rng)
        self._value = unique_values(*place)
        self._length = option(shape, workload.options, "length")
        self._lifetime = lifetime
        self._rng = rng
        self._written: dict[int, int] = {}  # key → how often, as far as this client knows
        self.keys = list(range(shape.keys))

    def next(self) -> Invocation:
        """The next transaction."""
        micros: list[tuple[str, int, int | None]] = []
        for _ in range(self._rng.randint(1, self._length)):
            kind, key = self._draw(), self.keys[int(self._slot()[1:])]
            micros.append((kind, key, None if kind == "r" else next(self._value)))
        return transaction(micros)

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Learn how often keys were written."""
        if not self._lifetime or result is None:
            return
        for kind, key, value in json.loads(result.payload or "[]"):
            known = self._written.get(key, 0)
            self._written[key] = known + 1 if kind != "r" else max(known, len(value or ()))
        for slot, key in enumerate(self.keys):
            if self._written.get(key, 0) >= self._lifetime:
                del self._written[key]
                self.keys[slot] = key + len(self.keys)


class Micro(Plain):
    """What workloads of plain transactions share; see `chaos.workloads.base.Workload`."""

    name: str
    about: str
    operations: Mapping[str, str]
    default_mix: Mapping[str, float] = {}
    properties: Sequence[str]
    options: Mapping[str, Option] = {"length": LENGTH}

    def generator(
        self, shape: LoadShape, client: int, clients: int, rng: random.Random
    ) -> Generator:
        """The endless transactions of client number `client` of `clients`."""
        lifetime = option(shape, self.options, "lifetime") if "lifetime" in self.options else 0
        return Micros(shape, self, (client, clients), rng, lifetime)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Iterator[Invocation]:
        """A read of each key this client knows to be in use, the keys dealt out over the clients,
        and of the one before it."""
        known = last.keys if isinstance(last, Micros) else list(range(shape.keys))
        for slot in range(client, len(known), clients):
            before = known[slot] - len(known)
            yield transaction([("r", key, None) for key in (before, known[slot]) if key >= 0])
