"""Small histories of queues, stacks and sets, right and broken, and two plain judges of them."""

from __future__ import annotations

import json
import random
from functools import cache

import pyarrow as pa

from chaos.record.schema import HISTORY

FOREVER = 10**9
WORDS = {
    "queue": ("enqueue", "dequeue", "peek"),
    "stack": ("push", "pop", "peek"),
    "set": ("add", "remove", "contains"),
}


def row(f, value, start, end, *, type="ok", process=0, key="k0", error=None):
    """One operation; a value that is no integer becomes a payload."""
    integer = value is None or type_is_integer(value)
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": value if integer else None,
        "expected": None,
        "payload": None if integer else json.dumps(value),
        "type": type,
        "error": error or (None if type == "ok" else "timeout: no answer"),
        "start_ns": start,
        "end_ns": end,
    }


def type_is_integer(value):
    return type(value) is int


def table(rows):
    return pa.Table.from_pylist(rows, schema=HISTORY)


def content(r):
    """What an operation carries."""
    return json.loads(r["payload"]) if r["payload"] is not None else r["value"]


def step(kind, state, r, *, known):
    """The object after one operation; None when its answer is impossible."""
    f, value = r["f"], content(r)
    puts, _, look = WORDS[kind]
    if kind == "set":
        if f == "read":
            same = not known or (sorted(value) == sorted(state))
            return state if same else None
        element, yes = value if isinstance(value, list) else (value, True)
        if known and yes != ((element in state) is not (f == puts)):
            return None
        if f == look or (known and not yes):
            return state
        return state | {element} if f == puts else state - {element}
    if f == puts:
        return (*state, value)
    at = 0 if kind == "queue" else -1
    if known and (state[at] if state else None) != value:
        return None
    if f == look or not state:
        return state
    return state[1:] if kind == "queue" else state[:-1]


def empty(kind):
    return frozenset() if kind == "set" else ()


def brute_force(kind, rows):
    """Whether there is an order: every one is tried (Wing & Gong), with a memory."""
    ops = [r for r in rows if r["type"] != "fail"]
    known = [r["type"] == "ok" for r in ops]
    ends = [r["end_ns"] if ok else FOREVER for r, ok in zip(ops, known, strict=True)]
    must = sum(1 << i for i, ok in enumerate(known) if ok)

    @cache
    def search(done, state):
        if done & must == must:
            return True
        limit = min(end for i, end in enumerate(ends) if not done >> i & 1)
        for i, r in enumerate(ops):
            if done >> i & 1 or r["start_ns"] > limit:
                continue
            after = step(kind, state, r, known=known[i])
            if after is not None and search(done | 1 << i, after):
                return True
        return False

    return search(0, empty(kind))


def replay(kind, rows, order):
    """Assert that `order` is a linear order of these operations, key by key."""
    order = [int(i) for i in order]
    assert len(set(order)) == len(order)
    assert {i for i, r in enumerate(rows) if r["type"] == "ok"} <= set(order)
    states, latest = {}, {}
    for i in order:
        r = rows[i]
        assert r["type"] != "fail"
        key = r["key"]
        known = r["type"] == "ok"
        end = r["end_ns"] if known else FOREVER
        assert end >= latest.get(key, -FOREVER), f"row {i} stands after one that it precedes"
        latest[key] = max(latest.get(key, -FOREVER), r["start_ns"])
        states[key] = step(kind, states.get(key, empty(kind)), r, known=known)
        assert states[key] is not None, f"row {i} is impossible where it stands"


def simulate(rng, kind, *, size=9, broken=True, looks=True, pending=True, reads=False):
    """A history of an object that is perhaps broken; times of a few ticks, so that they tie."""
    puts, takes, look = WORDS[kind]
    span = rng.choice([6, 12, 40])
    points = []
    for value in range(1, rng.randint(2, size) + 1):
        start = rng.randint(0, span)
        end = start + rng.choice([0, 1, 2, 4, rng.randint(0, span)])
        what = rng.choices(["ok", "info", "fail"], [8, 2 if pending else 0, 1])[0]
        late = what == "info" and rng.random() < 0.4
        whole = 1 if reads and what == "ok" else 0
        f = rng.choices([puts, takes, look, "read"], [5, 4, 2 if looks else 0, whole])[0]
        points.append((rng.uniform(start, span * 2 if late else end), f, value, start, end, what))
    points.sort()
    state, rows, past = [], [], []
    for _, f, value, start, end, what in points:
        wrong = broken and rng.random() < 0.15
        done = what == "ok" or (what == "info" and rng.random() < 0.6)
        if f == "read":
            value = sorted(state)
            if wrong and past:
                value = sorted({*state} ^ {rng.choice(past)}) + rng.choice([[], state[:1]])
        elif kind == "set":
            value = _set_value(rng, f, value, state, past, done, wrong)
        elif f == puts:
            past.append(value)
            if done and not wrong:
                state.append(value)
        else:
            value = _next(rng, kind, f, state, past, done, wrong)
        carried = value if what == "ok" or f == puts or kind == "set" else None
        rows.append(row(f, carried, start, end, type=what, process=value_of(value)))
    rows.sort(key=lambda r: r["end_ns"])
    return rows


def value_of(value):
    return value if isinstance(value, int) else 0


def _next(rng, kind, f, state, past, done, wrong):
    at = 0 if kind == "queue" else -1
    if wrong and past:
        choice = rng.random()
        if choice < 0.3:
            return None
        if choice < 0.7 and state:
            at = rng.randrange(len(state))
        elif choice < 0.95:
            return rng.choice([*past, 99])
    if not state:
        return None
    value = state[at]
    if f != "peek" and done:
        state.pop(at)
    return value


def _set_value(rng, f, value, state, past, done, wrong):
    element = value if f == "add" and rng.random() < 0.8 else rng.choice([*past, value])
    past.append(element)
    there = element in state
    yes = there is not (f == "add")
    if done and not wrong:
        if f == "add" and not there:
            state.append(element)
        if f == "remove" and there:
            state.remove(element)
    if wrong and rng.random() < 0.5:
        yes = not yes
    return [element, yes] if not yes or rng.random() < 0.3 else element


def scatter(rng, kind, *, size=5, looks=True, pending=True):
    """Puts, takes and looks of some elements at random times: no object stands behind them."""
    puts, takes, look = WORDS[kind]
    span = rng.choice([5, 8, 16, 30])
    rows = []

    def add(f, value, earliest, *, type="ok"):
        start = rng.randint(earliest, span)
        end = start + rng.choice([0, 1, 2, 3, rng.randint(0, span)])
        rows.append(row(f, value, start, end, type=type))
        return start

    for value in range(1, rng.randint(2, size + 1)):
        type = "info" if pending and rng.random() < 0.1 else "ok"
        start = add(puts, value, 0, type=type)
        if rng.random() < 0.8:
            joker = pending and rng.random() < 0.25
            add(takes, None if joker else value, start, type="info" if joker else "ok")
        while looks and rng.random() < 0.25:
            add(look, value, start)
    if rng.random() < 0.3:
        add(rng.choice([takes, look] if looks else [takes]), None, 0)
    rows.sort(key=lambda r: r["end_ns"])
    return rows


def again(rng, rows):
    """The same operations with a few values that come more than once."""
    return [
        {**r, "value": rng.choice([1, 2])} if r["value"] is not None and rng.random() < 0.2 else r
        for r in rows
    ]


def batch(seed, count, kind, *, repeats=False, **options):
    """`count` small histories, one a key, and all of them as one in a shuffled order."""
    rng = random.Random(seed)
    histories = {}
    for i in range(count):
        if i % 2 and kind != "set":
            rows = scatter(rng, kind, **options)
        else:
            rows = simulate(rng, kind, broken=i % 3 > 0, **options)
        if repeats and i % 5 == 0:
            rows = again(rng, rows)
        histories[f"k{i}"] = [{**r, "key": f"k{i}"} for r in rows]
    joined = [r for rows in histories.values() for r in rows]
    joined.sort(key=lambda r: (r["end_ns"], rng.random()))
    return histories, joined
