"""How fast a million operations are judged: `run()` returns rows for docs/performance.md."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.checkers import register
from analysis.checkers import set as set_checker
from analysis.checkers.base import CheckResult, Context, Verdict
from analysis.history import History, read_history
from chaos.record.schema import HISTORY

OPERATIONS = 1_000_000
CLIENTS = 64


def register_history(count: int, keys: int, *, swaps: bool, seed: int = 1) -> pa.Table:
    """A linearizable history of busy clients: each operation takes effect inside its interval."""
    rng = np.random.default_rng(seed)
    moment = np.arange(count, dtype=np.int64) * 1000
    start = moment - rng.integers(0, CLIENTS * 500, count)
    end = moment + rng.integers(0, CLIENTS * 500, count)
    key = rng.integers(0, keys, count)
    kind = rng.random(count)
    write = kind < 0.5
    swap = write & (kind < 0.25) & swaps
    order = np.lexsort((moment, key))
    first = np.append(True, key[order][1:] != key[order][:-1])
    value = np.empty(count, np.int64)
    before = np.empty(count, np.int64)
    value[order], before[order] = _last_write(order, write[order], first)
    completed = np.argsort(end, kind="stable")
    columns = {
        "process": rng.integers(0, CLIENTS, count).astype(np.int32),
        "f": _words(np.where(swap, 2, np.where(write, 1, 0)), ["read", "write", "cas"]),
        "key": _words(key, [f"k{i}" for i in range(keys)]),
        "value": pa.array(np.maximum(value, 0), mask=value < 0),
        "expected": pa.array(np.maximum(before, 0), mask=(before < 0) | ~swap),
        "start_ns": start,
        "end_ns": end,
    }
    return _table(columns, count).take(pa.array(completed))


def _last_write(
    order: npt.NDArray[np.int64], write: npt.NDArray[np.bool_], first: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """What each operation leaves behind and what was there before, by key; -1: nothing yet."""
    place = np.arange(len(order))
    begin = np.maximum.accumulate(np.where(first, place, 0))
    last = np.maximum.accumulate(np.where(write, place, -1))
    after = np.where(last >= begin, order[last], -1)
    before = np.where(first, -1, np.append(-1, after[:-1]))
    return after, before


def set_history(count: int, *, seed: int = 1) -> pa.Table:
    """Adds by busy clients, then one final read of everything by each of eight."""
    rng = np.random.default_rng(seed)
    moment = np.arange(count, dtype=np.int64) * 1000
    end = moment + rng.integers(0, CLIENTS * 500, count)
    payload = json.dumps(list(range(count)))
    finals = 8
    late = count * 1000 + CLIENTS * 1000 + np.arange(finals)
    columns = {
        "process": np.append(rng.integers(0, CLIENTS, count), np.arange(finals)).astype(np.int32),
        "f": _words(np.append(np.zeros(count), np.ones(finals)), ["add", "read"]),
        "value": pa.array(np.arange(count + finals), mask=np.arange(count + finals) >= count),
        "payload": pa.array([None] * count + [payload] * finals, pa.string()),
        "start_ns": np.append(moment - 100, late),
        "end_ns": np.append(end, late + 1000),
    }
    return _table(columns, count + finals)


def _words(codes: npt.NDArray[Any], names: list[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names))


def _table(columns: dict[str, Any], count: int) -> pa.Table:
    columns["type"] = _words(np.zeros(count), ["ok"])
    arrays = [
        pa.array(columns[field.name], type=None if field.name in columns else field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in HISTORY
    ]
    return pa.Table.from_arrays(arrays, schema=HISTORY)


def _best(work: Callable[[], Any], rounds: int = 3) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _row(what: str, value: float, goal: str) -> dict[str, Any]:
    return {"what": what, "value": round(value, 3), "unit": "s", "goal": goal}


def _checked(history: History, check: Callable[[History, Context], CheckResult]) -> float:
    context = Context(final_ns=None)
    assert check(history, context).verdict is Verdict.VALID
    return _best(lambda: check(history, context))


def run() -> list[dict[str, Any]]:
    """Rows {"what", "value", "unit", "goal"}; histories are made outside the measured time."""
    rows = []
    table = register_history(OPERATIONS, 1, swaps=False)
    rows.append(_row("read 1M operations into columns", _best(lambda: read_history(table)), "0.3"))
    for keys, swaps in ((1, False), (1000, False), (1, True), (1000, True)):
        history = read_history(register_history(OPERATIONS, keys, swaps=swaps))
        what = f"register: 1M operations, {keys} key(s), {'with' if swaps else 'no'} cas"
        rows.append(_row(what, _checked(history, register.check), "0.15"))
    history = read_history(set_history(OPERATIONS))
    rows.append(
        _row("set: 1M adds, 8 final reads of them all", _checked(history, set_checker.check), "0.5")
    )
    return rows


if __name__ == "__main__":
    for line in run():
        print(f"{line['what']:55} {line['value']:>8} {line['unit']}  (goal {line['goal']})")
