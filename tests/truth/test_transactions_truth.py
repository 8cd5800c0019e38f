"""Twenty thousand small histories of transactions judged for every model, and the judge judged."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from analysis.checkers.base import CheckResult, Verdict
from tests.truth import command
from tests.truth.rows import Row, history
from tests.truth.transactions import change, judge, oracle, proofs
from tests.truth.transactions.simulate import simulate
from tests.truth.transactions.told import LISTS, REGISTERS

TYPES = ("ok", "fail", "info")
MODEL = "snapshot-isolation"

DRAWN = 30_000  # of which those are judged that tell something: 4 minutes of one core, about
JUDGED = {name: 10_000 if name in oracle.KINDS else 20_000 for name in oracle.NAMES}
pytestmark = pytest.mark.timeout(1800)  # of what others leave; all are judged in the first test


@pytest.fixture(scope="module")
def judged(root: Path):
    return command.judged(root, DRAWN * len(oracle.NAMES), oracle.NAMES)


@pytest.mark.parametrize("name", oracle.NAMES)
def test_every_verdict_is_so(judged, name):
    rows, said = judged
    row = rows[name]
    assert row["histories"] >= JUDGED[name]
    assert row["valid"] > JUDGED[name] * 0.2
    assert row["invalid"] > JUDGED[name] * 0.1
    assert (row["wrong"], row["refused"], row["accepted"]) == (0, 0, 0), said


@pytest.mark.parametrize("says", list(Verdict))
def test_a_checker_that_always_says_the_same_is_caught(says, monkeypatch):
    def liar(history, context):
        return CheckResult(property=MODEL, verdict=says, why="I always say so")

    monkeypatch.setattr(judge, "CHECKERS", {MODEL: liar})
    tally = judge.judge("1", 100, 4, [MODEL])[MODEL]
    assert tally.wrong
    assert all(wrong.expected != says == wrong.got for wrong in tally.wrong)
    assert tally.accepted == 0


def test_a_checker_that_is_right_is_believed_without_a_certificate_only(monkeypatch):
    def right(given, context):
        rows = [
            Row(
                given.f.at(at) or "",
                given.content(at),
                int(given.start_ns[at]),
                int(given.end_ns[at]),
                TYPES[given.type[at]],
                int(given.process[at]),
            )
            for at in range(len(given))
        ]
        whole = len(rows) > 20  # many histories in one: no oracle orders them, but all are valid
        told = "valid" if whole else oracle.truths(rows, context.initial, "adya")[MODEL]
        return CheckResult(property=MODEL, verdict=Verdict(told), why="the oracle says so")

    monkeypatch.setattr(judge, "CHECKERS", {MODEL: right})
    monkeypatch.setattr(judge, "setting", lambda rng: judge.Where(kind=rng.choice(KINDS)))
    tally = judge.judge("2", 300, 2, [MODEL])[MODEL]
    assert not tally.wrong
    assert tally.certificates == tally.refused > 0 == tally.accepted


KINDS = (LISTS, REGISTERS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_verdict_is_shown_with_little_around_it(kind, monkeypatch):
    def liar(history, context):
        return CheckResult(property=MODEL, verdict=Verdict.VALID, why="I always say so")

    monkeypatch.setattr(judge, "CHECKERS", {MODEL: liar})
    monkeypatch.setattr(judge, "setting", lambda rng: judge.Where(kind=kind))
    found = judge.judge("3", 100, 4, [MODEL])[MODEL].wrong
    small = judge.smallest(next(wrong for wrong in found if wrong.expected == "invalid"))
    assert small.expected == "invalid"
    assert len(small.history) <= 4


def test_claims_are_altered_in_every_way():
    rng = Random(1)
    claim = {"kind": "serialization", "order": [0, 1, 2]}
    whole = proofs.body("serializable", "valid", [claim], 3, None)
    altered = [proofs.alter(rng, whole, 3) for _ in range(300)]
    assert {one["verdict"] for one in altered} == {"valid", "invalid"}
    orders = {str(one["claims"]) for one in altered}
    assert len(orders) > 10


@pytest.mark.parametrize("apart", [False, True])
def test_histories_together_keep_their_rows(apart):
    rng = Random(4)
    parts = [simulate(rng, REGISTERS, None) for _ in range(5)]
    whole = change.together(parts, apart=apart)
    assert len(whole) == sum(map(len, parts))
    assert history(whole).type.tolist().count(0) == sum(
        row.type == "ok" for part in parts for row in part
    )
    for number, part in enumerate(parts):
        mine = [row for row in whole if row.process // change.APART == number]
        assert oracle.truths(mine, None, "adya") == oracle.truths(part, None, "adya")
