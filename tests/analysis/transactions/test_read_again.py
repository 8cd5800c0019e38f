"""Transactions that read one key more than once: the same version, or several."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from analysis.checkers import compiled as compiling
from analysis.checkers.base import Meter, Verdict
from analysis.transactions import engine
from analysis.transactions.engine import MODELS, Refuted
from analysis.transactions.graphs import Edges, Graph
from analysis.transactions.problem import INITIAL, new_reads
from tests.analysis.transactions.model_oracle import check_steps
from tests.analysis.transactions.problems import problem
from tests.analysis.transactions.test_isolation import judged, r, told, w
from tests.truth import rows
from tests.truth.rows import Row
from tests.truth.transactions import engines, judge, medium

TORN = {
    "of two writers": told([w("x", 1)], [w("x", 2)], [r("x", 1), r("x", 2), w("x", 3)]),
    "of nobody and of one": told([w("x", 6)], [r("x", None), r("x", 6), w("x", 7)]),
    "and writes nothing": told([w("x", 1)], [w("x", 2)], [r("x", 1), r("x", 2)]),
    "of three": told(*([w("x", n)] for n in "abc"), [r("x", "a"), r("x", "b"), r("x", "c")]),
}


@pytest.mark.parametrize("rows_", TORN.values(), ids=TORN)
@pytest.mark.parametrize("models", ["adya", "axiomatic"])
@pytest.mark.parametrize("model", ["rw-register", *MODELS])
def test_who_reads_two_versions_of_a_key_contradicts_itself(rows_, models, model):
    found = judged(rows_, model, models=models)
    weak = model in ("read-uncommitted", "read-committed")
    assert found.verdict is (Verdict.VALID if weak else Verdict.INVALID), found.why
    assert weak or [anomaly.name for anomaly in found.anomalies] == ["internal"]


READS = [[(0, INITIAL), (0, 0)], [(0, 0), (0, 1)], [(0, 1), (0, INITIAL), (0, 0)]]


@pytest.mark.parametrize("writes", [[], [0]])
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("model", MODELS[2:])
def test_the_engine_says_so_by_itself(model, reads, writes):
    seen = [(2, key, source) for key, source in reads]
    wrote = [(0, 0), (1, 0), *((2, key) for key in writes)]
    p = problem(seen, wrote, [0, 1, 2], [(0, 9)] * 3, 1)
    rules = engine.rules_of(model, "adya")
    found = engine.decide(p, rules, Meter())
    assert isinstance(found, Refuted)
    check_steps(p, rules, found)


def test_what_is_read_again_counts_where_something_else_was_read_before():
    """docs/transactions.md: wherever T3 reads k from T1 after it has read anything from T2."""
    other, reads = [w("x", 2), w("y", 3)], [r("x", 1), r("y", 3), r("x", 1)]
    assert judged(told([w("x", 1)], other, reads), "read-committed", models="axiomatic").claim
    again = told([w("x", 1), w("z", 1)], other, reads, [r("z", 1), r("x", 2)])
    found = judged(again, "read-committed", models="axiomatic")
    assert found.verdict is Verdict.INVALID
    once = told([w("x", 1), w("z", 1)], other, reads[:2], [r("z", 1), r("x", 2)])
    assert judged(once, "read-committed", models="axiomatic").verdict is Verdict.VALID


def test_lists_read_again_are_named():
    given = [
        Row("txn", [["append", 1, 1], ["r", 0, []], ["r", 0, [1]], ["r", 0, None]], 9, 15),
        Row("txn", [["append", 0, 1], ["append", 1, 2]], 13, 21, process=3),
    ]
    found = judged(given, "read-committed", models="axiomatic")
    assert found.verdict is Verdict.INVALID
    assert found.anomalies


def test_reads_that_say_nothing_new():
    kept, again = new_reads(*np.array([[0, 0, 0, 1, 1], [5, 5, 6, 5, 5], [1, 1, 1, 2, 2]]))
    assert (kept.tolist(), again) == ([0, 2, 3], None)
    kept, again = new_reads(*np.array([[0, 0, 0], [5, 6, 5], [1, 2, 1]]))
    assert kept.tolist() == [0, 1, 2]
    assert again is not None
    assert again.tolist() == [False, False, True]


@pytest.mark.parametrize("seed", [*(f"w {n}" for n in (1, 2, 5, 7)), "append 3", "append 4"])
def test_parallel_snapshots_that_no_stronger_model_explains_are_ordered(seed):
    kind = seed.split()[0]
    given = medium.history(Random(seed), engines.Sites, kind, 300)
    found = judge.checked("snapshot-isolation", rows.history(given), judge.Where(kind=kind))
    assert found.verdict is Verdict.INVALID
    result = judged(given, "parallel-snapshot-isolation", meter=Meter(10**8))
    assert result.verdict is Verdict.VALID, result.why


@pytest.mark.parametrize("seed", range(4))
def test_clocks_by_rows_are_those_of_machine_code(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    nodes, many = 60, 150
    pairs = np.sort(rng.integers(0, nodes, (many, 2)), axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    none = np.zeros(len(pairs), np.int64)
    source, target = np.ascontiguousarray(pairs.T)
    edges = Edges(source=source, target=target, kind=none, stage=none, note=none)
    lane, place = np.arange(nodes) % 7 - 1, np.arange(nodes) // 7
    graph = Graph(nodes, edges, 10**9)
    order = graph.sorted()
    said = []
    for limit in (10**12, 0):
        for name in ("LOADED_FROM", "IMPORTED_FROM", "CACHED_FROM", "COLD_FROM"):
            monkeypatch.setattr(compiling, name, limit)
        said += [graph.spread(order, width, low, lane, place) for width, low in ((6, 0), (2, 3))]
    assert said[0].tolist() == said[2].tolist()
    assert said[1].tolist() == said[3].tolist()
    assert said[0].reshape(nodes, 6)[:, 3:5].ravel().tolist() == said[1].tolist()


def test_parallel_snapshots_without_times_are_ordered():
    """Then nothing but who reads from whom says where to begin."""
    given = [
        row._replace(start=0, end=0, process=n)
        for n, row in enumerate(medium.history(Random("sites"), engines.Sites, "w", 120))
    ]
    result = judged(given, "parallel-snapshot-isolation", meter=Meter(10**8))
    assert result.verdict is Verdict.VALID, result.why
