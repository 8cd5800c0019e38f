"""Genuine certificates of every kind of claim, altered in every way: none is accepted with its old
digest; with a digest computed anew only those that are true, as brute force says.
"""

from __future__ import annotations

import copy
from collections import Counter
from random import Random

import pytest

from analysis.checkers import CHECKERS
from analysis.checkers.base import Context, Meter, Verdict, run_checker
from analysis.proof.verify import PROMISES
from tests.analysis.certified import certificate, refusal, signed
from tests.truth.properties import PROPERTIES
from tests.truth.rows import history

NAMES = [name for name in PROPERTIES if name in CHECKERS and name in PROMISES]
DRAWN = 60  # histories of each property
KIN = {
    "linearizable-register": "registers",
    "linearizable-cas-register": "registers",
    "sequential": "registers",
    "staleness": "registers",
    "session-guarantees": "registers",
    "set": "sets",
    "set-full": "sets",
    "total-queue": "queues",
    "at-least-once": "queues",
    "group-at-least-once": "groups",
    "group-exactly-once": "groups",
}
OTHER = {"operations": 8, "sha256": "9" * 64}
RULES = ("real-time", "process", "initial", "reads-from", "transitive", "overwrite", "overwritten")


def genuine(name, seed):
    """(property, setting, history, truth, certificate) of small histories that are decided."""
    about, rng = PROPERTIES[name], Random(f"{name} {seed}")
    for _ in range(DRAWN):
        where = about.setting(rng)
        rows = about.make(rng, where)
        if not rows:
            continue
        context = Context(
            initial=where.initial, final_ns=where.final_ns, enough=1, meter=Meter(10**6)
        )
        result = run_checker(name, CHECKERS, history(rows), context)
        truth = about.truth(rows, where)
        if result.verdict is Verdict.UNKNOWN or str(result.verdict) != truth:
            continue  # that verdicts are right is tested elsewhere
        claims = [result.claim] if truth == "valid" else [a.claim for a in result.anomalies]
        claims = [jsonable(claim) for claim in claims]
        body = certificate(name, truth, claims, len(rows), initial=where.initial)
        yield about, where, rows, truth, body


def jsonable(claim):
    return {
        name: part.tolist() if hasattr(part, "tolist") else part for name, part in claim.items()
    }


def accepted(about, where, rows, body):
    began = where.final_ns[0] if where.final_ns else None
    return refusal(body, rows, initial=where.initial, final_ns=began) is None


# Mutations: each changes the body in place, and says whether it could.


def lists(body):
    """Every list of a claim that holds rows, steps or values."""
    return [
        part
        for claim in body["claims"]
        for part in claim.values()
        if isinstance(part, list) and part
    ]


def swapped(body, rng, rows):
    found = [part for part in lists(body) if len(part) > 1]
    part = rng.choice(found) if found else [0, 0]
    one, other = rng.sample(range(len(part)), 2)
    part[one], part[other] = part[other], part[one]


def dropped(body, rng, rows):
    for part in lists(body)[:1]:
        del part[rng.randrange(len(part))]


def added(body, rng, rows):
    for part in lists(body)[:1]:
        part.insert(rng.randrange(len(part) + 1), rng.randrange(len(rows)))


def doubled(body, rng, rows):
    for part in lists(body)[:1]:
        part.insert(rng.randrange(len(part) + 1), rng.choice(part))


def other_row(body, rng, rows):
    for part in lists(body)[:1]:
        part[rng.randrange(len(part))] = rng.randrange(-2, len(rows) + 2)


def until(body, rng, rows):
    for claim in body["claims"]:
        if "until" in claim:
            claim["until"] = rng.randrange(len(rows))


def key(body, rng, rows):
    for claim in body["claims"]:
        if "key" in claim:
            claim["key"] = rng.choice([None, "x", "y", "another", 0])


def value(body, rng, rows):
    for claim in body["claims"]:
        if "value" in claim:
            claim["value"] = rng.choice([rng.randrange(5), None, "1", True, 1.0])
        if claim.get("values"):
            claim["values"][rng.randrange(len(claim["values"]))] = rng.randrange(5)


def anomaly(body, rng, rows):
    names = [name for promise in PROMISES.values() for name in promise.broken]
    for claim in body["claims"]:
        if "anomaly" in claim:
            claim["anomaly"] = rng.choice([*names, "phantom", "lost", None])


def rule(body, rng, rows):
    for claim in body["claims"]:
        if "steps" in claim:
            rng.choice(claim["steps"])[2] = rng.choice(RULES)


def premises(body, rng, rows):
    for claim in body["claims"]:
        if "steps" in claim:
            step = rng.choice(claim["steps"])
            step[3] = [rng.randrange(len(claim["steps"])) for _ in range(rng.randrange(3))]


def figure(body, rng, rows):
    for claim in body["claims"]:
        if "figures" in claim:
            name = rng.choice(list(claim["figures"]))
            claim["figures"][name] += rng.choice([-1, 1, True, 0.0])


def kind(body, rng, rows):
    kinds = ("order", "serial", "figures", "contradiction", "no-order", "observed")
    rng.choice(body["claims"])["kind"] = rng.choice(kinds)


def verdict(body, rng, rows):
    body["verdict"] = "invalid" if body["verdict"] == "valid" else "valid"


def renamed(body, rng, rows):
    body["property"] = rng.choice(list(PROMISES))


def initial(body, rng, rows):
    body["initial"] = rng.choice([None, 0, 1, "1", [1, 2], False])


def another(body, rng, rows):
    body["history"] = OTHER


MUTATIONS = (
    swapped, dropped, added, doubled, other_row, until, key, value, anomaly, rule, premises,
    figure, kind, verdict, renamed, initial, another,
)  # fmt: skip
NEVER = {verdict, another}  # never true of the history, whatever it is


def true_still(about, where, rows, truth, body):
    """Whether what the mutant states is so, as brute force and the definitions say."""
    other = PROPERTIES.get(body["property"])
    same_kind = type(body["initial"]) is type(where.initial) and body["initial"] == where.initial
    if other is None or not same_kind:
        return False
    if other is not about and KIN.get(other.name) != KIN.get(about.name, about.name):
        return False  # its definition may not even apply
    if other.name == "set-full" and all(c["anomaly"] == "stale-read" for c in body["claims"]):
        return True  # that reads are to be linearizable is nothing that a history can say
    if other.truth(rows, where) != body["verdict"]:
        return False
    if body["verdict"] == "valid" and other.orders is not None:
        return other.orders(rows, body["claims"][0]["order"], where)
    return True


@pytest.mark.parametrize("name", NAMES)
def test_only_what_is_true_is_accepted(name):
    tried, passed = Counter(), Counter()
    rng = Random(f"mutations of {name}")
    for about, where, rows, truth, body in genuine(name, 1):
        assert accepted(about, where, rows, body), (rows, where, body)
        tried[truth] += 1
        for mutate in MUTATIONS:
            mutant = copy.deepcopy(body)
            mutate(mutant, rng, rows)
            if mutant == body and repr(mutant) == repr(body):
                continue
            tried[mutate.__name__] += 1
            assert not accepted(about, where, rows, mutant), (mutate, rows, mutant)
            if accepted(about, where, rows, signed(mutant)):
                passed[mutate.__name__] += 1
                assert mutate not in NEVER, (mutate, rows, where, mutant)
                assert true_still(about, where, rows, truth, mutant), (mutate, rows, where, mutant)
    assert tried["valid"] > 5
    assert tried["invalid"] > 3
    assert sum(tried.values()) > 100
    assert sum(passed.values()) < sum(tried.values()) / 4, (tried, passed)


@pytest.mark.parametrize("name", NAMES)
def test_a_certificate_of_another_history_shows_nothing(name):
    about = PROPERTIES[name]
    last, tried = None, 0
    for _, where, rows, truth, body in genuine(name, 2):
        if last is not None and last["initial"] == body["initial"]:
            assert refusal(signed({**last, "history": OTHER}), rows, initial=where.initial)
            mutant = {**copy.deepcopy(last), "history": body["history"]}
            if accepted(about, where, rows, signed(mutant)):
                assert last["verdict"] == truth
            tried += 1
        last = body
    assert tried > 2


@pytest.mark.parametrize("name", NAMES)
def test_one_cell_of_the_history_otherwise(name):
    """The history is altered instead, and its fingerprint forged."""
    about, rng = PROPERTIES[name], Random(name)
    tried = 0
    for _, where, rows, _, body in genuine(name, 3):
        at = rng.randrange(len(rows))
        donor = rng.choice(rows)
        other = list(rows)
        field = rng.choice(["value", "type", "start", "end", "key", "process"])
        other[at] = rows[at]._replace(**{field: getattr(donor, field)})
        if other[at].end < other[at].start or other[at].f != donor.f:
            continue
        tried += other != rows
        if accepted(about, where, other, body):
            told = about.truth(other, where)
            assert told == body["verdict"], (rows, at, other[at], body)
    assert tried >= 2
