"""The judges are judged: the oracle against something plainer still, the runner against liars."""

from __future__ import annotations

from itertools import chain, combinations, permutations
from random import Random

import pytest

from analysis.checkers.base import CheckResult, Verdict
from tests.truth import change, oracle, properties, rows, runner, simulate
from tests.truth.properties import PROPERTIES
from tests.truth.rows import Row

ORDERED = [name for name, each in PROPERTIES.items() if each.orders]


def drawn(name: str, count: int, most: int = 20):
    """(history, setting) some times, of at most so many operations."""
    rng = Random(f"{name} {count}")
    found = []
    while len(found) < count:
        where = PROPERTIES[name].setting(rng)
        made = [PROPERTIES[name].make(rng, where) for _ in range(10)]
        found += [(history, where) for history in made if 0 < len(history) <= most]
    return found


def parts_of(whole):
    return chain.from_iterable(combinations(whole, size) for size in range(len(whole) + 1))


@pytest.mark.parametrize("name", ORDERED)
def test_the_oracle_agrees_with_every_permutation(name):
    about, seen = PROPERTIES[name], set()
    for history, where in drawn(name, 400, most=5):
        every = range(len(history))
        some = any(
            about.orders(history, order, where)
            for part in parts_of(every)
            for order in permutations(part)
        )
        truth = about.truth(history, where)
        assert some == (truth != "invalid"), f"{where} {rows.told(history)}"
        seen.add(truth)
    assert seen == {"valid", "invalid", "unknown"}


# Drawn where they are made.
OWN_FAULTS = (
    *("bank", "session-guarantees", "long-fork", "log", "authorised-edits"),
    *("group-at-least-once", "group-exactly-once"),
)


@pytest.mark.parametrize("name", [name for name in PROPERTIES if name not in OWN_FAULTS])
def test_an_object_that_works_breaks_no_promise(name, monkeypatch):
    style = simulate.style
    monkeypatch.setattr(properties, "style", lambda *a, **k: style(*a, **{**k, "broken": 0.0}))
    if name == "convergence":  # what has no answer is over when its client gave up
        monkeypatch.setattr(simulate, "LATER", 0.0)
    for history, where in drawn(name, 1000):
        truth = PROPERTIES[name].truth(history, where)
        assert truth != "invalid", f"{where} {rows.told(history)}"


@pytest.mark.parametrize("name", PROPERTIES)
def test_harmless_changes_change_no_verdict(name):
    rng, about = Random(1), PROPERTIES[name]
    for history, where in drawn(name, 300):
        other = change.harmless(rng, history, where, about)
        assert about.truth(other, where) == about.truth(history, where), rows.told(history)


@pytest.mark.parametrize("says", list(Verdict))
@pytest.mark.parametrize("name", PROPERTIES)
def test_a_checker_that_always_says_the_same_is_caught(name, says, monkeypatch):
    def liar(history, context):
        claim = {"kind": "order", "model": "register", "order": []}
        return CheckResult(property=name, verdict=says, why="I always say so", claim=claim)

    monkeypatch.setattr(runner, "CHECKERS", {name: liar})
    tally = runner.judge(PROPERTIES[name], "1", 60)
    assert tally.wrong
    assert all(wrong.expected != says == wrong.got for wrong in tally.wrong)


def test_rows_are_told_so_that_they_can_be_pasted():
    history = [Row("cas", 2, 3, 4, key="x", expected=1), Row("read", [1], 5, 6, "info", 7)]
    assert eval(rows.told(history), {"Row": Row}) == history


def test_slices_of_one_table_are_the_histories():
    parts = [history for history, _ in drawn("linearizable-set", 50)]
    for part, given in zip(parts, rows.histories(parts), strict=True):
        alone = rows.history(part)
        places = range(len(part))
        assert [given.content(at) for at in places] == [alone.content(at) for at in places]
        assert given.type.tolist() == alone.type.tolist()
        assert [given.key.at(at) for at in places] == [row.key for row in part]


def test_an_operation_that_touches_another_does_not_precede_it():
    about = PROPERTIES["linearizable-register"]
    where = properties.Setting()
    touching = [Row("write", 1, 0, 5), Row("read", None, 5, 6)]
    apart = [Row("write", 1, 0, 5), Row("read", None, 6, 7)]
    assert about.truth(touching, where) == "valid"
    assert about.truth(apart, where) == "invalid"
    assert oracle.linearizable(apart[1:], properties.PlainRegister(), None)
