"""The register checker against brute force, its own plain definitions, and known histories."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from analysis.checkers.base import Context, Meter, Verdict, run_checker
from analysis.checkers.register import PROPERTY, check
from analysis.checkers.zones_reference import Operation, judge_key
from tests.analysis.register_claims import holds, order_holds
from tests.analysis.register_histories import (
    batch,
    has_order,
    history_of,
    padding,
    row,
)


def judge(rows):
    return check(history_of(padding() + rows), Context())


def reference(joined):
    by_key = defaultdict(list)
    for index, r in enumerate(joined):
        kind = r["type"]
        end = float("inf") if kind == "info" else r["end_ns"]
        by_key[r["key"]].append(
            Operation(
                row=index,
                f=r["f"],
                type=kind,
                start=r["start_ns"],
                end=end,
                value=r["value"],
                expected=r["expected"],
            )
        )
    return {key: judge_key(operations) for key, operations in by_key.items()}


@pytest.mark.parametrize("seed", range(4))
def test_the_definitions_agree_with_brute_force_and_with_the_fast_way(seed):
    histories, joined = batch(random.Random(seed), 6000)
    truth = {key: has_order(rows) for key, rows in histories.items()}
    assert 1000 < sum(truth.values()) < 5000  # both kinds are well represented
    plain = reference(joined)
    wrong = [key for key in histories if truth[key] != (not plain[key])]
    assert wrong == []
    result = check(history_of(joined), Context())
    expected = defaultdict(set)
    for found in plain.values():
        for name, rows in found.items():
            expected[name] |= rows
    assert {a.name: set(a.instances.tolist()) for a in result.anomalies} == dict(expected)
    assert len(expected) == 6  # every named anomaly occurs
    assert {a.name: a.count for a in result.anomalies} == {n: len(r) for n, r in expected.items()}


def test_an_accepted_history_comes_with_an_order_that_explains_it():
    histories, _ = batch(random.Random(11), 3000)
    joined = [r for rows in histories.values() if has_order(rows) for r in rows]
    result = check(history_of(joined), Context())
    assert result.verdict is Verdict.VALID
    assert order_holds(result.claim, joined)


def names(rows):
    return {a.name: a.count for a in judge(rows).anomalies}


W1, W2 = row("write", 1, 0, 10), row("write", 2, 20, 30, process=5)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([W1, W2, row("read", 2, 40, 50)], {}),
        ([W1, W2, row("read", 1, 31, 50)], {"stale-read": 1}),
        ([W1, W2, row("read", 1, 30, 50)], {}),  # touching: the read may come first
        ([W1, W2, row("read", None, 40, 50)], {"stale-read": 1}),
        ([row("read", None, 10, 50), W1], {}),
        ([row("read", 1, 40, 50)], {"thin-air-read": 1}),
        ([row("write", 1, 0, 10, type="fail"), row("read", 1, 40, 50)], {"aborted-read": 1}),
        ([row("read", 1, 0, 5), row("write", 1, 6, 10)], {"future-read": 1}),
        ([row("write", 1, 0, 10, type="info"), row("read", 1, 400, 500)], {}),
        (
            [row("write", 1, 0, 100), row("write", 2, 0, 100)]
            + [row("read", v, 10 * i, 10 * i + 1) for i, v in enumerate([1, 2, 1, 2], 1)],
            {"non-linearizable": 1},
        ),
        (
            [W1, row("cas", 3, 20, 30, expected=1), row("cas", 4, 20, 30, expected=1)],
            {"lost-update": 1},
        ),
        ([W1, row("cas", 3, 20, 30, expected=1), row("read", 1, 40, 50)], {"stale-read": 1}),
        ([W1, row("cas", 3, 20, 30, expected=1), row("read", 3, 30, 50)], {}),
        (  # a pending swap that was seen happened, so its expected value was there
            [
                W1,
                W2,
                row("cas", 9, 60, 70, expected=1, type="info"),
                row("read", 9, 80, 90),
            ],
            {"stale-read": 1},
        ),
        ([W1, W2, row("cas", 9, 60, 70, expected=1, type="info"), row("read", 2, 80, 90)], {}),
        (
            [row("cas", 1, 0, 9, expected=2), row("cas", 2, 0, 9, expected=1)],
            {"non-linearizable": 2},
        ),
    ],
)
def test_small_histories_with_known_names(rows, expected):
    assert names(rows) == expected


def test_a_stale_read_is_told_with_its_operations():
    ns = 1_000_000
    rows = [
        row("write", 17, 900 * ns, 950 * ns, process=1),
        row("write", 23, 1000 * ns, 1300 * ns, process=5),
        row("read", 23, 1040 * ns, 1050 * ns, process=7),
        row("read", 17, 1200 * ns, 1210 * ns, process=3),
    ]
    (anomaly,) = judge(rows).anomalies
    assert anomaly.operations == (11, 12, 13, 14)
    assert anomaly.first_ns == 1210 * ns
    assert anomaly.argument == (
        "process 3 read 17 from k0 between 1.200 s and 1.210 s, although process 1's write of 17 "
        "had completed at 0.950 s; process 5's write of 23 began at 1.000 s and process 7's read "
        "of 23 had returned at 1.050 s: 17 was overwritten at least 150 ms before that began"
    )


@pytest.mark.parametrize("seed", range(3))
def test_every_claim_follows_by_the_rules(seed):
    histories, _ = batch(random.Random(100 + seed), 1000)
    seen = set()
    for rows in histories.values():
        for anomaly in check(history_of(rows), Context()).anomalies:
            seen.add(anomaly.name)
            assert anomaly.argument
            assert anomaly.claim["anomaly"] == anomaly.name
            assert tuple(anomaly.claim["operations"]) == anomaly.operations
            assert holds(anomaly.claim, rows), (anomaly, rows)
    assert len(seen) == 6


@pytest.mark.parametrize(("seed", "few", "initial"), [(1, 3, None), (2, 2, 0), (3, 0, 7)])
def test_values_written_twice_are_decided_too(seed, few, initial):
    histories, joined = batch(random.Random(seed), 1200, few=few, initial=initial)
    truth = {key for key, rows in histories.items() if not has_order(rows, initial=initial)}
    assert 200 < len(truth) < 1000
    found = check(history_of(joined), Context(initial=initial))
    wrong = {joined[i]["key"] for a in found.anomalies for i in a.instances.tolist()}
    assert wrong == truth
    good = [r for r in joined if r["key"] not in truth]
    accepted = check(history_of(good), Context(initial=initial))
    assert accepted.verdict is Verdict.VALID
    assert order_holds(accepted.claim, good, initial=initial)
    for key in sorted(truth)[:200]:
        rows = histories[key]
        for anomaly in check(history_of(rows), Context(initial=initial)).anomalies:
            assert holds(anomaly.claim, rows, initial=initial), (anomaly, rows)


def test_a_key_with_values_written_twice_is_searched_alone():
    twice = [row("write", 1, t, t + 1, key="b") for t in (0, 10)] + [
        row("read", 1, 20, 21, key="b"),
        row("read", None, 30, 31, key="b"),
    ]
    (anomaly,) = judge([W1, row("read", 1, 20, 30), *twice]).anomalies
    assert anomaly.name == "non-linearizable"
    assert anomaly.claim == {
        "kind": "no-order",
        "anomaly": "non-linearizable",
        "operations": [16],
        "model": "register",
        "key": "b",
        "until": 16,
    }
    assert anomaly.argument == (
        "process 0 read nothing from b between 0.000000030 s and 0.000000031 s, but no order of "
        "the 4 operations on b that had begun by then explains what they found; until the answer "
        "before it there was one"
    )
    known = judge([W1, W2, row("read", 1, 40, 50), *twice]).anomalies
    assert [a.name for a in known] == ["stale-read", "non-linearizable"]


def test_a_search_without_budget_leaves_what_is_known():
    twice = [row("write", 1, t, t + 9, key="b", process=t) for t in range(5)]
    twice.append(row("read", 1, 30, 31, key="b"))
    short = Context(meter=Meter(3))
    result = run_checker(PROPERTY, {PROPERTY: check}, history_of(padding() + twice), short)
    assert result.verdict is Verdict.UNKNOWN
    assert "the budget of 3 steps ran out" in result.why
    stale = [W1, W2, row("read", 1, 40, 50)]
    result = check(history_of(padding() + twice + stale), Context(meter=Meter(3)))
    assert [a.name for a in result.anomalies] == ["stale-read"]


def test_renaming_shifting_and_reordering_change_nothing():
    _, joined = batch(random.Random(5), 300)
    rng = random.Random(1)
    before = names(joined)
    keys = sorted({r["key"] for r in joined})
    renamed = dict(zip(keys, rng.sample(keys, len(keys)), strict=True))
    changed = [
        {
            **r,
            "key": renamed[r["key"]],
            "process": 1000 - r["process"],
            "start_ns": r["start_ns"] + 7_000_000_000_000,
            "end_ns": r["end_ns"] + 7_000_000_000_000,
        }
        for r in joined
    ]
    assert names(changed) == before
    rng.shuffle(changed)
    assert names(changed) == before
    far = [{**r, "value": None if r["value"] is None else r["value"] * 10**12} for r in joined]
    for r in far:
        r["expected"] = None if r["expected"] is None else r["expected"] * 10**12
    assert names(far) == before


def test_times_too_far_apart_for_one_clock_are_still_ordered():
    rows = [W1, W2, row("read", 1, 4 * 10**18, 4 * 10**18 + 1)]
    assert names(rows) == {"stale-read": 1}
    assert names([*rows[:2], row("read", 2, 4 * 10**18, 4 * 10**18 + 1)]) == {}


def verdict_of(rows):
    result = check(history_of(rows), Context())
    return result.verdict, result.why


def test_what_cannot_be_decided_is_unknown_and_says_why():
    assert verdict_of([]) == (Verdict.UNKNOWN, "the history is empty")
    verdict, why = verdict_of(padding()[:-1])
    assert verdict is Verdict.UNKNOWN
    assert "no read" in why
    verdict, why = verdict_of([W1, row("read", 1, 20, 30)])
    assert verdict is Verdict.UNKNOWN
    assert "too little traffic" in why
    assert verdict_of(padding())[0] is Verdict.VALID
    assert verdict_of([W1, W2, row("read", 1, 40, 50)])[0] is Verdict.INVALID


def test_the_same_value_on_two_keys_names_two_versions():
    rows = [
        row("write", 1, 0, 1, key="a"),
        row("write", 1, 0, 1, key="b"),
        row("write", 2, 2, 3, key="a"),
        row("read", 1, 5, 6, key="b"),
    ]
    assert names(rows) == {}
    assert names([*rows, row("read", 1, 5, 6, key="a")]) == {"stale-read": 1}
    assert names([*rows, row("read", 2, 5, 6, key="b")]) == {"thin-air-read": 1}


def judged(rows, initial=None):
    result = check(history_of(padding() + rows), Context(initial=initial))
    return result.verdict, [a.name for a in result.anomalies]


def test_an_initial_value_is_there_and_null_is_not():
    assert judged([row("read", 5, 0, 1)], initial=5)[0] is Verdict.VALID
    assert judged([row("read", None, 0, 1)], initial=5)[1] == ["thin-air-read"]
    assert judged([row("read", 5, 0, 1)])[1] == ["thin-air-read"]
    assert judged([row("cas", 6, 0, 1, expected=5)], initial=5)[0] is Verdict.VALID
    assert judged([W1, row("read", 5, 20, 30)], initial=5)[1] == ["stale-read"]
    assert judged([W1, row("write", 5, 15, 30), row("read", 5, 20, 40)], initial=5)[1] == []
    unread = row("read", None, 0, 1, error="unread: not recorded")
    assert judged([unread], initial=5)[0] is Verdict.VALID


def test_null_is_a_value_like_others():
    assert judged([W1, row("write", None, 20, 30), row("read", None, 40, 50)])[0] is Verdict.VALID
    assert judged([W1, row("write", None, 20, 30), row("read", 1, 40, 50)])[1] == ["stale-read"]
    assert judged([W1, row("read", None, 40, 50)])[1] == ["stale-read"]
    swaps = [W1, row("cas", None, 20, 30, expected=1), row("cas", 2, 40, 50, expected=None)]
    assert judged([*swaps, row("read", 2, 60, 70)])[0] is Verdict.VALID
    assert judged([*swaps, row("read", 1, 60, 70)])[1] == ["non-linearizable"]


def payload(r, text):
    return {**r, "value": None, "expected": None, "payload": text}


def test_values_of_any_json():
    rows = [
        payload(row("write", None, 0, 10), '"a"'),
        payload(row("cas", None, 20, 30), '["a", {"x": [1.5], "y": 0}]'),
        payload(row("read", None, 40, 50), '{"y": 0, "x": [1.5]}'),
    ]
    assert judged(rows)[0] is Verdict.VALID
    (anomaly,) = judge([*rows, payload(row("read", None, 60, 70), '"a"')]).anomalies
    assert anomaly.name == "stale-read"
    assert 'swap of "a" for {"x": [1.5], "y": 0} had replaced it' in anomaly.argument
    assert judged([*rows, payload(row("read", None, 60, 70), '"b"')])[1] == ["thin-air-read"]
    assert judged([W1, payload(row("read", None, 60, 70), "1.0")])[1] == ["thin-air-read"]
    text = [payload(row("read", None, 0, 1), '"a"')]
    assert judged(text, initial="a")[0] is Verdict.VALID


def test_a_long_chain_of_swaps_and_of_pending_swaps():
    count = 5000
    for kind in ("ok", "info"):
        rows = [
            row("cas", i + 1, 10 * i, 10 * i + 5, expected=i or None, type=kind)
            for i in range(count)
        ]
        end = 10 * count
        assert names([*rows, row("read", count, end, end + 1)]) == {}
        found = names([*rows, row("read", count, end, end + 1), row("read", 9, end + 2, end + 3)])
        assert found == {"stale-read": 1}
