"""The register checker against brute force, its own plain definitions, and known histories."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import cache

import pyarrow as pa
import pytest

from analysis.checkers.base import Context, Verdict
from analysis.checkers.register import check
from analysis.checkers.versions import prepare
from analysis.checkers.zones import analyse, linearize
from analysis.checkers.zones_reference import Operation, judge_key
from analysis.history import read_history
from chaos.record.schema import HISTORY

FOREVER = 10**6


def row(f, value, start, end, *, expected=None, type="ok", process=0, key="k0"):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": value,
        "expected": expected,
        "payload": None,
        "type": type,
        "error": None if type == "ok" else "timeout: no answer",
        "start_ns": start,
        "end_ns": end,
    }


def table(rows):
    return pa.Table.from_pylist(rows, schema=HISTORY)


def padding(key="other"):
    """Enough harmless operations that a history is not too small to judge."""
    return [row("write", 10_000 + i, -100 + i, -100 + i, key=key) for i in range(10)] + [
        row("read", 10_009, -10, -10, key=key)
    ]


def judge(rows):
    return check(read_history(table(padding() + rows)), Context())


def brute_force(rows, *, pending_happened=False):
    """Is there an order of all completed (and any pending) operations? Wing & Gong, memoised."""
    ops = [r for r in rows if r["type"] != "fail" and not (r["type"] != "ok" and r["f"] == "read")]
    starts = [r["start_ns"] for r in ops]
    ends = [r["end_ns"] if r["type"] == "ok" else FOREVER for r in ops]
    must = sum(1 << i for i, r in enumerate(ops) if r["type"] == "ok" or pending_happened)

    @cache
    def search(done, state):
        if done & must == must:
            return True
        limit = min(ends[i] for i in range(len(ops)) if not done >> i & 1)
        for i, op in enumerate(ops):
            if done >> i & 1 or starts[i] > limit:
                continue
            if op["f"] == "read":
                if op["value"] == state and search(done | 1 << i, state):
                    return True
            elif (op["f"] == "write" or op["expected"] == state) and search(
                done | 1 << i, op["value"]
            ):
                return True
        return False

    return search(0, None)


def simulate(rng, *, cas, broken):
    """A small history of a register that is sometimes broken; times from few ticks, so they tie."""
    count = rng.randint(3, 8)
    span = rng.choice([6, 12, 40])
    points = []
    for value in range(1, count + 1):
        start = rng.randint(0, span)
        end = start + rng.choice([0, 1, 2, 4, rng.randint(0, span)])
        kind = rng.choices(["ok", "info", "fail"], [8, 2, 1])[0]
        late = kind == "info" and rng.random() < 0.4
        moment = rng.uniform(start, span * 2 if late else end)
        f = rng.choices(["read", "write", "cas"], [5, 3, 4 if cas else 0])[0]
        points.append((moment, f, value, start, end, kind))
    points.sort()
    state, past, rows = None, [None], []
    for _, f, value, start, end, kind in points:
        seen = (
            rng.choice([*past, 99, rng.randint(1, count)])
            if broken and rng.random() < 0.25
            else state
        )
        lost = broken and rng.random() < 0.15
        done = kind == "ok" or (kind == "info" and rng.random() < 0.6)
        if f == "read":
            rows.append(row("read", seen if kind == "ok" else None, start, end, type=kind))
            continue
        expected = seen if f == "cas" else None
        if f == "cas" and kind != "ok" and rng.random() < 0.5:
            expected, done = rng.choice(past), done and broken
        rows.append(row(f, value, start, end, expected=expected, type=kind))
        if (done and not lost) or (broken and kind == "fail" and rng.random() < 0.2):
            state = value
            past.append(value)
    rows.sort(key=lambda r: r["end_ns"])
    return rows


def batch(seed, count):
    """`count` small histories, one a key, and the joined table in a shuffled order."""
    rng = random.Random(seed)
    histories = {}
    for i in range(count):
        rows = simulate(rng, cas=i % 3 > 0, broken=i % 2 > 0)
        histories[f"k{i}"] = [{**r, "key": f"k{i}"} for r in rows]
    joined = [r for rows in histories.values() for r in rows]
    joined.sort(key=lambda r: (r["end_ns"], rng.random()))
    return histories, joined


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
    histories, joined = batch(seed, 6000)
    truth = {key: brute_force(rows) for key, rows in histories.items()}
    assert 1000 < sum(truth.values()) < 5000  # both kinds are well represented
    plain = reference(joined)
    wrong = [key for key in histories if truth[key] != (not plain[key])]
    assert wrong == []
    result = check(read_history(table(joined)), Context())
    expected = defaultdict(set)
    for found in plain.values():
        for name, rows in found.items():
            expected[name] |= rows
    assert {a.name: set(a.instances.tolist()) for a in result.anomalies} == dict(expected)
    assert len(expected) == 6  # every named anomaly occurs
    assert {a.name: a.count for a in result.anomalies} == {n: len(r) for n, r in expected.items()}


def test_an_accepted_history_comes_with_an_order_that_explains_it():
    histories, _ = batch(11, 3000)
    joined = [r for rows in histories.values() if brute_force(rows) for r in rows]
    history = read_history(table(joined))
    versions = prepare(history)
    order = linearize(versions, analyse(versions)[0])
    state, latest = {}, defaultdict(lambda: -1)
    for index in order:
        op = joined[index]
        assert op["type"] != "fail"
        end = FOREVER if op["type"] == "info" else op["end_ns"]
        assert end >= latest[op["key"]], "real time is respected"
        latest[op["key"]] = max(latest[op["key"]], op["start_ns"])
        if op["f"] == "read":
            assert state.get(op["key"]) == op["value"]
        else:
            assert op["f"] == "write" or state.get(op["key"]) == op["expected"]
            state[op["key"]] = op["value"]
    placed = set(order.tolist())
    assert len(placed) == len(order)
    assert {i for i, r in enumerate(joined) if r["type"] == "ok"} <= placed


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
        row("write", 23, 1000 * ns, 1100 * ns, process=5),
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
def test_every_witness_alone_is_a_contradiction(seed):
    histories, _ = batch(100 + seed, 2000)
    seen = set()
    for rows in histories.values():
        result = check(read_history(table(rows)), Context())
        for anomaly in result.anomalies:
            seen.add(anomaly.name)
            witness = [rows[i] for i in sorted(anomaly.operations)]
            assert 1 <= len(witness) <= 6
            assert anomaly.argument
            if anomaly.name == "aborted-read":
                continue  # its failed write is part of the witness and never linearized
            if any(
                r["f"] == "cas"
                and r["expected"]
                not in ({w["value"] for w in witness if w["f"] != "read"} | {None})
                for r in witness
            ):
                continue  # the swap's own origin is not part of the witness
            assert not brute_force(witness, pending_happened=True), (anomaly, witness)
    assert len(seen) == 6


def test_renaming_shifting_and_reordering_change_nothing():
    _, joined = batch(5, 300)
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
    result = check(read_history(table(rows)), Context())
    return result.verdict, result.why


def test_what_cannot_be_decided_is_unknown_and_says_why():
    assert verdict_of([]) == (Verdict.UNKNOWN, "the history is empty")
    verdict, why = verdict_of([*padding(), W1, {**W1, "start_ns": 3}])
    assert verdict is Verdict.UNKNOWN
    assert "unique per key" in why
    assert "1 was written" in why
    assert verdict_of([row("write", None, 0, 1)])[0] is Verdict.UNKNOWN
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
