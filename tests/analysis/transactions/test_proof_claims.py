"""Certificates of transactions by hand: each kind of claim, and what is altered in it."""

from __future__ import annotations

import copy
import json
from random import Random

import pytest

from analysis.proof.rows import Refused
from analysis.proof.verify import verify
from tests.analysis.certified import SHA256, certificate
from tests.analysis.transactions.small import compact
from tests.truth.rows import Row, table
from tests.truth.transactions.claims import holds
from tests.truth.transactions.oracle import MODELS


def txn(*micros, at=(0, 0), kind="ok", process=0):
    """A transaction of micro-operations told as text: `a k v`, `w k v`, `r k v`, `r k v,v`."""
    names = {"a": "append", "w": "w", "r": "r"}
    told = []
    for micro in micros:
        f, key, *rest = micro.split()
        value = json.loads(rest[0]) if rest else None
        told.append([names[f], int(key), value])
    return Row("txn", told, *at, type=kind, process=process)


def refusal(prop, verdict, claims, rows, *, initial=None, dialect="adya", plain=True):
    """Why it is refused; None: it is accepted."""
    body = certificate(prop, verdict, claims, len(rows), initial=initial)
    written = compact(rows) if plain else table(rows)
    try:
        verify(body, written, SHA256, initial=initial, dialect=dialect)
    except Refused as refused:
        return str(refused)
    return None


def valid(prop, kind, order, rows, **known):
    return refusal(prop, "valid", [{"kind": kind, "order": order}], rows, **known)


def broken(prop, claim, rows, **known):
    return refusal(prop, "invalid", [claim], rows, **known)


# Orders

LISTS = [
    txn("a 1 1", "r 1 [1]", at=(0, 1)),
    txn("r 1 [1]", "a 1 2", "a 2 1", at=(2, 3), process=1),
    txn("r 1 [1,2]", "r 2 [1]", "a 1 3", "r 1 [1,2,3]", at=(4, 5)),
    txn("a 1 9", at=(4, 5), kind="fail", process=2),
    txn("a 2 2", "r 2", at=(4, 5), kind="info", process=3),
    txn("r 1 [1,2,3]", "r 2 [1]", at=(6, 7), process=1),
]
# Nobody may see the snapshot of another: both read 0, each writes one of two registers.
SKEW = [
    txn("r 1", "r 2", "w 1 1", at=(0, 9)),
    txn("r 1", "r 2", "w 2 1", at=(0, 9), process=1),
    txn("r 1 1", "r 2 1", at=(10, 11)),
]
# Two see two writes in opposite orders.
FORK = [
    txn("w 1 1", at=(0, 9)),
    txn("w 2 1", at=(0, 9), process=1),
    txn("r 1 1", "r 2", at=(0, 9), process=2),
    txn("r 1", "r 2 1", at=(0, 9), process=3),
]


@pytest.mark.parametrize("prop", ["list-append", *MODELS])
def test_a_serialization_shows_every_model(prop):
    assert valid(prop, "serialization", [0, 1, 2, 5], LISTS) is None
    assert valid(prop, "serialization", [0, 1, 2, 5, 4], LISTS, plain=False) is None
    other = {"dialect": "axiomatic"}
    assert valid(prop, "serialization", [0, 1, 2, 5], LISTS, **other) is None


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ([1, 0, 2, 5], "stands after"),
        ([0, 1, 5, 2], "stands after"),
        ([0, 1, 2], "5 is missing"),
        ([0, 1, 2, 3, 5], "3 is missing, or should be"),
        ([0, 1, 4, 2, 5], "did not read what there was"),
        ([0, 1, 2, 5, 5], "twice"),
        ([0, 1, 2, 6], "a row that the history"),
        ([0, 1, 2, "5"], "no list of rows"),
    ],
)
def test_an_order_that_explains_less_is_refused(order, why):
    assert why in valid("list-append", "serialization", order, LISTS)


def test_snapshots_may_be_taken_at_once_but_not_of_one_key():
    order = [0, 1, 0, 1, 2, 2]
    for prop in MODELS[:-2]:
        assert valid(prop, "snapshots", order, SKEW) is None
    assert "no snapshots can show" in valid("serializable", "snapshots", order, SKEW)
    assert "did not read" in valid("serializable", "serialization", [0, 1, 2], SKEW)
    lost = [txn("r 1", "w 1 1"), txn("r 1", "w 1 2", process=1)]
    assert "another wrote" in valid("snapshot-isolation", "snapshots", [0, 1, 0, 1], lost)
    assert "exactly twice" in valid("snapshot-isolation", "snapshots", [0, 1, 2, 2], SKEW)
    late = [SKEW[0], SKEW[1]._replace(start=10, end=12, process=0), SKEW[2]._replace(start=13)]
    late[2] = late[2]._replace(end=14)
    assert valid("snapshot-isolation", "snapshots", order, late) is None
    strong = "strong-session-snapshot-isolation"
    assert "stands after" in valid(strong, "snapshots", order, late)
    told = valid("snapshot-isolation", "snapshots", order, late, dialect="axiomatic")
    assert "stands after" in told


def test_an_order_of_commits_goes_as_far_as_its_model():
    for prop in MODELS[:5]:
        assert valid(prop, "commit-order", [0, 1, 2, 3], FORK) is None
    assert "no commit-order" in valid("snapshot-isolation", "commit-order", [0, 1, 2, 3], FORK)
    assert "comes later" in valid("causal", "commit-order", [2, 0, 1, 3], FORK)
    read = [txn("w 1 1", "w 2 1"), txn("r 1 1", "r 2", process=1)]
    assert valid("read-committed", "commit-order", [0, 1], read) is None
    assert "saw 0" in valid("read-atomic", "commit-order", [0, 1], read)
    assert "saw 0" in valid("read-committed", "commit-order", [0, 1], read, dialect="axiomatic")
    other = [txn("w 1 1", "w 2 1"), txn("r 2", "r 1 1", process=1)]
    assert valid("read-committed", "commit-order", [0, 1], other, dialect="axiomatic") is None
    after = [txn("w 1 1"), txn("r 1 1", "w 2 1", process=1), txn("r 2 1", "r 1", process=2)]
    assert valid("read-atomic", "commit-order", [0, 1, 2], after) is None
    for prop in ("causal", "parallel-snapshot-isolation"):
        assert "saw 0" in valid(prop, "commit-order", [0, 1, 2], after)


def test_what_is_read_uncommitted_may_be_aborted():
    dirty = [txn("a 1 1"), txn("a 1 2", kind="fail"), txn("r 1 [1,2]"), txn("r 1 [1,2,3]")]
    dirty += [txn("a 1 3", process=1)]
    assert valid("read-uncommitted", "commit-order", [0, 2, 4, 3], dirty) is None
    assert "beginning" in valid("read-committed", "commit-order", [0, 2, 4, 3], dirty)
    dirty[2] = txn("r 1 [2]")
    assert "no beginnings" in valid("read-uncommitted", "commit-order", [0, 2, 4, 3], dirty)
    registers = [txn("w 1 1", kind="fail"), txn("r 1 1"), txn("w 1 2")]
    assert valid("read-uncommitted", "commit-order", [1, 2], registers) is None
    registers[1] = txn("r 1 3")
    assert "nobody wrote" in valid("read-uncommitted", "commit-order", [1, 2], registers)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([txn("r 1")], "nothing is written"),
        ([txn("w 1 1")], "read anything"),
        ([txn("w 1 1", "r 1 1"), txn("a 2 1")], "no list"),
        ([txn("w 1 1", "r 1 1"), txn("w 1 1")], "says nothing"),
        ([txn("w 1 null", "r 1")], "says nothing"),
        ([txn("a 1 1", "r 1 7")], "not read as one"),
        ([Row("txn", [["q", 1, 1]], 0, 0)], "no micro-operation"),
        ([Row("txn", [["w", 1]], 0, 0)], "malformed"),
        ([Row("txn", {"w": 1}, 0, 0)], "no list"),
        ([Row("txn", None, 0, 0)], "no payload"),
        ([Row("read", None, 0, 0)], "no payload"),
    ],
)
def test_of_what_says_nothing_nothing_is_accepted(rows, why):
    written = [row for row in rows if row.value is not None] == rows
    for prop in ("serializable", "read-uncommitted"):
        order = list(range(len(rows)))
        found = valid(prop, "serialization", order, rows, plain=written)
        assert why in found or "malformed" in found
    assert "not one of" in valid("rw-register", "serialization", [0, 1, 2, 5], LISTS)
    assert "models of" in valid("causal", "serialization", [0], LISTS, dialect="codd")


# What is broken


def observed(name, key, rows, **value):
    return {"kind": "observed", "anomaly": name, "key": key, "operations": rows, **value}


OBSERVED = [  # (name, key, operations, value, weakest model, history)
    ("thin-air-read", 1, [1], 7, 0, [txn("w 1 1"), txn("r 1 7")]),
    ("future-read", 1, [0], 1, 0, [txn("r 1 1", "w 1 1"), txn("r 1")]),
    ("duplicate-elements", 1, [1], None, 0, [txn("a 1 1"), txn("r 1 [1,1]")]),
    ("incompatible-order", 1, [2, 3], None, 0,
     [txn("a 1 1"), txn("a 1 2"), txn("r 1 [1,2]"), txn("r 1 [2]")]),
    ("incompatible-order", 1, [1, 0], None, 0, [txn("a 1 1", "a 1 2"), txn("r 1 [2]")]),
    ("G1a", 1, [1, 0], 1, 1, [txn("w 1 1", kind="fail"), txn("r 1 1")]),
    ("G1b", 1, [1, 0], 1, 1, [txn("w 1 1", "w 1 2"), txn("r 1 1")]),
    ("G1b", 1, [1, 0], 1, 1, [txn("a 1 1", "a 1 2"), txn("r 1 [1]")]),
    ("internal", 1, [0], None, 2, [txn("w 1 1", "r 1"), txn("r 1 1")]),
    ("internal", 1, [1], None, 2, [txn("a 1 1"), txn("r 1 [1]", "a 1 2", "r 1 [2]")]),
    ("lost-update", 1, [0, 1], None, 4, [txn("r 1", "w 1 1"), txn("r 1", "w 1 2")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "key", "rows", "value", "weakest", "history"), OBSERVED)
def test_what_is_observed(name, key, rows, value, weakest, history):
    claim = observed(name, key, rows, value=value)
    strength = dict(zip(MODELS, (0, 1, 2, 3, 4, 5, 5, 6, 6), strict=True))
    for prop in MODELS:
        found = broken(prop, claim, history)
        assert (found is None) == (strength[prop] >= weakest), (prop, found)
    prop = "serializable"
    for change in ({"key": 2}, {"operations": rows[::-1]}, {"operations": [*rows, 9]},
                   {"operations": []}, {"key": "1"}, {"kind": "cycle"}):  # fmt: skip
        same = change.get("operations") == rows or name == "lost-update"
        if not (same and change.get("operations") == rows[::-1]):
            accepted = broken(prop, {**claim, **change}, history) is None
            assert not accepted or (name, rows) == ("incompatible-order", [2, 3])
    for other in ("thin-air-read", "G1a", "G1b", "internal", "duplicate-elements", "lost-update"):
        if other != name:
            assert broken(prop, {**claim, "anomaly": other}, history)


SERIAL = [  # a history of lists that reads show, with an edge of each reason
    txn("a 1 1", "a 2 1", at=(0, 1)),
    txn("r 1 [1]", "a 1 2", at=(2, 3)),
    txn("r 1 [1,2]", "r 2", at=(4, 5), process=1),
    txn("r 2 [1]", at=(6, 7), process=1),
]
CYCLE = {
    "kind": "cycle",
    "anomaly": "G-single",
    "operations": [0, 1, 2],
    "edges": [[0, 1, "ww", 1, 1, 2, 2], [1, 2, "wr", 1, 2], [2, 0, "rw", 2, 1]],
}


def changed(claim, *path_and_value):
    *path, last, value = path_and_value
    other = copy.deepcopy(claim)
    part = other
    for step in path:
        part = part[step]
    part[last] = value
    return other


def test_a_cycle_and_what_is_altered_in_it():
    assert broken("list-append", CYCLE, SERIAL) is None
    assert broken("parallel-snapshot-isolation", CYCLE, SERIAL) is None
    assert "rule out" in broken("read-committed", CYCLE, SERIAL)
    assert "rule out" in broken("causal", CYCLE, SERIAL)
    for name in ("G2-item", "G-nonadjacent", "G-single-process", "G2-item-realtime"):
        assert broken("list-append", changed(CYCLE, "anomaly", name), SERIAL) is None
    for name in ("G0", "G1c", "fractured-read", "write-skew", "long-fork", "lost-update", "G3"):
        assert broken("list-append", changed(CYCLE, "anomaly", name), SERIAL)
    assert "G-single-process does not" in broken(
        "snapshot-isolation", changed(CYCLE, "anomaly", "G-single-process"), SERIAL
    )
    for edge in range(3):
        old = CYCLE["edges"][edge]
        for place in range(len(old)):
            others = ["ww", "wr", "rw", "session", "realtime", -1, 0, 1, 2, 3, 4, None, "1", True]
            for value in others:
                if json.dumps(value) == json.dumps(old[place]) or (edge, place) == (0, 6):
                    continue
                altered = changed(CYCLE, "edges", edge, place, value)
                assert broken("list-append", altered, SERIAL), (edge, place, value)
        flipped = changed(CYCLE, "edges", edge, [old[1], old[0], *old[2:]])
        assert broken("list-append", flipped, SERIAL)
        fewer = changed(CYCLE, "edges", CYCLE["edges"][:edge] + CYCLE["edges"][edge + 1 :])
        assert broken("list-append", fewer, SERIAL)
    for rows in ([0, 2, 1], [1, 2, 0], [0, 1], [0, 1, 2, 3], [0, 1, 1], []):
        assert broken("list-append", changed(CYCLE, "operations", rows), SERIAL)


def test_an_edge_needs_both_to_have_committed():
    rows = [txn("a 1 1", kind="info"), txn("r 1", "a 2 1", process=1), txn("r 2", process=2)]
    rows[0] = txn("r 2 [1]", "a 1 1", kind="info")
    edges = [[1, 0, "rw", 1, 1], [0, 1, "rw", 2, 1]]
    claim = {"kind": "cycle", "anomaly": "write-skew", "edges": edges, "operations": [1, 0]}
    assert "does not follow" in broken("serializable", claim, rows)
    rows[0] = txn("r 2", "a 1 1")
    assert broken("serializable", claim, rows) is None


# Contradictions

BLIND = [
    txn("w 1 1", "w 2 1"),
    txn("w 1 2", "w 2 2", process=1),
    txn("r 1 1", "r 2 2", process=2),
]
STEPS = [
    [0, 2, "reads-from", [], 1],
    [1, 2, "reads-from", [], 2],
    [1, 0, "overwritten", [0, 1], 1],
    [0, 1, "overwritten", [1, 0], 2],
    [0, 0, "transitive", [3, 2]],
]
CLAIM = {"kind": "contradiction", "anomaly": "G2-item", "model": "serializable",
         "steps": STEPS, "operations": [0, 1, 2]}  # fmt: skip


def test_a_contradiction_and_what_is_altered_in_it():
    for prop in ("serializable", "strict-serializable", "rw-register"):
        assert broken(prop, CLAIM, BLIND) is None
    assert "rule out" in broken("snapshot-isolation", CLAIM, BLIND)
    steps = [STEPS[0], STEPS[1], [1, 0, "visible", [0, 1], 1], [0, 1, "visible", [1, 0], 2],
             STEPS[4]]  # fmt: skip
    weak = {**CLAIM, "model": "read-atomic", "steps": steps, "anomaly": "fractured-read"}
    for prop in MODELS[2:]:
        assert broken(prop, weak, BLIND) is None
    assert "rule out" in broken("read-committed", weak, BLIND)
    for number, step in enumerate(STEPS):
        for place, old in enumerate(step):
            for value in (-1, 0, 1, 2, None, "transitive", "reads-from", "visible",
                          "overwrite", "overwritten", [], [0, 1], [1, 0], [2, 3],
                          [1, 2], [0, 4]):  # fmt: skip
                altered = changed(CLAIM, "steps", number, place, value)
                if json.dumps(value) != json.dumps(old):
                    assert broken("rw-register", altered, BLIND), (number, place, value)
        fewer = changed(CLAIM, "steps", STEPS[:number] + STEPS[number + 1 :])
        assert broken("rw-register", fewer, BLIND)
    for rows in ([0, 1], [0, 1, 2, 3], [], [0, 1, 1]):
        assert broken("rw-register", changed(CLAIM, "operations", rows), BLIND)
    circle = [txn("w 1 1", "r 2 1"), txn("w 2 1", "r 1 1", process=1)]
    steps = [[0, 1, "reads-from", [], 1], [1, 0, "reads-from", [], 2],
             [0, 0, "transitive", [0, 1]]]  # fmt: skip
    weak = {**CLAIM, "model": "read-committed", "steps": steps, "operations": [0, 1]}
    assert broken("read-committed", {**weak, "anomaly": "G1c"}, circle) is None
    weak["steps"] = [*steps[:2], [0, 1, "visible", [1, 0], 2]]
    assert broken("read-committed", {**weak, "anomaly": "G1c"}, circle)
    for model in ("read-committed", "parallel", None):
        assert broken("rw-register", changed(CLAIM, "model", model), BLIND)


def test_two_cases_are_shown_each_and_what_rests_on_one_is_no_contradiction():
    rows = [
        txn("w 1 1", "r 9"), txn("w 1 2", "r 8", process=1),
        txn("r 1 1", "r 8 5", process=2), txn("r 1 2", "r 9 5", process=3),
        txn("w 8 5", process=4), txn("w 9 5", process=5),
    ]  # fmt: skip
    # 0 before 1: 2 before 1 (it reads 1 of 0); 1 before 4 (it reads 8 before 4): 4 before 2. Alike.
    steps = [
        [0, 2, "reads-from", [], 1], [1, 3, "reads-from", [], 1],
        [-1, 1, "reads-from", [], 8], [-1, 0, "reads-from", [], 9],
        [4, 2, "reads-from", [], 8], [5, 3, "reads-from", [], 9],
        [-1, 4, "initial", []], [-1, 5, "initial", []],
        [1, 4, "overwrite", [2, 6], 8], [0, 5, "overwrite", [3, 7], 9],
        [0, 1, "assume", []], [2, 1, "overwrite", [0, 10], 1],
        [4, 1, "transitive", [4, 11]], [1, 1, "transitive", [8, 12]],
        [1, 0, "assume", []], [3, 0, "overwrite", [1, 14], 1],
        [5, 0, "transitive", [5, 15]], [0, 0, "transitive", [9, 16]],
        [0, 0, "either", [10, 13, 14, 17]],
    ]  # fmt: skip
    claim = {**CLAIM, "steps": steps, "operations": [0, 1, 2, 3, 4, 5]}
    assert broken("serializable", claim, rows) is None
    assert "in any case" in broken("serializable", {**claim, "steps": steps[:-1]}, rows)
    for premises in ([10, 13, 10, 13], [14, 17, 10, 13], [10, 17, 14, 13], [10, 13, 14, 12],
                     [0, 13, 14, 17], [10, 13, 14], [10, 13, 14, 17, 1]):  # fmt: skip
        altered = changed(claim, "steps", -1, 3, premises)
        fine = premises == [14, 17, 10, 13]
        assert (broken("serializable", altered, rows) is None) == fine, premises
    assert broken("serializable", changed(claim, "steps", -1, 1, 1), rows)


# Orders altered at random: accepted exactly if they still are one


def test_altered_orders_are_accepted_only_if_they_still_are_one():
    rng, count = Random(7), 0
    cases = [("list-append", "serialization", [0, 1, 2, 5], LISTS),
             ("snapshot-isolation", "snapshots", [0, 1, 0, 1, 2, 2], SKEW),
             *((prop, "commit-order", [0, 1, 2, 3], FORK) for prop in MODELS[:5])]  # fmt: skip
    for prop, kind, order, rows in cases:
        for _ in range(60):
            other = list(order)
            a, b = rng.randrange(len(other)), rng.randrange(len(other))
            if rng.random() < 0.4:
                other[a], other[b] = other[b], other[a]
            elif rng.random() < 0.5:
                other[a] = rng.randrange(len(rows))
            else:
                del other[a]
            claim = {"kind": kind, "order": other}
            truth = holds(prop, rows, None, "adya", claim)
            found = refusal(prop, "valid", [claim], rows)
            # Of this one more than its versions has to come in order.
            more = prop == "parallel-snapshot-isolation" and "comes later" in (found or "")
            assert (found is None) == (truth and not more), (prop, other, found)
            count += not truth
    assert count > 100
