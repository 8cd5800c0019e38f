"""What may be claimed of transactions, and which models a claim refutes."""

from __future__ import annotations

from typing import Any, NamedTuple

from analysis.proof.rows import Refused, Rows
from analysis.proof.transactions.commits import commit_order
from analysis.proof.transactions.known import Known
from analysis.proof.transactions.micros import Transactions
from analysis.proof.transactions.observed import CYCLES, MORE, OBSERVED, cycle, observed
from analysis.proof.transactions.replay import serialization, snapshots
from analysis.proof.transactions.steps import contradiction


class Model(NamedTuple):
    """A model rules out what those of lower strength do, if it takes into account what they do."""

    strength: int
    sessions: bool = False
    realtime: bool = False


MODELS = {
    "read-uncommitted": Model(0),
    "read-committed": Model(1),
    "read-atomic": Model(2),
    "causal": Model(3, sessions=True),
    "parallel-snapshot-isolation": Model(4),
    "snapshot-isolation": Model(5),
    "strong-session-snapshot-isolation": Model(5, sessions=True),
    "serializable": Model(6),
    "strict-serializable": Model(6, sessions=True, realtime=True),
}
KINDS = {"list-append": True, "rw-register": False}  # properties of lists, and of registers
PROPERTIES = (*KINDS, *MODELS)
STRENGTH = {  # of the weakest model that an anomaly rules out
    "thin-air-read": 0, "future-read": 0, "duplicate-elements": 0, "incompatible-order": 0,
    "G0": 0, "G1a": 1, "G1b": 1, "G1c": 1, "internal": 2, "fractured-read": 2, "G-single": 4,
    "lost-update": 4, "G-nonadjacent": 5, "long-fork": 5, "G2-item": 6, "write-skew": 6,
}  # fmt: skip
SUFFIXED = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
ANOMALIES = (*STRENGTH, *(name + more for name in SUFFIXED for more in MORE if more))
ADYA, AXIOMATIC = "adya", "axiomatic"


def accept(rows: Rows, prop: str, initial: Any, claims: Any, dialect: str, *, valid: bool) -> None:
    """Accept claims about transactions; `dialect`: whether sessions count in every model."""
    if dialect not in (ADYA, AXIOMATIC):
        raise Refused(f"there are no models of {dialect!r}")
    t = Transactions(rows, initial)
    if KINDS.get(prop, t.lists) != t.lists:
        raise Refused(f"the history is not one of {prop}")
    model = MODELS["strict-serializable" if prop in KINDS else prop]
    model = model._replace(sessions=model.sessions or dialect == AXIOMATIC)
    if valid:
        _valid(t, prop, model, claims[0])
        return
    known = Known(t)
    for claim in claims:
        try:
            refuted = _refuted(known, claim, dialect)
        except Refused as refused:
            raise Refused(f"{claim['anomaly']}: {refused}") from None
        more = (refuted.sessions and not model.sessions) or (
            refuted.realtime and not model.realtime
        )
        if refuted.strength > model.strength or more:
            raise Refused(f"{claim['anomaly']} does not rule out {prop}")


def _valid(t: Transactions, prop: str, model: Model, claim: Any) -> None:
    kind = claim["kind"]
    if t.silent.any():
        raise Refused("a key says nothing: an ambiguous value of it was read")
    if kind == "serialization":
        serialization(t, claim, sessions=model.sessions, realtime=model.realtime)
    elif kind == "snapshots" and model.strength <= 5:
        snapshots(t, claim, sessions=model.sessions)
    elif kind == "commit-order" and model.strength <= 4:
        commit_order(t, claim, prop, sessions=model.sessions)
    else:
        raise Refused(f"of {prop} no {kind} can show that it is valid")


def _refuted(known: Known, claim: Any, dialect: str) -> Model:
    """The weakest model that the claim, which is accepted, rules out."""
    kind, anomaly = claim["kind"], claim["anomaly"]
    suffix = next((more for more in MORE if more and anomaly.endswith(more)), "")
    name = anomaly.removesuffix(suffix)
    sessions, realtime = suffix != "", suffix == "-realtime"
    if anomaly not in ANOMALIES:
        raise Refused("there is no such anomaly")
    if kind == "contradiction" and name in (*CYCLES, "lost-update"):
        rules = contradiction(known, claim)
        if claim["model"] == "read-committed" and dialect != AXIOMATIC and "visible" in rules:
            raise Refused("read committed does not have the rule visible here")
        strength = MODELS[claim["model"]].strength
        return Model(strength, bool(rules & {"session", "real-time"}), "real-time" in rules)
    if kind == "observed" and anomaly in OBSERVED:
        observed(known, claim)
    elif kind == "cycle" and name in CYCLES:
        cycle(known, claim, name, suffix)
    else:
        raise Refused(f"no {kind} can show it")
    return Model(STRENGTH[name], sessions, realtime)
