"""The engine against definitions: every model, every kind of order, every step."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from analysis.checkers import compiled as compiling
from analysis.checkers.base import Meter
from analysis.transactions import engine
from analysis.transactions.engine import Accepted, Refuted, Rules, Undecided
from analysis.transactions.lineup import Stuck, line_up
from analysis.transactions.problem import INITIAL, Problem, lanes
from analysis.transactions.search import Search
from analysis.transactions.versions import versions_of
from tests.analysis.transactions.model_oracle import check_order, check_steps, holds
from tests.analysis.transactions.problems import anything, in_turn, problem, replicated, serial

EVERY = [
    engine.rules_of(model, models) for model in engine.MODELS for models in ("adya", "axiomatic")
]
TIMELESS = (0, 0)


@pytest.mark.parametrize("make", [anything, replicated])
@pytest.mark.parametrize("seed", range(3))
def test_every_model_is_decided_as_it_is_defined(make, seed):
    rng = Random(f"{make.__name__} {seed}")
    for _ in range(10):
        p = make(rng)
        for rules in dict.fromkeys(EVERY):
            found = engine.decide(p, rules, Meter(100_000))
            assert not isinstance(found, Undecided), (p, rules)
            assert isinstance(found, Accepted) == holds(p, rules), (p, rules)
            if isinstance(found, Accepted):
                check_order(p, rules, found)
            else:
                check_steps(p, rules, found)


def test_machine_code_decides_the_same(monkeypatch):
    problems = [anything(Random(n)) for n in range(5)] + [replicated(Random(n)) for n in range(5)]
    strict = engine.rules_of(engine.STRICT, "adya")
    rules = [*dict.fromkeys(EVERY), strict]
    plain = [engine.decide(p, r, Meter()) for p in problems for r in rules]
    for limit in ("LOADED_FROM", "IMPORTED_FROM", "CACHED_FROM", "COLD_FROM"):
        monkeypatch.setattr(compiling, limit, 0)
    compiled = [engine.decide(p, r, Meter()) for p in problems for r in rules]
    for one, other in zip(plain, compiled, strict=True):
        assert type(one) is type(other)
        if isinstance(one, Accepted):
            assert one.order.tolist() == other.order.tolist()
        elif isinstance(one, Refuted):
            assert one.steps == other.steps


# x, y, z are keys 0, 1, 2; each example: reads, writes, sessions, the models that it breaks
LONG_FORK = ([(2, 0, 0), (2, 1, INITIAL), (3, 0, INITIAL), (3, 1, 1)], [(0, 0), (1, 1)])
WRITE_SKEW = ([(0, 0, INITIAL), (1, 1, INITIAL)], [(0, 1), (1, 0)])
LOST_UPDATE = ([(0, 0, INITIAL), (1, 0, INITIAL)], [(0, 0), (1, 0)])
FRACTURED = ([(1, 0, 0), (1, 1, INITIAL)], [(0, 0), (0, 1)])
CIRCLE = ([(0, 0, 1), (1, 1, 0)], [(0, 1), (1, 0)])
# T0 wrote x; T1 saw it and wrote y; T2 saw y, but not x.
NOT_CAUSAL = ([(1, 0, 0), (2, 1, 1), (2, 0, INITIAL)], [(0, 0), (1, 1)])
# T0 and T1 both write x and y blindly; T2 saw T0's x and T1's y, T3 T1's x and T0's y.
BLIND = (
    [(2, 0, 0), (3, 1, 1), (4, 2, 2), (4, 0, 1), (5, 2, 3), (5, 1, 0)],
    [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (3, 2)],
)


@pytest.mark.parametrize(
    ("example", "weakest"),
    [
        (CIRCLE, "read-committed"),
        (FRACTURED, "read-atomic"),
        (NOT_CAUSAL, "causal"),
        (LOST_UPDATE, "parallel-snapshot-isolation"),
        (LONG_FORK, "snapshot-isolation"),
        (WRITE_SKEW, "serializable"),
    ],
)
def test_examples_of_the_literature_break_what_they_should(example, weakest):
    reads, writes = example
    count = 1 + max(t for t, *_ in [*reads, *writes])
    p = problem(reads, writes, list(range(count)), [TIMELESS] * count, 2)
    kept = engine.MODELS.index(weakest)
    for number, model in enumerate(engine.MODELS):
        rules = engine.rules_of(model, "adya")
        found = engine.decide(p, rules, Meter())
        assert isinstance(found, Refuted) == (number >= kept), model
        if isinstance(found, Refuted):
            check_steps(p, rules, found)
            assert len(found.rows()) <= count


def test_what_only_a_session_forbids():
    """A client reads its own write, and then no more."""
    p = problem([(1, 0, INITIAL)], [(0, 0)], [0, 0], [TIMELESS] * 2, 1)
    verdicts = {
        (model, models): type(engine.decide(p, engine.rules_of(model, models), Meter()))
        for model in ("causal", "serializable", "snapshot-isolation")
        for models in ("adya", "axiomatic")
    }
    assert verdicts.pop(("causal", "adya")) is Refuted
    assert {key for key, found in verdicts.items() if found is Accepted} == {
        ("serializable", "adya"),
        ("snapshot-isolation", "adya"),
    }


def test_blind_writes_need_more_than_one_round():
    reads, writes = BLIND
    p = problem(reads, writes, list(range(6)), [TIMELESS] * 6, 3)
    for rules in dict.fromkeys(EVERY):
        found = engine.decide(p, rules, Meter())
        assert isinstance(found, Accepted) == holds(p, rules)


def _open_question(rng: Random):
    """A problem that saturation leaves open and that has no order, if one comes along."""
    for _ in range(400):
        p = replicated(rng) if rng.random() < 0.5 else anything(rng)
        for rules in dict.fromkeys(EVERY):
            found = engine.decide(p, rules, Meter())
            if isinstance(found, Refuted) and any(s.rule == "either" for s in found.steps):
                return p, rules, found
    return None


def test_a_contradiction_either_way_is_found_by_search():
    found = _open_question(Random(8))
    assert found is not None
    p, rules, refuted = found
    assert not holds(p, rules)
    check_steps(p, rules, refuted)


def test_the_budget_is_named_when_it_runs_out(monkeypatch):
    p, rules, _ = _open_question(Random(8)) or pytest.fail("there is one")
    spent = Meter()
    engine.decide(p, rules, spent)
    found = engine.decide(p, rules, Meter(3))
    assert isinstance(found, Undecided)
    assert "3 steps" in found.why
    assert spent.steps > 3
    monkeypatch.setattr(Search, "run", lambda self: pytest.fail("not needed"))


@pytest.mark.parametrize("model", ["serializable", "snapshot-isolation"])
def test_larger_histories_without_times(model):
    rules = Rules(model=model, sessions=True, realtime=False)
    good = serial(1, 400, 80, 6, 5)
    found = engine.decide(good, rules, Meter())
    assert isinstance(found, Accepted)
    check_order(good, rules, found)
    bad = serial(1, 400, 80, 6, 5, stale=30)
    found = engine.decide(bad, rules, Meter())
    assert isinstance(found, Refuted)
    check_steps(bad, rules, found)


@pytest.mark.parametrize("drift", [False, True])
@pytest.mark.parametrize("model", ["serializable", "snapshot-isolation"])
def test_thousands_without_times_are_accepted_in_the_budget(model, drift):
    """Half of the operations are blind writes; sessions go on in turn, or some faster."""
    rules = Rules(model=model, sessions=True, realtime=False)
    p = in_turn(5_000, keys=500, drift=drift)
    meter = Meter()
    found = engine.decide(p, rules, meter)
    assert isinstance(found, Accepted)
    assert found.kind == "serialization"
    assert meter.steps < meter.budget // 4
    assert_serial(p, np.searchsorted(p.rows, found.order).tolist())


def test_stale_reads_among_many_without_times_are_refuted():
    p = in_turn(1_000, keys=100, drift=True)
    reads = np.flatnonzero(p.source >= 0)
    source = p.source.copy()
    for at in reads[-20:].tolist():  # each shows the first that was written to its key
        source[at] = p.writer[p.write_key == p.read_key[at]][0]
    rules = Rules(model="serializable", sessions=True, realtime=False)
    found = engine.decide(replace(p, source=source), rules, Meter())
    assert isinstance(found, Refuted)
    check_steps(replace(p, source=source), rules, found)


@pytest.mark.parametrize("sessions", [False, True])
def test_snapshots_with_some_write_skews_among_many_without_times(sessions):
    p = with_skews(in_turn(200, keys=40, drift=False))
    rules = Rules(model="snapshot-isolation", sessions=sessions, realtime=False)
    found = engine.decide(p, rules, Meter())
    assert isinstance(found, Accepted)
    assert found.kind == "snapshots"
    check_order(p, rules, found)
    assert isinstance(engine.decide(p, replace(rules, model="serializable"), Meter()), Refuted)


def with_skews(p: Problem) -> Problem:
    """In two sessions, in the middle, one read x and wrote y, and one read y and wrote x; twice."""
    x = p.keys + np.arange(4)
    ones, others = np.flatnonzero(p.session == 0)[[4, 5]], np.flatnonzero(p.session == 1)[[4, 5]]
    skewed = np.concatenate([ones, others])
    writes = np.column_stack([np.append(p.writer, skewed), np.append(p.write_key, x)])
    writes = writes[np.lexsort((writes[:, 1], writes[:, 0]))]
    reader = np.append(p.reader, skewed)
    by = np.argsort(reader, kind="stable")
    return replace(
        p,
        keys=p.keys + 4,
        reader=reader[by],
        read_key=np.append(p.read_key, x[[2, 3, 0, 1]])[by],
        source=np.append(p.source, [INITIAL] * 4)[by],
        writer=np.ascontiguousarray(writes[:, 0]),
        write_key=np.ascontiguousarray(writes[:, 1]),
    )


@pytest.mark.parametrize("seed", range(20))
def test_lines_of_sessions_are_right_in_machine_code_and_without(seed, monkeypatch):
    p = in_turn(300, keys=30, drift=seed % 2 == 1, seed=seed)
    lane, place = lanes(p)
    wish = place.reshape(1, -1)
    none = np.empty((0, 2), np.int64)
    plain = line_up(versions_of(p), lane, place, wish, none, 20)
    for limit in ("LOADED_FROM", "IMPORTED_FROM", "CACHED_FROM", "COLD_FROM"):
        monkeypatch.setattr(compiling, limit, 0)
    fast = line_up(versions_of(p), lane, place, wish, none, 20)
    assert isinstance(plain, Stuck) == isinstance(fast, Stuck)
    if isinstance(plain, Stuck) and isinstance(fast, Stuck):
        assert plain.came.tolist() == fast.came.tolist()
        assert not plain.sure, "there is an order"
    else:
        assert plain.tolist() == fast.tolist()
        assert_serial(p, plain.tolist())


def assert_serial(p: Problem, order: list[int]) -> None:
    """Every read shows the last version, and sessions are kept."""
    assert sorted(order) == list(range(len(p)))
    place = np.argsort(order)
    same = p.session[1:] == p.session[:-1]
    assert bool((place[1:] > place[:-1])[same].all())
    reads, writes, current = {}, {}, {}
    for t, k, source in zip(p.reader.tolist(), p.read_key.tolist(), p.source.tolist(), strict=True):
        reads.setdefault(t, []).append((k, source))
    for t, k in zip(p.writer.tolist(), p.write_key.tolist(), strict=True):
        writes.setdefault(t, []).append(k)
    for t in order:
        assert all(current.get(k, INITIAL) == source for k, source in reads.get(t, []))
        current.update(dict.fromkeys(writes.get(t, []), t))
