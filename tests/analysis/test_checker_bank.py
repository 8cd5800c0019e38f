"""Banks: what is told, what is compared, and that payloads read at once are read as one by one."""

from __future__ import annotations

import json
import random

import pytest

from analysis.checkers import CHECKERS, balances
from analysis.checkers.base import Context, run_checker
from tests.analysis.counted_histories import Row, counts, judged
from tests.truth import proofs
from tests.truth.banks import truth
from tests.truth.rows import history

MOVE = Row("transfer", {"from": "a", "to": "b", "amount": 3}, 0, 5)
TOLD = {"a": 10, "b": 10}


def read(start, /, type="ok", **shown):
    return Row("read", shown, start, start + 5, type)


def test_all_reads_add_up_to_what_was_told():
    result = judged("bank", [MOVE, read(10, a=7, b=13)], initial=TOLD)
    assert result.verdict == "valid"
    assert result.why == "1 read and 1 transfer; the total is 20, as was told"


def test_a_total_that_was_not_told_is_said_to_be_a_guess():
    result = judged("bank", [MOVE, read(10, a=7, b=13), read(20, a=1, b=19)])
    assert result.verdict == "valid"
    assert result.why.endswith("all reads show a total of 20, and nobody told another (--initial)")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([MOVE, read(10, a=7, b=13)], "the total was not told"),
        ([read(10, a=7, b=13), read(20, a=7, b=13)], "no transfer was acknowledged"),
        ([MOVE, Row("read", None, 10, 12)], "no read of balances was acknowledged"),
        ([MOVE, read(10, a=1.5, b=1)], "with whole numbers or null as balances, got"),
        ([MOVE, Row("read", 7, 10, 12)], "the checker failed: RecordError: operation 1: expected"),
        ([MOVE, Row("read", [1], 10, 12)], "the checker failed: RecordError: operation 1: expect"),
    ],
)
def test_what_says_nothing_is_unknown(rows, why):
    result = run_checker("bank", CHECKERS, history(rows), Context(enough=1))
    assert result.verdict == "unknown"
    assert why in result.why


def test_two_totals_cannot_both_be_right():
    rows = [MOVE, read(10, a=7, b=13), read(20, a=7, b=13), read(30, a=7, b=10), read(40, a=1)]
    result = judged("bank", rows)
    assert counts(result) == {"wrong-total": 2}
    (anomaly,) = result.anomalies
    assert anomaly.operations == (1, 3)
    assert anomaly.argument == (
        "process 0 read a total of 17 instead of 20 (3 too little) between 0.000000030 s and "
        "0.000000035 s; the worst was a total of 1 instead of 20 (19 too little), by process 0. "
        "No total was told, but 2 reads showed 20 (process 0's was the first): both cannot be right"
    )


def test_first_worst_and_last():
    rows = [MOVE, read(10, a=7, b=14), read(20, a=7, b=99), read(30, a=7, b=12)]
    (anomaly,) = judged("bank", rows, initial=20).anomalies
    assert anomaly.count == 3
    assert anomaly.argument == (
        "process 0 read a total of 21 instead of 20 (1 too much) between 0.000000010 s and "
        "0.000000015 s; the worst was a total of 106 instead of 20 (86 too much), by process 0; "
        "the last was a total of 19 instead of 20 (1 too little), by process 0 between "
        "0.000000030 s and 0.000000035 s"
    )


def test_accounts():
    rows = [MOVE, read(10, a=7, b=None), read(20, a=20), read(30, a=7, b=13, z=0)]
    assert counts(judged("bank", rows, initial=TOLD)) == {
        "unexpected-key": 1,
        "missing-balance": 2,
    }
    assert counts(judged("bank", rows)) == {"missing-balance": 1}


@pytest.mark.parametrize(
    ("initial", "wrong"),
    [(20, 1), (TOLD, 1), ({"total": 20, "negative": True}, 0), ({"a": -1, "b": 21}, 0),
     ({"accounts": TOLD, "negative": True}, 0), ({"total": 20, "negative": False}, 1)],
)  # fmt: skip
def test_overdrafts(initial, wrong):
    result = judged("bank", [MOVE, read(10, a=-3, b=23)], initial=initial)
    assert counts(result) == ({"negative-balance": 1} if wrong else {})
    for verdict in ("valid", "invalid"):
        if str(result.verdict) != verdict:
            claim = {"kind": "observed", "anomaly": "negative-balance", "operations": [1]}
            names = ("transfers", "compared", "wrong", "unexpected", "missing", "negative")
            if verdict == "valid":
                claim = {"kind": "figures", "figures": dict.fromkeys(names, 0)}
                claim["figures"] |= {"transfers": 1, "compared": 1}
            forged = proofs.body("bank", verdict, [claim], 2, initial)
            where = type("Where", (), {"initial": initial, "final_ns": None, "models": "adya"})
            assert proofs.refusal(forged, [MOVE, read(10, a=-3, b=23)], where)


@pytest.mark.parametrize("initial", [True, "x", [1], {"a": "1"}, {"negative": True}, 1.5])
def test_an_initial_value_of_no_bank(initial):
    with pytest.raises(Exception, match="expected the initial value of a bank"):
        balances.told(initial)


def odd(rng, shown):
    """The same payload told otherwise, or another one."""
    draw = rng.random()
    if draw < 0.05:
        shown = {**shown, "a": None}
    elif draw < 0.1:
        shown = {**shown, "z": 2 ** rng.randrange(80)}
    elif draw < 0.15:
        shown = {"a": shown["a"]}
    text = json.dumps(shown)
    return text.replace('"a"', '"\\u0061"').replace(":", " :\n") if draw > 0.9 else text


def test_payloads_read_at_once_are_read_as_one_by_one(monkeypatch):
    rng = random.Random(3)
    for alike in (True, False) * 10:
        rows = [Row("read", {"a": rng.randint(-9, 99), "b": rng.randint(0, 9)}, n, n)
                for n in range(40)]  # fmt: skip
        initial = rng.choice([None, 20, TOLD, {"a": 1}, {"a": 1, "b": 1, "c": 1}])
        if not alike:
            rows = [row._replace(value=json.loads(odd(rng, row.value))) for row in rows]
        shown = []
        for least in (1, 1_000):
            monkeypatch.setattr(balances, "ARROW_FROM", least)
            shown.append(balances.read_balances(history(rows), balances.told(initial)))
        one, two = shown
        for name in ("rows", "place", "unexpected", "missing", "negative", "whole"):
            assert (getattr(one, name) == getattr(two, name)).all(), name
        assert (one.total == two.total)[one.whole].all()


def test_many_reads_are_told_apart():
    rng = random.Random(5)
    rows, held = [MOVE], {"a": 50, "b": 50}
    for at in range(300):
        amount = rng.randint(0, 9)
        held = {"a": held["a"] - amount, "b": held["b"] + amount}
        held = held if held["a"] >= 0 else {"a": 50, "b": 50}
        rows.append(Row("read", held, 10 * at, 10 * at + 5))
    assert judged("bank", rows, initial=100).verdict == "valid"
    wrong = [*rows[:100], rows[100]._replace(value={"a": 0, "b": 99}), *rows[101:]]
    for initial in (100, None):
        result = judged("bank", wrong, initial=initial)
        assert counts(result) == {"wrong-total": 1}
        assert truth(wrong, initial) == "invalid"
