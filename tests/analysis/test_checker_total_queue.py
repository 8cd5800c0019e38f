"""What goes in comes out, against definitions that look at one element at a time."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.counted_histories import Row, counts, judged

KEYS = (None, "a")


def put(value, start, end, type="ok", **more):
    return Row("enqueue", value, start, end, type, **more)


def take(value, start, end, type="ok", **more):
    return Row("dequeue", value, start, end, type, **more)


def drain(values, start, end, type="ok", **more):
    return Row("drain", values, start, end, type, **more)


def simulate(rng):
    """A queue that loses, repeats and invents; some answers are never heard."""
    rows = []
    values = rng.choices([1, 2, 3, "x"], k=rng.randint(1, 4))
    for value in values:
        start = rng.randint(0, 30)
        kind = rng.choices(["ok", "info", "fail"], [7, 1, 1])[0]
        rows.append(put(value, start, start + rng.randint(0, 9), kind, key=rng.choice(KEYS)))
    for value in [*values, None, 9]:
        if rng.random() < 0.4:
            start = rng.randint(5, 60)
            kind = rng.choices(["ok", "info", "fail"], [7, 2, 1])[0]
            value = value if kind == "ok" or (kind == "info" and rng.random() < 0.5) else None
            rows.append(take(value, start, start + rng.randint(0, 9), kind, key=rng.choice(KEYS)))
    for _ in range(rng.choice([0, 1, 1, 2])):
        start = rng.randint(30, 60)
        came = [value for value in values if rng.random() < 0.6]
        kind = rng.choices(["ok", "info"], [8, 1])[0]
        came = came if kind == "ok" and rng.random() < 0.95 else None
        rows.append(drain(came, start, start + rng.randint(0, 9), kind, key=rng.choice(KEYS)))
    return rows


def naive(rows):
    """(counts by name, whether something acknowledged is missing)."""
    found, missing = Counter(), False
    for key in KEYS:
        part = [r for r in rows if r.key == key]
        puts = [r for r in part if r.f == "enqueue" and r.type != "fail"]
        shows = [(str(r.value), r.end) for r in part
                 if r.f == "dequeue" and r.type == "ok" and r.value is not None]  # fmt: skip
        shows += [(str(v), r.end) for r in part if r.f == "drain" and r.type == "ok"
                  for v in r.value or ()]  # fmt: skip
        for value in {v for v, _ in shows}:
            begun = sorted(r.start for r in puts if str(r.value) == value)
            for nth, end in enumerate(sorted(end for v, end in shows if v == value)):
                if not begun or begun[0] > end:
                    found["unexpected"] += 1
                elif nth >= len(begun) or begun[nth] > end:
                    found["duplicated"] += 1

        held = [r for r in part if r.f == "dequeue" and r.type == "info" and r.value is not None]
        came = Counter(v for v, _ in shows) + Counter(str(r.value) for r in held)

        def lacking(until, puts=puts, came=came):
            early = Counter(str(r.value) for r in puts if r.type == "ok" and r.end < until)
            return sum((early - came).values())

        missing |= lacking(10**6) > 0
        surely = 0
        for d in part:
            if d.type != "ok" or not (
                (d.f == "drain" and d.value is not None) or (d.f == "dequeue" and d.value is None)
            ):
                continue
            unsure = [r for r in part if r.type == "info" and r.start <= d.end]
            unsure += [r for r in part if r.f == "drain" and r.value is None and r.start <= d.end]
            if not any(r.f == "drain" for r in unsure):
                jokers = sum(r.f == "dequeue" and r.value is None for r in unsure)
                surely = max(surely, lacking(d.start) - jokers)
        found["lost"] += surely
    return +found, missing


def right(expected, missing, rows):
    """The verdict of a naive checker."""
    acknowledged = any(r.f == "enqueue" and r.type == "ok" for r in rows)
    return "invalid" if expected else "valid" if acknowledged and not missing else "unknown"


@pytest.mark.parametrize("seed", range(2))
def test_the_counts_equal_a_naive_checker(seed):
    rng = random.Random(seed)
    verdicts, names = Counter(), Counter()
    for _ in range(700):
        rows = simulate(rng)
        expected, missing = naive(rows)
        result = judged("total-queue", rows)
        assert counts(result) == expected, rows
        verdict = right(expected, missing, rows)
        assert result.verdict == verdict, rows
        verdicts[verdict] += 1
        names.update(expected.keys())
    assert min(verdicts.values()) > 15
    assert min(names[name] for name in ("unexpected", "duplicated", "lost")) > 20


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_at_least_once_is_the_same_without_duplicates(rng):
    rows = simulate(rng)
    expected, missing = naive(rows)
    again = expected.pop("duplicated", 0)
    result = judged("at-least-once", rows)
    assert (counts(result), str(result.verdict)) == (expected, right(expected, missing, rows))
    told = result.why.endswith(f"; {again} of them once more than they had been put in")
    assert told == (again > 0 and "no enqueue was acknowledged" not in result.why)


@pytest.mark.parametrize(
    ("rows", "expected", "verdict"),
    [
        ([put(1, 0, 1), take(1, 2, 3)], {}, "valid"),
        ([put(1, 0, 1), drain([1], 2, 3)], {}, "valid"),
        ([put(1, 0, 1), take(1, 0, 0)], {}, "valid"),  # touching
        ([put(1, 1, 2), take(1, 0, 0)], {"unexpected": 1}, "invalid"),
        ([put(1, 0, 1, "fail"), take(1, 2, 3)], {"unexpected": 1}, "invalid"),
        ([put(1, 0, 1, "info"), take(1, 2, 3)], {}, "unknown"),  # nothing acknowledged
        ([put(2, 0, 1), take(2, 2, 3), put(1, 0, 1, "info"), take(1, 2, 3)], {}, "valid"),
        ([take(1, 2, 3)], {"unexpected": 1}, "invalid"),
        ([put(1, 0, 1), take("1", 2, 3)], {"unexpected": 1}, "invalid"),
        ([put(1, 0, 1), take(1, 2, 3), take(1, 4, 5)], {"duplicated": 1}, "invalid"),
        ([put(1, 0, 1), drain([1, 1], 2, 3)], {"duplicated": 1}, "invalid"),
        ([put(1, 0, 1), put(1, 0, 1), drain([1, 1], 2, 3)], {}, "valid"),
        ([put(1, 0, 1), put(1, 9, 9), drain([1, 1], 2, 3)], {"duplicated": 1}, "invalid"),
        ([put(1, 0, 1), put(1, 0, 1, "info"), drain([1, 1], 2, 3)], {}, "valid"),
        ([put(1, 0, 1)], {}, "unknown"),  # never drained
        ([put(1, 0, 1), drain([], 2, 3)], {"lost": 1}, "invalid"),
        ([put(1, 0, 1), drain([], 1, 3)], {}, "unknown"),  # it may have been empty before
        ([put(1, 0, 1), drain(None, 2, 3)], {}, "unknown"),
        ([put(1, 0, 1), drain([], 2, 3, "fail")], {}, "unknown"),
        ([put(1, 0, 1), drain([], 2, 3, error="unread: cut")], {}, "unknown"),
        ([put(1, 0, 1), take(None, 2, 3)], {"lost": 1}, "invalid"),
        ([put(1, 0, 1), take(None, 2, 3, "fail")], {}, "unknown"),
        ([put(1, 0, 1, "info"), drain([], 2, 3)], {}, "unknown"),
        ([put(1, 0, 1), put(1, 0, 1), drain([1], 2, 3)], {"lost": 1}, "invalid"),
        ([put(1, 0, 1), drain([], 2, 3), take(None, 0, 1, "info")], {}, "unknown"),
        ([put(1, 0, 1), drain([], 2, 3), take(None, 3, 9, "info")], {}, "unknown"),
        ([put(1, 0, 1), drain([], 2, 3), take(None, 4, 9, "info")], {"lost": 1}, "invalid"),
        ([put(1, 0, 1), drain([], 2, 3), drain(None, 0, 1, "info")], {}, "unknown"),
        ([put(1, 0, 1), drain([], 2, 3), drain(None, 4, 5, "info")], {"lost": 1}, "invalid"),
        ([put(1, 0, 1), put(2, 0, 1), drain([], 2, 3), take(None, 0, 1, "info")], {"lost": 1},
         "invalid"),
        ([put(1, 0, 1), drain([], 2, 3), take(1, 0, 1, "info")], {}, "valid"),  # in its hands
        ([put(1, 0, 1), drain([], 2, 3), take(1, 4, 5, "info")], {}, "valid"),
        ([put(1, 0, 1), drain([], 2, 3), take(2, 0, 1, "info")], {"lost": 1}, "invalid"),
        ([put(1, 0, 1), drain([], 2, 3), take(1, 0, 1, "fail")], {"lost": 1}, "invalid"),
        ([put(1, 0, 1), drain([], 2, 3), take(None, 0, 1, error="unread: cut")], {}, "unknown"),
        ([put(1, 0, 1), take(1, 2, 3, "info"), take(1, 4, 5)], {}, "valid"),  # given out again
        ([put(1, 0, 1, key="a"), drain([], 2, 3, key="b")], {}, "unknown"),
        ([], {}, "unknown"),
    ],
)  # fmt: skip
def test_by_hand(rows, expected, verdict):
    result = judged("total-queue", rows)
    assert (counts(result), str(result.verdict)) == (expected, verdict)


def test_what_is_lost_is_told_with_who_found_the_queue_empty():
    rows = [put(7, 0, 10**9, process=1), put(8, 0, 10**9), take(None, 0, 9, "info")]
    rows += [drain([], 2 * 10**9, 3 * 10**9, process=3)]
    result = judged("total-queue", rows)
    (lost,) = result.anomalies
    assert (lost.count, lost.operations, lost.first_ns) == (1, (0, 3), 10**9)
    assert lost.argument == (
        "process 1's enqueue of 7 was acknowledged at 1.000 s, and process 3's drain, which "
        "began at 2.000 s, found the queue empty, but it never came out; of 2 elements "
        "missing like it, 1 dequeue without an answer may have taken as many"
    )
    assert result.why.startswith("1 lost; of 2 enqueues 2 were acknowledged; 0 elements came out")


def test_attempts_and_what_was_recovered_are_counted():
    rows = [put(1, 0, 1), put(2, 0, 1, "info"), put(3, 0, 1, "info"), put(4, 0, 1, "fail")]
    result = judged("total-queue", [*rows, drain([1, 2], 5, 6)])
    assert result.why == (
        "of 4 enqueues 1 were acknowledged; 2 elements came out; "
        "1 of 2 indeterminate enqueues took effect"
    )
    result = judged("total-queue", [*rows[:1], take(1, 2, 3, "info"), take(None, 4, 5)])
    assert result.why == (
        "of 1 enqueue 1 were acknowledged; 0 elements came out; "
        "1 element came to who may not have taken it"
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([put(1, 0, 1)], "the queue was not found empty afterwards"),
        ([put(1, 0, 1), drain([], 2, 3), take(None, 0, 1, "info")], "takes without an answer"),
        ([put(1, 0, 1), drain([], 2, 3), drain(None, 0, 1, "info")], "a drain without an answer"),
        ([take(None, 2, 3)], "no enqueue was acknowledged"),
    ],
)
def test_unknown_says_why(rows, words):
    assert words in judged("total-queue", rows).why


def test_a_drain_that_is_no_list_is_named():
    with pytest.raises(AssertionError, match="operation 1: expected a list"):
        judged("total-queue", [put(1, 0, 1), drain(7, 2, 3)])
