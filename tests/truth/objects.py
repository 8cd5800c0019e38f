"""Sequential objects: what each operation does, and what it answers. Nothing else is in here.

The simulation breaks them and the oracle runs them; neither looks at any checker's model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple, Protocol

from tests.truth.rows import Row, carried

MANY_KINDS = [0, 1, 1.0, "1", True, "", "null", [1], {"a": 1}, 2**63, -(2**63), 1.5, False, None]


class Request(NamedTuple):
    """What a client asks for; `expected` is a cas's."""

    f: str
    value: Any = None
    expected: Any = None
    process: int = 0


class Values:
    """Where a history's values come from: all different, few, or any JSON (`things`: but null)."""

    def __init__(self, rng: Random, kind: str) -> None:
        self._random, self._kind, self._last = rng.random, kind, 0
        self._no_null = kind == "things"

    def new(self) -> Any:
        """A value to write."""
        if self._kind == "unique":
            self._last += 1
            return self._last
        return self.any()

    def recent(self, count: int) -> int:
        """One of the last `count` values, of values that are all different."""
        return self._last - int(self._random() * min(count, self._last + 1))

    def any(self) -> Any:
        """A value that may have been written, and may not."""
        if self._kind in ("json", "things"):
            return MANY_KINDS[int(self._random() * (len(MANY_KINDS) - self._no_null))]
        if self._kind == "few":
            return int(self._random() * 3)
        return int(self._random() * (self._last + 2))


class Thing(Protocol):
    """A sequential object. States are hashable."""

    refuses: Mapping[str, str]  # operations that fail if the answer is False, and their error

    def initial(self, value: Any) -> Any:
        """The state at first, from a history's initial value."""

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        """A request of a process that asked `asked` times before."""

    def last(self, process: int) -> Request:
        """A request when the others are over; only of things that have such an end."""

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        """The state after, and the answer, which may be compared."""

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        """(carried value, expected) of an ok operation; of others with the answer None."""

    def meant(self, row: Row) -> tuple[Request, Any]:
        """The request and the answer that a row tells of; the answer of an ok row only."""

    def wild(self, values: Values, request: Request) -> Any:
        """An answer out of thin air."""


class Register:
    """Reads, writes and swaps of any values. A swap's answer is whether it found `expected`."""

    asks = ("read", "read", "write", "write", "cas")
    refuses: Mapping[str, str] = {"cas": "cas-mismatch"}

    def initial(self, value: Any) -> Any:
        return carried(value)

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        f = self.asks[int(rng.random() * len(self.asks))]
        if f == "read":
            return Request(f)
        if f == "write":
            return Request(f, values.new())
        return Request(f, values.new(), values.any())

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        if request.f == "read":
            return state, state
        if request.f == "write":
            return carried(request.value), None
        found = state == carried(request.expected)
        return (carried(request.value) if found else state), found

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        if request.f == "read":
            return (json.loads(answer) if isinstance(answer, str) else answer), None
        return request.value, request.expected

    def meant(self, row: Row) -> tuple[Request, Any]:
        if row.f == "read":
            return Request("read"), carried(row.value)
        if row.f == "write":
            return Request("write", row.value), None
        return Request("cas", row.value, row.expected), row.type == "ok"

    def wild(self, values: Values, request: Request) -> Any:
        return carried(values.any()) if request.f == "read" else request.f == "cas" or None


class PlainRegister(Register):
    """Without swaps."""

    asks = ("read", "write")


class Text:
    """A text that is written, appended to and read; nothing there is the empty text."""

    refuses: Mapping[str, str] = {}

    def initial(self, value: Any) -> Any:
        return value or ""

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        draw = rng.random()
        if draw < 0.4:
            return Request("read")
        return Request("append" if draw < 0.85 else "write", f"{values.new()} ")

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        if request.f == "read":
            return state, state
        return (state + request.value if request.f == "append" else request.value), None

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        return (answer or None if request.f == "read" else request.value), None

    def meant(self, row: Row) -> tuple[Request, Any]:
        if row.f == "read":
            return Request("read"), row.value or ""
        return Request(row.f, row.value), None

    def wild(self, values: Values, request: Request) -> Any:
        return f"{values.any()} " if request.f == "read" else None


class Counter:
    """Adds of any amount, and reads of the sum."""

    refuses: Mapping[str, str] = {}

    def initial(self, value: Any) -> Any:
        return value or 0

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        amount = (1, 1, 2, 3, 5, -1, -2, 0, None)[int(rng.random() * 9)]
        return Request("read") if rng.random() < 0.45 else Request("add", amount)

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        if request.f == "read":
            return state, state
        return state + (1 if request.value is None else request.value), None

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        return (answer if request.f == "read" else request.value), None

    def meant(self, row: Row) -> tuple[Request, Any]:
        if row.f == "read":
            return Request("read"), row.value or 0
        return Request("add", row.value), None

    def wild(self, values: Values, request: Request) -> Any:
        return values.any() if request.f == "read" else None


class Set:
    """Adds and removals that answer whether they changed something; questions; whole reads."""

    refuses: Mapping[str, str] = {}
    asks = ("add", "add", "remove", "contains", "contains", "read")

    def initial(self, value: Any) -> Any:
        return frozenset(map(carried, value or ()))

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        f = self.asks[int(rng.random() * len(self.asks))]
        return Request(f, None if f == "read" else values.new() if f == "add" else values.any())

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        if request.f == "read":
            return state, state
        element = carried(request.value)
        if request.f == "add":
            return state | {element}, element not in state
        return (state - {element} if request.f == "remove" else state), element in state

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        if request.f == "read":
            if answer is None:
                return None, None
            listed = [json.loads(e) if isinstance(e, str) else e for e in answer]
            return listed, None
        return (request.value if answer in (None, True) else [request.value, False]), None

    def meant(self, row: Row) -> tuple[Request, Any]:
        if row.f == "read":
            shown = [carried(element) for element in row.value or ()]
            return Request("read"), frozenset(shown) if len(set(shown)) == len(shown) else "no set"
        if type(row.value) is list and len(row.value) == 2 and type(row.value[1]) is bool:
            return Request(row.f, row.value[0]), row.value[1]
        return Request(row.f, row.value), True

    def wild(self, values: Values, request: Request) -> Any:
        if request.f == "read":
            return frozenset(carried(values.any()) for _ in range(2))
        return bool(int(values._random() * 2))


class Queue:
    """First in, first out. Taking from nothing answers null."""

    refuses: Mapping[str, str] = {}
    asks = ("enqueue", "enqueue", "dequeue", "dequeue", "peek")
    front = 0

    def initial(self, value: Any) -> Any:
        return tuple(map(carried, value or ()))

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        f = self.asks[int(rng.random() * len(self.asks))]
        return Request(f, values.new() if f in ("enqueue", "push") else None)

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        if request.f in ("enqueue", "push"):
            return (*state, carried(request.value)), None
        if not state:
            return state, None
        answer = state[self.front]
        if request.f == "peek":
            return state, answer
        return (state[:-1] if self.front else state[1:]), answer

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        if request.f in ("enqueue", "push"):
            return request.value, None
        return (json.loads(answer) if isinstance(answer, str) else answer), None

    def meant(self, row: Row) -> tuple[Request, Any]:
        if row.f in ("enqueue", "push"):
            return Request(row.f, row.value), None
        return Request(row.f), carried(row.value)

    def wild(self, values: Values, request: Request) -> Any:
        return None if request.f in ("enqueue", "push") else carried(values.any())


class Stack(Queue):
    """Last in, first out."""

    asks = ("push", "push", "pop", "pop", "peek")
    front = -1


class Lock:
    """Held by one process at a time; who may not, is answered False.

    The state: (holder, its token, the last token). With tokens each acquisition is answered a
    greater one; the oracle is told it with the request, and asks whether it is greater.
    """

    refuses: Mapping[str, str] = {"acquire": "not-granted", "release": "not-held"}

    def __init__(self, tokens: bool = False) -> None:
        self._tokens = tokens

    def initial(self, value: Any) -> Any:
        return None, None, None

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        even = asked % 2 if rng.random() < 0.9 else rng.random() < 0.5
        return Request("release" if even else "acquire", None, None, process)

    def run(self, state: Any, request: Request) -> tuple[Any, Any]:
        """An answer is the token, or whether it was granted."""
        holder, token, last = state
        if request.f == "acquire":
            if holder is not None:
                return state, False
            fresh = (last or 0) + 1 if self._tokens else None
            return (request.process, fresh, fresh or last), fresh or True
        if holder != request.process:
            return state, False
        return (None, None, last), token or True

    def row(self, request: Request, answer: Any) -> tuple[Any, Any]:
        return (None if answer in (None, True) else answer), None

    def meant(self, row: Row) -> tuple[Request, Any]:
        """What is acknowledged must have been granted, under the token that was shown."""
        shown = row.value if row.type == "ok" or row.f == "release" else None
        return Request(row.f, shown, None, row.process), True

    def possible(self, state: Any, request: Request) -> tuple[Any, Any]:
        """`run` for the oracle: the token is what was shown, if any was."""
        holder, token, last = state
        shown = request.value
        if request.f == "acquire":
            if holder is not None or (None not in (shown, last) and shown <= last):
                return state, False
            return (request.process, shown, last if shown is None else shown), True
        if holder != request.process:
            return state, False
        if shown is None or shown == token:
            return (None, None, last), True
        if token is None and (last is None or shown > last):  # it was not told before
            return (None, None, shown), True
        return state, False

    def wild(self, values: Values, request: Request) -> Any:
        return values.any() if self._tokens else True
