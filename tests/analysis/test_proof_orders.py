"""Orders, and that there is none: accepted exactly if brute force says so."""

from __future__ import annotations

import re
from random import Random

import pytest

from analysis.proof import search
from tests.analysis.certified import invalid, valid
from tests.truth import oracle
from tests.truth.properties import PROPERTIES
from tests.truth.rows import Row

MODELS = {
    "linearizable-register": "register",
    "linearizable-cas-register": "cas-register",
    "linearizable-kv-append": "kv-append",
    "linearizable-set": "set",
    "linearizable-queue": "queue",
    "linearizable-stack": "stack",
    "linearizable-counter": "counter",
    "linearizable-lock": "lock",
    "sequential": "register",
}
SMALL = 90  # histories of each property


def drawn(name, count=SMALL, seed=7):
    about, rng = PROPERTIES[name], Random(f"{name} {seed}")
    for _ in range(count):
        where = about.setting(rng)
        history = about.make(rng, where)
        if history:
            yield about, where, history, rng


def an_order(rng, history):
    """Rows in an order that time allows, or nearly; some of those that may have happened."""
    listed = [n for n, row in enumerate(history) if row.type == "ok" or rng.random() < 0.4]
    listed.sort(key=lambda n: history[n].start + rng.random() * (history[n].end - history[n].start))
    if listed and rng.random() < 0.3:
        at, other = rng.randrange(len(listed)), rng.randrange(len(listed))
        listed[at], listed[other] = listed[other], listed[at]
    return listed


def excused(why, history):
    """An order of what tells nothing shows nothing; and what had no effect, since it was not
    possible where it would have happened, belongs in no order, though the oracle lets it pass.
    """
    impossible = re.fullmatch(r"operation (\d+) is not possible where it stands", why)
    unsure = impossible is not None and not oracle.answered(history[int(impossible[1])])
    return unsure or "tells anything" in why


@pytest.mark.parametrize("name", MODELS)
def test_an_order_is_accepted_exactly_if_it_is_one(name):
    right = wrong = 0
    kind = "serial" if name == "sequential" else "order"
    for about, where, history, rng in drawn(name):
        for _ in range(6):
            listed = an_order(rng, history)
            claim = {"kind": kind, "model": MODELS[name], "order": listed}
            why = valid(name, claim, history, initial=where.initial)
            if about.orders(history, listed, where):
                right += 1
                assert why is None or excused(why, history), (why, listed, history, where)
            else:
                wrong += 1
                assert why is not None, (listed, history, where)
    assert right > 20
    assert wrong > 100


@pytest.mark.parametrize("name", MODELS)
def test_there_is_no_order_exactly_if_none_is_found(name):
    found = none = 0
    for about, where, history, rng in drawn(name, seed=8):
        truth = about.truth(history, where)
        key = rng.choice(history).key
        claim = {
            "kind": "no-order",
            "anomaly": "non-sequential" if name == "sequential" else "non-linearizable",
            "model": MODELS[name],
            "operations": [],
        }
        if name != "sequential":
            claim |= {"key": key, "until": rng.randrange(len(history))}
        why = invalid(name, claim, history, initial=where.initial)
        if truth != "invalid":
            found += 1
            assert why == f"{claim['anomaly']}: these operations do have an order", history
        elif name == "sequential":
            none += 1
            assert why is None, (history, where)
        if name != "sequential":
            none += any(broken(about, where, history, claim | {"key": k}) for k in keys(history))
    assert found > 20
    assert none > 10


def keys(history):
    return {row.key for row in history}


def broken(about, where, history, claim):
    """Whether the part of one key is invalid; then its last completion shows it."""
    part = [row for row in history if row.key == claim["key"]]
    if about.truth(part, where) != "invalid":
        return False
    done = [n for n, row in enumerate(history) if row in part and row.type != "info"]
    last = max(done, key=lambda n: history[n].end)
    assert invalid(about.name, claim | {"until": last}, history, initial=where.initial) is None
    return True


@pytest.mark.parametrize("name", ["linearizable-set", "linearizable-queue", "linearizable-stack"])
def test_leaving_values_out_never_shows_what_is_not_so(name):
    accepted = 0
    for about, where, history, rng in drawn(name, count=400, seed=9):
        elements = [row.value for row in history if not isinstance(row.value, list)]
        values = [value for value in elements if rng.random() < 0.6]
        claim = {
            "kind": "no-order",
            "anomaly": "non-linearizable",
            "model": MODELS[name],
            "operations": [],
            "key": rng.choice(history).key,
            "values": values,
        }
        if invalid(name, claim, history, initial=where.initial) is None:
            accepted += 1
            assert about.truth(history, where) == "invalid", (history, where, values)
    assert accepted > 20


def test_values_may_not_be_left_out_of_a_register():
    about, where, history, _ = next(drawn("linearizable-register", seed=3))
    claim = {
        "kind": "no-order",
        "anomaly": "non-linearizable",
        "model": "register",
        "operations": [],
        "key": history[0].key,
        "values": [1],
    }
    assert "left out" in invalid(about.name, claim, history, initial=where.initial)


def test_a_search_ends_at_its_limit(monkeypatch):
    rows = [Row("write", n % 3, n, 1000 + n) for n in range(40)] + [Row("read", 7, 2000, 2001)]
    claim = {
        "kind": "no-order",
        "anomaly": "non-linearizable",
        "model": "register",
        "operations": [],
        "key": None,
        "until": 40,
    }
    assert invalid("linearizable-register", claim, rows) is None
    monkeypatch.setattr(search, "STEPS", 100)
    assert "within 100 steps" in invalid("linearizable-register", claim, rows)
