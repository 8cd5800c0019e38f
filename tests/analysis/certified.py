"""Certificates written by hand, and what the verifier says of them."""

from __future__ import annotations

from analysis.proof.rows import Refused
from analysis.proof.verify import digest, verify
from tests.truth.rows import table

SHA256 = "5" * 64


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
