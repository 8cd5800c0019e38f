"""Transactions as every client sees them: read from an invocation, written into a result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems.base import ErrorRule

Micro = tuple[str, int, Any]  # append, w or r · key · value (of a read: None)
LISTS = frozenset({"append"})
REGISTERS = frozenset({"wr", "long-fork", "write-skew"})
TRANSACTIONS = LISTS | REGISTERS | {"bank"}


class NotCommitted(Exception):
    """The transaction ended before its commit was sent: it certainly did not happen."""


NOT_COMMITTED = ErrorRule(
    code="not-committed",
    kind=NotCommitted,
    definite=True,
    reason="the transaction ended before anything of it was told to commit",
)


def micros_of(operation: Invocation) -> list[Micro]:
    """The micro-operations of a transaction."""
    return [(kind, key, value) for kind, key, value in json.loads(operation.payload or "[]")]


def answered(micros: Sequence[Micro], reads: Sequence[Any], node: str) -> Result:
    """The result of a committed transaction; `reads` are what its reads read, in order."""
    found = iter(reads)
    done = [(kind, key, next(found) if kind == "r" else x) for kind, key, x in micros]
    return Result(payload=json.dumps(done, separators=(",", ":")), node=node)


def replayed(micros: Sequence[Micro], state: Mapping[int, Any]) -> tuple[list[Any], dict[int, Any]]:
    """What the reads read when the transaction begins with `state`, and what it leaves of the keys
    that it writes. A key that is not there is None. Nothing in `state` is changed."""
    written: dict[int, Any] = {}
    reads: list[Any] = []
    for kind, key, value in micros:
        now = written.get(key, state.get(key))
        if kind == "r":
            reads.append(now)
        else:
            written[key] = [*(now or ()), value] if kind == "append" else value
    return reads, written


def accounts_of(operation: Invocation) -> dict[int, int]:
    """The accounts to open, and what they hold at first."""
    return {int(name): held for name, held in json.loads(operation.payload or "{}").items()}


def transfer_of(operation: Invocation) -> tuple[int, int, int]:
    """(from, to, amount) of a transfer."""
    asked = json.loads(operation.payload or "{}")
    return asked["from"], asked["to"], asked["amount"]


def balances(found: Mapping[int, int], node: str) -> Result:
    """The result of a read of all accounts."""
    shown = {str(account): found[account] for account in sorted(found)}
    return Result(payload=json.dumps(shown, separators=(",", ":")), node=node)
