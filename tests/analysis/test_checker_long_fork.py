"""Long forks: who saw which write, and what tells nothing."""

from __future__ import annotations

import random

import pytest

from analysis.checkers import long_fork
from tests.analysis.counted_histories import Row, counts, judged
from tests.truth.forks import truth


def txn(*micros, at=0, type="ok", process=0):
    return Row("txn", [list(micro) for micro in micros], at, at + 5, type, process)


WRITES = [txn(("w", "x", 1)), txn(("w", "y", 2), at=3, process=1)]
ONE = txn(("r", "x", 1), ("r", "y", None), at=10, process=2)
TWO = txn(("r", "y", 2), ("r", "x", None), at=12, process=3)


def test_two_readers_that_see_opposite_orders():
    result = judged("long-fork", [*WRITES, ONE, TWO])
    assert counts(result) == {"long-fork": 2}
    (anomaly,) = result.anomalies
    assert anomaly.operations == (0, 1, 2, 3)
    assert anomaly.claim["operations"] == [2, 3]
    assert anomaly.argument == (
        'process 2 read 1 from key "x" and the initial value from key "y" between 0.000000010 s '
        'and 0.000000015 s, so the write of key "x" came first; but process 3 read 2 from key "y" '
        'and the initial value from key "x" between 0.000000012 s and 0.000000017 s, so it came '
        'last: process 0 wrote key "x" in a transaction that began at 0.000000000 s and process 1 '
        'wrote key "y" in a transaction that began at 0.000000003 s'
    )


@pytest.mark.parametrize(
    ("rows", "verdict", "why"),
    [
        ([*WRITES, ONE, ONE], "valid", "agree on the order of writes"),
        ([*WRITES, ONE._replace(type="info"), TWO], "valid", "agree on the order of writes"),
        (WRITES, "unknown", "no transaction that reads"),
        ([*WRITES, txn(("r", "x", 1), ("r", "y", 2))], "unknown", "no order was seen"),
        ([*WRITES, ONE, txn(("w", "x", 3))], "unknown", "each key must be written once"),
        ([*WRITES, ONE, txn(("r", "x", 9))], "unknown", "showed what nobody wrote"),
        ([txn(("append", "z", 9)), txn(("r", "z", [9]))], "unknown", "appends to lists"),
        ([WRITES[0]._replace(type="fail"), WRITES[1], ONE], "unknown", "or only who failed"),
    ],
)
def test_what_tells_nothing(rows, verdict, why):
    result = judged("long-fork", rows)
    assert (str(result.verdict), why in result.why) == (verdict, True), result.why


def test_what_a_transaction_wrote_itself_is_no_order():
    """Of two that each see their own write first: that is write skew, which snapshots allow."""
    one = txn(("w", "x", 1), ("r", "x", 1), ("r", "y", None))
    two = txn(("w", "y", 2), ("r", "y", 2), ("r", "x", None))
    rows = [one, two, txn(("r", "x", 1), ("r", "y", None), at=20)]
    assert judged("long-fork", rows).verdict == "valid"


def test_pairs_a_few_at_a_time(monkeypatch):
    """Of many keys, and of groups of keys that overlap."""
    monkeypatch.setattr(long_fork, "PAIRS_AT_ONCE", 7)
    rng = random.Random(4)
    told = set()
    for _ in range(60):
        keys = list(range(7))
        rows = [txn(("w", key, 10 + key), at=key) for key in keys]
        for at in range(8):
            chosen = rng.sample(keys, rng.randint(2, 7))
            upto = rng.randint(0, 7)
            flip = rng.choice(chosen) if rng.random() < 0.1 else None
            micros = [("r", k, 10 + k if (k < upto) != (k == flip) else None) for k in chosen]
            rows.append(txn(*micros, at=20 + at))
        result = judged("long-fork", rows)
        assert str(result.verdict) == truth(rows, None)
        told.add(str(result.verdict))
    assert told >= {"valid", "invalid"}
