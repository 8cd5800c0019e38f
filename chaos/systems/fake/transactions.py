"""Transactions of the system in memory: serial, unless asked to lie."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.systems._transactions import (
    Micro,
    accounts_of,
    answered,
    balances,
    micros_of,
    replayed,
    transfer_of,
)
from chaos.systems.base import Definite

PAUSE_S = 0.0005  # between two micro-operations that others may come between


class Table:
    """Keys of one workload. Each value has the one before it, and how often it was written."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._now: dict[int, Any] = {}
        self._before: dict[int, Any] = {}
        self._versions: dict[int, int] = {}

    def txn(self, operation: Invocation, node: str, lie: str) -> Result:
        """A transaction of micro-operations; `lie`: how it is not serial, "" if it is."""
        micros = micros_of(operation)
        if lie == "interleaved":
            return answered(micros, self._interleaved(micros), node)
        if lie == "snapshots":
            return answered(micros, self._on_snapshot(micros), node)
        with self.lock:
            reads, written = replayed(micros, self._before if lie == "stale-reads" else self._now)
            if lie == "stale-reads":
                _, written = replayed(micros, self._now)
            if lie != "lose-acked":
                self._write(written)
        if lie == "duplicates":
            reads = [[*r, *r[-1:]] if isinstance(r, list) else r for r in reads]
        return answered(micros, reads, node)

    def _write(self, written: dict[int, Any]) -> None:
        for key, value in written.items():
            if key in self._now:
                self._before[key] = self._now[key]
            self._now[key] = value
            self._versions[key] = self._versions.get(key, 0) + 1

    def _interleaved(self, micros: Sequence[Micro]) -> list[Any]:
        """Each micro-operation by itself, seen by others at once: no isolation at all."""
        reads: list[Any] = []
        for micro in micros:
            with self.lock:
                read, written = replayed([micro], self._now)
                self._write(written)
            reads += read
            time.sleep(PAUSE_S)
        return reads

    def _on_snapshot(self, micros: Sequence[Micro]) -> list[Any]:
        """Snapshot isolation: of two that write one key at once, the first wins."""
        with self.lock:
            state, versions = dict(self._now), dict(self._versions)
        reads, written = replayed(micros, state)
        time.sleep(PAUSE_S * len(micros))
        with self.lock:
            if any(self._versions.get(key, 0) != versions.get(key, 0) for key in written):
                raise Definite("conflict", "another wrote a key of this transaction meanwhile")
            self._write(written)
        return reads

    def open(self, operation: Invocation, node: str, lie: str) -> Result:
        """Open the accounts that are not there."""
        with self.lock:
            for account, held in accounts_of(operation).items():
                self._now.setdefault(account, held)
        return Result(node=node)

    def transfer(self, operation: Invocation, node: str, lie: str) -> Result:
        """Move an amount; interleaved: what was read may be old when it is written."""
        giver, taker, amount = transfer_of(operation)
        with self.lock:
            held, other = self._now[giver], self._now[taker]
            if held < amount:
                raise Definite("insufficient", "the account holds less than the amount")
            if lie not in ("interleaved", "lose-acked"):
                self._write({giver: held - amount, taker: other + amount})
        if lie == "interleaved":
            time.sleep(PAUSE_S)
            with self.lock:
                self._write({giver: held - amount, taker: other + amount})
        return Result(node=node)

    def balances(self, operation: Invocation, node: str, lie: str) -> Result:
        """All accounts; stale: each as before its last change, which together never was."""
        with self.lock:
            old = self._before if lie == "stale-reads" else {}
            return balances({**self._now, **old}, node)
