"""Ids that are given twice."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.analysis.counted_histories import Row, counts, judged


def gave(value, start, end, type="ok", **more):
    return Row("generate", value, start, end, type, **more)


def test_the_count_equals_a_naive_one():
    rng = random.Random(1)
    verdicts = Counter()
    for _ in range(300):
        rows = [
            gave(
                rng.choice([1, 2, 3, 4, 5, "1", 1.0, True, None, [1], 2**70, -(2**63)]),
                at,
                at + rng.randint(0, 3),
                rng.choices(["ok", "info", "fail"], [8, 1, 1])[0],
                key=rng.choice([None, "a"]),
            )
            for at in range(rng.randint(0, 5))
        ]
        ids = [(r.key, type(r.value), str(r.value)) for r in rows
               if r.type == "ok" and r.value is not None]  # fmt: skip
        result = judged("unique-ids", rows)
        again = len(ids) - len(set(ids))
        assert counts(result) == ({"duplicate-id": again} if again else {}), rows
        assert result.verdict == ("invalid" if again else "valid" if ids else "unknown")
        verdicts[str(result.verdict)] += 1
    assert min(verdicts.values()) > 15


def test_the_two_that_were_given_the_same_are_named():
    rows = [gave(5, 0, 9, process=1), gave(5, 0, 4, process=2), gave(7, 0, 1), gave(5, 8, 9)]
    result = judged("unique-ids", rows)
    (anomaly,) = result.anomalies
    assert (anomaly.operations, anomaly.count) == ((1, 0), 2)
    assert anomaly.argument.startswith("process 2 was given 5 at ")
    assert result.why == "2 of 4 ids had been given before, from 5 to 7"


@pytest.mark.parametrize(
    ("given", "extent"),
    [
        ([3, -4, 10_000], ", from -4 to 10,000"),
        (["b", "a"], ", from 'a' to 'b'"),
        (["b", 1], ""),
        ([2**70], ""),
    ],
)
def test_the_least_and_the_greatest_are_said(given, extent):
    rows = [gave(value, at, at) for at, value in enumerate(given)]
    noun = "id" if len(given) == 1 else "ids"
    assert judged("unique-ids", rows).why == f"{len(given)} {noun}, all different{extent}"


def test_generates_without_an_answer_are_counted():
    rows = [gave(1, 0, 1), gave(None, 0, 1, "info"), gave(None, 0, 1, "fail")]
    assert judged("unique-ids", rows).why.endswith("; 1 generate had no answer")
