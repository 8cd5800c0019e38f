"""Texts: what reads spell against the general search, each anomaly by hand, and its claim."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest

from analysis.checkers.base import Context, Meter, Verdict
from analysis.checkers.kv_append import KINDS, check
from analysis.checkers.models import KvAppend
from analysis.checkers.search import decide
from analysis.history import FAIL, INFO, read_history
from chaos.record.schema import HISTORY


def row(f, text, start, end, *, type="ok", process=0, key="k"):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": None,
        "expected": None,
        "payload": None if text is None else json.dumps(text),
        "type": type,
        "error": None if type == "ok" else "timeout: no answer",
        "start_ns": start,
        "end_ns": end,
    }


def columns(rows):
    return read_history(pa.Table.from_pylist(rows, schema=HISTORY))


def judge(rows, initial=None):
    return check(columns(rows), Context(enough=1, initial=initial))


def names(rows, initial=None):
    return [anomaly.name for anomaly in judge(rows, initial).anomalies]


def read(text, start, end):
    return row("read", text, start, end, process=9)


A, B, C = (row("append", text, 10 * at, 10 * at + 5) for at, text in enumerate("abc", 1))

BY_HAND = {
    "thin-air-read": [A, read("ax", 20, 21)],
    "aborted-read": [A, row("append", "x", 1, 2, type="fail"), read("ax", 20, 21)],
    "duplicate-append": [A, read("aa", 20, 21)],
    "incompatible-order": [A, {**B, "start_ns": 10}, read("ab", 30, 31),
                           read("ba", 32, 33)],
    "future-read": [A, read("ab", 16, 17), B],
    "misordered-append": [A, B, read("ba", 30, 31)],
    "lost-append": [A, B, read("b", 30, 31)],
    "stale-read": [A, B, read("ab", 26, 27), read("a", 28, 29)],
    "non-linearizable": [row("write", "w", 1, 40), row("write", "v", 1, 40), read("w", 2, 3),
                         read("v", 4, 5), read("w", 6, 7)],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_anomaly(kind):
    rows = BY_HAND[kind.name]
    result = judge(rows)
    assert result.verdict is Verdict.INVALID
    assert [anomaly.name for anomaly in result.anomalies] == [kind.name]
    anomaly = result.anomalies[0]
    assert anomaly.count == 1
    assert set(anomaly.instances) <= set(anomaly.operations)
    assert "process" in anomaly.argument
    assert has_no_order(columns(rows), anomaly.claim)


def test_arguments_in_words():
    assert judge(BY_HAND["stale-read"]).anomalies[0].argument == (
        'process 9 read "a" from k between 0.000000028 s and 0.000000029 s, although process 0\'s '
        'append of "b" had completed at 0.000000025 s and process 9 read "ab" from k between '
        "0.000000026 s and 0.000000027 s"
    )
    assert judge(BY_HAND["lost-append"]).anomalies[0].argument == (
        'process 0\'s append of "a" had completed at 0.000000015 s, and no read ever showed it: '
        'process 9 read "b" from k between 0.000000030 s and 0.000000031 s, and what that shows '
        "was there before and after"
    )


@pytest.mark.parametrize(
    ("rows", "initial"),
    [
        ([A, B, read("ab", 30, 31)], None),
        ([A, B, read(None, 1, 2), read("", 3, 4), read("ab", 30, 31)], None),
        ([A, row("write", "w", 12, 20), read("w", 30, 31)], None),
        ([A, row("write", "w", 12, 20), read("wa", 30, 31)], None),
        ([A, row("write", "w", 16, 20), read("w", 30, 31)], None),
        ([A, read("sa", 30, 31)], "s"),
        ([A, row("append", "x", 1, 2, type="info"), read("ax", 30, 31)], None),
        ([A, row("append", "x", 1, 2, type="info"), read("a", 30, 31)], None),
        ([A, B, read("a", 15, 30)], None),
        ([A, {**B, "start_ns": 15}, read("ba", 30, 31)], None),
        ([A, row("append", "a", 20, 25), read("aa", 30, 31)], None),
        ([A, row("append", "", 20, 25), read("a", 30, 31)], None),
        ([A, row("append", "ab", 12, 25), B, read("aab", 22, 31), read("aabb", 32, 33)], None),
    ],
)
def test_valid(rows, initial):
    result = judge(rows, initial)
    assert result.verdict is Verdict.VALID, result
    replay(columns(rows), result.claim["order"].tolist(), initial)


def test_an_initial_text_is_replaced_only_by_writes():
    assert names([A, read("a", 30, 31)], "s") == ["thin-air-read"]
    assert names([A, row("write", "w", 1, 2), read("wa", 30, 31)], "s") == []


def test_texts_that_do_not_tell_operations_apart_are_searched():
    rows = [A, row("append", "a", 20, 25), read("a", 30, 31)]
    result = judge(rows)
    assert [anomaly.name for anomaly in result.anomalies] == ["non-linearizable"]
    assert result.steps == 0 or result.verdict is Verdict.INVALID
    assert result.anomalies[0].claim["until"] == 2
    assert "has no order" in result.anomalies[0].argument


def test_nothing_observed_is_unknown():
    assert judge([A, B]).verdict is Verdict.UNKNOWN
    assert judge([]).verdict is Verdict.UNKNOWN
    result = judge([A, row("append", 7, 1, 2), read("a", 30, 31)])
    assert (result.verdict, result.why) == (
        Verdict.UNKNOWN, "expected texts, but operation 1 carries 7"
    )  # fmt: skip


def replay(history, order, initial=None):
    """Whether an order is one, from the definitions."""
    state = initial or ""
    assert len(set(order)) == len(order)
    assert set(np.flatnonzero(history.type == 0)) <= set(order)
    for place, at in enumerate(order):
        assert history.type[at] != FAIL
        for late in order[place + 1 :]:
            assert history.type[late] == INFO or history.end_ns[late] >= history.start_ns[at]
        text = history.content(at) or ""
        f = history.f.at(at)
        assert f != "read" or text == state
        state = {"read": state, "write": text, "append": state + text}[f]


def has_no_order(history, claim):
    """The claim `no-order`, decided by the search on the operations that it speaks of."""
    end = history.end_ns[claim["until"]]
    types = np.where((history.end_ns > end) & (history.type == 0), INFO, history.type)
    history = replace(history, type=types.astype(np.int8))
    rows = np.flatnonzero((history.start_ns <= end) & history.key.equals(claim["key"]))
    assert claim["until"] in rows
    assert set(claim["operations"]) <= set(rows)
    return decide(history, rows, KvAppend(), Meter()).order is None


def simulate(rng, key):
    """A text that is sometimes broken: several writers, few ticks, some never answered."""
    points, span = [], rng.choice([6, 12, 30])
    texts = rng.choice([["a", "b", "c", "d", "e", "f"], ["a", "b", "c", "d", "e", "f"],
                        ["a", "b", "a", "b", "ab", "b"]])  # fmt: skip
    for at in range(rng.randint(2, 6)):
        start = rng.randint(0, span)
        end = start + rng.choice([0, 1, 2, 4, rng.randint(0, span)])
        f = rng.choices(["append", "write", "read"], [4, rng.choice([0, 1, 2]), 5])[0]
        kind = rng.choices(["ok", "info", "fail"], [8, 2, 1])[0]
        late = kind == "info" and rng.random() < 0.5
        points.append(
            (rng.uniform(start, span * 2 if late else end), f, texts[at], start, end, kind)
        )
    points.sort()
    state, past, rows = "", ["", "a", "b", "ab", "ba"], []
    for _, f, text, start, end, kind in points:
        if f == "read":
            wrong = rng.choice([*past, state + "z", state + state[-1:]])
            shown = wrong if rng.random() < 0.3 else state
            if kind == "info":
                shown = None
            rows.append(row(f, shown or None, start, end, type=kind, key=key))
            continue
        if kind == "ok" or (kind == "info" and rng.random() < 0.5):
            state = text if f == "write" else state + text
            past.append(state)
        rows.append(row(f, text, start, end, type=kind, key=key))
    return rows


def test_as_the_search_says():
    rng = random.Random("texts")
    found = {True: 0, False: 0}
    named = set()
    for _ in range(60):
        parts = [simulate(rng, f"k{at}") for at in range(40)]
        rows = list(chain(*parts))
        history = columns(rows)
        fine, begin = [], 0
        for part in parts:
            listed = np.arange(begin, begin + len(part))
            begin += len(part)
            outcome = decide(history, listed, KvAppend(), Meter())
            found[outcome.order is not None] += 1
            own = judge(part)
            named |= {anomaly.name for anomaly in own.anomalies}
            assert (own.verdict is Verdict.INVALID) == (outcome.order is None), part
            for anomaly in own.anomalies:
                assert has_no_order(columns(part), anomaly.claim), (part, anomaly)
            if outcome.order is not None:
                fine.append(part)
            if own.verdict is Verdict.VALID:
                replay(columns(part), own.claim["order"].tolist())
        assert judge(list(chain(*fine))).verdict is Verdict.VALID
    assert min(found.values()) > 500
    assert named == {kind.name for kind in KINDS}
