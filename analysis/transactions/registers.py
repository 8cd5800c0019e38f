"""A history of registers: impossible reads, and the problem that is left for the models.

`analyse_registers` is the way in. Micro-operations and transactions are numbered as in
`transactions`, those of the problem are the committed ones alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.history import FAIL, OK, Ints, Mask
from analysis.transactions.columns import NIL, READ, WRITE, Transactions
from analysis.transactions.flaws import Flaw
from analysis.transactions.list_versions import without
from analysis.transactions.problem import INITIAL, Problem, new_reads

NOBODY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """What a history of registers shows."""

    transactions: Transactions  # without the keys of which nothing can be said
    left_out: int  # how many keys these are
    flaws: tuple[Flaw, ...]  # the worst first
    committed: Ints  # the problem's transactions
    problem: Problem
    shown: Ints  # (m) of an ok read: the write that it shows, or NOBODY; else NOBODY


def nothing_said(told: Transactions) -> str:
    """Why transactions of registers say nothing at all, or ""."""
    if told.mixed:
        return "lists and registers in one history: expected either appends or writes, found both"
    if told.lists:
        return "transactions append to lists: expected writes of registers"
    if not (told.kind == WRITE).any():
        return "no transaction writes a register"
    ok = np.repeat(told.outcome == OK, np.diff(told.first))
    if not ((told.kind == READ) & ok).any():
        return "no read was acknowledged, so nothing could be inferred"
    return ""


def analyse_registers(told: Transactions, initial: Any) -> Registers:
    """Everything that can be said without a model; `initial` as JSON."""
    found = _Reads(told, told.code(initial))
    left_out = found.silent
    if len(left_out):
        told = without(told, left_out)
        found = _Reads(told, told.code(initial))
    committed = np.flatnonzero(found.committed)
    return Registers(
        transactions=told,
        left_out=len(left_out),
        flaws=found.flaws(),
        committed=committed,
        problem=_problem(found, committed),
        shown=found.shown,
    )


class _Reads:
    """Which write each ok read shows."""

    def __init__(self, told: Transactions, initial: int) -> None:
        self.told = told
        count = len(told.kind)
        self.owner = owner = told.owner()
        self.ok = (told.outcome == OK)[owner]
        self.value = np.where(told.value == initial, NIL, told.value)
        self.reads = np.flatnonzero((told.kind == READ) & self.ok)
        wrote = told.kind == WRITE
        alive = (told.outcome != FAIL)[owner]
        code, self.code_of = _codes(told.key, self.value)
        living, dead = np.flatnonzero(wrote & alive), np.flatnonzero(wrote & ~alive)
        times = np.bincount(code[living], minlength=self.code_of)
        by_living, by_dead = (np.full(self.code_of, NOBODY) for _ in range(2))
        by_living[code[living]], by_dead[code[dead]] = living, dead
        self.shown, self.failed = np.full(count, NOBODY), np.full(count, NOBODY)
        self.shown[self.reads] = by_living[code[self.reads]]
        self.failed[self.reads] = by_dead[code[self.reads]]
        nil = self.value[self.reads] == NIL
        unclear = (times[code[self.reads]] > 1) | (nil & (times[code[self.reads]] > 0))
        self.silent = np.unique(told.key[self.reads[unclear]])
        self.nil = self.reads[nil]
        self.failed[self.nil] = NOBODY
        seen = self.shown[self.reads]
        self.committed: Mask = told.outcome == OK
        self.committed[owner[seen[seen >= 0]]] = True
        self._order()

    def _order(self) -> None:
        """What came before each micro-operation on the same key, in the same transaction."""
        told, count = self.told, len(self.told.kind)
        by = np.argsort(self.owner * len(told.keys) + told.key, kind="stable")
        same = np.append(
            False,
            (told.key[by][1:] == told.key[by][:-1]) & (self.owner[by][1:] == self.owner[by][:-1]),
        )[:count]
        self.before = np.full(count, NOBODY)
        self.before[by[same]] = by[np.flatnonzero(same) - 1]
        self.rewritten = np.zeros(count, np.bool_)
        writes = by[told.kind[by] == WRITE]
        again = (told.key[writes][1:] == told.key[writes][:-1]) & (
            self.owner[writes][1:] == self.owner[writes][:-1]
        )
        self.rewritten[writes[:-1][again]] = True
        self.last = writes[~np.append(again, False)[: len(writes)]]
        wrote = (told.kind[by] == WRITE).astype(np.int64)
        total = np.cumsum(wrote) - wrote
        group = np.maximum.accumulate(np.where(same, 0, np.arange(count))) if count else by
        self.external = np.zeros(count, np.bool_)
        self.external[by] = (total - total[group]) == 0

    def flaws(self) -> tuple[Flaw, ...]:
        """Impossible reads, the worst first."""
        reads, shown, owner = self.reads, self.shown, self.owner
        there = reads[shown[reads] >= 0]
        mine = owner[shown[there]] == owner[there]
        nobody = (shown[reads] < 0) & (self.failed[reads] < 0) & (self.value[reads] != NIL)
        failed = reads[(shown[reads] < 0) & (self.failed[reads] >= 0)]
        future = there[mine & (shown[there] > there)]
        part = there[~mine & self.rewritten[shown[there]]]
        before = self.before[reads]
        torn = reads[(before >= 0) & (self.value[before] != self.value[reads])]
        none = np.full(len(self.told.kind), NOBODY)
        found = (
            ("thin-air-read", reads[nobody], none),
            ("future-read", future, shown),
            ("G1a", failed, self.failed),
            ("G1b", part, shown),
            ("internal", torn, self.before),
        )
        return tuple(
            Flaw(name=name, read=at, value=self.told.value[at], other=other[at])
            for name, at, other in found
            if len(at)
        )


def _codes(key: Ints, value: Ints) -> tuple[Ints, int]:
    """A number for each (key, value), from 0; and how many there are."""
    low, high = int(value.min(initial=0)), int(value.max(initial=0))
    keys = int(key.max(initial=0)) + 1
    if keys * (high - low + 1) < 2**62:
        by = np.argsort(key * (high - low + 1) + value - low)
    else:
        by = np.lexsort((value, key))
    new = np.append(True, (np.diff(key[by]) != 0) | (np.diff(value[by]) != 0))[: len(by)]
    code = np.empty(len(by), np.int64)
    code[by] = np.cumsum(new) - 1
    return code, int(new.sum())


def _problem(found: _Reads, committed: Ints) -> Problem:
    """External reads and last writes of committed transactions."""
    told, owner = found.told, found.owner
    place = np.full(len(told), NOBODY)
    place[committed] = np.arange(len(committed))
    shown, reads = found.shown, found.reads
    plain = found.external[reads] & ((shown[reads] >= 0) | (found.value[reads] == NIL))
    reads = reads[plain]
    source = np.where(shown[reads] >= 0, place[owner[shown[reads]]], INITIAL)
    others = source != place[owner[reads]]  # not from a later write of its own
    reads, source = reads[others], source[others]
    again = None
    if bool((found.before[reads] >= 0).any()):
        kept, again = new_reads(place[owner[reads]], told.key[reads], source)
        reads, source = reads[kept], source[kept]
    last = found.last[place[owner[found.last]] >= 0]
    last = last[np.lexsort((told.key[last], owner[last]))]
    _, session = np.unique(told.process[committed], return_inverse=True)
    return Problem(
        rows=told.rows[committed],
        session=session.astype(np.int64),
        start=told.start[committed],
        end=told.end[committed],
        raw_end=told.history.end_ns[told.rows[committed]],
        reader=place[owner[reads]],
        read_key=told.key[reads],
        source=source,
        again=again,
        writer=place[owner[last]],
        write_key=told.key[last],
        keys=len(told.keys),
        key_names=Names(told),
    )


class Names(dict[int, Any]):
    """The keys as JSON, looked up when they are asked for."""

    def __init__(self, told: Transactions) -> None:
        super().__init__()
        self._told = told

    def get(self, key: int, default: Any = None) -> Any:
        """The key as JSON."""
        return self._told.key_name(key)
