"""Sets against brute force, and histories made by hand."""

from __future__ import annotations

import json
import random

import pytest

from analysis.checkers.base import DEFAULT_BUDGET, Context, Meter, Verdict, run_checker
from analysis.checkers.linearizable_set import PROPERTY, check
from analysis.history import read_history
from tests.analysis import certified
from tests.analysis.collection_histories import batch, brute_force, content, replay, row, table
from tests.truth.rows import Row


def judge(rows, *, initial=None, budget=DEFAULT_BUDGET):
    context = Context(enough=1, initial=initial, meter=Meter(budget))
    return run_checker(PROPERTY, {PROPERTY: check}, read_history(table(rows)), context)


def names(result):
    return [anomaly.name for anomaly in result.anomalies]


def history(*deeds):
    return [row(*d[:4], **(d[4] if len(d) > 4 else {})) for d in deeds]


def as_row(r):
    return Row(r["f"], content(r), r["start_ns"], r["end_ns"], r["type"], r["process"], r["key"])


INFO, FAIL = {"type": "info"}, {"type": "fail"}


@pytest.mark.parametrize("seed", range(6))
def test_equals_brute_force(seed):
    """Key by key and all keys at once; orders are replayed, claims verified by other code."""
    histories, _ = batch(seed, 200, "set", pending=seed % 3 > 0, reads=seed % 2 > 0, size=11)
    right = []
    for rows in histories.values():
        result = judge(rows)
        if result.verdict is Verdict.UNKNOWN:
            assert not any(r["type"] == "ok" for r in rows)
            continue
        valid = brute_force("set", rows)
        assert (result.verdict is Verdict.VALID) == valid, rows
        if valid:
            replay("set", rows, result.claim["order"])
            right += rows
        others = [as_row(r) for r in rows]
        for anomaly in result.anomalies:
            claim = json.loads(json.dumps(dict(anomaly.claim)))
            assert certified.invalid(PROPERTY, claim, others) is None, (claim, rows)
    rows = sorted(right, key=lambda r: r["end_ns"])
    joined = judge(rows)
    assert joined.verdict is Verdict.VALID
    replay("set", rows, joined.claim["order"])


@pytest.mark.parametrize(
    ("name", "deeds"),
    [
        ("thin-air-element", [("contains", 5, 0, 1)]),
        ("thin-air-element", [("remove", 5, 0, 1)]),
        ("thin-air-element", [("add", [5, False], 0, 1)]),
        ("thin-air-element", [("add", 4, 0, 1), ("read", [4, 5], 2, 3)]),
        ("aborted-element", [("add", 5, 0, 1, FAIL), ("contains", 5, 2, 3)]),
        ("aborted-element", [("add", [[5], True], 0, 1, FAIL), ("read", [[5]], 2, 3)]),
        ("future-element", [("contains", 5, 0, 1), ("add", 5, 2, 3)]),
        ("future-element", [("read", [5], 0, 1), ("add", 5, 2, 3, INFO)]),
        ("repeated-element", [("add", 5, 0, 1), ("read", [5, 5], 2, 3)]),
        ("duplicate-remove", [("add", 5, 0, 1), ("remove", 5, 2, 3), ("remove", 5, 2, 3)]),
        ("duplicate-add", [("add", 5, 0, 1), ("add", [5, True], 2, 3)]),
        ("duplicate-add", [*[("add", 5, 0, 1)] * 3, ("remove", 5, 0, 1)]),
        ("lost-element", [("add", 5, 0, 1), ("contains", [5, False], 2, 3)]),
        ("lost-element", [("add", 5, 0, 1), ("remove", [5, False], 2, 3)]),
        ("lost-element", [("add", 5, 0, 1), ("read", [], 2, 3)]),
        ("lost-element", [("add", 5, 0, 9, INFO), ("contains", 5, 0, 1), ("read", [], 2, 3)]),
        ("stale-element", [("add", 5, 0, 1), ("remove", 5, 2, 3), ("contains", 5, 4, 5)]),
        ("stale-element", [("add", 5, 0, 1), ("remove", 5, 2, 3), ("read", [5], 4, 5)]),
        ("missed-element", [("add", 5, 0, 1), ("contains", [5, False], 2, 3), ("remove", 5, 4, 5)]),
        ("missed-element", [("add", 5, 0, 1), ("read", [], 2, 3), ("remove", 5, 4, 5, INFO)]),
        ("non-linearizable", [("add", 5, 0, 1), ("add", 5, 2, 3), ("remove", 5, 4, 5)]),
        (
            "non-linearizable",
            [("add", 5, 0, 9), ("add", 6, 0, 9), ("read", [5], 1, 4), ("read", [6], 1, 4)],
        ),
    ],
)
def test_what_is_wrong(name, deeds):
    rows = history(*deeds)
    result = judge(rows)
    assert not brute_force("set", rows)
    assert names(result)[0] == name
    anomaly = result.anomalies[0]
    assert anomaly.count == 1
    assert anomaly.operations
    assert anomaly.argument.startswith(("process 0", "the operations that began before"))


@pytest.mark.parametrize(
    "deeds",
    [
        [("add", 5, 0, 2), ("contains", 5, 0, 0)],
        [("add", 5, 2, 2), ("remove", 5, 2, 2), ("contains", [5, False], 2, 2)],
        [("add", 5, 0, 1), ("remove", 5, 4, 5), ("contains", [5, False], 5, 6)],
        [("add", 5, 0, 1), ("contains", [5, False], 1, 9), ("contains", 5, 2, 3)],
        [("add", 5, 0, 1, INFO), ("contains", [5, False], 2, 3), ("contains", 5, 4, 5)],
        [("add", 5, 0, 1, INFO), ("remove", 5, 0, 1, INFO), ("read", [], 2, 3)],
        [("add", 5, 0, 1), ("remove", 5, 2, 3, INFO), ("contains", 5, 4, 5), ("read", [], 6, 7)],
        [("add", 5, 0, 1, FAIL), ("contains", [5, False], 2, 3)],
        [("add", 5, 0, 1), ("remove", 5, 2, 3), ("add", 5, 4, 5), ("contains", 5, 6, 7)],
        [("add", 5, 0, 1), ("add", [5, False], 2, 3), ("remove", [6, False], 2, 3)],
        [("add", None, 0, 1), ("contains", None, 2, 3), ("contains", ["x", False], 2, 3)],
        [("add", "1", 0, 1), ("contains", [1, False], 2, 3), ("contains", [1.0, False], 2, 3)],
        [("read", [], 0, 9), ("add", 5, 1, 2), ("read", [5], 3, 4), ("read", None, 0, 1)],
        [("add", 5, 0, 9), ("add", 6, 0, 9), ("read", [6], 1, 2), ("read", [6, 5], 3, 4)],
    ],
)
def test_what_is_right(deeds):
    rows = history(*deeds)
    result = judge(rows)
    assert result.verdict is Verdict.VALID, result
    assert {i for i, r in enumerate(rows) if r["type"] == "ok"} <= set(result.claim["order"])


def test_what_was_there_at_first():
    rows = history(
        ("contains", 5, 0, 1),
        ("remove", ["a", True], 2, 3),
        ("add", [5, False], 2, 3),
        ("contains", ["a", False], 4, 5),
    )
    result = judge(rows, initial=[5, "a"])
    assert result.verdict is Verdict.VALID
    assert sorted(result.claim["order"].tolist()) == [0, 1, 2, 3]
    assert names(judge(rows, initial=["a"])) == ["thin-air-element"]
    assert names(judge(history(("add", 5, 0, 1)), initial=[5])) == ["duplicate-add"]
    again = history(("add", 5, 0, 1), ("remove", 5, 2, 3), ("remove", 5, 4, 5))
    assert names(judge(again, initial=[5])) == ["non-linearizable"]
    assert judge(rows, initial="5").verdict is Verdict.UNKNOWN


def test_what_nothing_can_be_inferred_from_is_unknown():
    assert judge([]).verdict is Verdict.UNKNOWN
    assert judge(history(("add", 5, 0, 1, INFO))).verdict is Verdict.UNKNOWN
    odd = [{**r, "payload": "{"} for r in history(("contains", None, 0, 1))]
    assert judge(odd).verdict is Verdict.UNKNOWN
    assert judge(history(("read", 5, 0, 1))).verdict is Verdict.UNKNOWN
    often = history(*[("add", 5, 0, 1)] * 6, *[("remove", 5, 0, 1)] * 6)
    assert judge(often).verdict is Verdict.VALID
    assert judge(often, budget=3).verdict is Verdict.UNKNOWN


def test_many_whole_reads_by_many_clients():
    """Too many concurrent operations for a search, which has to go through the sets of them."""
    rng = random.Random(2)
    state, rows = set(), []
    for number in range(2000):
        now = number * 100
        start, end = now - rng.randrange(1600), now + rng.randrange(1600)
        draw = rng.random()
        if draw < 0.02:
            rows.append(row("read", sorted(state), start, end))
        elif draw < 0.7 or not state:
            state.add(number)
            rows.append(row("add", number, start, end))
        else:
            gone = rng.choice(sorted(state))
            state.remove(gone)
            rows.append(row("remove", gone, start, end))
    rows.sort(key=lambda r: r["end_ns"])
    result = judge(rows)
    assert result.verdict is Verdict.VALID, result.why
    replay("set", rows, result.claim["order"])


def test_thousands_of_elements_and_answers():
    """The answer no of thousands is read as fast as it is written: as text."""
    deeds = []
    for v in range(3000):
        t = 10 * v
        deeds += [
            ("add", v, t, t + 3),
            ("contains", [v, False], t - 20, t),
            ("remove", v, t + 5, t + 8),
        ]
        deeds.append(("contains", [v, True], t + 3, t + 6))
    rows = sorted(history(*deeds), key=lambda r: r["end_ns"])
    result = judge(rows)
    assert result.verdict is Verdict.VALID
    replay("set", rows, result.claim["order"])
    late = [*rows, row("contains", [7, False], 74, 74)]
    (anomaly,) = judge(late).anomalies
    assert (anomaly.name, anomaly.claim["values"]) == ("missed-element", [7])
