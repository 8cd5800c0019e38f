"""Bounds on how stale reads are, against definitions that look at all writes of each read."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from analysis.checkers.base import Context
from analysis.checkers.counting import Case
from analysis.checkers.replacements import _count_below
from analysis.checkers.staleness import PROPERTY, _Looks
from tests.analysis.counted_histories import Row, counts, judged
from tests.truth.rows import history

KEYS = (None, "a")
NEVER = 10**9


def write(value, start, end, type="ok", **more):
    return Row("write", value, start, end, type, **more)


def cas(expected, value, start, end, type="ok", **more):
    return Row("cas", value, start, end, type, expected=expected, **more)


def read(value, start, end, type="ok", **more):
    return Row("read", value, start, end, type, **more)


def simulate(rng):
    """A register that answers with old values; sometimes one is written twice."""
    rows = []
    values = rng.sample([1, 2, 3, 4, "x", None, 0], 5) if rng.random() < 0.8 else [1, 1, 2]
    for value in values[: rng.randint(1, 5)]:
        start = rng.randint(0, 40)
        end = start + rng.randint(0, 9)
        kind = rng.choices(["ok", "info", "fail"], [7, 2, 1])[0]
        key = rng.choice(KEYS)
        row = write(value, start, end, kind, key=key)
        if rng.random() < 0.3:
            row = cas(rng.choice([*values, None]), value, start, end, kind, key=key)
        rows.append(row)
    honest = rng.random() < 0.5
    for _ in range(rng.randint(0, 5)):
        start, key = rng.randint(0, 60), rng.choice(KEYS)
        value = rng.choice([*values, None, 99 if rng.random() < 0.1 else 1])
        past = [u for u in rows if (u.key, u.type) == (key, "ok") and u.f != "read"]
        past = [u for u in past if u.start <= start]
        if honest and past:
            value = max(past, key=lambda u: u.start).value
        elif honest:
            value = None
        rows.append(read(value, start, start + rng.randint(0, 9), key=key))
    return rows


def looked(r):
    return r.expected if r.f == "cas" else r.value


def lags(rows, initial):
    """Of each stale observation: (row, how long it is behind, how many versions)."""
    found = {}
    for at, r in enumerate(rows):
        if r.type != "ok" or r.f == "write":
            continue
        part = [o for o in rows if o.key == r.key and o.type != "fail"]
        puts = [o for o in part if o.f != "read"]
        v = looked(r)
        writers = [u for u in puts if u.value == v]
        if len(writers) > (v != initial):
            continue

        def known(value, told=tuple(o for o in part if o.type == "ok")):
            return min(
                (o.end for o in told if (o.f != "read" and o.value == value)
                 or (o.f != "write" and looked(o) == value)),
                default=NEVER,
            )  # fmt: skip

        def done(u, part=tuple(part), puts=tuple(puts), known=known):
            own = u.end if u.type == "ok" else NEVER
            sole = u.value != initial and sum(o.value == u.value for o in puts) == 1
            shown = [o.end for o in part if o.type == "ok" and o.f != "write"
                     and looked(o) == u.value]  # fmt: skip
            return min([own, *shown]) if sole else own

        since = -1 if v == initial else known(v)
        if v != initial and writers and writers[0].start > since:
            continue  # seen before it was written
        after = [u for u in puts if u.value != v and u.start > since]
        swaps = [u for u in puts if u.f == "cas" and u.expected == v and u.value != v]
        times = [done(u) for u in after + swaps if done(u) < r.start]
        if times:
            behind = sum(done(u) < r.start for u in after)
            found[at] = (r.start - min(times), max(1, behind))
    return found


@pytest.mark.parametrize(("seed", "initial"), [(1, None), (2, 0), (3, "x")])
def test_bounds_equal_a_naive_checker(seed, initial):
    rng = random.Random(seed)
    verdicts = Counter()
    for _ in range(500):
        rows = simulate(rng)
        expected = lags(rows, initial)
        looks = _Looks(Case(property=PROPERTY, history=history(rows),
                            context=Context(initial=initial)))  # fmt: skip
        places = looks.row[looks.late].tolist()
        measured = zip(looks.lags().tolist(), looks.behind().tolist(), strict=True)
        assert dict(zip(places, measured, strict=True)) == expected, rows
        result = judged("staleness", rows, initial=initial)
        assert counts(result).get("stale-read", 0) == len(expected)
        verdicts[str(result.verdict)] += 1
    assert min(verdicts.values()) > 10


@pytest.mark.parametrize(
    ("rows", "expected", "verdict"),
    [
        ([write(1, 0, 1), write(2, 2, 3), read(2, 4, 5)], {}, "valid"),
        ([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)], {"stale-read": 1}, "invalid"),
        ([write(1, 0, 1), write(2, 2, 3), read(1, 3, 5)], {}, "valid"),  # touching
        ([write(1, 0, 2), write(2, 2, 3), read(1, 4, 5)], {}, "valid"),  # either may be the later
        ([write(1, 0, 1), read(None, 2, 3)], {"stale-read": 1}, "invalid"),
        ([write(1, 0, 1, "info"), read(None, 2, 3)], {}, "unknown"),
        ([write(1, 0, 1, "info"), read(1, 2, 3), read(None, 4, 5)], {"stale-read": 1}, "invalid"),
        ([write(1, 0, 1), write(2, 2, 3, "info"), read(1, 9, 9)], {}, "valid"),
        ([write(1, 0, 1), write(2, 2, 3, "info"), read(2, 4, 5), read(1, 9, 9)],
         {"stale-read": 1}, "invalid"),
        ([write(1, 0, 1), write(2, 2, 3, "fail"), read(1, 9, 9)], {}, "valid"),
        ([write(1, 0, 1), write(2, 2, 3, "fail"), read(2, 9, 9)], {"aborted-read": 1}, "invalid"),
        ([write(1, 0, 1), read(7, 9, 9)], {"thin-air-read": 1}, "invalid"),
        ([write(1, 5, 6), read(1, 3, 4)], {"future-read": 1}, "invalid"),
        ([write(1, 4, 6), read(1, 3, 4)], {}, "unknown"),  # nothing was known before
        ([write(1, 0, 9, "info"), cas(1, 2, 3, 5), read(1, 6, 7)], {"stale-read": 1}, "invalid"),
        ([write(1, 0, 5), cas(1, 2, 3, 8), read(1, 9, 9)], {"stale-read": 1}, "invalid"),
        ([write(1, 0, 5), cas(1, 2, 3, 8, "info"), read(1, 9, 9)], {}, "valid"),
        ([write(1, 0, 1), write(2, 2, 3), cas(1, 4, 6, 7)], {"stale-read": 1}, "invalid"),
        ([write(1, 0, 1), write(1, 2, 3), read(1, 9, 9)], {}, "unknown"),
        ([write(1, 0, 1), write(1, 2, 3), read(None, 9, 9)], {"stale-read": 1}, "invalid"),
        ([write(None, 0, 1), read(None, 9, 9)], {}, "unknown"),
        ([write(1, 0, 1), read(1, 2, 3, "info")], {}, "unknown"),
        ([write(1, 0, 1), read(None, 2, 3, key="a")], {}, "unknown"),
        ([], {}, "unknown"),
    ],
)  # fmt: skip
def test_by_hand(rows, expected, verdict):
    result = judged("staleness", rows)
    assert (counts(result), str(result.verdict)) == (expected, verdict)


def test_how_stale_is_said_in_time_and_versions():
    ms = 1_000_000
    rows = [write(n, 10 * n * ms, (10 * n + 1) * ms, process=n) for n in range(1, 6)]
    rows += [
        read(2, 60 * ms, 61 * ms, process=9),
        read(4, 70 * ms, 71 * ms),
        read(5, 80 * ms, 81 * ms),
    ]
    result = judged("staleness", rows)
    (stale,) = result.anomalies
    assert result.why == (
        "2 stale reads among 3 acknowledged observations; they are at least 29.0 / 29.0 / 29.0 ms "
        "behind (median / 99 % / most), and at least 3 (median) to 3 versions"
    )
    assert stale.operations == (1, 2, 5)
    assert stale.argument == (
        "process 9 read 2 from the register between 0.060 s and 0.061 s, although process 2's "
        "write of 2 had completed at 0.021 s, then process 3's write of 3 had completed at "
        "0.031 s: 2 was replaced at least 29 ms and 3 versions before that began"
    )


def test_a_value_written_twice_is_named():
    result = judged("staleness", [write("x", 0, 1), write("x", 2, 3), read("x", 4, 5)])
    assert result.why == 'written values must be unique per key, but "x" was written more than once'


def test_counts_below_limits_equal_plain_counts():
    rng = np.random.default_rng(1)
    for size in (0, 1, 2, 3, 8, 33):
        values = rng.integers(0, 20, size)
        begins, limits = rng.integers(0, size + 1, 50), rng.integers(-1, 22, 50)
        expected = [
            int((values[b:] < limit).sum()) for b, limit in zip(begins, limits, strict=True)
        ]
        assert _count_below(values, begins, limits).tolist() == expected
