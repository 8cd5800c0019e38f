"""Small register histories for tests, an oracle that tries every order, and a checker of claims.

Nothing here looks at the checkers' code. Rows are dictionaries of the columns of a history.
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from analysis.history import read_history
from chaos.record.schema import HISTORY

FOREVER = 10**6
MISMATCH = "cas-mismatch: another value"


def row(f, value, start, end, *, expected=None, type="ok", process=0, key="k0", error=None):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": value,
        "expected": expected,
        "payload": None,
        "type": type,
        "error": error or (None if type == "ok" else "timeout: no answer"),
        "start_ns": start,
        "end_ns": end,
    }


def refused(expected, value, start, end, **more):
    return row("cas", value, start, end, expected=expected, type="fail", error=MISMATCH, **more)


def table(rows):
    return pa.Table.from_pylist(rows, schema=HISTORY)


def history_of(rows):
    return read_history(table(rows))


def padding(key="other"):
    """Enough harmless operations that a history is not too small to judge."""
    return [row("write", 10_000 + i, -100 + i, -100 + i, key=key) for i in range(10)] + [
        row("read", 10_009, -10, -10, key=key)
    ]


def is_refused(r):
    return r["f"] == "cas" and r["type"] == "fail" and r["error"].startswith("cas-mismatch")


def happened(r, refusals):
    """Whether the row certainly happened; reads of unknown value say nothing."""
    return r["type"] == "ok" or (refusals and is_refused(r))


def after(r, state):
    """(possible, state) of one operation that happens."""
    if r["f"] == "write":
        return True, r["value"]
    if r["f"] == "read":
        return r["type"] != "ok" or r["value"] == state, state
    if is_refused(r):
        return r["expected"] != state, state
    return r["expected"] == state, r["value"]


def has_order(rows, *, initial=None, refusals=False, pending_happened=False):
    """Is there an order of all completed (and any pending) operations? Wing & Gong, memoised."""
    ops = [
        r
        for r in rows
        if happened(r, refusals) or (r["type"] in ("info", "open") and r["f"] != "read")
    ]
    sure = [happened(r, refusals) for r in ops]
    ends = [r["end_ns"] if s else FOREVER for r, s in zip(ops, sure, strict=True)]
    must = sum(1 << i for i, s in enumerate(sure) if s or pending_happened)

    @cache
    def search(done, state):
        if done & must == must:
            return True
        limit = min(ends[i] for i in range(len(ops)) if not done >> i & 1)
        for i, op in enumerate(ops):
            if not done >> i & 1 and op["start_ns"] <= limit:
                possible, state_after = after(op, state)
                if possible and search(done | 1 << i, state_after):
                    return True
        return False

    return search(0, initial)


def moments(rng, cas):
    """(moment of effect, f, start, end, type) of a few operations; few ticks, so that they tie."""
    count, span = rng.randint(3, 8), rng.choice([6, 12, 40])
    points = []
    for _ in range(count):
        start = rng.randint(0, span)
        end = start + rng.choice([0, 1, 2, 4, rng.randint(0, span)])
        kind = rng.choices(["ok", "info", "fail"], [8, 2, 1])[0]
        late = kind == "info" and rng.random() < 0.4
        moment = rng.uniform(start, span * 2 if late else end)
        f = rng.choices(["read", "write", "cas"], [5, 3, 4 if cas else 0])[0]
        points.append((moment, f, start, end, kind))
    return sorted(points)


def simulate(rng, *, cas, broken, few=0, initial=None):
    """A small history of a register that is sometimes broken. `few`: so many values, null among
    them, else each is written once. A cas that finds another value fails and says so.
    """
    state, past, rows = initial, [initial], []
    fresh = iter(range(1, 100))
    for _, f, start, end, kind in moments(rng, cas):
        value = rng.choice([None, *range(few)]) if few else next(fresh)
        seen = state
        if broken and rng.random() < 0.25:
            seen = rng.choice([*past, 99, rng.choice(range(few)) if few else rng.randint(1, 8)])
        lost = broken and rng.random() < 0.15
        done = kind == "ok" or (kind == "info" and rng.random() < 0.6)
        if f == "read":
            rows.append(row("read", seen if kind == "ok" else None, start, end, type=kind))
            continue
        expected = seen if f == "cas" else None
        if f == "cas" and (kind != "ok" or rng.random() < 0.3) and rng.random() < 0.5:
            expected = rng.choice(past)
            done = done and (broken or expected == state)
            if kind == "ok" and expected != state:
                rows.append(refused(expected, value, start, end))
                continue
        if f == "cas" and broken and rng.random() < 0.1:
            rows.append(refused(expected, value, start, end))
            continue
        rows.append(row(f, value, start, end, expected=expected, type=kind))
        if (done and not lost) or (broken and kind == "fail" and rng.random() < 0.2):
            state = value
            past.append(value)
    rows.sort(key=lambda r: r["end_ns"])
    return rows


def batch(rng, count, **shape):
    """`count` small histories, one a key, and the joined rows in the order of their ends."""
    histories = {}
    for i in range(count):
        rows = simulate(rng, cas=i % 3 > 0, broken=i % 2 > 0, **shape)
        histories[f"k{i}"] = [{**r, "key": f"k{i}"} for r in rows]
    joined = [r for rows in histories.values() for r in rows]
    joined.sort(key=lambda r: (r["end_ns"], rng.random()))
    return histories, joined
