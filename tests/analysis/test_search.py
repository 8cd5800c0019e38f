"""The general search against every order there is, for each model, and against its own budget."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pytest

from analysis.checkers.base import Exhausted, Meter
from analysis.checkers.models import MODELS
from analysis.checkers.search import decide
from analysis.history import MISMATCH, read_history
from chaos.record.schema import HISTORY

EMPTY = {
    "register": None, "cas-register": None, "kv-append": "", "set": (), "queue": (), "stack": (),
    "counter": 0, "lock": (None, None, 0),
}  # fmt: skip


def row(f, carried, start, end, *, expected=None, type="ok", process=0, error=None):
    integer = isinstance(carried, int) and not isinstance(carried, bool)
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": None,
        "value": carried if integer else None,
        "expected": expected,
        "payload": None if integer or carried is None else json.dumps(carried),
        "type": type,
        "error": error,
        "start_ns": start,
        "end_ns": end,
    }


def columns(rows):
    return read_history(pa.Table.from_pylist(rows, schema=HISTORY))


def carried(r):
    return r["value"] if r["payload"] is None else json.loads(r["payload"])


def effect(model, state, r, answered):
    """(possible, state after): the definitions, written down once more and plainly."""
    f, value = r["f"], carried(r)
    if f == "read":
        shown = {"counter": value or 0, "kv-append": value or ""}.get(model, value)
        if model == "set":
            shown = tuple(sorted(value or ()))
        return not answered or shown == state, state
    if f in ("write", "cas"):
        if r["type"] == "fail":
            return state != r["expected"], state
        return f == "write" or state == r["expected"], value
    if f == "append":
        return True, state + value
    if model == "counter":
        return True, state + (1 if value is None else value)
    if model == "set":
        element, yes = value if isinstance(value, list) else (value, True)
        there = element in state
        if answered and yes != (not there if f == "add" else there):
            return False, state
        if f == "contains" or (answered and not yes):
            return True, state
        others = {e for e in state if e != element}
        return True, tuple(sorted(others | {element} if f == "add" else others))
    if f in ("enqueue", "push"):
        return True, (*state, value)
    if f in ("dequeue", "pop", "peek"):
        at = 0 if model == "queue" else len(state) - 1
        if answered and value != (state[at] if state else None):
            return False, state
        return True, state if f == "peek" or not state else state[:at] + state[at + 1 :]
    holder, token, last = state
    if f == "acquire":
        if not answered or value is None:
            return holder is None, (r["process"], None, last)
        return holder is None and value > last, (r["process"], value, value)
    good = value is None or value == token or (token is None and value > last)
    return holder == r["process"] and good, (None, None, max(last, value or 0))


def has_order(model, rows, until=None):
    """Try every order. What ended after `until`, or never had an answer, need not be in it."""
    over = [r["type"] != "info" and (until is None or r["end_ns"] <= until) for r in rows]
    counts, sure = [], []
    for r, done in zip(rows, over, strict=True):
        saw = r["type"] == "fail" and r["error"] and model == "cas-register"
        began = until is None or r["start_ns"] <= until
        if began and (r["type"] != "fail" or (done and saw)):
            counts.append(r)
            sure.append(done)

    def extend(left, state):
        if not any(sure[n] for n in left):
            return True
        for n in left:
            if any(sure[m] and counts[m]["end_ns"] < counts[n]["start_ns"] for m in left):
                continue
            possible, after = effect(model, state, counts[n], sure[n])
            if possible and extend(left - {n}, after):
                return True
        return False

    return extend(frozenset(range(len(counts))), EMPTY[model])


def first_without_order(model, rows):
    """The end of the earliest completion with which nothing has an order any more."""
    ends = sorted({r["end_ns"] for r in rows if r["type"] != "info"})
    return next((end for end in ends if not has_order(model, rows, end)), None)


def draw(rng, model):
    """One operation: mostly what a client of such an object would do and be told."""
    few = rng.choice([1, 2, 2, 3])
    pick = rng.randint(1, few)
    answer = rng.choice([pick, pick, [pick, True], [pick, False]])
    choices = {
        "register": [("write", pick), ("read", pick), ("read", None), ("cas", pick)],
        "kv-append": [("write", "ab"[pick % 2]), ("append", "ab"[pick % 2]), ("append", "b"),
                      ("read", rng.choice([None, "", "a", "b", "ab", "ba", "bb", "abb"]))],
        "set": [("add", answer), ("remove", answer), ("contains", answer),
                ("read", rng.sample([1, 2, 3], rng.randint(0, 2)))],
        "queue": [("enqueue", pick), ("dequeue", pick), ("dequeue", None), ("peek", pick)],
        "stack": [("push", pick), ("pop", pick), ("pop", None), ("peek", pick)],
        "counter": [("add", rng.choice([None, 1, 2, -1])), ("read", rng.randint(0, 3))],
        "lock": [("acquire", None), ("release", None), ("acquire", pick), ("release", pick)],
    }  # fmt: skip
    return rng.choice(choices["register" if model == "cas-register" else model])


def simulate(rng, model):
    """A few operations with times that tie, many of them open at once or never answered."""
    rows, span = [], rng.choice([4, 8, 14])
    for _ in range(rng.randint(1, 6)):
        f, value = draw(rng, model)
        start = rng.randint(0, span)
        end = start + rng.choice([0, 1, 1, 2, 3, 6])
        type_ = rng.choices(["ok", "info", "fail"], [6, 2, 1])[0]
        expected = rng.choice([None, 1, 2]) if f == "cas" else None
        error = None
        if type_ == "fail" and f == "cas" and rng.random() < 0.8:
            error = f"{MISMATCH}: it held another"
        process = rng.randint(0, 1) if model == "lock" else len(rows)
        if type_ == "info" and f in ("read", "dequeue", "pop", "peek"):
            value = None
        rows.append(row(f, value, start, end, expected=expected, type=type_, process=process,
                        error=error))  # fmt: skip
    return rows


def replay(model, rows, order):
    """Whether an order is one: complete, in time, and possible step by step."""
    assert len(set(order)) == len(order)
    state = EMPTY[model]
    for place, n in enumerate(order):
        assert rows[n]["type"] != "fail" or rows[n]["error"]
        for m in order[place + 1 :]:
            assert rows[m]["type"] == "info" or rows[m]["end_ns"] >= rows[n]["start_ns"]
        possible, state = effect(model, state, rows[n], rows[n]["type"] != "info")
        assert possible
    assert {n for n, r in enumerate(rows) if r["type"] == "ok"} <= set(order)


@pytest.mark.parametrize("model", MODELS)
def test_as_every_order_says(model):
    rng = random.Random(f"search {model}")
    verdicts = {True: 0, False: 0}
    for _ in range(700):
        rows = simulate(rng, model)
        history = columns(rows)
        outcome = decide(history, np.arange(len(rows)), MODELS[model](None), Meter())
        expected = first_without_order(model, rows)
        verdicts[expected is None] += 1
        if expected is None:
            assert has_order(model, rows)
            assert outcome.until is None, rows
            replay(model, rows, outcome.order.tolist())
        else:
            assert outcome.order is None, rows
            assert rows[outcome.until]["type"] != "info"
            assert rows[outcome.until]["end_ns"] == expected, (rows, outcome)
    assert min(verdicts.values()) > 100


def test_budget_is_steps():
    rows = [row("write", n % 2, 0, 40, process=n) for n in range(12)]
    rows += [row("read", 2, 41, 42)]
    history = columns(rows)
    meter = Meter()
    decide(history, np.arange(len(rows)), MODELS["register"](None), meter)
    assert meter.steps > 0
    enough = Meter(meter.steps)
    assert decide(history, np.arange(len(rows)), MODELS["register"](None), enough).until == 12
    with pytest.raises(Exhausted, match=f"budget of {meter.steps - 1:,} steps"):
        decide(history, np.arange(len(rows)), MODELS["register"](None), Meter(meter.steps - 1))
