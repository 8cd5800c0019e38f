"""Kinds of clients whose data must outlive a killed node: how to put it in, and how to see all."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Set
from typing import Protocol

from chaos.conformance.findings import Nonconformance, must
from chaos.record.op import Invocation, Result
from chaos.systems.base import Client

QUEUE, LOG = "q9", "l9"
DEADLINE_S = 10.0
LOOK_S = 0.1


class Kept(Protocol):
    """One kind. Values are put in once each."""

    kind: str

    def prepare(self, client: Client) -> None:
        """Make what `put` needs."""

    def put(self, value: int) -> Invocation:
        """The operation that puts `value` in."""

    def contents(self, client: Client, wanted: Set[int]) -> set[int]:
        """All that is in it, asked for until what is wanted is there, DEADLINE_S at most; it may be
        taken out by that."""


class Sets:
    """The workload's one set."""

    kind = "set"

    def prepare(self, client: Client) -> None:
        """Nothing: the set is there."""

    def put(self, value: int) -> Invocation:
        """An add."""
        return Invocation("add", value=value)

    def contents(self, client: Client, wanted: Set[int]) -> set[int]:
        """One read: it may not miss anything."""
        return set(elements(until(client, Invocation("read"), DEADLINE_S)))


class Queues:
    """A queue of our own. Elements that a killed consumer had may come back late."""

    kind = "queue"

    def prepare(self, client: Client) -> None:
        """Create it."""
        until(client, Invocation("create", QUEUE), DEADLINE_S)

    def put(self, value: int) -> Invocation:
        """An enqueue."""
        return Invocation("enqueue", QUEUE, value)

    def contents(self, client: Client, wanted: Set[int]) -> set[int]:
        """Dequeue until it is found empty."""
        found: set[int] = set()
        end = time.monotonic() + DEADLINE_S
        while True:
            value = until(client, Invocation("dequeue", QUEUE), DEADLINE_S).value
            if value is not None:
                must(value not in found, f"dequeue: {value} came twice")
                found.add(value)
            elif wanted <= found or time.monotonic() > end:
                return found
            else:
                time.sleep(LOOK_S)


class Logs:
    """A log of our own."""

    kind = "log"

    def prepare(self, client: Client) -> None:
        """Create it."""
        until(client, Invocation("create", LOG), DEADLINE_S)

    def put(self, value: int) -> Invocation:
        """A send."""
        return Invocation("send", LOG, value)

    def contents(self, client: Client, wanted: Set[int]) -> set[int]:
        """Poll from the beginning to the end."""
        until(client, Invocation("assign", payload=json.dumps([LOG])), DEADLINE_S)
        return {value for _, value in polled(client, LOG, wanted)}


KEPT: Mapping[str, Kept] = {each.kind: each for each in (Sets(), Queues(), Logs())}


def elements(result: Result) -> list[int]:
    """The elements of a set that was read."""
    found = json.loads(result.payload or "null")
    must(isinstance(found, list), f"read: expected a list as payload, got {result.payload!r}")
    return list(found)


def polled(client: Client, log: str, wanted: Set[int] = frozenset()) -> list[tuple[int, int]]:
    """What comes of `log`, as (offset, value), until twice nothing does. That does not mean its end
    while something is wanted: a poll waits a moment, and a consumer that has just been assigned may
    take longer to fetch; then until DEADLINE_S are over."""
    found: list[tuple[int, int]] = []
    silent = 0
    end = time.monotonic() + DEADLINE_S
    while silent < 2 or not wanted <= {value for _, value in found}:
        if time.monotonic() > end:
            must(silent, f"polls of {log} never come to its end: {found[:20]}")
            break
        result = until(client, Invocation("poll"), DEADLINE_S)
        came = json.loads(result.payload or "{}").get(log, [])
        found += [(offset, value) for offset, value in came]
        silent = 0 if came else silent + 1
    return found


def until(client: Client, operation: Invocation, deadline_s: float) -> Result:
    """Ask again and again, as a user would, until it is done."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            return client.invoke(operation)
        except Exception as error:
            if time.monotonic() > end:
                raise Nonconformance(
                    f"{operation.f}: still refused after {deadline_s:g} s: {error}"
                ) from error
            time.sleep(LOOK_S)
