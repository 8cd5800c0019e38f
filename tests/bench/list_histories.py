"""Histories of list appends from a simulated database that runs one transaction after another.

On average four micro-operations a transaction, half of them reads; ten keys at a time, each
appended to some 32 times before others take their place. 32 clients are always busy, one
transaction in a hundred fails, one is never answered (and happened, as often as not).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.history import FAIL, INFO, OK, History, read_history
from analysis.transactions.columns import APPEND, NEVER, NIL, READ, UNREAD, Transactions
from chaos.record.schema import HISTORY

CLIENTS, ACTIVE, APPENDS = 32, 10, 32
TICK_NS = 1000
TYPES = ("ok", "fail", "info")
ABSENT = 1_000_000  # values from here on are of appends that did not happen

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """What the database did. `shown`: how many elements each read shows, 1, 2, 3, …"""

    first: Numbers
    kind: npt.NDArray[np.int8]
    key: Numbers
    value: Numbers
    shown: Numbers
    outcome: npt.NDArray[np.int8]
    start: Numbers
    end: Numbers


def serial(count: int, *, stale: int = 0, seed: int = 1) -> Serial:
    """`count` transactions. `stale`: that many of them miss the last element in their reads."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, count)
    first = np.concatenate([[0], np.cumsum(sizes)])
    size, owner = int(first[-1]), np.repeat(np.arange(count), sizes)
    kind = np.where(rng.random(size) < 0.5, READ, APPEND).astype(np.int8)
    outcome = rng.choice([OK, FAIL, INFO], count, p=[0.98, 0.01, 0.01]).astype(np.int8)
    happened = (outcome == OK) | ((outcome == INFO) & (rng.random(count) < 0.5))
    writes = (kind == APPEND) & happened[owner]
    key = np.cumsum(writes) // (ACTIVE * APPENDS) * ACTIVE + rng.integers(0, ACTIVE, size)
    order = np.argsort(key, kind="stable")
    there = np.cumsum(writes[order])
    begin = np.flatnonzero(np.append(True, np.diff(key[order]) != 0))
    before = (there - writes[order])[begin]
    rank = np.empty(size, np.int64)
    rank[order] = there - np.repeat(before, np.diff(np.append(begin, size)))
    value = np.where(writes, rank, ABSENT + np.arange(size))
    shown = np.where((kind == READ) & (outcome == OK)[owner], rank, 0)
    if stale:
        late = np.zeros(count, bool)
        late[rng.choice(count, stale, replace=False)] = True
        shown = np.maximum(shown - late[owner], 0)
    moment = (np.arange(count) + CLIENTS) * TICK_NS
    half = CLIENTS * TICK_NS // 2 - 1
    start, end = moment - rng.integers(0, half, count), moment + rng.integers(0, half, count)
    return Serial(
        first=first, kind=kind, key=key, value=value, shown=shown, outcome=outcome, start=start,
        end=end,
    )  # fmt: skip


def columns(done: Serial) -> Transactions:
    """The transactions as the checker has them once payloads are read."""
    ok = np.repeat(done.outcome == OK, np.diff(done.first))
    list_first = np.concatenate([[0], np.cumsum(done.shown)])
    element = np.arange(1, int(list_first[-1]) + 1) - np.repeat(list_first[:-1], done.shown)
    keys, key = np.unique(done.key, return_inverse=True)
    return Transactions(
        history=history(done),
        rows=np.arange(len(done.outcome)),
        process=np.arange(len(done.outcome)) % CLIENTS,
        start=done.start,
        end=np.where(done.outcome == INFO, NEVER, done.end),
        outcome=done.outcome,
        first=done.first,
        kind=done.kind,
        key=key.reshape(-1),
        value=np.where(done.kind == APPEND, done.value, np.where(ok, NIL, UNREAD)),
        list_first=list_first,
        element=element,
        lists=True,
        mixed=False,
        names={},
        keys=keys,
        key_names={},
    )


def history(done: Serial) -> History:
    """The history's columns, without payloads."""
    return read_history(_table(done, pa.nulls(len(done.outcome), pa.string())))


def table(done: Serial) -> pa.Table:
    """The history as Parquet holds it."""
    longest = int(done.shown.max(initial=0))
    texts = [f"[{','.join(map(str, range(1, size + 1)))}]" for size in range(longest + 1)]
    texts[0] = "null"
    steps = [
        f'["append",{key},{value}]' if kind == APPEND else f'["r",{key},{texts[shown]}]'
        for kind, key, value, shown in zip(
            done.kind.tolist(), done.key.tolist(), done.value.tolist(), done.shown.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    first = done.first.tolist()
    payloads = (f"[{','.join(steps[low:high])}]" for low, high in pairwise(first))
    return _table(done, pa.array(payloads, pa.string(), size=len(first) - 1))


def _table(done: Serial, payload: pa.Array) -> pa.Table:
    count = len(done.outcome)
    data: dict[str, Any] = {field.name: pa.nulls(count, field.type) for field in HISTORY}
    same = pa.array(np.zeros(count, np.int32))
    for name, words, codes in (
        ("f", ["txn"], same), ("type", TYPES, pa.array(done.outcome.astype(np.int32))),
        ("node", ["n1"], same), ("zone", ["a"], same),
    ):  # fmt: skip
        data[name] = pa.DictionaryArray.from_arrays(codes, pa.array(words))
    data["process"] = pa.array((np.arange(count) % CLIENTS).astype(np.int32))
    data |= {"start_ns": pa.array(done.start), "end_ns": pa.array(done.end), "payload": payload}
    return pa.Table.from_arrays([data[field.name] for field in HISTORY], schema=HISTORY)
