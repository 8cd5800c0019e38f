"""Certain holdings and tokens, against definitions that look at two operations at a time."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations

import pyarrow as pa
import pytest

from analysis.checkers.base import Context
from analysis.checkers.lock import check
from analysis.history import read_history
from tests.analysis.counted_histories import Row, counts, judged
from tests.truth.rows import table


def acquire(process, start, end, type="ok", token=None, **more):
    return Row("acquire", token, start, end, type, process, **more)


def release(process, start, end, type="ok", **more):
    return Row("release", None, start, end, type, process, **more)


def guarded(token, start, end, type="ok", **more):
    return Row("guarded", token, start, end, type, **more)


def simulate(rng):
    """Processes that acquire and release in turns, some of them at odds with that."""
    rows, token = [], 0
    for process in range(rng.randint(1, 3)):
        now = rng.randint(0, 10)
        for _ in range(rng.randint(1, 5)):
            f = rng.choice(["acquire", "acquire", "release", "guarded"])
            end = now + rng.randint(0, 4)
            kind = rng.choices(["ok", "info", "fail"], [8, 1, 1])[0]
            token = rng.choice([token + 1, token + 1, token + 1, token, token - 1])
            carried = {"acquire": rng.choice([None, token]), "guarded": token}.get(f)
            key = rng.choice([None, None, "a"])
            rows.append(Row(f, carried, now, end, kind, process, key))
            now = end + rng.choice([0, 1, 6]) - rng.choice([0, 0, 0, 0, 3])
    return rows


def until(a, rows):
    """When the holding of an acquire may have ended."""
    ends = [10**6]
    for r in rows:
        if r.f == "release" and (r.process, r.key) == (a.process, a.key) and r.type != "fail":
            before = r.type == "ok" and r.start < a.start and r.end <= a.start
            ends += [] if before else [r.start]
    return min(ends)


def naive(rows):
    """Whether each anomaly is there."""
    names = set()
    for a, b in permutations([r for r in rows if r.type == "ok"], 2):
        if a.key != b.key or a.f != b.f:
            continue
        if a.f == "acquire":
            overlap = max(a.end, b.end) < min(until(a, rows), until(b, rows))
            names |= {"two-holders"} if a.process != b.process and overlap else set()
            names |= {"token-reused"} if a.value is not None and a.value == b.value else set()
        if a.f != "release" and a.value is not None and b.value is not None:
            name = "token-backwards" if a.f == "acquire" else "stale-token"
            names |= {name} if a.end < b.start and b.value < a.value else set()
    return names


@pytest.mark.parametrize("seed", range(2))
def test_anomalies_equal_a_naive_checker(seed):
    rng = random.Random(seed)
    verdicts, names = Counter(), Counter()
    for _ in range(700):
        rows = simulate(rng)
        expected = naive(rows)
        result = judged("lock", rows)
        assert set(counts(result)) == expected, rows
        rivals = any(
            len({r.process for r in rows if (r.f, r.key, r.type) == ("acquire", key, "ok")}) > 1
            or sum((r.f, r.key, r.type) == ("guarded", key, "ok") for r in rows) > 1
            for key in (None, "a")
        )
        assert result.verdict == ("invalid" if expected else "valid" if rivals else "unknown")
        verdicts[str(result.verdict)] += 1
        names.update(expected)
    assert min(verdicts.values()) > 30
    assert min(names.values()) > 20
    assert len(names) == 4


FIRST = acquire(1, 0, 5)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([FIRST, release(1, 6, 7), acquire(2, 8, 9)], "valid"),
        ([FIRST, release(1, 6, 7), acquire(2, 3, 6)], "valid"),  # granted as it was set free
        ([FIRST, release(1, 7, 8), acquire(2, 3, 6)], "invalid"),
        ([FIRST, release(1, 6, 9, "info"), acquire(2, 7, 8)], "valid"),
        ([FIRST, release(1, 6, 7, "fail"), acquire(2, 8, 9)], "invalid"),
        ([FIRST, acquire(2, 8, 9)], "invalid"),  # never released
        ([FIRST, acquire(2, 0, 3)], "invalid"),
        ([FIRST, acquire(2, 8, 9, "info")], "unknown"),
        ([FIRST, acquire(2, 8, 9, "fail")], "unknown"),
        ([acquire(1, 0, 5, "info"), acquire(2, 8, 9)], "unknown"),
        ([FIRST, acquire(1, 8, 9)], "unknown"),  # nobody competes
        ([FIRST, acquire(1, 8, 9), release(1, 10, 11), acquire(2, 12, 13)], "valid"),
        ([FIRST, acquire(1, 8, 9), release(1, 10, 11), acquire(2, 6, 7)], "invalid"),
        ([FIRST, release(2, 6, 7), acquire(2, 8, 9)], "invalid"),  # another's release
        ([FIRST, release(1, 6, 7, key="a"), acquire(2, 8, 9)], "invalid"),
        ([FIRST, acquire(2, 8, 9, key="a")], "unknown"),
        ([release(1, 0, 1, "info"), acquire(1, 2, 3), acquire(2, 4, 5)], "valid"),
        ([release(1, 0, 1), acquire(1, 2, 3), acquire(2, 4, 5)], "invalid"),
        ([release(1, 0, 4), acquire(1, 2, 3), acquire(2, 5, 6)], "valid"),  # they overlap
        ([release(1, 0, 2), acquire(1, 2, 3), acquire(2, 4, 5)], "invalid"),
        ([release(1, 2, 2), acquire(1, 2, 2), acquire(2, 4, 5)], "valid"),  # at one moment
        ([FIRST, release(1, 5, 6), acquire(2, 2, 3), release(2, 9, 9)], "valid"),  # no time at all
        ([], "unknown"),
    ],
)
def test_holdings_by_hand(rows, verdict):
    result = judged("lock", rows)
    assert str(result.verdict) == verdict
    assert counts(result) == ({"two-holders": 1} if verdict == "invalid" else {})


@pytest.mark.parametrize(
    ("rows", "expected", "verdict"),
    [
        ([guarded(1, 0, 1), guarded(2, 2, 3)], {}, "valid"),
        ([guarded(1, 0, 1), guarded(1, 2, 3)], {}, "valid"),  # a holder may write twice
        ([guarded(2, 0, 1), guarded(1, 2, 3)], {"stale-token": 1}, "invalid"),
        ([guarded(2, 0, 2), guarded(1, 2, 3)], {}, "valid"),  # touching
        ([guarded(2, 0, 1, "info"), guarded(1, 2, 3), guarded(1, 2, 3)], {}, "valid"),
        ([guarded(2, 0, 1), guarded(1, 2, 3, "fail")], {}, "unknown"),
        ([guarded(2, 0, 1), guarded(1, 2, 3, key="a")], {}, "unknown"),
        ([guarded(None, 0, 1), guarded(1, 2, 3)], {}, "unknown"),
        ([guarded(3, 0, 1), guarded(1, 2, 3), guarded(2, 2, 3)], {"stale-token": 2}, "invalid"),
    ],
)
def test_guarded_writes_by_hand(rows, expected, verdict):
    result = judged("lock", rows)
    assert (counts(result), str(result.verdict)) == (expected, verdict)


def test_tokens_by_hand():
    def turns(*tokens):
        rows = []
        for n, token in enumerate(tokens):
            rows += [
                acquire(n, 10 * n, 10 * n + 1, token=token),
                release(n, 10 * n + 2, 10 * n + 3),
            ]
        return judged("lock", rows)

    assert turns(1, 2, 5).verdict == "valid"
    assert counts(turns(1, 2, 2)) == {"token-reused": 1}
    assert counts(turns(5, 2, 6)) == {"token-backwards": 1}
    assert counts(turns("b", "a", "b")) == {"token-reused": 1}
    assert turns("b", "a").verdict == "valid"
    assert turns(1, None, 2).verdict == "valid"
    assert counts(turns(2**70, 2**71, 3)) == {"token-backwards": 1}
    assert turns(3, 2**70, "x", 2**71).verdict == "valid"


def test_tokens_that_stand_in_payloads():
    rows = [guarded(2, 0, 1), guarded(1, 2, 3), guarded(3, 4, 5)]
    whole = table(rows)
    texts = pa.array([str(row.value) for row in rows], pa.string())
    whole = whole.set_column(whole.schema.get_field_index("payload"), "payload", texts)
    nulls = pa.nulls(len(rows), pa.int64())
    whole = whole.set_column(whole.schema.get_field_index("value"), "value", nulls)
    assert counts(check(read_history(whole), Context(enough=1))) == {"stale-token": 1}


def test_both_holders_are_named():
    rows = [acquire(1, 0, 5, key="L"), acquire(2, 8, 9, key="L"), release(1, 20, 21, key="L")]
    result = judged("lock", rows)
    (two,) = result.anomalies
    assert two.operations == (0, 1)
    assert two.argument == (
        "process 1 had acquired L at 0.000000005 s, and process 2 at 0.000000009 s, "
        "when neither had begun to release it"
    )
    assert result.why == "1 two-holders among 2 acquires"


def test_times_that_are_far_apart():
    far = 2**61
    rows = [FIRST, release(1, far, far + 1), acquire(2, far + 2, far + 3)]
    rows += [r._replace(key="a") for r in rows]
    assert judged("lock", rows).verdict == "valid"
    rows += [acquire(3, far - 1, far - 1, key="a")]
    assert counts(judged("lock", rows)) == {"two-holders": 2}
