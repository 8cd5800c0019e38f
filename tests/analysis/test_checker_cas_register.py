"""Refused swaps as observations, and the fast way, against brute force."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from analysis.checkers import fast_zones, zone_kernels
from analysis.checkers.base import Context, Verdict
from analysis.checkers.cas_register import check
from analysis.checkers.register import check as check_register
from analysis.checkers.versions import Columns
from analysis.values import coded
from tests.analysis.register_claims import holds, order_holds
from tests.analysis.register_histories import (
    batch,
    has_order,
    history_of,
    padding,
    refused,
    row,
)


@pytest.mark.parametrize(("seed", "few", "initial"), [(1, 0, None), (2, 0, 3), (3, 2, None)])
def test_refused_swaps_against_brute_force(seed, few, initial):
    histories, joined = batch(random.Random(seed), 1200, few=few, initial=initial)
    context = Context(initial=initial)
    truth = {k for k, r in histories.items() if not has_order(r, initial=initial, refusals=True)}
    without = {k for k, r in histories.items() if not has_order(r, initial=initial)}
    assert without < truth, "refused swaps tell more"
    found = check(history_of(joined), context)
    assert {joined[i]["key"] for a in found.anomalies for i in a.instances.tolist()} == truth
    good = [r for r in joined if r["key"] not in truth]
    accepted = check(history_of(good), context)
    assert accepted.verdict is Verdict.VALID
    assert order_holds(accepted.claim, good, initial=initial, refusals=True)
    for key in sorted(truth - without)[:100] + sorted(without)[:50]:
        rows = histories[key]
        for anomaly in check(history_of(rows), context).anomalies:
            assert holds(anomaly.claim, rows, initial=initial, refusals=True), (anomaly, rows)


def judged(rows, initial=None):
    result = check(history_of(padding() + rows), Context(initial=initial))
    return result.verdict, [a.name for a in result.anomalies]


W1, W2 = row("write", 1, 0, 10), row("write", 2, 20, 30)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([W1, refused(1, 9, 15, 18), row("read", 1, 19, 19)], ["refused-swap"]),
        ([W1, refused(1, 9, 15, 18)], ["non-linearizable"]),  # nothing else was written
        ([W1, refused(1, 9, 10, 18), row("read", 1, 19, 19)], []),  # touching
        ([W1, refused(1, 9, 11, 19), row("read", 1, 19, 19)], ["non-linearizable"]),
        ([W1, W2, refused(1, 9, 40, 50)], []),
        ([W1, W2, refused(2, 9, 40, 50), row("read", 2, 60, 70)], ["refused-swap"]),
        ([W1, refused(None, 9, 15, 18)], []),
        ([refused(None, 9, 0, 5), row("write", 1, 6, 10)], ["non-linearizable"]),
        ([refused(None, 9, 0, 5), row("read", None, 6, 7), W2], ["refused-swap"]),
        ([refused(None, 9, 0, 5), row("write", 1, 5, 10)], []),
        ([refused(7, 9, 0, 5), W1], []),  # nobody ever wrote 7
        ([row("write", 7, 0, 1, type="info"), refused(7, 9, 3, 5)], []),
        ([row("write", 7, 0, 1, type="fail"), refused(7, 9, 3, 5)], []),
        ([W1, refused(1, 9, 15, 18), row("cas", 2, 17, 30, expected=1)], []),
        (  # a read of the future shows nothing
            [row("read", 1, 0, 1), refused(1, 9, 2, 3), row("write", 1, 4, 5)],
            ["future-read"],
        ),
        ([W1, refused(1, 9, 15, 18), row("cas", 2, 19, 30, expected=1)], ["refused-swap"]),
    ],
)
def test_small_histories_of_refused_swaps(rows, expected):
    verdict, names = judged(rows)
    assert names == expected
    assert verdict is (Verdict.INVALID if expected else Verdict.VALID)


def test_only_a_mismatch_is_an_observation():
    rows = [W1, refused(1, 9, 15, 18), row("read", 1, 19, 19)]
    other = [{**rows[1], "error": "timeout: no answer"}]
    assert judged([rows[0], *other, rows[2]])[0] is Verdict.VALID
    assert check_register(history_of(padding() + rows), Context()).verdict is Verdict.VALID


def test_refusals_in_real_time_order_take_turns():
    """Two refusals in turn: the first must not stand behind the second."""
    rows = [
        row("write", 1, 0, 100),
        row("write", 2, 0, 100),
        refused(1, 9, 10, 20),
        refused(2, 9, 30, 40),
        refused(1, 9, 50, 60),
        row("read", 2, 110, 120),
    ]
    assert judged(rows) == (Verdict.VALID, [])
    backwards = [*rows[:2], refused(2, 9, 10, 20), row("read", 2, 30, 40), refused(2, 9, 50, 60)]
    assert judged([*backwards, row("read", 1, 110, 120)]) == (Verdict.VALID, [])
    assert judged([*backwards, row("read", 2, 110, 120)])[1] == ["refused-swap"]


def test_a_refused_swap_is_told():
    rows = [
        row("write", 1, 0, 10, process=1),
        refused(1, 9, 15, 18, process=2),
        row("read", 1, 25, 30, process=3),
    ]
    (anomaly,) = check(history_of(rows), Context()).anomalies
    assert anomaly.operations == (0, 1, 2)
    assert anomaly.argument == (
        "process 2 was refused its swap of 1 for 9 in k0 between 0.000000015 s and 0.000000018 s, "
        "because another value was there, although process 1's write of 1 had completed at "
        "0.000000010 s and process 3's read of 1 began at 0.000000025 s: 1 was there all the while"
    )
    assert holds(anomaly.claim, rows, refusals=True)


def glance(rows, initial=None):
    history = history_of(rows)
    order = fast_zones.order_of(Columns(history, coded(history, initial=initial)))
    return None if order is None else order.tolist()


@pytest.mark.parametrize("initial", [None, 4])
@pytest.mark.parametrize("scale", [1, 10**15])
def test_the_fast_way_accepts_what_has_an_order_and_nothing_else(scale, initial):
    histories, _ = batch(random.Random(scale), 1500, initial=initial)
    for rows in histories.values():
        for r in rows:
            r["value"] = None if r["value"] is None else r["value"] * scale
            r["expected"] = None if r["expected"] is None else r["expected"] * scale
    first = None if initial is None else initial * scale
    good = []
    for key, rows in histories.items():
        order = glance(rows, first)
        writes = [r["value"] for r in rows if r["f"] != "read" and r["type"] != "fail"]
        if first in writes:
            continue  # the initial value written again is left to the search
        assert (order is not None) == has_order(rows, initial=first), key
        if order is not None:
            assert order_holds({"kind": "order", "model": "register", "order": order}, rows,
                               initial=first)  # fmt: skip
            good += rows
    shuffled = random.Random(2).sample(good, len(good))
    order = glance(shuffled, first)
    assert len(good) > 3000
    claim = {"kind": "order", "model": "register", "order": order}
    assert order_holds(claim, shuffled, initial=first)


def test_what_is_odd_is_no_matter_for_the_fast_way():
    twice = [row("write", 1, 0, 1), row("write", 1, 2, 3), row("read", 1, 4, 5)]
    assert glance(twice) is None
    assert glance(twice[:2]) == [0, 1]  # nobody saw which
    assert glance([]) is None
    assert glance([{**r, "key": k} for k, r in zip("ab", twice[::2], strict=True)]) is None
    far = [row("write", 1, 0, 2**62)]
    assert glance(far) is None


def test_large_histories_are_judged_by_the_kernels(monkeypatch):
    _, joined = batch(random.Random(9), 300)
    histories = defaultdict(list)
    for r in joined:
        histories[r["key"]].append(r)
    good = [r for rows in histories.values() if has_order(rows) for r in rows]
    good.sort(key=lambda r: r["end_ns"])
    used = []

    def compiled(kernel, operations):
        used.append(kernel)
        return kernel

    monkeypatch.setattr(fast_zones, "compiled", compiled)
    result = check_register(history_of(good), Context())
    assert zone_kernels.emit in used
    assert result.verdict is Verdict.VALID
    assert order_holds(result.claim, good)
    assert check_register(history_of(joined), Context()).verdict is Verdict.INVALID
