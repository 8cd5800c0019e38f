"""Counts that are read, against bounds summed up one add at a time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, run_checker
from tests.analysis.counted_histories import Row, counts, judged
from tests.truth.rows import history

KEYS = (None, "a")


def add(amount, start, end, type="ok", **more):
    return Row("add", amount, start, end, type, **more)


def read(count, start, end, type="ok", **more):
    return Row("read", count, start, end, type, **more)


def bounds(r, rows, initial):
    low = high = initial
    for a in rows:
        if a.f != "add" or a.key != r.key or a.type == "fail" or a.start > r.end:
            continue
        amount = 1 if a.value is None else a.value
        sure = a.type == "ok" and a.end < r.start
        low += amount if sure else min(amount, 0)
        high += amount if sure else max(amount, 0)
    return low, high


@pytest.mark.parametrize(("seed", "scale"), [(1, 1), (2, 2**61), (3, 2**80)])
def test_the_counts_equal_a_naive_checker(seed, scale):
    rng = random.Random(seed)
    verdicts = Counter()
    for _ in range(400):
        initial = rng.choice([None, 0, 5])
        rows = []
        for _ in range(rng.randint(0, 5)):
            start = rng.randint(0, 30)
            kind = rng.choices(["ok", "info", "fail"], [6, 2, 1])[0]
            amount = rng.choice([None, 1, scale, 2 * scale, -scale, 0])
            rows.append(add(amount, start, start + rng.randint(0, 9), kind, key=rng.choice(KEYS)))
        for _ in range(rng.randint(0, 4)):
            start = rng.randint(0, 40)
            kind = rng.choices(["ok", "info"], [8, 1])[0]
            r = read(0, start, start + rng.randint(0, 9), kind, key=rng.choice(KEYS))
            low, high = bounds(r, rows, initial or 0)
            told = rng.choice([low, high, high, (low + high) // 2, low - 1, high + 1, None, "7"])
            rows.append(r._replace(value=told if rng.random() < 0.3 else rng.choice([low, high])))
        rng.shuffle(rows)
        expected, reads = Counter(), 0
        for r in rows:
            if r.f == "read" and r.type == "ok" and type(r.value) is int:
                low, high = bounds(r, rows, initial or 0)
                reads += 1
                expected["too-low"] += r.value < low
                expected["too-high"] += r.value > high
        result = judged("counter", rows, initial=initial)
        assert counts(result) == +expected, rows
        added = any(r.f == "add" and r.type == "ok" for r in rows)
        right = "invalid" if +expected else "valid" if reads and added else "unknown"
        assert result.verdict == right, rows
        verdicts[right] += 1
    assert min(verdicts.values()) > 25


@pytest.mark.parametrize(
    ("rows", "expected", "verdict"),
    [
        ([add(2, 0, 1), read(2, 2, 3)], {}, "valid"),
        ([add(2, 0, 1), read(1, 2, 3)], {"too-low": 1}, "invalid"),
        ([add(2, 0, 1), read(0, 1, 3)], {}, "valid"),  # touching
        ([add(2, 3, 4), read(2, 2, 3)], {}, "valid"),  # touching
        ([add(2, 4, 4), read(2, 2, 3)], {"too-high": 1}, "invalid"),
        ([add(None, 0, 1), read(1, 2, 3)], {}, "valid"),  # null adds one
        ([add(-2, 0, 1), read(0, 2, 3)], {"too-high": 1}, "invalid"),
        ([add(-2, 0, 1, "info"), add(1, 0, 1), read(-1, 5, 6)], {}, "valid"),
        ([add(2, 0, 1, "info"), add(1, 0, 1), read(3, 95, 96)], {}, "valid"),  # any time later
        ([add(2, 0, 1, "fail"), add(1, 0, 1), read(3, 5, 6)], {"too-high": 1}, "invalid"),
        ([add(2, 0, 1), read(None, 2, 3)], {}, "unknown"),  # it says nothing
        ([add(2, 0, 1), read(5, 2, 3, error="unread: cut")], {}, "unknown"),
        ([add(2, 0, 1, "info"), read(0, 2, 3)], {}, "unknown"),  # nothing acknowledged
        ([add(2, 0, 1, "info"), read(3, 2, 3)], {"too-high": 1}, "invalid"),
        ([read(0, 2, 3)], {}, "unknown"),
        ([read(1, 2, 3)], {"too-high": 1}, "invalid"),
        ([], {}, "unknown"),
    ],
)
def test_by_hand(rows, expected, verdict):
    result = judged("counter", rows)
    assert (counts(result), str(result.verdict)) == (expected, verdict)


def test_the_bound_is_said():
    result = judged("counter", [add(1_000, 0, 1), add(500, 0, 1, "info"), read(999, 5, 6)])
    assert result.why == "1 too-low of 1 read"
    assert "process 0 read 999 between" in result.anomalies[0].argument
    assert result.anomalies[0].argument.endswith("make at least 1,000")


def test_a_counter_of_texts_is_no_counter():
    assert judged("counter", [read(1, 0, 1)], initial="zero").verdict == "unknown"
    result = run_checker("counter", CHECKERS, history([add("one", 0, 1)]), Context(enough=1))
    assert result.verdict == "unknown"
    assert "operation 0: expected an integer to add" in result.why
