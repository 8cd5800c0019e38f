"""Certificates written by hand, and what the verifier says of them."""

from __future__ import annotations

from analysis.proof.rows import Refused
from analysis.proof.verify import digest, verify
from tests.truth.rows import Row, table

SHA256 = "5" * 64
PLAIN = [
    Row("write", 1, 0, 10),
    Row("read", 1, 20, 30),
    Row("write", 2, 40, 50, type="info"),
    Row("read", 2, 60, 70, process=1),
    Row("write", 3, 80, 90, type="fail", error="refused: no"),
]
ORDER = {"kind": "order", "model": "register", "order": [0, 1, 2, 3]}
STALE = [*PLAIN[:4], Row("read", 1, 80, 90)]
STEPS = [
    [0, 4, "reads-from", []],
    [0, 2, "real-time", []],
    [4, 2, "overwrite", [0, 1]],
    [2, 3, "reads-from", []],
    [3, 4, "real-time", []],
    [2, 4, "transitive", [3, 4]],
    [4, 4, "transitive", [2, 5]],
]
CONTRADICTION = {
    "kind": "contradiction",
    "anomaly": "stale-read",
    "operations": [0, 2, 3, 4],
    "steps": STEPS,
}
REGISTER = "linearizable-register"


def certificate(prop, verdict, claims, count, *, initial=None, sha256=SHA256):
    """A certificate as a mapping, with the right digest."""
    whole = {
        "certificate": 1,
        "property": prop,
        "verdict": verdict,
        "history": {"operations": count, "sha256": sha256},
        "initial": initial,
        "claims": claims,
    }
    return signed(whole)


def signed(body):
    """The same with the digest that fits."""
    rest = {name: part for name, part in body.items() if name != "digest"}
    return {**rest, "digest": digest(rest)}


def refusal(body, rows, *, initial=None, final_ns=None, models=None):
    """Why the certificate is refused; None: it is accepted."""
    more = {} if models is None else {"models": models}
    try:
        verify(body, table(rows), SHA256, initial=initial, final_ns=final_ns, **more)
    except Refused as refused:
        return str(refused) or "for no reason"
    return None


def valid(prop, claim, rows, *, initial=None, **known):
    """Why a valid verdict with this claim is refused; None: it is accepted."""
    body = certificate(prop, "valid", [claim], len(rows), initial=initial)
    return refusal(body, rows, initial=initial, **known)


def invalid(prop, claim, rows, *, initial=None, **known):
    """Why an invalid verdict with this claim is refused; None: it is accepted."""
    body = certificate(prop, "invalid", [claim], len(rows), initial=initial)
    return refusal(body, rows, initial=initial, **known)
