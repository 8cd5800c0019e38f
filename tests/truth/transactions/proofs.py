"""Certificates of right verdicts on transactions are accepted, and nothing else is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from random import Random
from typing import Any

from analysis.checkers.base import CheckResult
from analysis.proof.rows import Refused
from analysis.proof.verify import verify
from tests.truth import proofs
from tests.truth.proofs import SHA256, Body, Judged, body, digest, of, written
from tests.truth.rows import Row, table
from tests.truth.runner import Tally, Wrong
from tests.truth.transactions import claims, oracle
from tests.truth.transactions.told import told

KINDS = ("serialization", "snapshots", "commit-order", "observed", "cycle", "contradiction")
RULES = (
    *("wr", "ww", "rw", "session", "realtime", "real-time", "reads-from", "overwrite"),
    *("overwritten", "transitive", "initial", "versions", "exclusive", "visible", "own"),
    *("assume", "either"),
)
ANOMALIES = (
    *("thin-air-read", "future-read", "duplicate-elements", "incompatible-order", "G1a", "G1b"),
    *("internal", "lost-update", "G0", "G1c", "G-single", "G-nonadjacent", "G2-item"),
    *("fractured-read", "long-fork", "write-skew", "G0-process", "G1c-process", "G1c-realtime"),
    *("G-single-process", "G-single-realtime", "G2-item-process", "G2-item-realtime"),
)
WORDS = (*KINDS, *RULES, *ANOMALIES, *oracle.MODELS)


def refusal(
    certificate: Body, history: Sequence[Row], where: Any, signed: str | None = None
) -> str:
    """Why the verifier refuses it, "" if it does not; `signed`: the digest, if not its own."""
    text = written({**certificate, "digest": signed or digest(certificate)})
    try:
        verify(text, table(history), SHA256, initial=where.initial, dialect=where.models)
    except Refused as refused:
        return str(refused)
    return ""


def accept(
    name: str, where: Any, history: list[Row], result: CheckResult, tally: Tally
) -> bool:  # fmt: skip
    """Count whether the certificate of a right verdict is accepted."""
    certificate = of(result, history, where.initial)
    tally.certificates += 1
    why = refusal(certificate, history, where)
    if why:
        tally.refused += 1
        _keep(name, history, where, tally, ("accepted", "refused"), f"{why}: {certificate}")
    return not why


def _keep(
    name: str,
    history: list[Row],
    where: Any,
    tally: Tally,
    verdicts: tuple[str, str],
    why: str,
) -> None:
    tally.doubted.append(Wrong(name, history, where, *verdicts, why))


def judge(name: str, where: Any, judged: Sequence[Judged], rng: Random, tally: Tally) -> None:
    """Certificates of all right verdicts, and of many wrong ones."""
    right = [
        (history, truth, of(result, history, where.initial))
        for history, truth, result in judged
        if str(result.verdict) == truth != "unknown"
    ]
    bank = {verdict: [b for _, v, b in right if v == verdict] for verdict in ("valid", "invalid")}
    for history, truth, result in judged:
        if str(result.verdict) == truth != "unknown":
            accept(name, where, history, result, tally)
    for history, _, certificate in right:
        altered = alter(rng, certificate, len(history))
        if altered != certificate:
            _refuse(name, altered, history, where, tally, digest(certificate))
            _alter_claim(name, altered, history, where, tally)
        _neighbour(name, certificate, history, where, rng, tally)
    for history, truth, _ in judged:
        if not said(history, where):
            continue
        other = "valid" if truth == "invalid" else "invalid"
        for forged in _forged(name, history, other, bank[other], where, rng):
            _refuse(name, forged, history, where, tally)


def said(history: list[Row], where: Any) -> bool:
    """Whether the verdict follows from all of it, so that what is true of a part is no concern."""
    known = told(history, where.initial)
    return known is None or not known.left_out


def _refuse(
    name: str,
    certificate: Body,
    history: list[Row],
    where: Any,
    tally: Tally,
    signed: str | None = None,
) -> None:
    tally.mutants += 1
    if not refusal(certificate, history, where, signed):
        tally.accepted += 1
        _keep(name, history, where, tally, ("refused", "accepted"), str(certificate))


def alter(rng: Random, certificate: Body, count: int) -> Body:
    """One thing in it is otherwise: two rows change places, one is dropped, a reason is wrong."""
    altered = copy.deepcopy(certificate)
    places = list(proofs._places(altered["claims"]))
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
        holder[at] = rng.choice(WORDS)
    else:
        holder[at] = None
    return altered


def _alter_claim(
    name: str, altered: Body, history: list[Row], where: Any, tally: Tally
) -> None:  # fmt: skip
    """What was altered is accepted only if it still shows something that is so."""
    if len(altered["claims"]) != 1 or not isinstance(altered["claims"][0], dict):
        return
    (claim,) = altered["claims"]
    if altered["verdict"] == "valid":
        if not claims.holds(name, history, where.initial, where.models, claim):
            _refuse(name, altered, history, where, tally)
    elif not _may_be(claim, history, where):
        _refuse(name, altered, history, where, tally)


def _may_be(claim: Body, history: list[Row], where: Any) -> bool:
    """Whether the history breaks the model that a violation of this name breaks."""
    model, dialect = oracle.ruled_out(str(claim.get("anomaly")), where.models)
    if claim.get("kind") == "contradiction":
        model, dialect = claim.get("model"), where.models
    truths = oracle.truths(history, where.initial, dialect)
    return truths.get(str(model)) != "valid"


def _neighbour(
    name: str, certificate: Body, history: list[Row], where: Any, rng: Random, tally: Tally
) -> None:
    """The certificate of a history with one cell otherwise: accepted only if it is true there."""
    other = list(history)
    at = int(rng.random() * len(other))
    other[at] = _otherwise(rng, other[at], other[int(rng.random() * len(other))])
    if said(other, where):
        truth = oracle.truths(other, where.initial, where.models)[name]
        if certificate["verdict"] != truth:
            _refuse(name, certificate, other, where, tally)


def _otherwise(rng: Random, row: Row, donor: Row) -> Row:
    draw = rng.random()
    if row.f == donor.f == "txn" and row.value and donor.value and draw < 0.5:
        steps, lent = list(row.value), donor.value[int(rng.random() * len(donor.value))]
        at = int(rng.random() * len(steps))
        if draw < 0.25:
            steps[at] = lent
        else:
            f, key, _ = steps[at]
            same = [v for g, k, v in donor.value if k == key and (f == "r") == (g == "r")]
            steps[at] = [f, key, rng.choice(same) if same else steps[at][2]]
        return row._replace(value=steps)
    changed = [
        row._replace(type=("ok", "fail", "info")[int(rng.random() * 3)]),
        row._replace(start=min(donor.start, row.end)),
        row._replace(end=max(donor.end, row.start)),
        row._replace(process=donor.process),
    ]
    return changed[int(rng.random() * len(changed))]


def _forged(
    name: str, history: list[Row], verdict: str, bank: Sequence[Body], where: Any, rng: Random
) -> list[Body]:
    """Certificates of a verdict that is wrong, from others of the same batch and from nothing."""
    forged = []
    for _ in range(2 if bank else 0):
        lent = copy.deepcopy(bank[int(rng.random() * len(bank))])
        lent["history"]["operations"] = len(history)
        forged.append(lent if rng.random() < 0.5 else alter(rng, lent, len(history)))
    made = [_invented(history, verdict, rng) for _ in range(3)]
    forged += [body(name, verdict, [claim], len(history), where.initial) for claim in made]
    return [one for one in forged if one["verdict"] == verdict]


def _invented(history: list[Row], verdict: str, rng: Random) -> dict[str, Any]:
    """An order or a violation at random."""
    listed = [at for at, row in enumerate(history) if row.type != "fail" and row.f == "txn"]
    listed = [at for at in listed if history[at].type == "ok" or rng.random() < 0.7]
    if verdict == "valid":
        listed.sort(key=lambda at: history[at].start + history[at].end * rng.random())
        kind = rng.choice(KINDS[:3])
        return {"kind": kind, "order": [at for at in listed for _ in range(1 + (kind == KINDS[1]))]}
    rows = rng.sample(listed, min(len(listed), rng.randint(1, 4))) or [0]
    steps = [step for at in rows for step in history[at].value or ()]
    _, key, value = rng.choice(steps) if steps else ("r", None, None)
    value = rng.choice(value) if isinstance(value, list) and value else value
    if rng.random() < 0.5:
        name = rng.choice(ANOMALIES[:8])
        told = {"anomaly": name, "key": key, "value": value, "operations": rows}
        return {"kind": "observed", **told}
    edges = [
        [a, b, rng.choice(RULES[:5]), key, value, rng.choice(rows)][: rng.choice((3, 5, 5, 6))]
        for a, b in zip(rows, [*rows[1:], rows[0]], strict=True)
    ]
    name = rng.choice(ANOMALIES[8:])
    return {"kind": "cycle", "anomaly": name, "edges": edges, "operations": rows}
