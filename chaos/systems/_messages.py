"""Queues and logs, as all clients see them.

The client kind `queue`: `create` makes the queue `key`, if it is not there yet; `enqueue` answers
once the broker has confirmed `value`; `dequeue` answers with an element, which has been removed
before it returns, or with None: the broker said that the queue is empty. What was taken and not
removed for sure is an indefinite error, and the element is recorded with it (`holding`). An element
must never be dropped silently.

The client kind `log`: a log is a partition or a stream, named by `key`; `create` makes it. `send`
appends `value` and answers with its offset (`sent`). `assign` names the logs that this client polls
from now on: those that it had keep their places, others are read from their beginning, and what is
named no longer is forgotten (`Places`). So an `assign` of none and one of some begins at the
beginning. `poll` answers with what came next in them (`polled`), {} where nothing came within a
short wait; without logs it says `not_assigned`, and a client that was opened anew has none.

What only some know (`HasLogs`): `subscribe` names logs that are dealt out among
the group's members, who go on where the group has got to; `txn` is a list of sends and polls
(`micros_of`) of which all or nothing happens, and answers with what they answer (`answered`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from chaos.record.op import Invocation, Result
from chaos.systems.base import Definite, InHand

Message = tuple[int, int]  # offset, value
Shown = Mapping[str, Sequence[Message]]  # log → what a poll read of it, in the order of offsets


@runtime_checkable
class HasLogs(Protocol):
    """Has clients of the kind `log` that can do more than create, send, assign and poll."""

    log_operations: frozenset[str]  # of subscribe (consumer groups) and txn (transactions)


def place_of(key: object) -> int:
    """Which queue or log that is: 3 of `k3`, 0 where its name has no number. The node at that place
    among all, modulo their number, is the one that leads it at first."""
    number = re.search(r"\d+$", str(key))
    return int(number[0]) if number else 0


@contextmanager
def holding(value: int) -> Iterator[None]:
    """For what removes an element: its errors say which one the client had been given."""
    try:
        yield
    except Exception as error:
        raise InHand(value) from error


def not_assigned() -> Definite:
    """The answer to who polls and has been told of no log."""
    return Definite("not-assigned", "this client has been told of no log to poll")


def logs_of(operation: Invocation) -> list[str]:
    """The logs that an `assign` or a `subscribe` names."""
    return [str(name) for name in json.loads(operation.payload or "[]")]


def sent(offset: int | None, value: int | None, node: str = "") -> Result:
    """The result of a send; `offset` None: the broker does not tell."""
    told = None if offset is None else _text([offset, value])
    return Result(value=value, payload=told, node=node)


def polled(shown: Shown, node: str = "") -> Result:
    """The result of a poll; logs of which nothing came are left out."""
    return Result(payload=_text(_some(shown)), node=node)


def micros_of(operation: Invocation) -> list[list[Any]]:
    """What a transaction does: ["send", log, value] and ["poll"], in order."""
    return [list(micro) for micro in json.loads(operation.payload or "[]")]


def answered(micros: Iterable[Sequence[Any]], answers: Iterable[Any], node: str = "") -> Result:
    """The result of a committed transaction; `answers`: of each send its offset (None: not told),
    of each poll what it showed."""
    done = []
    for micro, answer in zip(micros, answers, strict=True):
        if micro[0] == "poll":
            done.append(["poll", _some(answer)])
        else:
            done.append(["send", micro[1], micro[2] if answer is None else [answer, micro[2]]])
    return Result(payload=_text(done), node=node)


class Places:
    """Where a client stands in the logs assigned to it: log → the offset that it polls next."""

    def __init__(self, first: int = 0) -> None:
        self._first = first  # the offset at which a log begins
        self._next: dict[str, int] = {}

    def assign(self, logs: Iterable[str]) -> None:
        """These from now on: as far as they are known where it stood, others from the beginning."""
        self._next = {log: self._next.get(log, self._first) for log in logs}

    def all(self) -> Mapping[str, int]:
        """Where it stands in each of its logs."""
        return dict(self._next)

    def next(self) -> Mapping[str, int]:
        """The same to poll; `Definite` not-assigned where there is nothing."""
        if not self._next:
            raise not_assigned()
        return self.all()

    def passed(self, log: str, offset: int) -> None:
        """What stands at this offset has been polled."""
        self._next[log] = offset + 1


def _some(shown: Shown) -> dict[str, list[list[int]]]:
    return {log: [list(m) for m in messages] for log, messages in shown.items() if messages}


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))
