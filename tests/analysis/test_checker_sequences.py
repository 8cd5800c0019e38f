"""Queues and stacks against brute force, plain definitions, and histories made by hand."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from analysis.checkers import compiled as compiling
from analysis.checkers import fifo, lifo, linearizable_queue, linearizable_stack
from analysis.checkers.base import DEFAULT_BUDGET, Context, Meter, Verdict, run_checker
from analysis.checkers.elements import gather
from analysis.checkers.presence import fewest, moments, stretches
from analysis.history import read_history
from analysis.values import coded
from tests.analysis import certified
from tests.analysis.collection_histories import (
    WORDS,
    batch,
    brute_force,
    content,
    replay,
    row,
    scatter,
    table,
)
from tests.analysis.collection_reference import queue, stack
from tests.truth.rows import Row

CHECKS = {"queue": linearizable_queue, "stack": linearizable_stack}
PLAIN = {"queue": queue, "stack": stack}
KINDS = sorted(CHECKS)
PUT, TAKE, LOOK = 0, 1, 2


def judge(kind, rows, *, initial=None, budget=DEFAULT_BUDGET):
    context = Context(enough=1, initial=initial, meter=Meter(budget))
    module = CHECKS[kind]
    return run_checker(
        module.PROPERTY, {module.PROPERTY: module.check}, read_history(table(rows)), context
    )


def history(kind, *deeds):
    """Rows of (word, value, start, end, further): the same deeds of a queue and of a stack."""
    return [row(WORDS[kind][d[0]], *d[1:4], **(d[4] if len(d) > 4 else {})) for d in deeds]


def names(result):
    return [anomaly.name for anomaly in result.anomalies]


def as_row(r):
    """A row as the verifier's tests have it."""
    return Row(r["f"], content(r), r["start_ns"], r["end_ns"], r["type"], r["process"], r["key"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_equals_brute_force(kind, seed):
    """Key by key and all keys at once; orders are replayed, claims verified by other code."""
    histories, _ = batch(
        seed, 150, kind, looks=seed % 2 == 0, pending=seed % 3 > 0, repeats=seed > 1
    )
    prop, right = CHECKS[kind].PROPERTY, []
    for rows in histories.values():
        result = judge(kind, rows)
        if result.verdict is Verdict.UNKNOWN:
            assert not any(r["type"] == "ok" and r["f"] != WORDS[kind][PUT] for r in rows)
            continue
        valid = brute_force(kind, rows)
        assert (result.verdict is Verdict.VALID) == valid, rows
        if valid:
            replay(kind, rows, result.claim["order"])
            right += rows
        others = [as_row(r) for r in rows]
        for anomaly in result.anomalies:
            claim = json.loads(json.dumps(dict(anomaly.claim)))
            assert certified.invalid(prop, claim, others) is None, (claim, rows)
    rows = sorted(right, key=lambda r: r["end_ns"])
    joined = judge(kind, rows)
    assert joined.verdict is Verdict.VALID
    replay(kind, rows, joined.claim["order"])


@pytest.mark.parametrize("kind", KINDS)
def test_broken_keys_do_not_hide_each_other(kind):
    histories, joined = batch(7, 120, kind, pending=False)
    result = judge(kind, joined)
    alone = [judge(kind, rows) for rows in histories.values()]
    for name in {name for each in alone for name in names(each)} - {"non-linearizable"}:
        counts = [a.count for each in alone for a in each.anomalies if a.name == name]
        assert next(a.count for a in result.anomalies if a.name == name) == sum(counts), name


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_plain_definition(kind):
    """Elements in numbers that no brute force can order; every element has a take."""
    rng, seen = random.Random(3), set()
    for size in [6, 12, 25] * 60:
        rows = [r for r in scatter(rng, kind, size=size, pending=False) if r["value"] is not None]
        for r in rows:  # spread over more time, so that more of them have an order
            shift = r["value"] * rng.choice([3, 3, 3, 4])
            r["start_ns"], r["end_ns"] = r["start_ns"] + shift, r["end_ns"] + shift
        read = read_history(table(rows))
        elements = gather(read, coded(read), WORDS[kind]).elements
        elements = elements.only(elements.take >= 0)
        found = (fifo if kind == "queue" else lifo).decide(
            elements, np.empty(0, int), np.empty(0, int)
        )
        described = [
            (
                (int(elements.put_start[e]), int(elements.put_end[e])),
                (int(elements.take_start[e]), int(elements.take_end[e])),
                [
                    (int(s), int(t))
                    for s, t, of in zip(
                        elements.looks.start,
                        elements.looks.end,
                        elements.looks.element,
                        strict=True,
                    )
                    if of == e
                ],
            )
            for e in range(len(elements))
        ]
        ordered = not found.stuck.any()
        assert ordered == PLAIN[kind](described)
        seen.add(ordered)
    assert seen == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_kernels_find_the_same(kind, monkeypatch):
    histories, joined = batch(11, 300, kind)
    right = {key for key, rows in histories.items() if judge(kind, rows).verdict is Verdict.VALID}
    found = []
    for begin in (10**18, 0):
        monkeypatch.setattr(compiling, "LOADED_FROM", begin)
        monkeypatch.setattr(compiling, "COLD_FROM", begin)
        valid = judge(kind, [r for r in joined if r["key"] in right], budget=10**8)
        found.append((valid.claim["order"].tolist(), judge(kind, joined, budget=10**8).anomalies))
    assert found[0] == found[1]
    assert all(anomalies for _, anomalies in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "deeds"),
    [
        ("thin-air-{}", [(TAKE, 5, 0, 1)]),
        ("thin-air-{}", [(LOOK, 5, 0, 1)]),
        ("aborted-{}", [(PUT, 5, 0, 1, {"type": "fail"}), (TAKE, 5, 2, 3)]),
        ("future-{}", [(TAKE, 5, 0, 1), (PUT, 5, 2, 3)]),
        ("future-{}", [(LOOK, 5, 0, 1), (PUT, 5, 2, 3)]),
        ("future-{}", [(TAKE, 5, 0, 1), (PUT, 5, 2, 3, {"type": "info"})]),
        ("duplicate-{}", [(PUT, 5, 0, 1), (TAKE, 5, 2, 3), (TAKE, 5, 2, 9)]),
        (
            "duplicate-{}",
            [(PUT, 5, 0, 1), (PUT, 5, 0, 1, {"type": "info"}), *[(TAKE, 5, 2, 3)] * 3],
        ),
        ("stale-peek", [(PUT, 5, 0, 1), (TAKE, 5, 2, 3), (LOOK, 5, 4, 5)]),
        ("false-empty", [(PUT, 5, 0, 1), (TAKE, None, 2, 3)]),
        ("false-empty", [(PUT, 5, 0, 1), (LOOK, None, 2, 3), (TAKE, 5, 4, 5)]),
        (
            "false-empty",
            [(PUT, 5, 0, 1), (PUT, 6, 0, 3), (TAKE, None, 2, 8), (TAKE, 5, 4, 5), (TAKE, 6, 9, 9)],
        ),
    ],
)
def test_what_is_wrong_with_one_element(kind, name, deeds):
    rows = history(kind, *deeds)
    result = judge(kind, rows)
    assert not brute_force(kind, rows)
    assert names(result) == [name.format(WORDS[kind][TAKE])]
    anomaly = result.anomalies[0]
    assert anomaly.count == 1
    assert anomaly.instances.tolist()[0] in anomaly.operations


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "deeds",
    [
        [(PUT, 5, 0, 2), (TAKE, 5, 0, 0)],  # they touch
        [(PUT, 5, 2, 2), (TAKE, 5, 2, 2), (LOOK, 5, 2, 2), (TAKE, None, 2, 2)],  # one moment
        [(PUT, 5, 0, 1), (TAKE, 5, 2, 3), (LOOK, 5, 3, 4)],
        [(PUT, 5, 0, 1), (TAKE, None, 1, 2), (TAKE, 5, 3, 4)],
        [(PUT, 5, 0, 1), (TAKE, None, 2, 3), (TAKE, 5, 3, 4)],
        [(PUT, 5, 0, 1), (PUT, 6, 3, 4), (TAKE, 5, 2, 3), (TAKE, None, 2, 9), (TAKE, 6, 9, 9)],
        [(PUT, 5, 0, 1, {"type": "info"}), (TAKE, None, 2, 3)],  # it did not happen
        [(PUT, 5, 0, 1, {"type": "info"}), (TAKE, None, 2, 3), (TAKE, 5, 4, 5)],  # it came late
        [(PUT, 5, 0, 1), (TAKE, None, 1, 1, {"type": "info"}), (TAKE, None, 2, 3)],
        [(PUT, 5, 0, 1), (TAKE, 5, 2, 3, {"type": "fail"}), (TAKE, 5, 4, 5)],
        [(PUT, 5, 0, 1), (TAKE, 9, 2, 3, {"type": "fail"}), (LOOK, 5, 4, 5)],
        [(PUT, 5, 0, 1), (PUT, 5, 0, 1), (TAKE, 5, 2, 3), (TAKE, 5, 2, 3)],  # put in twice
        [(PUT, 5, 0, 1), (PUT, 5, 9, 9, {"type": "info"}), (TAKE, 5, 2, 3), (TAKE, None, 4, 5)],
        [(TAKE, None, 0, 1), (LOOK, None, 0, 1)],
        [(PUT, "a", 0, 1), (PUT, 1, 2, 3), (PUT, "1", 4, 5), (LOOK, "a", 1, 1)],
    ],
)
def test_what_is_right(kind, deeds):
    rows = history(kind, *deeds)
    result = judge(kind, rows)
    assert brute_force(kind, rows)
    assert result.verdict is Verdict.VALID
    replay(kind, rows, result.claim["order"])


def test_a_queue_keeps_its_order():
    puts = [(PUT, 5, 0, 1), (PUT, 6, 2, 3)]
    late = judge("queue", history("queue", *puts, (TAKE, 6, 4, 5), (TAKE, 5, 6, 7)))
    assert names(late) == ["out-of-order"]
    assert late.anomalies[0].claim["values"] == [5, 6]
    assert late.anomalies[0].operations == (0, 1, 2, 3)
    assert (
        "but process 0's dequeue of 6 had completed at 0.000000005 s, before process 0's dequeue "
        "of 5 began at 0.000000006 s"
    ) in late.anomalies[0].argument
    lost = judge("queue", history("queue", *puts, (TAKE, 6, 4, 5)))
    assert names(lost) == ["lost-element"]
    assert lost.anomalies[0].operations == (0, 1, 2)
    touching = history("queue", *puts, (TAKE, 6, 4, 6), (TAKE, 5, 6, 7))
    assert judge("queue", touching).verdict is Verdict.VALID


def test_a_stack_keeps_its_order():
    puts = [(PUT, 5, 0, 1), (PUT, 6, 2, 3)]
    late = judge("stack", history("stack", *puts, (TAKE, 5, 4, 5), (TAKE, 6, 6, 7)))
    assert names(late) == ["out-of-order"]
    assert late.anomalies[0].claim["values"] == [5, 6]
    left = judge("stack", history("stack", *puts, (TAKE, 5, 4, 5)))
    assert names(left) == ["out-of-order"]
    assert "nobody took 6" in left.anomalies[0].argument
    touching = history("stack", *puts, (TAKE, 5, 4, 6), (TAKE, 6, 6, 7))
    assert judge("stack", touching).verdict is Verdict.VALID


def test_a_look_may_take_three_elements_to_refute():
    """5 was at the head all along, so 7 came out before it and 6 after it, but was put in first."""
    rows = history(
        "queue",
        *[(PUT, 5, 0, 20), (PUT, 6, 5, 6), (PUT, 7, 7, 8)],
        *[(LOOK, 5, 21, 22), (TAKE, 5, 31, 32), (TAKE, 7, 22, 30), (TAKE, 6, 23, 40)],
    )
    result = judge("queue", rows)
    assert not brute_force("queue", rows)
    assert names(result) == ["non-linearizable"]
    assert sorted(result.anomalies[0].claim["values"]) == [5, 6, 7]


def test_takes_without_an_answer_take_what_is_missing():
    puts = [(PUT, 5, 0, 1), (PUT, 6, 2, 3), (PUT, 7, 4, 5)]
    take = (TAKE, None, 5, 6, {"type": "info"})
    for takes, verdict in ((1, Verdict.INVALID), (2, Verdict.VALID)):
        rows = history("queue", *puts, *[take] * takes, (TAKE, 7, 7, 8))
        assert judge("queue", rows).verdict is verdict
        assert brute_force("queue", rows) == (verdict is Verdict.VALID)
    rows = history("queue", *puts, (TAKE, None, 9, 9, {"type": "info"}), (TAKE, 7, 7, 8))
    (anomaly,) = judge("queue", rows).anomalies
    assert (anomaly.name, anomaly.claim["values"]) == ("lost-element", [5, 7])


@pytest.mark.parametrize("kind", KINDS)
def test_takes_without_an_answer_by_many_clients(kind):
    """A search would have to try each of them on everything that is there."""
    rng = random.Random(4)
    there, rows = [], []
    for number in range(1500):
        start, end = number * 100 - rng.randrange(800), number * 100 + rng.randrange(800)
        unknown = {"type": "info"} if rng.random() < 0.02 else {}
        if rng.random() < 0.5:
            if not unknown or rng.random() < 0.5:
                there.append(number)
            rows += history(kind, (PUT, number, start, end, unknown))
            continue
        happened = not unknown or rng.random() < 0.5
        took = there.pop(0 if kind == "queue" else -1) if there and happened else None
        rows += history(kind, (TAKE, None if unknown else took, start, end, unknown))
    rows.sort(key=lambda r: r["end_ns"])
    result = judge(kind, rows)
    assert result.verdict is Verdict.VALID, result.why
    replay(kind, rows, result.claim["order"])


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_there_at_first(kind):
    first = 5 if kind == "queue" else 6
    rows = history(kind, (TAKE, first, 0, 1), (TAKE, 11 - first, 2, 3), (TAKE, None, 4, 5))
    result = judge(kind, rows, initial=[5, 6])
    assert result.verdict is Verdict.VALID
    assert sorted(result.claim["order"].tolist()) == [0, 1, 2]
    wrong = judge(
        kind, history(kind, (TAKE, 11 - first, 2, 3), (TAKE, first, 4, 5)), initial=[5, 6]
    )
    assert names(wrong) == ["out-of-order"]
    assert judge(kind, rows, initial=[5, 5]).verdict is Verdict.INVALID
    assert judge(kind, rows, initial=[5, {"a": 1}, 6]).verdict is Verdict.INVALID
    for odd in ("56", [None]):
        assert judge(kind, rows, initial=odd).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("kind", KINDS)
def test_what_nothing_can_be_inferred_from_is_unknown(kind):
    put = (PUT, 5, 0, 1)
    assert judge(kind, []).verdict is Verdict.UNKNOWN
    assert judge(kind, history(kind, put)).verdict is Verdict.UNKNOWN
    unread = history(kind, put, (TAKE, 7, 2, 3, {"error": "unread: nobody kept it"}))
    assert judge(kind, unread).verdict is Verdict.UNKNOWN
    null = judge(kind, history(kind, put, (PUT, None, 2, 3), (TAKE, 5, 4, 5)))
    assert null.verdict is Verdict.UNKNOWN
    assert "operation 1 put in null" in null.why
    twice = history(kind, *[put] * 8, *[(TAKE, 5, 0, 9)] * 8)
    assert judge(kind, twice).verdict is Verdict.VALID
    assert judge(kind, twice, budget=3).verdict is Verdict.UNKNOWN


def test_moments_when_nothing_was_there():
    shown, needed = np.array([1, 3, 5, 20]), np.array([3, 6, 9, 20])
    begin, end = stretches(shown, needed)
    assert list(zip(begin.tolist(), end.tolist(), strict=True)) == [(1, 3), (3, 9)]
    at, late = moments(np.array([0, 1, 2, 4, 4]), np.array([0, 1, 3, 8, 9]), shown, needed)
    assert at.tolist() == [0, 1, 3, 9, 9]
    assert late.tolist() == [False, False, False, True, False]
    assert fewest(4, 8, shown, needed) == [1, 2]


def test_a_large_history_with_one_element_out_of_order():
    """One dequeue too early in thousands is told with the two elements it takes."""
    count = 4000
    for kind in KINDS:
        value = list(range(count))
        takes = value[:] if kind == "queue" else value[::-1]
        takes[2000], takes[2001] = takes[2001], takes[2000]
        deeds = [(PUT, v, 10 * v, 10 * v + 5) for v in value]
        deeds += [(TAKE, v, 100_000 + 10 * n, 100_000 + 10 * n + 5) for n, v in enumerate(takes)]
        (anomaly,) = judge(kind, history(kind, *deeds)).anomalies
        assert anomaly.name == "out-of-order"
        assert sorted(anomaly.claim["values"]) == sorted(takes[2000:2002])
        assert len(anomaly.operations) == 4
