"""Counters and locks: verdicts as the search gives them, names by hand, claims that hold."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from analysis.checkers import linearizable_counter, linearizable_lock
from analysis.checkers.base import Context, Exhausted, Meter, Verdict
from analysis.checkers.models import MODELS
from analysis.checkers.search import decide, order_until
from analysis.history import read_history
from chaos.record.schema import HISTORY

CHECK = {"counter": linearizable_counter.check, "lock": linearizable_lock.check}
KINDS = {"counter": linearizable_counter.KINDS, "lock": linearizable_lock.KINDS}


def row(f, value, start, end, *, type="ok", process=0, key=None, payload=None):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": value,
        "expected": None,
        "payload": payload,
        "type": type,
        "error": None if type == "ok" else "timeout: no answer",
        "start_ns": start,
        "end_ns": end,
    }


def columns(rows):
    return read_history(pa.Table.from_pylist(rows, schema=HISTORY))


def judge(model, rows, **context):
    return CHECK[model](columns(rows), Context(enough=1, **context))


def add(value, start, end, **more):
    return row("add", value, start, end, **more)


def read(value, start, end, **more):
    return row("read", value, start, end, **more)


def acquire(process, start, end, token=None, **more):
    return row("acquire", token, start, end, process=process, **more)


def release(process, start, end, token=None, **more):
    return row("release", token, start, end, process=process, **more)


BY_HAND = {
    ("counter", "too-low"): [add(2, 1, 2), read(1, 3, 4)],
    ("counter", "too-high"): [add(2, 1, 2), read(3, 3, 4)],
    ("counter", "non-linearizable"): [add(1, 1, 9), read(1, 2, 3), read(0, 4, 5)],
    ("lock", "token-reused"): [acquire(1, 1, 2, 5), release(1, 3, 4), acquire(2, 5, 6, 5)],
    ("lock", "token-backwards"): [acquire(1, 1, 2, 5), release(1, 3, 4), acquire(2, 5, 6, 4)],
    ("lock", "two-holders"): [acquire(1, 1, 2), acquire(2, 3, 4)],
    ("lock", "not-held"): [acquire(1, 1, 2), release(1, 3, 4), acquire(2, 3, 5), release(1, 6, 7)],
    ("lock", "non-linearizable"): [acquire(1, 1, 2, 5), release(1, 3, 4, 6), acquire(2, 5, 6, 7)],
}


@pytest.mark.parametrize(("model", "kind"), [(m, k) for m in KINDS for k in KINDS[m]],
                         ids=lambda it: getattr(it, "name", it))  # fmt: skip
def test_each_anomaly(model, kind):
    rows = BY_HAND[model, kind.name]
    (anomaly,) = judge(model, rows).anomalies
    assert (anomaly.name, anomaly.count) == (kind.name, 1)
    assert "process" in anomaly.argument
    assert_claimed(model, columns(rows), anomaly)


def assert_claimed(model, history, anomaly):
    claim = anomaly.claim
    assert (claim["kind"], claim["anomaly"]) == ("no-order", anomaly.name)
    assert set(claim["operations"]) <= set(anomaly.operations)
    end = int(history.end_ns[claim["until"]])
    named = history.key.equals(claim["key"]) if claim["key"] else history.key.codes < 0
    assert order_until(history, np.flatnonzero(named), MODELS[model](None), Meter(), end) is None


@pytest.mark.parametrize(
    ("model", "rows", "initial"),
    [
        ("counter", [add(None, 1, 2), read(1, 3, 4)], None),
        ("counter", [read(None, 1, 2), add(-3, 3, 4), read(-3, 5, 6)], None),
        ("counter", [add(1, 1, 2), read(8, 3, 4)], 7),
        ("counter", [add(5, 1, 2, type="info"), read(0, 3, 4), read(5, 6, 7)], None),
        ("counter", [add(5, 1, 2, type="fail"), read(0, 3, 4)], None),
        ("counter", [add(None, 1, 2, payload=str(10**30)), read(None, 3, 4, payload=str(10**30))],
         None),
        ("lock", [acquire(1, 1, 2), release(1, 3, 4), acquire(2, 2, 5)], None),
        ("lock", [acquire(1, 1, 2), release(1, 3, 4, type="info"), acquire(2, 8, 9)], None),
        ("lock", [acquire(1, 1, 2), acquire(2, 2, 9, type="info"), release(1, 3, 4),
                  acquire(3, 5, 6)], None),
        ("lock", [acquire(1, 1, 2, 4), release(1, 3, 4, 4), acquire(2, 5, 6, type="info"),
                  release(2, 7, 8, 9), acquire(1, 9, 9, 10)], None),
        ("lock", [acquire(1, 1, 2, key="a"), acquire(1, 3, 4, key="b"),
                  release(1, 5, 6, key="a"), acquire(2, 7, 8, key="a")], None),
    ],
)  # fmt: skip
def test_valid(model, rows, initial):
    result = judge(model, rows, initial=initial)
    assert result.verdict is Verdict.VALID, result
    done = {n for n, r in enumerate(rows) if r["type"] == "ok"}
    assert done <= set(result.claim["order"].tolist())


@pytest.mark.parametrize(
    ("model", "rows", "initial", "why"),
    [
        ("counter", [add(1, 1, 2)], None, "no count was read"),
        ("counter", [read(1, 1, 2)], "a", 'a counter begins with an integer, not "a"'),
        ("lock", [acquire(1, 1, 2, type="info"), release(1, 3, 4, type="info")], None,
         "no acquire was acknowledged"),
        ("lock", [acquire(1, 1, 2, payload='"t1"'), acquire(1, 3, 4)], None,
         'expected integers as tokens, but operation 0 carries "t1"'),
    ],
)  # fmt: skip
def test_unknown(model, rows, initial, why):
    result = judge(model, rows, initial=initial)
    assert (result.verdict, result.why) == (Verdict.UNKNOWN, why)


def simulate(rng, model):
    rows, span = [], rng.choice([5, 9, 16])
    tokens = rng.random() < 0.5
    for _ in range(rng.randint(2, 7)):
        start = rng.randint(0, span)
        end = start + rng.choice([0, 1, 1, 2, 3, 6])
        type_ = rng.choices(["ok", "info", "fail"], [7, 2, 1])[0]
        if model == "counter":
            f, value = rng.choice(
                [("add", None), ("add", rng.choice([1, 2, -1, 0])), ("read", rng.randint(0, 3))]
            )
            process = len(rows)
        else:
            f, process = rng.choice(["acquire", "release"]), rng.randint(0, 2)
            value = rng.randint(1, 4) if tokens and rng.random() < 0.6 else None
        if type_ == "info" and f in ("read", "acquire"):
            value = None
        rows.append(row(f, value, start, end, type=type_, process=process))
    return rows


@pytest.mark.parametrize("model", CHECK)
def test_as_the_search_says(model):
    rng = random.Random(f"searched {model}")
    named, found = set(), {True: 0, False: 0}
    for _ in range(1500):
        rows = simulate(rng, model)
        history = columns(rows)
        fine = decide(history, np.arange(len(rows)), MODELS[model](None), Meter()).until is None
        result = judge(model, rows)
        assert (result.verdict is Verdict.INVALID) is not fine, rows
        found[fine] += 1
        for anomaly in result.anomalies:
            named.add(anomaly.name)
            assert_claimed(model, history, anomaly)
    assert min(found.values()) > 200
    assert named == {kind.name for kind in KINDS[model]}


def test_equal_increments_leave_no_choice():
    """A thousand adds at once, half of them without an answer, and reads that see some."""
    rows = [add(3, 0, 10**6, type="info" if n % 2 else "ok", process=n) for n in range(1000)]
    rows += [read(3 * n, 10 + n, 10 + n) for n in range(0, 900, 7)]
    rows += [read(3 * 499, 2 * 10**6, 2 * 10**6)]
    meter = Meter(50_000)
    result = judge("counter", rows, meter=meter)
    assert [a.name for a in result.anomalies] == ["too-low"]
    rows[-1] = read(3 * 900, 2 * 10**6, 2 * 10**6)
    assert judge("counter", rows, meter=Meter(50_000)).verdict is Verdict.VALID
    rows.insert(-1, read(3 * 901, 10**6 + 1, 10**6 + 2))
    assert judge("counter", rows, meter=Meter(50_000)).verdict is Verdict.INVALID


def test_budget_is_named_and_what_is_wrong_stays_wrong():
    """Amounts that add up in many ways: the search gives up, unless another key is wrong."""
    hard = [add(2**n, 0, 10, process=n, key="hard") for n in range(30)]
    hard += [
        read(2**29 - 2, 0, 10, process=50, key="hard"),
        read(5, 0, 10, key="hard"),
        read(2**28 + 1, 1, 10, process=51, key="hard"),
        read(10, 11, 12, key="hard"),
    ]
    hard[-1]["value"] = 2**30 - 1
    with pytest.raises(Exhausted, match="budget of 2,000 steps"):
        judge("counter", hard, meter=Meter(2_000))
    wrong = [add(1, 1, 9, key="wrong"), read(1, 2, 3, key="wrong"), read(0, 4, 5, key="wrong")]
    result = judge("counter", hard + wrong, meter=Meter(2_000))
    assert [a.name for a in result.anomalies] == ["non-linearizable"]
