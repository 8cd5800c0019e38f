"""Objects whose properties are counted, not ordered: what goes in, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from tests.truth.objects import Counter, Lock, PlainRegister, Request, Values
from tests.truth.rows import Row


class GrowSet:
    """Elements are added and never removed; a read lists all, perhaps one of them twice."""

    refuses: Mapping[str, str] = {}

    def initial(self, value: Any) -> Any:
        return ()

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        if rng.random() < 0.35:
            return Request("read")
        return Request("add", values.new())

    def last(self, process: int) -> Request:
        return Request("read")

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        if request.f == "read":
            return state, state
        return (state if request.value in state else (*state, request.value)), None

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        if request.f == "read":
            return (None if answer is None else list(answer)), None
        return request.value, None

    def meant(self, row: Row) -> tuple[Request, Any]:
        raise NotImplementedError  # these are not ordered

    def wild(self, values: Values, request: Request) -> Any:
        return tuple(values.any() for _ in range(3)) if request.f == "read" else None


class Bag(GrowSet):
    """What is enqueued is dequeued, in any order; a drain takes all. From nothing is refused."""

    refuses: Mapping[str, str] = {"dequeue": "empty"}

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        draw = rng.random()
        if draw < 0.5:
            return Request("enqueue", values.new())
        return Request("dequeue" if draw < 0.95 else "drain")

    def last(self, process: int) -> Request:
        return Request("drain")

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        if request.f == "enqueue":
            return (*state, request.value), None
        if request.f == "drain":
            return (), state
        return state[1:], (state[0] if state else False)

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        if request.f == "enqueue":
            return request.value, None
        if request.f == "drain":
            return (None if answer is None else list(answer)), None
        return answer, None

    def wild(self, values: Values, request: Request) -> Any:
        if request.f == "drain":
            return tuple(values.any() for _ in range(2))
        return values.any() if request.f == "dequeue" else None


class Ids(GrowSet):
    """Each id but once."""

    def initial(self, value: Any) -> Any:
        return 0

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        return Request("generate")

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        return state + 1, state + 1

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        return answer, None

    def wild(self, values: Values, request: Request) -> Any:
        return values.any()


class Tally(Counter):
    """A counter that may be read long after the last add."""

    def last(self, process: int) -> Request:
        return Request("read")


class LastRegister(PlainRegister):
    """A register that is read long after the last write."""

    def last(self, process: int) -> Request:
        return Request("read")


class Guarded(Lock):
    """A lock with tokens, and a store that accepts no token older than the newest it has seen."""

    refuses: Mapping[str, str] = {**Lock.refuses, "guarded": "stale-token"}

    def initial(self, value: Any) -> Any:
        return None, None, None, 0

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        f = ("acquire", "guarded", "release")[asked % 3 if rng.random() < 0.9 else 1]
        return Request(f, None, None, process)

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        *lock, newest = state
        if request.f != "guarded":
            after, answer = super().run(tuple(lock), request)
            return (*after, newest), answer
        holder, token, _ = lock
        if holder != request.process or (token or 0) < newest:
            return state, False
        return (*lock, token or newest), token or True
