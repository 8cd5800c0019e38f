"""`rw-register` and the nine models: verdicts, names, words, and claims that are accepted."""

from __future__ import annotations

import pytest

from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, Meter, Verdict, run_checker
from analysis.proof.verify import verify
from analysis.transactions.engine import MODELS
from tests.analysis.certified import SHA256, certificate
from tests.truth.rows import Row, history, table

LAST = 9


def told(*transactions, process=None):
    """Rows that all run at once, each in a process of its own."""
    return [Row("txn", list(t), 0, LAST, process=n) for n, t in enumerate(transactions)]


def r(key, value):
    return ["r", key, value]


def w(key, value):
    return ["w", key, value]


def judged(rows, name="rw-register", **more):
    """The result; its certificate is accepted."""
    context = Context(enough=1, **more)
    result = run_checker(name, CHECKERS, history(rows), context)
    if result.verdict is Verdict.UNKNOWN:
        assert not result.anomalies
        return result
    claims = [result.claim] if result.claim else [a.claim for a in result.anomalies]
    claims = [{k: v.tolist() if hasattr(v, "tolist") else v for k, v in c.items()} for c in claims]
    body = certificate(name, str(result.verdict), claims, len(rows), initial=more.get("initial"))
    dialect = more.get("models", "adya")
    verify(body, table(rows), SHA256, initial=more.get("initial"), dialect=dialect)
    return result


NAMED = [
    ("thin-air-read", told([w("x", 1)], [r("x", 2)]), "read-uncommitted"),
    ("future-read", told([r("x", 1), w("x", 1)]), "read-uncommitted"),
    ("G1b", told([w("x", 1), w("x", 2)], [r("x", 1)]), "read-committed"),
    ("G1c", told([w("x", 1), r("y", 1)], [w("y", 1), r("x", 1)]), "read-committed"),
    ("internal", told([w("x", 1)], [r("x", None), r("x", 1)]), "read-atomic"),
    ("fractured-read", told([w("x", 1), w("y", 1)], [r("x", 1), r("y", None)]), "read-atomic"),
    ("lost-update", told(*2 * [[r("x", None)]]), None),
    (
        "lost-update",
        told([r("x", None), w("x", 1)], [r("x", None), w("x", 2)]),
        "parallel-snapshot-isolation",
    ),
    (
        "long-fork",
        told([w("x", 1)], [w("y", 1)], [r("x", 1), r("y", None)], [r("x", None), r("y", 1)]),
        "snapshot-isolation",
    ),
    ("write-skew", told([r("x", None), w("y", 1)], [r("y", None), w("x", 1)]), "serializable"),
]


@pytest.mark.parametrize(("name", "rows", "weakest"), NAMED)
def test_anomalies_have_names_and_rule_models_out(name, rows, weakest):
    if weakest is None:
        assert "no transaction writes" in judged(rows).why
        return
    result = judged(rows)
    assert result.verdict is Verdict.INVALID
    assert [anomaly.name for anomaly in result.anomalies] == [name]
    kept = MODELS.index(weakest)
    assert f"rules out {weakest.replace('-', ' ')}" in result.why
    for number, model in enumerate(MODELS):
        expected = Verdict.VALID if number < kept else Verdict.INVALID
        assert judged(rows, model).verdict is expected, model


def test_an_aborted_read_says_who_failed():
    rows = [*told([w("x", 1)]), Row("txn", [w("x", 2)], 0, LAST, type="fail", process=7)]
    rows.append(Row("txn", [r("x", 2)], 0, LAST, process=8))
    (anomaly,) = judged(rows).anomalies
    assert anomaly.name == "G1a"
    assert anomaly.argument == 'T2 read 2 from key "x", but T1, which wrote it, failed'


def test_the_contradiction_is_told_step_by_step():
    rows = [
        Row("txn", [w("x", 1)], 0, 1_000_000),
        Row("txn", [w("y", 2), r("x", None)], 2_000_000, 3_000_000, process=1),
    ]
    (anomaly,) = judged(rows).anomalies
    assert anomaly.name == "G-single-realtime"
    assert anomaly.argument == (
        "T0 < T1, because T0 had ended at 0.001 s, before T1 began at 0.002 s; T1 < T0, because T1 "
        'read key "x" before anything was written to it, and T0 wrote it; so T0 < itself: '
        "a contradiction"
    )
    assert judged(rows, "serializable").verdict is Verdict.VALID
    assert judged(rows, "strict-serializable").verdict is Verdict.INVALID


def test_sessions_count_where_the_definitions_say_so():
    rows = [Row("txn", [w("x", 1), w("y", 1)], 0, 0), Row("txn", [r("x", None)], 0, 0)]
    assert judged(rows, "serializable").verdict is Verdict.VALID
    (anomaly,) = judged(rows, "serializable", models="axiomatic").anomalies
    assert anomaly.name.endswith("-process")
    assert judged(rows, "read-atomic", models="axiomatic").verdict is Verdict.INVALID
    assert judged(rows, "causal").verdict is Verdict.INVALID


def test_nothing_read_is_unknown_and_so_is_what_has_no_budget():
    assert judged(told([w("x", 1)], [w("x", 2)])).verdict is Verdict.UNKNOWN
    assert judged(told([w("x", 1)], [r("x", 1)]), meter=Meter(0)).verdict is Verdict.UNKNOWN
    result = judged(told([["append", "x", 1]], [r("x", [1])]))
    assert "append" in result.why


def test_a_value_written_twice_leaves_its_key_out():
    rows = told([w("x", 1)], [w("x", 1)], [r("x", 1), r("y", 2)], [w("y", 2)])
    result = judged(rows)
    assert result.verdict is Verdict.UNKNOWN
    assert "left out 1 key" in result.why


def test_the_initial_value_is_what_the_user_says():
    rows = told([r("x", 0), w("x", 1)], [r("x", 1)])
    assert judged(rows).verdict is Verdict.INVALID
    assert judged(rows, initial=0).verdict is Verdict.VALID


def test_lists_are_judged_too():
    rows = told([["append", "x", 1]], [["append", "y", 1]], [r("x", [1]), r("y", [])])
    for model in MODELS:
        assert judged(rows, model).verdict is Verdict.VALID
    rows += [Row("txn", [r("x", None), r("y", [1])], 0, LAST, process=9)]
    assert judged(rows, "parallel-snapshot-isolation").verdict is Verdict.VALID
    (first, *_) = judged(rows, "snapshot-isolation").anomalies
    assert first.name == "long-fork"


def test_causal_violations_of_lists_are_told_by_what_is_visible():
    rows = told(
        [["append", "x", 1]], [r("x", [1]), ["append", "y", 1]], [r("y", [1]), r("x", None)]
    )
    result = judged(rows, "causal")
    assert result.verdict is Verdict.INVALID
    assert judged(rows, "read-atomic").verdict is Verdict.VALID


def test_contradictions_of_one_name_are_one_anomaly():
    rows = [
        Row("txn", [r(0, 1), w(1, 1)], 1, 4, process=0),
        Row("txn", [r(1, None), w(0, 1)], 2, 9, process=1),
        Row("txn", [r(0, None), r(1, 1)], 5, 13, process=0),
    ]
    names = [anomaly.name for anomaly in judged(rows).anomalies]
    assert names == ["G-single"]  # causal is broken, and parallel snapshot isolation by itself
