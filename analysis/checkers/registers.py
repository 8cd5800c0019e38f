"""How registers are judged: by versions and zones where a value names its write, else by search.

`register.py` and `cas_register.py` are the two properties; they differ in whether a swap that was
refused is an observation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context, Verdict, too_little
from analysis.checkers.fast_zones import glance
from analysis.checkers.keys import by_key, search_keys
from analysis.checkers.models import MODELS, literal
from analysis.checkers.prose import Teller, number
from analysis.checkers.refusals import contradicted, place
from analysis.checkers.register_story import Storyteller
from analysis.checkers.versions import Columns, Versions, prepare
from analysis.checkers.zones import analyse, linearize
from analysis.history import FAIL, MISMATCH, OK, History, Ints, Mask
from analysis.values import coded

_NONE: Ints = np.empty(0, np.int64)


def judge(property: str, history: History, context: Context, *, refusals: bool) -> CheckResult:
    """Decide linearizability of a register history (f: read, write, cas), key by key."""
    if not len(history):
        return CheckResult(property=property, verdict=Verdict.UNKNOWN, why="the history is empty")
    return _Judge(property, history, context, refusals=refusals).result()


def observations(history: History, *, refusals: bool) -> int:
    """How many operations told a client what was in a register: ok reads and cas, refusals."""
    is_cas = history.f.equals("cas")
    saw = (history.f.equals("read") | is_cas) & (history.type == OK)
    if refusals:
        saw |= is_cas & (history.type == FAIL) & history.errors(MISMATCH)
    return int(np.count_nonzero(saw))


class _Judge:
    def __init__(
        self, property: str, history: History, context: Context, *, refusals: bool
    ) -> None:
        self._property = property
        self._history = history
        self._context = context
        self._refusals = refusals
        self._model = "cas-register" if refusals else "register"
        self._columns = Columns(history, coded(history, initial=context.initial))

    def result(self) -> CheckResult:
        """At a glance if that is possible; else versions and zones, then the search."""
        rows = glance(self._columns) if not self._refused() else None
        if rows is not None:
            return self._accepted(rows)
        return self._decided()

    def _decided(self) -> CheckResult:
        key = self._columns.key
        versions = prepare(self._columns, refusals=self._refusals)
        anomalies, rows, keys = self._ordered(versions) if versions.any() else ((), _NONE, _NONE)
        if len(versions.searched) or len(keys):
            apart = np.zeros(self._columns.keys, np.bool_)
            apart[versions.searched] = apart[keys] = True
            rows = rows[~apart[key[rows]]]
            for anomaly in anomalies:
                apart[key[anomaly.instances]] = False
            orders, anomalies = self._search(apart, anomalies)
            rows = np.concatenate([rows, *orders])
        if anomalies:
            return self._told(Verdict.INVALID, self._count(anomalies), anomalies=anomalies)
        return self._accepted(rows)

    def _ordered(self, versions: Versions) -> tuple[tuple[Anomaly, ...], Ints, Ints]:
        """(what is wrong, else an order, keys where a refused swap has no room in it)."""
        blocks, findings = analyse(versions)
        held = contradicted(versions, blocks, findings.future_reads)
        anomalies = Storyteller(self._columns, versions, blocks, findings).all(held)
        if anomalies and not len(versions.refused_row):
            return anomalies, _NONE, _NONE
        rows, lost = place(versions, linearize(versions, blocks), self._context.meter)
        return anomalies, rows, self._columns.key[versions.refused_row[lost]]

    def _accepted(self, order: Ints) -> CheckResult:
        """Valid, if enough was seen."""
        history = self._history
        if not observations(history, refusals=self._refusals):
            why = "no read was acknowledged: nothing was observed"
            return self._told(Verdict.UNKNOWN, why)
        if why := too_little(history, self._context):
            return self._told(Verdict.UNKNOWN, why)
        count = number(int(np.count_nonzero(np.bincount(self._columns.key))), "key")
        why = f"{number(len(history), 'operation')} on {count} have a linear order"
        claim = {"kind": "order", "model": self._model, "order": order}
        return replace(self._told(Verdict.VALID, why), claim=claim)

    def _refused(self) -> bool:
        """Whether there are refused swaps that count."""
        return self._refusals and bool(self._history.errors(MISMATCH).any())

    def _search(
        self, keys: Mask, found: tuple[Anomaly, ...]
    ) -> tuple[list[Ints], tuple[Anomaly, ...]]:
        """Orders of these keys, and all anomalies: with those keys that have no order.

        Exhausted is passed on unless something is known to be wrong.
        """
        columns = self._columns
        counts = (columns.is_writer | columns.is_read) & keys[columns.key]
        model = MODELS[self._model](literal(self._context.initial))
        parts = by_key(self._history, np.flatnonzero(counts))
        searched = search_keys(self._history, parts, model, self._context.meter)
        if searched.untils:
            ends = np.sort(np.array(searched.untils, np.int64))
            found = self._with_searched(found, ends)
        if searched.exhausted is not None and not found:
            raise searched.exhausted
        return searched.orders, found

    def _with_searched(self, found: tuple[Anomaly, ...], ends: Ints) -> tuple[Anomaly, ...]:
        """Together with keys that have no order when the operations `ends` return."""
        name, ends_ns = "non-linearizable", self._history.end_ns
        known = [anomaly for anomaly in found if anomaly.name == name]
        if known:
            rows = np.sort(np.append(known[0].instances, ends))
            first_ns = min(known[0].first_ns, int(ends_ns[ends].min()))
            merged = replace(known[0], count=len(rows), instances=rows, first_ns=first_ns)
            return (*(anomaly for anomaly in found if anomaly.name != name), merged)
        first = int(ends[np.argmin(ends_ns[ends])])
        anomaly = Anomaly(
            name=name,
            count=len(ends),
            first_ns=int(ends_ns[first]),
            operations=(first,),
            argument=self._no_order(first),
            instances=ends,
            claim={
                "kind": "no-order",
                "anomaly": name,
                "operations": [first],
                "model": self._model,
                "key": self._history.key.at(first),
                "until": first,
            },
        )
        return (*found, anomaly)

    def _no_order(self, until: int) -> str:
        history, columns = self._history, self._columns
        begun = (columns.key == columns.key[until]) & (history.start_ns <= history.end_ns[until])
        tell = Teller(history, [until])
        return (
            f"{tell.did(until)}, but no order of the {number(int(begun.sum()), 'operation')} on "
            f"{tell.key(until)} that had begun by then explains what they found; until the answer "
            "before it there was one"
        )

    def _count(self, anomalies: tuple[Anomaly, ...]) -> str:
        count = observations(self._history, refusals=self._refusals)
        nouns = {"non-linearizable": "misplaced operation"}
        found = ", ".join(
            number(a.count, nouns.get(a.name, a.name.replace("-", " "))) for a in anomalies
        )
        return f"{found} among {number(count, 'acknowledged observation')}"

    def _told(self, verdict: Verdict, why: str, anomalies: tuple[Anomaly, ...] = ()) -> CheckResult:
        return CheckResult(
            property=self._property,
            verdict=verdict,
            why=why,
            anomalies=anomalies,
            operations=len(self._history),
        )
