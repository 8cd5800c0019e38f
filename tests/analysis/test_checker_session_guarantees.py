"""The four guarantees of a session, one history for each, and what is just not one."""

from __future__ import annotations

import random

import numpy as np
import pytest

from analysis.checkers import sessions
from analysis.checkers.base import Meter
from analysis.checkers.replacements import read_registers
from analysis.values import coded
from tests.analysis.certified import invalid
from tests.analysis.counted_histories import Row, counts, judged
from tests.truth.rows import history

NAME = "session-guarantees"


def write(value, start, end, process, key="x", **more):
    return Row("write", value, start, end, process=process, key=key, **more)


def read(value, start, end, process, key="x", **more):
    return Row("read", value, start, end, process=process, key=key, **more)


OLD = write(7, 0, 5, 9)
BROKEN = {
    "read-your-writes": [OLD, write(1, 10, 15, 0), read(7, 20, 25, 0)],
    "monotonic-reads": [OLD, write(1, 10, 15, 0), read(1, 16, 18, 1), read(7, 20, 25, 1)],
    "monotonic-writes": [
        *(OLD, write(1, 10, 15, 0), write(2, 20, 25, 0, "y")),
        *(read(2, 30, 35, 1, "y"), read(7, 40, 45, 1)),
    ],
    "writes-follow-reads": [
        *(OLD, write(1, 10, 15, 0), read(1, 16, 18, 2), write(2, 20, 25, 2, "y")),
        *(read(2, 30, 35, 1, "y"), read(7, 40, 45, 1)),
    ],
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_has_its_name(name):
    rows = BROKEN[name]
    result = judged(NAME, rows)
    assert counts(result) == {name: 1}
    (anomaly,) = result.anomalies
    assert anomaly.operations == tuple(range(len(rows)))
    assert anomaly.instances.tolist() == [len(rows) - 1]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("change", ["another process", "not ok", "earlier", "the new value"])
def test_what_is_nearly_the_same_is_allowed(name, change):
    rows = list(BROKEN[name])
    if change == "another process":
        rows[-1] = rows[-1]._replace(process=77)
    elif change == "not ok":
        rows[-1] = rows[-1]._replace(type="info", value=None)
    elif change == "earlier":  # the old value may have come after the new one
        rows[0] = rows[0]._replace(start=5, end=12)
        rows[-1] = rows[-1]._replace(value=7)
    else:
        rows[-1] = rows[-1]._replace(value=1)
    rows.sort(key=lambda row: row.end)
    assert counts(judged(NAME, rows)) == {}


def test_the_argument_is_told_in_words():
    (anomaly,) = judged(NAME, BROKEN["writes-follow-reads"]).anomalies
    assert anomaly.argument == (
        "process 1 read 7 from x between 0.000000040 s and 0.000000045 s, although process 2 had "
        "found 1 in x by 0.000000018 s, then began its write of 2 to y, and that was seen by "
        "process 1 itself by 0.000000035 s; process 9's write of 7 had completed at 0.000000005 s, "
        "before process 0's write of 1 began at 0.000000010 s"
    )


def test_a_swap_takes_the_place_of_what_it_expects():
    swap = Row("cas", 1, 0, 20, process=0, key="x", expected=7)
    rows = [write(7, 0, 19, 9), swap, read(7, 20, 25, 0)]
    assert counts(judged(NAME, rows)) == {"read-your-writes": 1}


def test_the_initial_value_is_older_than_any_write():
    rows = [write(1, 0, 5, 0), read(0, 5, 9, 0)]
    result = judged(NAME, rows, initial=0)
    assert counts(result) == {"read-your-writes": 1}
    assert "0 is the initial value, older than any write" in result.anomalies[0].argument
    assert judged(NAME, rows[::-1], initial=0).verdict == "invalid"


def test_values_written_twice_are_unknown():
    rows = [write(1, 0, 5, 0), write(1, 6, 9, 1), read(1, 10, 15, 0)]
    result = judged(NAME, rows)
    assert result.verdict == "unknown"
    assert "1 was written more than once" in result.why


def test_a_claim_with_a_role_left_out_is_refused():
    for name, rows in BROKEN.items():
        whole = list(range(len(rows)))
        claim = {"kind": "observed", "anomaly": name, "operations": whole}
        assert invalid(NAME, claim, rows) is None
        for at in whole:
            less = [*whole[:at], *whole[at + 1 :]]
            assert invalid(NAME, {**claim, "operations": less}, rows)
        for other in BROKEN.keys() - {name}:
            assert invalid(NAME, {**claim, "anomaly": other}, rows)


def test_machine_code_and_python_agree(monkeypatch):
    rng = random.Random(2)
    rows, last = [], {}
    for at in range(6_000):
        key, process = rng.choice("xyz"), rng.randrange(6)
        if rng.random() < 0.4:
            last.setdefault(key, [None]).append(at)
            rows.append(write(at, 3 * at, 3 * at + rng.randint(0, 2), process, key))
        else:
            past = last.get(key, [None])
            value = past[-1] if rng.random() < 0.99 else rng.choice(past[-9:])
            rows.append(read(value, 3 * at, 3 * at + rng.randint(0, 2), process, key))
    given = history(rows)
    registers = read_registers(given, coded(given))
    monkeypatch.setattr(sessions, "compiled", lambda kernel, _: kernel)
    plain = sessions.read_sessions(given, registers, Meter())
    monkeypatch.undo()
    monkeypatch.setattr("analysis.checkers.compiled.COLD_FROM", 1)
    fast = sessions.read_sessions(given, registers, Meter())
    monkeypatch.setattr(sessions, "compiled", lambda kernel, _: None)
    lists = sessions.read_sessions(given, registers, Meter())
    for other in (fast, lists):
        assert np.array_equal(plain.broken, other.broken)
        assert plain.compared == other.compared > 3_000
    assert {1, 2} <= set(np.unique(plain.broken).tolist())
    assert judged(NAME, rows).verdict == "invalid"


def test_a_budget_that_runs_out_is_named():
    rows = [write(n, 4 * n, 4 * n + 1, n % 2) for n in range(40)]
    rows += [read(39, 200 + 2 * n, 201 + 2 * n, 5 + n) for n in range(40)]
    rows += [read(39, 400, 401, 5)]
    given = history(rows)
    registers = read_registers(given, coded(given))
    stopped = sessions.read_sessions(given, registers, Meter(0)).stopped
    assert "the budget of 0 steps ran out" in str(stopped)
    assert judged(NAME, rows).verdict == "valid"
