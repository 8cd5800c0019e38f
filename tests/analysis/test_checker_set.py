"""The set checker against a naive one, and against histories with known faults."""

from __future__ import annotations

import json
import random
from collections import defaultdict

import pyarrow as pa
import pytest

from analysis.checkers import CHECKERS, set_history
from analysis.checkers.base import Context, Verdict, run_checker
from analysis.checkers.set import check
from analysis.history import read_history
from chaos.record.schema import HISTORY

FINAL = (1000, 2000)


def row(f, value, start, end, *, type="ok", process=0, shows=None):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": None,
        "value": value,
        "expected": None,
        "payload": None if shows is None else json.dumps(shows),
        "type": type,
        "error": None,
        "start_ns": start,
        "end_ns": end,
    }


def add(value, start, end, type="ok"):
    return row("add", value, start, end, type=type)


def read(shows, start, end, type="ok"):
    return row("read", None, start, end, type=type, shows=shows)


def columns(rows):
    return read_history(pa.Table.from_pylist(rows, schema=HISTORY))


def judge(rows, final=FINAL):
    return check(columns(rows), Context(final_ns=final))


def simulate(rng):
    """A few adds and whole reads of a set that loses, delays, repeats and invents."""
    rows, values = [], list(range(1, rng.randint(2, 7)))
    for value in values:
        start = rng.randint(0, 60)
        kind = rng.choices(["ok", "info", "fail"], [6, 2, 1])[0]
        rows.append(add(value, start, start + rng.randint(0, 10), kind))

    def shown():
        listed = [v for v in values if rng.random() < rng.choice([0.3, 0.9, 1])]
        if rng.random() < 0.1 and listed:
            listed.append(rng.choice(listed))
        if rng.random() < 0.05:
            listed.append(99)
        rng.shuffle(listed)
        return listed

    for _ in range(rng.randint(0, 4)):
        start = rng.randint(0, 80)
        rows.append(
            read(shown(), start, start + rng.randint(0, 10), rng.choice(["ok", "ok", "fail"]))
        )
    for _ in range(rng.randint(0, 3)):
        start = rng.randint(*FINAL)
        rows.append(read(shown(), start, start + rng.randint(0, 400)))
    rng.shuffle(rows)
    return rows


def naive(rows):
    """The definitions of docs/checkers.md, one element at a time: counts by name."""
    adds = defaultdict(list)
    for r in rows:
        if r["f"] == "add":
            adds[r["value"]].append(r)
    reads = [
        (r["start_ns"], r["end_ns"], json.loads(r["payload"]))
        for r in rows
        if r["f"] == "read" and r["type"] == "ok"
    ]
    finals = [r for r in reads if r[0] >= FINAL[0]]
    counts = defaultdict(int)
    stale = set()
    counts["phantom"] = len({v for r in reads for v in r[2]} - set(adds))
    counts["duplicate"] = len({v for r in reads for v in r[2] if r[2].count(v) > 1})
    for value, attempts in adds.items():
        acked = min((a["end_ns"] for a in attempts if a["type"] == "ok"), default=None)
        begun = min((a["start_ns"] for a in attempts if a["type"] != "fail"), default=None)
        showing = [r for r in reads if value in r[2]]
        seen = min((r[1] for r in showing), default=None)
        known = min((t for t in (acked, seen) if t is not None), default=None)
        has = any(value in r[2] for r in finals)
        lacking = [r for r in reads if value not in r[2] and known is not None and known < r[0]]
        if begun is not None and seen is not None and seen < begun:
            counts["phantom"] += 1
        if not has and any(all(s[0] < r[0] for s in showing) for r in lacking):
            if acked is not None:
                counts["lost-write"] += 1
            elif begun is not None:
                counts["vanished"] += 1
        if has and any(r in finals for r in lacking):
            counts["diverged"] += 1
        flickers = False
        for r in lacking:
            if r not in finals and any(s[0] >= r[0] for s in showing):
                if acked is not None and acked < r[0]:
                    stale.add(reads.index(r))
                else:
                    flickers = True
        if showing if begun is None else flickers:
            counts["resurrected"] += 1
    counts["stale-read"] = len(stale)
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("seed", range(3))
def test_the_counts_equal_a_naive_checker(seed, monkeypatch):
    if seed == 2:  # reads are looked at in small portions, or alone, as only large ones are
        monkeypatch.setattr(set_history, "_PAIRS", 4)
        monkeypatch.setattr(set_history, "_ALONE", 3)
    rng = random.Random(seed)
    seen, valid = set(), 0
    for _ in range(800):
        rows = simulate(rng)
        expected = naive(rows)
        result = judge(rows)
        assert {a.name: a.count for a in result.anomalies} == expected, rows
        assert (result.verdict is Verdict.INVALID) == bool(expected)
        for anomaly in result.anomalies:
            assert anomaly.argument
            assert 1 <= len(anomaly.operations) <= 4
            assert set(anomaly.instances.tolist()) <= set(range(len(rows)))
        seen |= set(expected)
        valid += not expected
    assert len(seen) == 7
    assert valid > 20


TWELVE = [add(v, 10 * v, 10 * v + 5) for v in range(1, 13)]
ALL = list(range(1, 13))


def test_a_lost_write_is_counted_timed_and_proved():
    lossy = [v for v in ALL if v not in (4, 7, 9)]
    rows = [*TWELVE, read(lossy, 1000, 1001), read(lossy, 1005, 1010)]
    rows = [{**r, "start_ns": r["start_ns"] * 10**8, "end_ns": r["end_ns"] * 10**8} for r in rows]
    result = judge(rows, (1000 * 10**8, 2000 * 10**8))
    (lost,) = result.anomalies
    assert result.why == (
        "3 of 12 acknowledged adds are missing from every final read (25 %); "
        "first lost at 4.50 s, last at 9.50 s"
    )
    assert (lost.name, lost.count, lost.first_ns) == ("lost-write", 3, 45 * 10**8)
    assert lost.operations == (3, 12, 13)
    assert lost.to_json()["instances"] == [3, 6, 8]
    assert "process 0 added 4" in lost.argument
    assert "all 2 final reads lack 4" in lost.argument


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ([read(ALL, 1000, 1001)], {}),
        ([read([*ALL, 50], 1000, 1001)], {"phantom": 1}),
        ([read([*ALL, 3, 3], 1000, 1001)], {"duplicate": 1}),
        ([read(ALL, 1000, 1001), read(ALL[1:], 1003, 1004)], {"diverged": 1}),
        ([read([], 20, 21), read(ALL, 1000, 1001)], {"stale-read": 1}),
        ([read([], 15, 21), read(ALL, 1000, 1001)], {}),  # began as the add was acknowledged
        ([read([], 20, 21), read([1], 20, 21), read(ALL, 1000, 1001)], {"stale-read": 1}),
        ([add(20, 5, 9, "info"), read([*ALL, 20], 1000, 1001)], {}),
        ([add(20, 5, 9, "info"), read(ALL, 1000, 1001)], {}),
        ([add(20, 5, 9, "fail"), read([*ALL, 20], 1000, 1001)], {"resurrected": 1}),
        ([add(20, 0, 9, "info"), read([20], 10, 11), read(ALL, 1000, 1001)], {"vanished": 1}),
        (
            [
                add(20, 0, 9, "info"),
                read([20], 10, 11),
                read([], 12, 13),
                read([*ALL, 20], 1000, 1001),
            ],
            {"resurrected": 1},
        ),
        (
            [add(20, 500, 509), read([20, *ALL], 300, 301), read([20, *ALL], 1000, 1001)],
            {"phantom": 1},
        ),
        (  # that an earlier attempt failed explains nothing
            [
                add(20, 1, 2, "fail"),
                add(20, 500, 509),
                read([20, *ALL], 300, 301),
                read([20, *ALL], 1000, 1001),
            ],
            {"phantom": 1},
        ),
        ([read([*ALL, "1"], 1000, 1001)], {"phantom": 1}),
        ([read([*ALL, True], 1000, 1001)], {"phantom": 1}),
        ([read([*ALL, None, None], 1000, 1001)], {"phantom": 1, "duplicate": 1}),
    ],
)
def test_each_anomaly_has_its_name(extra, expected):
    result = judge([*TWELVE, *extra])
    assert {a.name: a.count for a in result.anomalies} == expected
    assert result.verdict is (Verdict.INVALID if expected else Verdict.VALID)


def test_without_a_final_read_what_later_reads_lack_is_lost_all_the_same():
    result = judge([*TWELVE[:3], read([2], 26, 27), read([2], 30, 31), *TWELVE[3:]])
    (lost,) = result.anomalies
    assert (lost.name, lost.count, lost.operations) == ("lost-write", 1, (0, 4))
    assert "the last read lacks 1" in lost.argument
    assert "missing from every later read" in result.why


def test_sets_of_several_keys_are_judged_each_for_itself():
    others = [{**r, "key": "other"} for r in [*TWELVE, read(ALL[1:], 1000, 1001)]]
    (lost,) = judge([*TWELVE, read(ALL, 1000, 1001), *others]).anomalies
    assert (lost.name, lost.operations) == ("lost-write", (13, 25))
    mixed = [add(1, 1, 2), {**add(1, 5, 9), "key": "b"}, {**read([1], 3, 4), "key": "b"}]
    (early,) = judge(mixed).anomalies
    assert (early.name, early.operations) == ("phantom", (2, 1))


def test_elements_that_are_no_integers():
    named = [{**r, "value": None, "payload": json.dumps(["x", r["value"]])} for r in TWELVE]
    shown = [["x", v] for v in ALL]
    assert judge([*named, read(shown, 1000, 1001)]).verdict is Verdict.VALID
    (lost,) = judge([*named, read(shown[1:], 1000, 1001)]).anomalies
    assert lost.claim == {
        "kind": "observed",
        "anomaly": "lost-write",
        "operations": [0, 12],
        "value": ["x", 1],
    }


def test_a_valid_verdict_claims_its_figures():
    result = judge([*TWELVE, add(20, 5, 9, "info"), read(ALL, 500, 501), read(ALL, 1000, 1001)])
    assert result.claim == {
        "kind": "figures",
        "figures": {"confirmed": 12, "missed": 0, "lost": 0, "excess": 0, "repeated": 0},
    }


def test_indeterminate_adds_that_took_effect_are_counted_not_blamed():
    rows = [*TWELVE, add(20, 5, 9, "info"), add(21, 5, 9, "info"), read([*ALL, 20], 1000, 1001)]
    assert judge(rows).why == (
        "all 12 acknowledged adds are in the final read; 1 of 2 indeterminate adds took effect"
    )


def test_what_cannot_be_decided_is_unknown_and_says_why():
    assert "no final read" in judge(TWELVE).why
    assert judge(TWELVE).verdict is Verdict.UNKNOWN
    assert judge([*TWELVE, read(ALL, 500, 501)]).verdict is Verdict.UNKNOWN
    assert judge([*TWELVE, read(ALL, 500, 501)], None).verdict is Verdict.VALID
    assert judge([*TWELVE, read([1], 16, 17)], None).verdict is Verdict.UNKNOWN
    assert judge([*TWELVE, read(ALL, 500, 501), row("read", None, 1000, 1001)]).verdict is (
        Verdict.UNKNOWN  # the final read says nothing
    )
    few = judge([*TWELVE[:3], read([1, 2, 3], 1000, 1001)])
    assert few.verdict is Verdict.UNKNOWN
    assert "too little traffic" in few.why
    assert judge([*TWELVE[:3], read([1, 2], 1000, 1001)]).verdict is Verdict.INVALID
    assert judge([]).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("payload", ["{", '{"a": 1}', "[1, 2", "[01]", "7"])
def test_a_payload_that_is_no_set_makes_it_unknown(payload):
    rows = [*TWELVE, {**read([], 1000, 1001), "payload": payload}]
    result = run_checker("set", CHECKERS, columns(rows), Context(final_ns=FINAL))
    assert result.verdict is Verdict.UNKNOWN
    assert "operation 12" in result.why


def test_a_checker_that_is_not_there_or_breaks_gives_unknown():
    missing = run_checker("no-such-property", CHECKERS, columns(TWELVE), Context())
    assert missing.verdict is Verdict.UNKNOWN
    assert ", set, " in missing.why or missing.why.endswith(", set")

    def broken(history, context):
        raise ZeroDivisionError("oops")

    result = run_checker("x", {"x": broken}, columns(TWELVE), Context())
    assert result.verdict is Verdict.UNKNOWN
    assert "ZeroDivisionError: oops" in result.why


def test_locks_and_tokens_around_a_set_say_nothing_of_it():
    """As the workload lock records it: an add carries its token and the whole list it stores."""
    rows = [
        row("acquire", 7, 0, 1, process=1),
        {**read([], 2, 3), "expected": 7},
        {**row("add", 1, 4, 5, process=1, shows=[1]), "expected": 7},
        row("release", 7, 6, 7, process=1),
        row("acquire", None, 6, 7, type="fail"),
        {**row("add", 2, 8, 9, type="fail", shows=[2]), "expected": 6},
        *(read([1], 10 + at, 11 + at) for at in range(10)),
        read([1], *FINAL),
    ]
    assert judge(rows).verdict is Verdict.VALID
    lost = judge([*rows[:-1], read([], *FINAL)])
    assert [(a.name, a.count) for a in lost.anomalies] == [("lost-write", 1)]
    back = judge([*rows[:-1], read([1, 2], *FINAL)])
    assert [a.name for a in back.anomalies] == ["resurrected"]
