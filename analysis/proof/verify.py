"""Whether a certificate is true of a history: the way in, and what may be claimed of what."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from analysis.proof.contradiction import Known, contradiction, unwritten
from analysis.proof.models import MODELS, Model
from analysis.proof.orders import moments, order
from analysis.proof.rows import Ints, Refused, Rows, plain
from analysis.proof.search import no_order
from analysis.proof.transactions.claims import ANOMALIES, PROPERTIES, accept
from analysis.recount.counted import FIGURES, OBSERVED, TOGETHER, Key

VERSION = 1
KEYS = {"certificate", "property", "verdict", "history", "initial", "claims", "digest"}


class Promise(NamedTuple):
    """How a property is shown to hold, and to be broken."""

    valid: str  # the kind of claim
    model: str | None = None
    kinds: tuple[str, ...] = ()  # of claim, beside `observed`, that show these anomalies:
    broken: tuple[str, ...] = ()


_STEPS, _READS = ("contradiction", "no-order"), ("future-read", "lost-update", "stale-read")
UNWRITTEN = ("thin-air-read", "aborted-read")  # what is observed of registers, for the others
PROMISES = {name: Promise("figures") for name in FIGURES} | {
    "linearizable-register": Promise("order", "register", _STEPS, (*_READS, "non-linearizable")),
    "linearizable-cas-register": Promise(
        "order", "cas-register", _STEPS, (*_READS, "refused-swap", "non-linearizable")
    ),
    "sequential": Promise("serial", "register", _STEPS, (*_READS, "non-sequential")),
}
for _model, _names in {  # of anomalies, all of which are shown by the lack of an order
    "kv-append": "thin-air-read aborted-read duplicate-append incompatible-order future-read "
    "misordered-append lost-append stale-read",
    "set": "thin-air-element aborted-element future-element repeated-element duplicate-remove "
    "duplicate-add lost-element stale-element missed-element",
    "queue": "thin-air-dequeue aborted-dequeue future-dequeue duplicate-dequeue stale-peek "
    "lost-element out-of-order false-empty",
    "stack": "thin-air-pop aborted-pop future-pop duplicate-pop stale-peek out-of-order "
    "false-empty",
    "counter": "too-low too-high",
    "lock": "token-reused token-backwards two-holders not-held",
}.items():
    PROMISES[f"linearizable-{_model}"] = Promise(
        "order", _model, ("no-order",), (*_names.split(), "non-linearizable")
    )
PROMISES |= dict.fromkeys(  # of transactions
    PROPERTIES, Promise("serialization", None, ("cycle", "contradiction"), ANOMALIES)
)


def read(text: bytes) -> dict[str, Any]:
    """A certificate as it is in a file; Refused when it is no JSON object."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"it is no JSON: {error}"[:200]) from None
    if type(body) is not dict or body.keys() != KEYS:
        raise Refused(f"it is no object with {', '.join(sorted(KEYS))}")
    return body


def verify(
    certificate: Mapping[str, Any] | bytes,
    table: pa.Table,
    sha256: str,
    *,
    initial: Any = None,
    final_ns: int | None = None,
    models: Mapping[str, Model] = MODELS,
    dialect: str = "adya",
) -> None:
    """Accept the certificate, read or as it is in a file, or raise Refused with the reason.

    The rest is what it is held against: the history, its fingerprint and its initial value, the
    beginning of the final phase (None: the run has no phases), models of the user's own by name,
    and whose models of transactions are meant: "adya", or "axiomatic" (sessions always count).
    """
    try:
        body = read(certificate) if isinstance(certificate, bytes) else certificate
        claims = _whole(body, table.num_rows, sha256, initial)
        prop, valid = body["property"], body["verdict"] == "valid"
        if prop in PROPERTIES:
            accept(Rows(table), prop, initial, claims, dialect, valid=valid)
            return
        held = _Held(table, prop, initial, final_ns, models)
        for claim in claims:
            held.against(claim, valid=valid)
    except Refused:
        raise
    except Exception as error:  # what cannot be read, or makes no sense, is not accepted
        what = f"{type(error).__name__}: {error}"[:200]
        raise Refused(f"it is malformed ({what})") from None


def digest(rest: Any) -> str:
    """SHA-256 of a certificate without its digest, as JSON in one way of writing it."""
    text = json.dumps(
        rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _whole(body: Mapping[str, Any], count: int, sha256: str, initial: Any) -> list[Any]:
    """The claims of a certificate that is whole and is about this history."""
    rest = {name: part for name, part in body.items() if name != "digest"}
    if body["digest"] != digest(rest):
        raise Refused("its digest is another: it was altered")
    if plain(body["certificate"]) != VERSION:
        raise Refused(f"it is of version {body['certificate']!r}, expected {VERSION}")
    if plain(body["history"]) != plain({"operations": count, "sha256": sha256}):
        raise Refused("it is about another history")
    if plain(body["initial"]) != plain(initial):
        raise Refused(f"it takes {body['initial']!r} for the initial value, which is {initial!r}")
    claims: list[Any] = body["claims"]
    names = Counter(claim.get("anomaly") for claim in claims)
    if body["verdict"] == "valid" and len(claims) != 1:
        raise Refused("a valid verdict has one claim")
    if body["verdict"] not in ("valid", "invalid") or not claims or max(names.values()) > 1:
        raise Refused("an invalid verdict has a claim for each anomaly, and there is no third one")
    return claims


def _own(model: str) -> Promise:
    """What holds a model of the user's own."""
    return Promise("order", model, ("no-order",), ("non-linearizable",))


class _Held:
    """What the claims of one certificate are held against."""

    def __init__(self, table: pa.Table, prop: str, initial: Any, final_ns: int | None,
                 models: Mapping[str, Model]) -> None:  # fmt: skip
        own = {name.rpartition(":")[2]: name for name in models.keys() - MODELS.keys()}
        if prop not in PROMISES and prop not in own:
            raise Refused(f"no property is called {prop!r}, and no model of your own was named so")
        self.rows, self.prop, self.initial, self.final_ns = Rows(table), prop, initial, final_ns
        self.promise = PROMISES.get(prop) or _own(own[prop])
        self.models = models
        self.parts = self.rows.key if prop not in TOGETHER else np.zeros_like(self.rows.key)
        self._keys: dict[int, Key] = {}

    def against(self, claim: Any, *, valid: bool) -> None:
        """Accept one claim."""
        kind, name, promise = claim["kind"], None if valid else claim["anomaly"], self.promise
        if valid:
            may = kind == promise.valid
        elif kind == "observed":
            may = name in OBSERVED.get(self.prop, UNWRITTEN if promise.kinds == _STEPS else ())
        else:
            may = kind in promise.kinds and name in promise.broken
        if not may:
            raise Refused(f"of {self.prop} no {kind} can show {name or 'that it is valid'}")
        try:
            {"order": self._order, "serial": self._order, "figures": self._figures,
             "no-order": self._no_order, "observed": self._observed,
             "contradiction": self._contradiction}[kind](claim)  # fmt: skip
        except Refused as refused:
            raise Refused(f"{name}: {refused}" if name else str(refused)) from None

    def _order(self, claim: Any) -> None:
        order(self.rows, claim, self._model(claim), self.initial, serial=claim["kind"] == "serial")

    def _no_order(self, claim: Any) -> None:
        serial = self.promise.valid == "serial"
        no_order(self.rows, claim, self._model(claim), self.initial, serial=serial)

    def _model(self, claim: Any) -> Model:
        if claim["model"] != self.promise.model:
            raise Refused(f"expected the model {self.promise.model}, got {claim['model']!r}")
        return self.models[claim["model"]]

    def _key(self, code: int) -> Key:
        """The operations of one key."""
        if code not in self._keys:
            mine = self.parts == code
            if self.promise.model is not None:
                mine &= self.rows.named(("read", "write", "cas"))
            ops = self.rows.ops(np.flatnonzero(mine))
            if self.promise.model != "cas-register":  # a refused cas is one that failed
                ops = [op._replace(f="cas", ok=False) if op.ok and op.failed else op for op in ops]
            names = self.rows.keys
            self._keys[code] = Key(ops, self.prop, self.initial, self.final_ns, names)
        return self._keys[code]

    def _known(self, listed: Ints) -> Known:
        """What is known of the keys of some rows, all of them registers."""
        serial, rows = self.promise.valid == "serial", self.rows
        start, end = moments(rows, rows.ok) if serial else (rows.start, rows.end)
        keys = [self._key(code) for code in np.unique(rows.key[listed]).tolist()]
        return Known(keys, start, end, serial=serial)

    def _contradiction(self, claim: Any) -> None:
        listed = self.rows.listed(claim["operations"], "the witness")
        contradiction(claim, self._known(listed))

    def _observed(self, claim: Any) -> None:
        listed = self.rows.listed(claim["operations"], "the witness")
        (code,) = set(self.parts[listed].tolist())
        key = self._key(code)
        if self.promise.model is not None:
            unwritten(self._known(listed), claim["anomaly"], key, listed.tolist())
            return
        ops = {op.row: op for op in key.ops}
        rule = OBSERVED[self.prop][claim["anomaly"]]
        if not rule(key, plain(claim.get("value")), *(ops[row] for row in listed.tolist())):
            raise Refused(f"operations {listed.tolist()} do not show it")

    def _figures(self, claim: Any) -> None:
        count, right = FIGURES[self.prop]
        found: Counter[str] = Counter()
        for code in np.unique(self.parts).tolist():
            found.update(count(self._key(code)))
        if plain(claim["figures"]) != plain(dict(found)):
            raise Refused(f"counted {dict(found)}, not {claim['figures']}")
        if not right(**found):
            raise Refused("these figures do not mean that it is valid")
