"""What nodes show in the end."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.analysis.counted_histories import Row, counts, judged

FINAL = (100, 200)


def write(value, start, end, type="ok", **more):
    return Row("write", value, start, end, type, **more)


def add(value, start, end, type="ok", **more):
    return Row("add", value, start, end, type, **more)


def read(value, node, start, end=None, type="ok", **more):
    return Row("read", value, start, end or start, type, node=node, **more)


def naive(rows, final):
    """(keys that differ, whether any key was compared)."""
    differ, compared = 0, False
    for key in {r.key for r in rows}:
        part = [r for r in rows if r.key == key]
        over = max((r.end for r in part if r.f != "read" and r.type != "fail"), default=-1)
        last = {}
        for r in sorted(part, key=lambda r: r.start):  # stable: of several the upper comes first
            late = r.start > over and (final is None or r.start >= final[0])
            if r.f == "read" and r.type == "ok" and r.node and late:
                last[r.node] = repr(r.value)
        differ += len(set(last.values())) > 1
        compared |= len(last) > 1 and any(r.f != "read" and r.type == "ok" for r in part)
    return differ, compared


@pytest.mark.parametrize("final", [None, FINAL])
def test_the_counts_equal_a_naive_checker(final):
    rng = random.Random(1)
    verdicts = Counter()
    for _ in range(700):
        rows = []
        for _ in range(rng.randint(0, 3)):
            start = rng.randint(0, 60)
            kind = rng.choices(["ok", "info", "fail"], [6, 1, 1])[0]
            key = rng.choice([None, "a"])
            rows.append(write(rng.randint(1, 3), start, start + rng.randint(0, 9), kind, key=key))
        for _ in range(rng.randint(0, 8)):
            node = rng.choice(["n1", "n2", "n3", "", None])
            shown = rng.choice([*[1] * 16, "1", None, [1, 2], {"a": 1}])
            kind = rng.choices(["ok", "info", "fail"], [8, 1, 1])[0]
            key = rng.choice([None, "a"])
            rows.append(read(shown, node, rng.randint(50, 190), 200, kind, key=key))
        rng.shuffle(rows)
        differ, compared = naive(rows, final)
        result = judged("convergence", rows, final_ns=final)
        assert counts(result) == ({"diverged": differ} if differ else {}), rows
        assert result.verdict == ("invalid" if differ else "valid" if compared else "unknown")
        verdicts[str(result.verdict)] += 1
    assert min(verdicts.values()) > 15


W = write(1, 0, 5)


@pytest.mark.parametrize(
    ("rows", "verdict", "words"),
    [
        ([W, read(1, "n1", 6), read(1, "n2", 7)], "valid", "2 nodes agree about 1 key"),
        ([W, read(1, "n1", 6), read(2, "n2", 7)], "invalid", "n1 shows 1; n2 shows 2"),
        ([W, read(1, "n1", 6), read(None, "n2", 7)], "invalid", "n2 shows nothing"),
        ([W, read(1, "n1", 6), read("1", "n2", 7)], "invalid", 'n2 shows "1"'),
        ([W, read(0, "n1", 6), read(1, "n1", 8), read(1, "n2", 7)], "valid", "agree"),  # in the end
        ([W, read(0, "n1", 5), read(1, "n2", 7)], "unknown", "only n2 was read"),  # touching
        ([W, read(1, "n1", 6), read(1, "n1", 7)], "unknown", "only n1 was read"),
        ([W, read(1, "n1", 6), read(1, None, 7), read(2, "", 7)], "unknown", "only n1"),
        ([W, read(1, "n1", 6), read(2, "n2", 7, 8, "info")], "unknown", "only n1"),
        ([W, read(1, "n1", 6), read(1, "n2", 7, key="b")], "unknown", "no key was read on two"),
        ([W], "unknown", "no node was read"),
        ([read(1, "n1", 6), read(1, "n2", 7)], "unknown", "nothing was written"),
        ([read(1, "n1", 6), read(2, "n2", 7)], "invalid", "1 of 1 key differ"),
        ([write(1, 0, 5, "fail"), read(1, "n1", 6), read(1, "n2", 7)], "unknown", "nothing"),
        ([write(1, 0, 9, "info"), W, read(1, "n1", 8), read(2, "n2", 8)], "unknown", "no node"),
        ([W, read(1, "n1", 6), read(1, "n2", 7), write(2, 8, 9, "fail")], "valid", "agree"),
        ([], "unknown", "no node was read"),
    ],
)
def test_by_hand(rows, verdict, words):
    result = judged("convergence", rows)
    assert str(result.verdict) == verdict
    assert words in result.why


def test_reads_before_the_final_phase_do_not_count():
    rows = [W, read(2, "n1", 50), read(1, "n1", 100), read(1, "n2", 101)]
    assert judged("convergence", rows, final_ns=FINAL).verdict == "valid"
    assert judged("convergence", rows[:-2], final_ns=FINAL).verdict == "unknown"


def test_sets_are_compared_without_order_and_lists_with():
    rows = [read([1, 2], "n1", 9), read([2, 1], "n2", 9)]
    assert judged("convergence", [add(1, 0, 1), *rows]).verdict == "valid"
    assert judged("convergence", [W, *rows]).verdict == "invalid"
    twice = [read([1, 2, 2], "n1", 9), read([2, 1, 1], "n2", 9)]
    assert judged("convergence", [add(1, 0, 1), *twice]).verdict == "invalid"


def test_camps_are_named_the_largest_first():
    rows = [W, read(2, "n1", 6), read(1, "n2", 7), read(1, "n3", 8)]
    rows = [r._replace(key="k") for r in rows]
    result = judged("convergence", rows)
    (anomaly,) = result.anomalies
    assert anomaly.argument == "in the end of k n2 and n3 show 1; n1 shows 2"
    assert result.why == f"1 of 1 key differ: {anomaly.argument}"


def test_nodes_that_were_not_read_in_the_end_are_named():
    rows = [W, read(1, "n3", 2), read(1, "n1", 6), read(1, "n2", 7)]
    assert judged("convergence", rows).why == ("2 nodes agree about 1 key; not read in the end: n3")
