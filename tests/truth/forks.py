"""Transactions on keys that are written once, and whether two of them saw a long fork."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from random import Random
from typing import Any

from tests.truth.definitions import is_ok
from tests.truth.rows import Row, carried


def make(rng: Random, initial: Any) -> list[Row]:
    """Writers of one key or two, in an order; readers that see a beginning of it, or any of it."""
    keys = [3, "3", "x", "y"][: rng.choice((2, 2, 3, 4))]
    honest = rng.random() < 0.5
    order = rng.sample(keys, len(keys))
    written = {key: 10 + place for place, key in enumerate(order)}
    rows = []
    for key in order if rng.random() < 0.95 else [*order, order[0]]:
        micros = [
            ["w", key, written[key] if rng.random() < 0.98 else rng.choice((10, initial or 10))]
        ]
        if rng.random() < 0.2:
            micros.insert(rng.randint(0, 1), ["r", rng.choice(keys), None])
        rows.append(_row(rng, micros))
    for _ in range(rng.randint(3, 7)):
        upto = rng.randint(0, len(order))
        seen = set(order[:upto]) if honest else {k for k in keys if rng.random() < 0.5}
        micros = [
            ["r", key, written[key] if key in seen else initial]
            for key in rng.sample(keys, rng.randint(2, len(keys)) if rng.random() < 0.9 else 1)
        ]
        if rng.random() < 0.02:
            micros[0][2] = rng.choice((10, 11, 99))
        if rng.random() < 0.1:
            micros.append([*micros[0][:2], rng.choice((initial, 10))])
        rows.append(_row(rng, micros))
    rng.shuffle(rows)
    return sorted(rows, key=lambda row: row.end)


def _row(rng: Random, micros: list[list[Any]]) -> Row:
    start = rng.randint(0, 50)
    kind = rng.choice((*["ok"] * 12, "info", "fail"))
    if kind != "ok":
        micros = [[f, k, None if f == "r" else v] for f, k, v in micros]
    error = None if kind == "ok" else "timeout"
    end = start + rng.randint(0, 9)
    return Row("txn", micros, start, end, kind, rng.randint(0, 3), None, None, error)


def truth(rows: Sequence[Row], initial: Any) -> str:
    """Two transactions, two keys: each saw the write that the other one did not see."""
    txns = [row for row in rows if row.f == "txn"]
    written: dict[Any, list[Any]] = {}
    for row in txns:
        for f, k, value in row.value if row.type != "fail" else ():
            if f == "w":
                written.setdefault(carried(k), []).append(carried(value))
    first = carried(initial)
    twice = {k for k, values in written.items() if len(values) > 1 or first in values}
    strange = False
    shown = []
    for row in txns:
        saw: dict[Any, bool] = {}
        done = set()
        for f, k, value in row.value if is_ok(row) else ():
            key = carried(k)
            if f == "r" and key not in done and key not in twice:
                known = written.get(key, [])
                if carried(value) not in (*known, first):
                    strange = True
                elif known:
                    saw[key] = carried(value) in known
            done.add(key)
        shown.append(saw)
    for a, b in permutations(shown, 2):
        both = a.keys() & b.keys()
        if any(a[x] and not b[x] for x in both) and any(b[y] and not a[y] for y in both):
            return "invalid"
    partial = any(len(set(saw.values())) > 1 for saw in shown)
    return "valid" if partial and not twice and not strange else "unknown"
