"""Certificates of right verdicts are accepted, and nothing else is.

Whoever forges a certificate can compute its digest anew. So most of what is tried here has a right
digest and says what is not so: an order of a history that has none, a violation of one that has.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from analysis.checkers.base import CheckResult, Verdict
from analysis.proof.rows import Refused
from analysis.proof.verify import PROMISES, verify
from analysis.recount.counted import OBSERVED
from tests.truth.properties import Property, Setting
from tests.truth.rows import Row, table

if TYPE_CHECKING:
    from tests.truth.runner import Tally

CANONICAL = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_SORT_KEYS
SHA256 = "0" * 64  # of the history: these were never in a file
Body = dict[str, Any]


def body(
    name: str, verdict: str, claims: Sequence[Mapping[str, Any] | None], count: int, initial: Any
) -> Body:
    """A certificate without its digest, as JSON is read."""
    whole = {
        "certificate": 1,
        "property": name,
        "verdict": verdict,
        "history": {"operations": count, "sha256": SHA256},
        "initial": initial,
        "claims": list(claims),
    }
    read: Body = orjson.loads(orjson.dumps(whole, option=CANONICAL))
    return read


def of(result: CheckResult, history: Sequence[Row], initial: Any) -> Body:
    """The certificate of what a checker found."""
    claims = [anomaly.claim for anomaly in result.anomalies]
    if result.verdict is Verdict.VALID:
        claims = [result.claim]
    return body(result.property, str(result.verdict), claims, len(history), initial)


def digest(certificate: Body) -> str:
    """SHA-256 of the rest."""
    return sha256(written(certificate)).hexdigest()


def written(certificate: Body) -> bytes:
    """As in a file; orjson could not write integers of more than 64 bits."""
    return json.dumps(
        certificate, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def refusal(
    certificate: Body, history: Sequence[Row], where: Setting, signed: str | None = None
) -> str:
    """Why the verifier refuses it, "" if it does not; `signed`: the digest, if not its own."""
    whole = {**certificate, "digest": signed or digest(certificate)}
    text = written(whole)
    final_ns = where.final_ns[0] if where.final_ns else None
    try:
        verify(text, table(history), SHA256, initial=where.initial, final_ns=final_ns)
    except Refused as refused:
        return str(refused)
    return ""


def is_accepted(result: CheckResult, history: Sequence[Row]) -> bool:
    """Whether the certificate of a result is accepted."""
    return not refusal(of(result, history, None), history, Setting())


Judged = tuple[list[Row], str, CheckResult]  # a history, what is true of it, what was found


def judge(
    about: Property, where: Setting, judged: Sequence[Judged], rng: Random, tally: Tally
) -> None:
    """Certificates of all right verdicts, and of many wrong ones."""
    if about.name not in PROMISES:
        return
    right = [
        (history, truth, of(result, history, where.initial))
        for history, truth, result in judged
        if str(result.verdict) == truth != "unknown"
    ]
    bank = {verdict: [b for _, v, b in right if v == verdict] for verdict in ("valid", "invalid")}
    for history, _, certificate in right:
        tally.certificates += 1
        if why := refusal(certificate, history, where):
            tally.refused += 1
            tally.keep("refused", about, history, where, f"{why}: {certificate}")
        altered = alter(rng, certificate, len(history))
        if altered != certificate:
            _refuse(about, altered, history, where, tally, digest(certificate))
        _alter_order(about, where, history, altered, tally)
        _neighbour(about, where, history, certificate, rng, tally)
    for history, truth, _ in judged:
        other = "valid" if truth == "invalid" else "invalid"
        for forged in _forged(about, history, other, bank[other], where.initial, rng):
            _refuse(about, forged, history, where, tally)


def _refuse(
    about: Property,
    certificate: Body,
    history: list[Row],
    where: Setting,
    tally: Tally,
    signed: str | None = None,
) -> None:
    tally.mutants += 1
    if not refusal(certificate, history, where, signed):
        tally.accepted += 1
        tally.keep("accepted", about, history, where, str(certificate))


def alter(rng: Random, certificate: Body, count: int) -> Body:
    """One thing in it is otherwise: two rows change places, one is dropped, a reason is wrong."""
    altered = copy.deepcopy(certificate)
    places = list(_places(altered["claims"]))
    if not places or rng.random() < 0.1:
        return {**altered, "verdict": "invalid" if altered["verdict"] == "valid" else "valid"}
    holder, at = places[int(rng.random() * len(places))]
    value = holder[at]
    if isinstance(holder, list) and rng.random() < 0.3:
        del holder[at]
    elif isinstance(holder, list) and rng.random() < 0.5:
        other = int(rng.random() * len(holder))
        holder[at], holder[other] = holder[other], holder[at]
    elif type(value) is int:
        holder[at] = rng.choice((value + 1, value - 1, int(rng.random() * count), -1))
    elif isinstance(value, str):
        words = ("real-time", "reads-from", "overwrite", "transitive", "order", "stale-read", "")
        holder[at] = rng.choice(words)
    else:
        holder[at] = None
    return altered


def _places(part: Any) -> Any:
    """Every (container, index) that holds something below `part`."""
    inside = part.items() if isinstance(part, dict) else enumerate(part)
    for at, value in list(inside):
        yield part, at
        if isinstance(value, dict | list):
            yield from _places(value)


def _alter_order(
    about: Property, where: Setting, history: list[Row], altered: Body, tally: Tally
) -> None:
    """An order that was altered is accepted if it still is one, and only then."""
    if about.orders is None or altered["verdict"] != "valid" or len(altered["claims"]) != 1:
        return
    (claim,) = altered["claims"]
    listed = claim.get("order") if isinstance(claim, dict) else None
    if not isinstance(listed, list) or {type(row) for row in listed} != {int}:
        return
    is_one = about.orders(history, listed, where)
    tally.mutants += 1
    if not (refusal(altered, history, where) or is_one):
        tally.accepted += 1
        tally.keep("accepted", about, history, where, str(altered))


def _neighbour(
    about: Property,
    where: Setting,
    history: list[Row],
    certificate: Body,
    rng: Random,
    tally: Tally,
) -> None:
    """The certificate of a history with one cell otherwise: accepted only if it is true there."""
    other = list(history)
    at = int(rng.random() * len(other))
    row, donor = other[at], other[int(rng.random() * len(other))]
    changed = [
        row._replace(value=donor.value) if row.f == donor.f else row,
        row._replace(type=("ok", "fail", "info")[int(rng.random() * 3)]),
        row._replace(start=min(donor.start, row.end)),
        row._replace(end=max(donor.end, row.start)),
        row._replace(process=donor.process),
    ]
    other[at] = changed[int(rng.random() * len(changed))]
    truth = about.truth(other, where)
    wrong = "invalid" if certificate["verdict"] == "valid" else "valid"
    if truth == wrong or (truth == "unknown" and wrong == "valid"):
        _refuse(about, certificate, other, where, tally)


def _forged(
    about: Property,
    history: list[Row],
    verdict: str,
    bank: Sequence[Body],
    initial: Any,
    rng: Random,
) -> list[Body]:
    """Certificates of a verdict that is wrong, from others of the same batch and from nothing."""
    forged = []
    for _ in range(2 if bank else 0):
        lent = copy.deepcopy(bank[int(rng.random() * len(bank))])
        lent["history"]["operations"] = len(history)
        forged.append(lent if rng.random() < 0.5 else alter(rng, lent, len(history)))
    if verdict == "valid" and bank and about.orders is not None:
        lent = copy.deepcopy(bank[0])
        lent["history"]["operations"] = len(history)
        listed = [at for at, row in enumerate(history) if row.type != "fail"]
        listed = [at for at in listed if history[at].type == "ok" or rng.random() < 0.7]
        listed.sort(key=lambda at: history[at].start + history[at].end * rng.random())
        lent["claims"][0]["order"] = listed
        forged.append(lent)
    if verdict == "invalid":
        claims = [_invented(about.name, history, rng) for _ in range(4)]
        forged += [body(about.name, verdict, [claim], len(history), initial) for claim in claims]
    return [one for one in forged if one["verdict"] == verdict]


def _invented(name: str, history: list[Row], rng: Random) -> dict[str, Any]:
    """A violation at random: any anomaly of the property, any operations, any values."""
    promise = PROMISES[name]
    rows = rng.sample(range(len(history)), min(len(history), rng.randint(1, 4)))
    shown = [history[at].value for at in rows]
    listed = [part for value in shown for part in (value if isinstance(value, list) else [value])]
    observed = list(OBSERVED.get(name, ()))
    if observed and (not promise.broken or rng.random() < 0.3):
        told = {"operations": rows, "value": rng.choice(listed or [None])}
        return {"anomaly": rng.choice(observed), "kind": "observed", **told}
    claim = {"anomaly": rng.choice(promise.broken), "kind": "no-order", "operations": rows[:1]}
    claim |= {"model": promise.model, "key": history[rows[0]].key}
    if promise.model in ("set", "queue", "stack") and rng.random() < 0.6:
        return {**claim, "values": listed}
    return {**claim, "until": rows[-1]}
