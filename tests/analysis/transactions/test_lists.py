"""Lists: every model against an oracle, anomalies by name, words, claims, growth."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from analysis.checkers import compiled
from analysis.checkers.base import Context, Verdict
from analysis.checkers.list_append import KINDS, check
from analysis.history import read_history
from analysis.proof.rows import Rows
from analysis.proof.transactions.claims import accept
from analysis.transactions.columns import read_transactions
from analysis.transactions.list_models import MODELS, Models
from analysis.transactions.lists import analyse_lists, nothing_said
from tests.analysis.transactions.list_histories import weak_history
from tests.truth.rows import Row, table
from tests.truth.transactions.facts import Facts
from tests.truth.transactions.oracle import truths, which
from tests.truth.transactions.told import told as tell

UNDECIDED = MODELS[4:7]  # where unseen appends may be in any order


def judge(rows, enough=1):
    return check(read_history(table(rows)), Context(enough=enough))


def ok(steps, start=0, end=0, process=0, type="ok"):
    return Row("txn", steps, start, end, type, process=process)


def verified(rows, result):
    """Whether the verifier accepts all that is claimed."""
    valid = result.verdict is Verdict.VALID
    claims = [result.claim] if valid else [anomaly.claim for anomaly in result.anomalies]
    plain = json.loads(json.dumps(claims, default=lambda array: array.tolist()))
    accept(Rows(table(rows)), "list-append", None, plain, "adya", valid=valid)
    return True


def names(rows):
    result = judge(rows)
    if result.verdict is not Verdict.UNKNOWN:
        assert verified(rows, result)
    return [anomaly.name for anomaly in result.anomalies]


@pytest.mark.parametrize("part", range(4))
def test_every_model_against_the_oracle(part):
    for seed in range(part * 150, part * 150 + 150):
        rows = weak_history(random.Random(seed))
        history, given = tell(rows, None), read_transactions(read_history(table(rows)))
        if history is None:
            assert nothing_said(given)
            continue
        analysis = analyse_lists(given)
        assert bool(analysis.left_out) == history.left_out
        flaws = {flaw.name for flaw in analysis.flaws}
        more = {"incompatible-order"} if "duplicate-elements" in flaws else set()
        assert flaws | more == Facts(history).flaws | more
        models = Models(analysis)
        for dialect in ("adya", "axiomatic"):
            for model, holds in which(history, dialect).items():
                sessions = dialect == "axiomatic"
                said = models.decide(model, sessions=sessions)
                assert said == holds or (said is None and model in UNDECIDED), (seed, model)
                assert (models.shown(model, sessions=sessions) is not None) == bool(said)


@pytest.mark.parametrize("part", range(3))
def test_every_claim_is_accepted(part):
    for seed in range(5000 + part * 120, 5120 + part * 120):
        rows = weak_history(random.Random(seed), 6)
        result = judge(rows)
        assert str(result.verdict) == truths(rows, None, "adya")["list-append"], seed
        assert result.verdict is Verdict.UNKNOWN or verified(rows, result)


def test_the_example_of_the_paper_on_elle():
    rows = [
        ok([["append", 253, 1], ["append", 253, 3], ["append", 253, 4], ["append", 255, 2],
            ["append", 255, 3], ["append", 255, 4], ["append", 255, 5], ["append", 256, 1],
            ["append", 256, 2]], 0, 1),
        ok([["append", 255, 8], ["r", 253, [1, 3, 4]]], 2, 3),
        ok([["append", 256, 4], ["r", 255, [2, 3, 4, 5, 8]], ["r", 256, [1, 2, 4]],
            ["r", 253, [1, 3, 4]]], 4, 5),
        ok([["append", 250, 10], ["r", 253, [1, 3, 4]], ["r", 255, [2, 3, 4, 5]],
            ["append", 256, 3]], 6, 7),
    ]  # fmt: skip
    result = judge([row._replace(process=n) for n, row in enumerate(rows)])
    assert result.verdict is Verdict.INVALID
    assert "rules out parallel snapshot isolation" in result.why
    (single,) = (found for found in result.anomalies if found.name == "G-single")
    assert single.argument == (
        "T3 < T1, because T3 read key 255 as [2, 3, 4, 5], without the 8 that T1 appended; "
        "T1 < T2, because T2 read the 8 that T1 appended to key 255; however, T2 < T3, because "
        "T2 read key 256 as [1, 2, 4], and had appended the 4, without the 3 that T3 appended: "
        "a contradiction"
    )
    assert verified(rows, result)


def test_names_of_what_one_read_shows():
    one = ok([["append", 1, 1], ["append", 1, 2]], 0, 1)
    assert names([one, ok([["r", 1, [1, 9]]], 2, 3)])[0] == "thin-air-read"
    assert "future-read" in names([ok([["r", 1, [1]], ["append", 1, 1]])])
    assert "duplicate-elements" in names([one, ok([["r", 1, [1, 2, 2]]], 2, 3)])
    two = [one, ok([["append", 1, 3]], 2, 3)]
    order = [*two, ok([["r", 1, [1, 2, 3]]], 4, 5), ok([["r", 1, [3]]], 4, 5, 1)]
    assert "incompatible-order" in names(order)
    assert names([one, ok([["r", 1, [2]]], 2, 3)])[0] == "incompatible-order"
    failed = ok([["append", 1, 3]], 2, 3, type="fail")
    assert names([one, failed, ok([["r", 1, [1, 2, 3]]], 4, 5)]) == ["G1a"]
    assert names([one, ok([["r", 1, [1]]], 2, 3)])[0] == "G1b"
    assert "internal" in names([ok([["append", 1, 1], ["r", 1, None]])])


def cycle(*steps):
    """Transactions of different processes at one time."""
    return [ok(each, process=n) for n, each in enumerate(steps)]


def test_names_of_cycles():
    seen = [["r", "x", [1, 2]], ["r", "y", [2, 1]]]
    assert names(cycle([["append", "x", 1], ["append", "y", 1]],
                       [["append", "x", 2], ["append", "y", 2]], seen)) == ["G0"]  # fmt: skip
    assert names(cycle([["append", "x", 1], ["r", "y", [1]]],
                       [["append", "y", 1], ["r", "x", [1]]])) == ["G1c"]  # fmt: skip
    torn = cycle([["append", "x", 1], ["append", "y", 1]], [["r", "x", [1]], ["r", "y", None]])
    assert names(torn) == ["fractured-read", "G-single"]
    lost = cycle(*[[["r", "x", None], ["append", "x", n]] for n in (1, 2)], [["r", "x", [1, 2]]])
    assert names(lost) == ["G-single", "lost-update"]
    fork = cycle([["append", "x", 1]], [["append", "y", 1]],
                 [["r", "x", [1]], ["r", "y", None]],
                 [["r", "x", None], ["r", "y", [1]]])  # fmt: skip
    assert names(fork) == ["long-fork", "G-nonadjacent"]
    skew = cycle([["r", "x", None], ["append", "y", 1]], [["r", "y", None], ["append", "x", 1]])
    assert names(skew) == ["write-skew"]


def test_what_needs_sessions_or_time():
    write, read = [["append", "x", 1]], [["r", "x", None]]
    assert names([ok(write, 0, 1), ok(read, 2, 3)]) == ["G-single-process"]
    assert names([ok(write, 0, 1), ok(read, 2, 3, process=1)]) == ["G-single-realtime"]
    timeless = judge([ok(write), ok(read)])
    assert [found.name for found in timeless.anomalies] == ["G-single-process"]
    assert "process 0 did T0 before T1" in timeless.anomalies[0].argument
    strong = "rules out causal, strong session snapshot isolation, strict serializable; "
    assert f"{strong}consistent with read uncommitted, read committed" in timeless.why


def test_nothing_is_said_without_reads_or_of_registers():
    for steps in ([["append", 1, 1]], [["w", 1, 1], ["r", 1, 1]], [["r", 1, [1]]]):
        assert judge([ok(steps)]).verdict is Verdict.UNKNOWN
    assert "too little traffic" in judge([ok([["append", 1, 1], ["r", 1, [1]]])], 10).why
    twice = [ok([["append", 1, 1]]), ok([["append", 1, 1], ["r", 1, [1, 1]]], process=1)]
    assert "left out 1 key" in judge(twice).why


def test_many_unseen_appends_stand_behind_what_was_read_last():
    writers = [[["r", "x", [0]], ["append", "x", n]] for n in range(1, 30)]
    rows = [ok([["append", "x", 0]], 0, 1)] + [
        ok(each, 2, 9, process=n) for n, each in enumerate(writers)
    ]
    result = judge(rows)
    assert verified(rows, result)
    lost = next(found for found in result.anomalies if found.name == "lost-update")
    assert lost.count == 28
    blind = [ok([["append", "x", n]], 2, 9, process=n) for n in range(1, 30)]
    fine = judge([rows[0], *blind, ok([["r", "x", [0]]], 2, 9, process=40)])
    assert fine.verdict is Verdict.VALID


def test_a_cycle_of_thousands_is_explained():
    size = 2000
    rows = cycle(*[[["append", n, 1], ["r", (n - 1) % size, [1]]] for n in range(size)])
    result = judge(rows)
    (found,) = result.anomalies
    assert (found.name, found.count, len(found.operations)) == ("G1c", size, size)
    assert "and so on, 1,988 steps more; however" in found.argument
    assert verified(rows, result)


def test_machine_code_says_what_the_loops_say(monkeypatch):
    rows = []
    for seed in range(60):
        rng, shift = random.Random(9000 + seed), 50 * seed
        for row in weak_history(rng, 6):
            steps = [
                [f, f"{key}/{seed % 7}", _shifted(shown, shift)] for f, key, shown in row.value
            ]
            rows.append(row._replace(value=steps, start=row.start + shift, end=row.end + shift))
    history = read_history(table(rows))
    found = []
    for least in (10**12, 0):
        monkeypatch.setattr(compiled, "LOADED_FROM", least)
        monkeypatch.setattr(compiled, "COLD_FROM", 0)
        found.append(check(history, Context(enough=1)))
    assert found[0].to_json() == {**found[1].to_json(), "seconds": 0.0}
    assert len(found[0].anomalies) > 5
    for one, other in zip(*(each.anomalies for each in found), strict=True):
        assert np.array_equal(one.instances, other.instances)


def _shifted(shown, shift):
    if isinstance(shown, list):
        return [value + shift for value in shown]
    return None if shown is None else shown + shift


def test_every_name_has_a_meaning():
    assert len({kind.name for kind in KINDS}) == len(KINDS) == 26
