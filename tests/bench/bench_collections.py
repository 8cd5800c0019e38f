"""How fast sets, queues and stacks are judged, and how that grows: verdict and order, from columns.

32 clients are always busy. Each operation takes effect at a moment of its interval.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.checkers import linearizable_queue, linearizable_set, linearizable_stack
from analysis.checkers.base import Checker, Verdict
from chaos.record.schema import HISTORY
from tests.bench.bench_registers import SIZES, seconds
from tests.bench.support import Row, row

CLIENTS = 32
TICK_NS = 1000  # between the moments of two successive operations

Numbers = npt.NDArray[np.int64]
GOALS = {"queue": "< 1", "set": "< 0.5", "stack": "< 1"}  # for a million operations, in seconds


def queue_history(count: int, *, overtaken: bool = False, seed: int = 1) -> pa.Table:
    """As many dequeues as enqueues, in an order in which nothing is missing. `overtaken`: two
    dequeues in the middle have the other's answer.
    """
    kind = _balanced(count, seed)
    value = np.empty(count, np.int64)
    value[kind == 0] = value[kind == 1] = np.arange(count // 2)
    if overtaken:
        early, late = np.flatnonzero(kind == 1)[[count // 4, count // 4 + CLIENTS]]
        value[[early, late]] = value[[late, early]]
    return _table(["enqueue", "dequeue"], kind, value, None, seed)


def stack_history(
    count: int, *, deep: bool = False, overtaken: bool = False, seed: int = 1
) -> pa.Table:
    """As many pops as pushes. `deep`: first all the pushes, then all the pops."""
    kind = np.repeat([0, 1], count // 2) if deep else _balanced(count, seed)
    value = np.empty(count, np.int64)
    there: list[int] = []
    for place, taken in enumerate(kind.tolist()):
        if not taken:
            there.append(place)
        value[place] = there.pop() if taken else place
    if overtaken:
        early, late = np.flatnonzero(kind == 1)[[count // 4, count // 4 + 4 * CLIENTS]]
        value[[early, late]] = value[[late, early]]
    return _table(["push", "pop"], kind, value, None, seed)


def set_history(count: int, *, missed: bool = False, seed: int = 1) -> pa.Table:
    """Each element is asked for in vain, added, found and removed. `missed`: one is not found."""
    each = count // 4
    moment = np.arange(each)[:, None] * 4 + np.arange(4) * 4 * CLIENTS
    order = np.argsort(moment.ravel(), kind="stable")
    kind = np.tile([2, 0, 2, 1], each)[order]
    value = np.repeat(np.arange(each), 4)[order]
    no = np.tile([True, False, False, False], each)[order]
    if missed:
        no[np.flatnonzero((value == each // 2) & (kind == 2) & ~no)] = True
    return _table(["add", "remove", "contains"], kind, value, no, seed)


def _balanced(count: int, seed: int) -> Numbers:
    """As many 1 as 0, never more of them so far: a random order, turned to where it is lowest."""
    kind = np.random.default_rng(seed).permutation(np.repeat([0, 1], count // 2))
    lowest = int(np.argmin(np.cumsum(1 - 2 * kind)))
    return np.roll(kind, -(lowest + 1))


def _table(
    words: list[str], kind: Numbers, value: Numbers, no: npt.NDArray[np.bool_] | None, seed: int
) -> pa.Table:
    """Rows by their end; `no`: answered so, which takes a payload."""
    rng, count = np.random.default_rng(seed + 1), len(kind)
    moment = np.arange(count, dtype=np.int64) * TICK_NS
    reach = CLIENTS * TICK_NS // 2
    start, end = (moment + sign * rng.integers(0, reach, count) for sign in (-1, 1))
    columns: dict[str, Any] = {
        "process": pa.array(rng.integers(0, CLIENTS, count).astype(np.int32)),
        "f": pa.DictionaryArray.from_arrays(pa.array(kind.astype(np.int32)), pa.array(words)),
        "type": pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), ["ok"]),
        "value": pa.array(value, mask=no),
        "start_ns": pa.array(start),
        "end_ns": pa.array(end),
    }
    if no is not None:
        pairs = [f"[{v}, false]" if said else None for v, said in zip(value, no, strict=True)]
        columns["payload"] = pa.array(pairs, pa.string())
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in HISTORY]
    return pa.Table.from_arrays(arrays, schema=HISTORY).take(
        pa.array(np.argsort(end, kind="stable"))
    )


def run() -> list[Row]:
    """Rows {"what", "value", "unit", "goal"}; histories are made outside the measured time."""
    series: list[tuple[str, Checker, Any, dict[str, bool]]] = [
        ("queue", linearizable_queue.check, queue_history, {}),
        ("set", linearizable_set.check, set_history, {}),
        ("stack", linearizable_stack.check, stack_history, {}),
        ("deep stack", linearizable_stack.check, stack_history, {"deep": True}),
    ]
    rows = []
    for name, check, make, options in series:
        for count in SIZES:
            goal = GOALS.get(name, "") if count == 1_000_000 else ""
            value = seconds(check, make(count, **options))
            rows.append(row(f"growth: {name}, {count:,} operations", value, "s", goal))
    wrong: list[tuple[str, Checker, pa.Table]] = [
        ("queue", linearizable_queue.check, queue_history(1_000_000, overtaken=True)),
        ("set", linearizable_set.check, set_history(1_000_000, missed=True)),
        ("stack", linearizable_stack.check, stack_history(1_000_000, overtaken=True)),
    ]
    for name, check, table in wrong:
        value = seconds(check, table, Verdict.INVALID)
        rows.append(row(f"{name}: 1,000,000 operations, one wrong, told", value, "s", ""))
    return rows
