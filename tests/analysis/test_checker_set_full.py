"""What becomes of elements, against a definition that looks at one element at a time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from analysis.checkers import set_history
from tests.analysis.counted_histories import Row, counts, judged

KEYS = (None, "a")


def add(value, start, end, type="ok", **more):
    return Row("add", value, start, end, type, **more)


def read(shown, start, end, type="ok", **more):
    return Row("read", shown, start, end, type, **more)


def simulate(rng):
    """Adds and whole reads of sets that lose, delay, repeat and invent."""
    rows, values = [], [1, 2, "x", [3]][: rng.randint(1, 4)]
    for value in values * rng.choice([1, 1, 2]):
        start = rng.randint(0, 40)
        kind = rng.choices(["ok", "info", "fail"], [6, 2, 1])[0]
        rows.append(add(value, start, start + rng.randint(0, 9), kind, key=rng.choice(KEYS)))
    complete = rng.choice([[0.3, 0.9, 1], [1]])
    for _ in range(rng.randint(0, 6)):
        start = rng.randint(0, 60)
        shown = [value for value in values if rng.random() < rng.choice(complete)]
        if rng.random() < 0.1 and shown:
            shown.append(rng.choice(shown))
        if rng.random() < 0.05:
            shown.append(9)
        listed = None if rng.random() < 0.05 else shown
        kind = rng.choices(["ok", "fail", "info"], [8, 1, 1])[0]
        rows.append(read(listed, start, start + rng.randint(0, 9), kind, key=rng.choice(KEYS)))
    return rows


def naive(rows):
    """Counts by name, of stale elements too, and whether anything was kept."""
    found, kept = Counter(), False
    for key in KEYS:
        adds = [r for r in rows if r.f == "add" and r.key == key]
        reads = [r for r in rows if r.f == "read" and r.key == key and r.type == "ok"]
        reads = [r for r in reads if r.value is not None]
        attempted = {str(r.value) for r in adds}
        found["phantom"] += len({str(v) for r in reads for v in r.value} - attempted)
        found["duplicate"] += len({str(v) for r in reads for v in r.value if r.value.count(v) > 1})
        for value in attempted:
            tries = [r for r in adds if str(r.value) == value]
            tried = [r.start for r in tries if r.type != "fail"]
            showing = [r for r in reads if value in map(str, r.value)]
            ends = [r.end for r in tries if r.type == "ok"] + [r.end for r in showing]
            if not tried:
                found["resurrected"] += bool(showing)
                continue
            found["phantom"] += any(r.end < min(tried) for r in showing)
            lacking = [r for r in reads if ends and min(ends) < r.start and r not in showing]
            kept |= any(min(ends) < r.start for r in showing)
            gone = any(all(s.start < r.start for s in showing) for r in lacking)
            found["lost"] += gone
            found["stale-read"] += bool(lacking) and not gone
    return +found, kept


@pytest.mark.parametrize(("pairs", "alone"), [(1 << 18, 1 << 12), (4, 2)])
def test_the_counts_equal_a_naive_checker(pairs, alone, monkeypatch):
    """Also where reads are looked at in small portions, or alone, as only large ones are."""
    monkeypatch.setattr(set_history, "_PAIRS", pairs)
    monkeypatch.setattr(set_history, "_ALONE", alone)
    rng = random.Random(pairs)
    verdicts, names = Counter(), Counter()
    for _ in range(500):
        rows = simulate(rng)
        expected, kept = naive(rows)
        strict = judged("set-full", rows, linearizable=True)
        assert counts(strict) == expected, rows
        result = judged("set-full", rows)
        del expected["stale-read"]
        assert counts(result) == expected, rows
        right = "invalid" if expected else "valid" if kept else "unknown"
        assert result.verdict == right, rows
        verdicts[right] += 1
        names.update(counts(strict))
    assert min(verdicts.values()) > 10
    assert set(names) == {"phantom", "duplicate", "resurrected", "lost", "stale-read"}


def test_an_element_shown_twice_is_found():
    """Jepsen's checker looks for frequencies below one here, and finds none."""
    rows = [add(1, 0, 1), add(2, 0, 1), read([1, 2, 1], 5, 6)]
    result = judged("set-full", rows)
    assert counts(result) == {"duplicate": 1}
    assert "shows 1 more than once" in result.anomalies[0].argument
    assert counts(judged("set-full", [add(1, 0, 1), read([1], 5, 6), read([1], 7, 8)])) == {}


@pytest.mark.parametrize(
    ("rows", "expected", "verdict"),
    [
        ([add(1, 0, 5), read([1], 6, 7)], {}, "valid"),
        ([add(1, 0, 5), read([], 5, 7)], {}, "unknown"),  # began as it was acknowledged
        ([add(1, 0, 5), read([1], 5, 7)], {}, "unknown"),  # shown, but not tested
        ([add(1, 0, 5), read([], 6, 7)], {"lost": 1}, "invalid"),
        ([add(1, 0, 5), read([], 6, 7), read([1], 6, 7)], {}, "valid"),  # begun together
        ([add(1, 0, 5), read([1], 5, 9), read([], 6, 7)], {"lost": 1}, "invalid"),
        ([add(1, 0, 5, "info"), read([], 6, 7)], {}, "unknown"),
        ([add(1, 0, 5, "info"), read([1], 6, 7), read([], 8, 9)], {"lost": 1}, "invalid"),
        ([add(1, 0, 5, "info"), read([1], 6, 8), read([], 8, 9)], {}, "unknown"),
        ([add(1, 0, 5, "fail"), read([1], 6, 7)], {"resurrected": 1}, "invalid"),
        ([add(1, 0, 5, "fail"), read([], 6, 7)], {}, "unknown"),
        ([add(1, 9, 9), read([1], 6, 8)], {"phantom": 1}, "invalid"),
        ([add(1, 8, 9), read([1], 6, 8)], {}, "unknown"),  # it may have begun just before
        ([read([1], 6, 8)], {"phantom": 1}, "invalid"),
        ([add("1", 0, 1), read([1], 6, 8)], {"phantom": 1, "lost": 1}, "invalid"),
        ([add(1, 0, 1), read([True], 6, 8)], {"phantom": 1, "lost": 1}, "invalid"),
        ([add(1, 0, 1), read([1], 6, 8, "fail")], {}, "unknown"),
        ([add(1, 0, 1), read(None, 6, 8)], {}, "unknown"),
        ([add(1, 0, 1), read([], 6, 8, error="unread: too long")], {}, "unknown"),
        ([add(1, 0, 1, key="a"), read([], 6, 8, key="b")], {}, "unknown"),
        ([], {}, "unknown"),
    ],
)
def test_by_hand(rows, expected, verdict):
    result = judged("set-full", rows)
    assert (counts(result), str(result.verdict)) == (expected, verdict)


def test_the_summary_counts_and_times_what_became_of_elements():
    ms = 1_000_000
    rows = [add(v, 0, ms) for v in (1, 2, 3, 4)]
    rows += [add(5, 100 * ms, 101 * ms), add(6, 0, ms)]
    rows += [read([1, 6], 11 * ms, 12 * ms), read([1, 2], 31 * ms, 32 * ms)]
    rows += [read([1, 2, 3], 51 * ms, 52 * ms)]
    result = judged("set-full", rows)
    assert result.why == (
        "2 lost; 3 of 6 elements stable, 2 of these stale for a while, worst 3 30 ms, 2 10 ms "
        "(until all reads showed them: median / 99 % / most 10.0 / 30.0 / 30.0 ms), "
        "2 lost (last shown after 10.0 / 10.0 / 10.0 ms), 1 acknowledged but never read after"
    )
    (lost,) = result.anomalies
    assert lost.operations == (3, 8)
    assert "process 0's add of 4 was acknowledged at 0.001 s" in lost.argument


def test_stale_elements_are_an_anomaly_only_where_reads_must_be_linearizable():
    rows = [add(1, 0, 1, "info"), read([1], 2, 3), read([], 4, 5), read([1], 6, 7)]
    result = judged("set-full", rows)
    assert result.verdict == "valid"
    assert "1 though they had been read before" in result.why
    (stale,) = judged("set-full", rows, linearizable=True).anomalies
    assert (stale.name, stale.operations) == ("stale-read", (1, 2, 3))


def test_too_little_traffic_is_unknown():
    rows = [add(1, 0, 1), read([1], 2, 3)]
    result = judged("set-full", rows, enough=10)
    assert result.verdict == "unknown"
    assert "too little traffic" in result.why
