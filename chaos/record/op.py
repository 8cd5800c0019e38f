"""The words of a history: invoke, ok, fail, info."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OpType(StrEnum):
    """How an operation ended. `OPEN` is written only while a run goes on."""

    OK = "ok"  # it happened
    FAIL = "fail"  # it did not happen
    INFO = "info"  # it may have happened, then or later
    OPEN = "open"  # it has begun; nothing more is known (a run cut short)


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a client is asked to do: `f` on `key` with `value` (`expected`: what a cas is to
    replace, or the fencing token that goes with it).

    `payload` is JSON text of what is no single integer: a transaction's micro-operations, whose
    reads are null, or the accounts and the amount of a transfer. It is recorded as it is unless the
    operation succeeds with a payload of its own. `at` is the place of the node to go through, in
    an order of the client's own with its home node first (session only; modulo their number).
    `pause_s`: how long the client stands still before it begins, as a stopped process does.
    """

    f: str
    key: str | None = None
    value: int | None = None
    expected: int | None = None
    payload: str | None = None
    at: int = 0
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a client got back from an operation that happened.

    `value` is the value read (None: nothing there) or written; `payload` is JSON text for
    results that are no single integer, such as a transaction with what its reads read; `node` is
    the node that answered, "" if unknown.
    """

    value: int | None = None
    payload: str | None = None
    node: str = ""
