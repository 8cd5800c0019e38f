"""Sequential consistency against brute force, each rule by hand, and both ways of saturating."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import orjson
import pyarrow as pa
import pytest

from analysis.checkers import saturation, sequential
from analysis.checkers.base import CheckResult, Context, Meter, Verdict, run_checker
from analysis.checkers.chains import chains
from analysis.checkers.precedence import blocks_of
from analysis.checkers.programs import prepare
from analysis.checkers.saturation import Bits, adjacency, saturate, sorted_nodes
from analysis.history import read_history
from chaos.record.schema import HISTORY


def row(f, value, start, end, *, process=0, expected=None, type="ok", key="x", payload=None):
    return {
        "process": process,
        "node": "n1",
        "zone": "a",
        "f": f,
        "key": key,
        "value": value,
        "expected": expected,
        "payload": payload,
        "type": type,
        "error": None if type == "ok" else "timeout: no answer",
        "start_ns": start,
        "end_ns": end,
    }


def history_of(rows):
    return read_history(pa.Table.from_pylist(rows, schema=HISTORY))


def judge(rows, **context) -> CheckResult:
    return sequential.check(history_of(rows), Context(enough=1, **context))


def programs_of(text):
    """Processes as lines, a moment each: `w x 1 | r y 2 | c x 1 2`; `?` after f: no answer."""
    rows = []
    for process, line in enumerate(text.strip().splitlines()):
        for moment, part in enumerate(filter(None, (p.split() for p in line.split("|")))):
            f, key, *values = part
            numbers = [None if v == "-" else int(v) for v in values]
            rows.append(
                row(
                    {"w": "write", "r": "read", "c": "cas"}[f[0]],
                    numbers[-1],
                    10 * moment,
                    10 * moment + 5,
                    process=process,
                    key=key,
                    expected=numbers[0] if f[0] == "c" else None,
                    type="info" if f.endswith("?") else "ok",
                )
            )
    return rows


def named(text):
    return {anomaly.name: anomaly.count for anomaly in judge(programs_of(text)).anomalies}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w x 1 | w x 2 \n r x - | r x 1 | r x 2", {}),
        ("w x 1 | w x 2 | r x 1", {"stale-read": 1}),
        ("w x 1 | w x 2 \n r x 2 | r x 1", {"stale-read": 1}),
        ("w x 1 | r x -", {"stale-read": 1}),
        ("w x 1 \n | | | | r x - | r x 1", {}),  # late, but nobody can tell
        ("r x 1 | w x 1", {"future-read": 1}),
        ("r x 1 | w y 1 \n r y 1 | w x 1", {"future-read": 2}),
        ("w? x 1 \n r x 1", {}),
        ("w? x 1 \n r x 1 | r x -", {"stale-read": 1}),
        ("r x 7", {"thin-air-read": 1}),
        ("c x 7 8", {"thin-air-read": 1}),
        ("c? x 7 8", {}),  # it need not have happened
        ("c? x 7 8 \n r x 8", {"thin-air-read": 1}),  # it has
        ("w x 1 \n c x 1 2 \n c x 1 3", {"lost-update": 1}),
        ("w x 1 \n c x 1 2 \n c? x 1 3", {}),
        ("c x 2 1 \n c x 1 2", {"future-read": 2}),
        ("w x 1 | r y - \n w y 1 | r x -", {"non-sequential": 1}),  # Dekker 1965
        ("w x 1 | r y - \n w y 1 | r x 1", {}),
        # Two writers, two readers who disagree: causal, but no one order.
        ("w x 1 \n w x 2 \n r x 1 | r x 2 \n r x 2 | r x 1", {"non-sequential": 1}),
        ("w x 1 \n w y 1 \n r x 1 | r y - \n r y 1 | r x -", {"non-sequential": 1}),
        ("w x 1 | c x 1 2 | r y - \n w y 1 | r x 1", {"non-sequential": 1}),
        ("w x 1 | c x 1 2 | r y - \n w y 1 | r x 2", {}),
        # Values written twice: only a search can say.
        ("w x 1 | w x 2 | w x 1 | r x 1 | r x 1", {}),
        ("w x 1 | w x 1 \n w x 2 | r x 1 | r x 2", {"non-sequential": 1}),
        ("w x 1 | w? x 1 \n w x 2 | r x 1 | w x 3 | r x 1", {}),
        ("w x 1 | w x 1 \n w x 2 | r x 1 | w x 3 | r x 1 | w x 4 | r x 1", {"non-sequential": 1}),
    ],
)
def test_rules(text, expected):
    assert named(text) == expected
    accepted(programs_of(text))


def test_a_failed_write_that_was_read():
    rows = [row("write", 1, 0, 1, type="fail"), row("read", 1, 2, 3, process=1)]
    assert [a.name for a in judge(rows).anomalies] == ["aborted-read"]
    accepted(rows)


def test_values_that_are_no_integers_and_an_initial_value():
    rows = [
        row("read", None, 0, 1, payload='"old"'),
        row("cas", None, 2, 3, payload='["old", {"a": 1}]'),
        row("read", None, 4, 5, payload='{"a": 1}'),
    ]
    assert judge(rows, initial="old").verdict is Verdict.VALID
    assert [a.name for a in judge(rows).anomalies] == ["thin-air-read"]
    stale = [*rows, row("read", None, 6, 7, payload='"old"')]
    assert [a.name for a in judge(stale, initial="old").anomalies] == ["stale-read"]


def test_too_little_to_say():
    assert judge([]).verdict is Verdict.UNKNOWN
    assert judge([row("write", 1, 0, 1)]).verdict is Verdict.UNKNOWN
    few = sequential.check(history_of([row("read", None, 0, 1)]), Context())
    assert few.verdict is Verdict.UNKNOWN
    assert "too little" in few.why


def test_the_argument_names_operations_and_keys():
    anomaly = judge(programs_of("w x 1 | r y - \n w y 1 | r x -")).anomalies[0]
    assert anomaly.argument == (
        "no order explains these: process 0's write of 1 (x) came before process 0's read of "
        "nothing (y); process 0's read of nothing (y) saw the initial value; so process 0's read "
        "of nothing (y) must come before process 1's write of 1 (y); process 1's write of 1 (y) "
        "came before process 1's read of nothing (x); process 1's read of nothing (x) saw the "
        "initial value; so process 1's read of nothing (x) must come before process 0's write of "
        "1 (x); so process 0's write of 1 (x) would come before itself"
    )
    assert sorted(anomaly.operations) == [0, 1, 2, 3]


def brute_force(rows):
    """Every order that keeps process order, memoised."""
    ops = [r for r in rows if r["type"] == "ok" or (r["type"] == "info" and r["f"] != "read")]
    must = sum(1 << i for i, r in enumerate(ops) if r["type"] == "ok")
    before = [0] * len(ops)
    for i, y in enumerate(ops):
        for j, x in enumerate(ops):
            later = y["end_ns"] <= x["start_ns"] and i < j  # at one moment the upper comes first
            if i != j and x["process"] == y["process"] and x["type"] == "ok" and not later:
                before[i] |= (x["end_ns"] <= y["start_ns"]) << j
    keys = sorted({r["key"] for r in ops})

    @cache
    def search(done, state):
        if done & must == must:
            return True
        for i, r in enumerate(ops):
            if done >> i & 1 or before[i] & ~done:
                continue
            at = keys.index(r["key"])
            after = (*state[:at], r["value"], *state[at + 1 :])
            wanted = {"read": r["value"], "cas": r["expected"], "write": state[at]}[r["f"]]
            if wanted == state[at] and search(done | 1 << i, after):
                return True
        return False

    return search(0, (None,) * len(keys))


def draw(rng, least, most):
    """A few processes on a few keys that read what they like."""
    processes, keys = rng.randint(2, 4), ["x", "y", "z"][: rng.randint(1, 3)]
    clock, rows = [0] * processes, []
    twice, swaps = rng.random() < 0.25, rng.random() < 0.4
    written = {key: [None] for key in keys}
    for number in range(rng.randint(least, most)):
        process, key = rng.randrange(processes), rng.choice(keys)
        start = max(0, clock[process] + rng.choice([0, 0, 0, 1, 1, -2]))
        end = start + rng.choice([0, 1, 2])
        clock[process] = end
        f = rng.choices(["read", "write", "cas"], [6, 4, 3 if swaps else 0])[0]
        value = rng.randint(1, 2) if twice else number
        kind = rng.choices(["ok", "info", "fail"], [20, 2, 1])[0]
        rows.append(row(f, value, start, end, process=process, key=key, type=kind))
        if f != "read":
            written[key].append(value)
    for r in rows:
        chosen = rng.choice([*written[r["key"]][-4:], 77 if rng.random() < 0.02 else None])
        if r["f"] == "cas":
            r["expected"] = chosen
        elif r["f"] == "read":
            r["value"] = chosen if r["type"] == "ok" else None
    return sorted(rows, key=lambda r: r["end_ns"])


def accepted(rows):
    """The verifier accepts the certificate of these rows' verdict; the verdict."""
    from analysis.proof.verify import digest, verify

    result = judge(rows)
    if result.verdict is Verdict.UNKNOWN:
        return result.verdict
    invalid = [anomaly.claim for anomaly in result.anomalies]
    body = {
        "certificate": 1,
        "property": "sequential",
        "verdict": str(result.verdict),
        "history": {"operations": len(rows), "sha256": "0"},
        "initial": None,
        "claims": invalid or [result.claim],
    }
    body = orjson.loads(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY))
    text = orjson.dumps({**body, "digest": digest(body)})
    verify(text, pa.Table.from_pylist(rows, schema=HISTORY), "0")
    return result.verdict


@pytest.mark.parametrize("seed", range(3))
def test_verdicts_are_those_of_brute_force_and_certificates_are_accepted(seed):
    rng = random.Random(seed)
    names, verdicts = set(), []
    for _ in range(300):
        rows = draw(rng, 3, 10)
        verdict = accepted(rows)
        assert (verdict is not Verdict.INVALID) == brute_force(rows), rows
        verdicts.append(verdict)
        names |= {anomaly.name for anomaly in judge(rows).anomalies}
    assert names == {kind.name for kind in sequential.KINDS}
    assert min(verdicts.count(v) for v in (Verdict.VALID, Verdict.INVALID)) > 60


def lagging(rng, count, processes, keys, lag):
    """A history with one true order, of which each process's clock shows another time."""
    clock = [rng.randint(0, 100) for _ in range(processes)]
    apart = [rng.randint(0, lag) for _ in range(processes)]
    state, rows = {}, []
    for number in range(count):
        process = min(range(processes), key=clock.__getitem__)
        start = clock[process]
        clock[process] += rng.randint(20, 200)
        key, f = f"k{rng.randrange(keys)}", rng.choice(["read", "write", "write"])
        state[key] = state.get(key) if f == "read" else number
        times = (start + apart[process], clock[process] + apart[process])
        rows.append(row(f, state[key], *times, process=process, key=key))
    return sorted(rows, key=lambda r: r["end_ns"])


@pytest.mark.parametrize(("count", "lag"), [(40, 300), (200, 2000), (300, 0)])
def test_both_ways_of_saturating_reach_the_same(monkeypatch, count, lag):
    rng = random.Random(count)
    cyclic, forced = set(), 0
    for number in range(12):
        rows = lagging(rng, count, 5, 3, lag)
        reads = [r for r in rows if r["f"] == "read"]
        for read in rng.sample(reads, number % 4):  # of a value that may be impossible
            near = [r["value"] for r in rows if r["key"] == read["key"] and r["f"] == "write"]
            read["value"] = rng.choice(near)
        programs = prepare(history_of(rows))
        blocks = blocks_of(programs)
        found = []
        for most in (10**6, 0):
            monkeypatch.setattr(saturation, "BITS_MAX", most)
            found.append(saturate(programs, blocks, Meter()))
        one, other = found
        assert one.stale.tolist() == other.stale.tolist()
        assert (one.looping, one.cyclic) == (other.looping, other.cyclic)
        cyclic.add(one.cyclic)
        if not one.cyclic:
            forced += len(one.forced)
            assert reached(programs, blocks, one) == reached(programs, blocks, other)
    assert forced > 0
    assert cyclic == {True, False}


def reached(programs, blocks, saturated):
    edges = saturated.graph(programs, blocks)
    nodes = len(programs) + len(blocks)
    bits = Bits(programs, blocks)
    bits.reach(sorted_nodes(nodes, edges), *adjacency(nodes, edges))
    return bits.before


@pytest.mark.parametrize("lag", [0, 1500])
def test_clocks_apart_need_no_search(monkeypatch, lag):
    monkeypatch.setattr(sequential, "search", lambda *_: pytest.fail("it searched"))
    rows = lagging(random.Random(5), 1500, 8, 4, lag)
    assert judge(rows).verdict is Verdict.VALID


def test_late_reads_are_found_an_order_for():
    """Writes go to one log; a process reads from a copy of it that is behind."""
    rng, log, rows = random.Random(3), [], []
    known, clock = [0] * 6, [0] * 6
    for number in range(600):
        process = min(range(6), key=clock.__getitem__)
        start, key = clock[process], f"k{rng.randrange(3)}"
        clock[process] += rng.randint(20, 200)
        f = rng.choice(["read", "write"])
        if f == "write":
            log.append((key, number))
            known[process] = len(log)
        else:
            known[process] = max(known[process], len(log) - rng.randint(0, 30))
        seen = [v for k, v in log[: known[process]] if k == key]
        rows.append(row(f, seen[-1] if seen else None, start, clock[process], process=process))
        rows[-1]["key"] = key
    rows.sort(key=lambda r: r["end_ns"])
    assert accepted(rows) is Verdict.VALID


def test_a_budget_that_runs_out_is_named():
    history = history_of(programs_of("w x 1 | r y - \n w y 1 | r x -"))
    context = Context(enough=1, meter=Meter(1))
    result = run_checker("sequential", {"sequential": sequential.check}, history, context)
    assert result.verdict is Verdict.UNKNOWN
    assert "budget of 1 step" in result.why


def test_lanes_of_processes_that_overlap():
    start = np.array([0, 5, 5, 5, 2, 9])
    end = np.array([5, 5, 5, 8, 9, 9])
    definite = np.array([True, True, True, True, True, False])
    lane, place, before = chains(np.zeros(6, np.int64), start, end, definite)
    assert lane[:4].tolist() == [lane[0]] * 4
    assert place[:4].tolist() == [0, 1, 2, 3]  # at one moment the upper comes first
    assert lane[4] != lane[0]
    assert lane[5] not in (lane[0], lane[4])
    assert sorted(map(tuple, before.tolist())) == [(3, 5), (4, 5)]
