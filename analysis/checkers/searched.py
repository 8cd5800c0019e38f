"""Properties that the search decides: what is plainly wrong has a name, the rest is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Claim, Context, Verdict, too_little
from analysis.checkers.keys import by_key, search_keys
from analysis.checkers.models import Model
from analysis.checkers.programs import keys_of
from analysis.checkers.prose import Teller, number
from analysis.history import FAIL, History, Ints

NAME = "non-linearizable"  # of a key that the search found no order of


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One property of one history. `rows`: its operations; `model`: the name in claims."""

    property: str
    model: str
    history: History
    context: Context
    rows: Ints
    nameless: str  # what an object without a key is called

    def answer(self, model: Model, found: Sequence[Anomaly] = (), unseen: str = "") -> CheckResult:
        """Search the keys that no anomaly of `found` is of; then say what holds.

        `unseen`: why a valid verdict would mean nothing, if so. Exhausted is passed on unless
        something is known to be wrong.
        """
        key = keys_of(self.history.key)[0]
        wrong = np.unique([key[row] for anomaly in found for row in anomaly.instances])
        rows = self.rows[~np.isin(key[self.rows], wrong)]
        parts = by_key(self.history, rows)
        searched = search_keys(self.history, parts, model, self.context.meter)
        anomalies = tuple(found)
        if searched.untils:
            anomalies += (self.without_order(searched.untils),)
        if anomalies:
            return self.told(Verdict.INVALID, self._count(anomalies), anomalies)
        if searched.exhausted is not None:
            raise searched.exhausted
        if unseen or (unseen := too_little(self.history, self.context)):
            return self.told(Verdict.UNKNOWN, unseen)
        operations, keys = number(len(self.rows), "operation"), number(len(parts), "key")
        claim = {"kind": "order", "model": self.model, "order": np.concatenate(searched.orders)}
        why = f"{operations} on {keys} have a linear order"
        return replace(self.told(Verdict.VALID, why), claim=claim)

    def told(self, verdict: Verdict, why: str, anomalies: tuple[Anomaly, ...] = ()) -> CheckResult:
        """A result."""
        return CheckResult(
            property=self.property,
            verdict=verdict,
            why=why,
            anomalies=anomalies,
            operations=len(self.rows),
        )

    def without_order(self, untils: Sequence[int]) -> Anomaly:
        """The anomaly of keys that have no order when these rows return, told of the first."""
        history = self.history
        ends = np.unique(np.array(untils, np.int64))
        first = int(ends[np.argmin(history.end_ns[ends])])
        return Anomaly(
            name=NAME,
            count=len(ends),
            first_ns=int(history.end_ns[first]),
            operations=(first,),
            argument=self._argument(first),
            claim=self.claim(NAME, (first,)),
            instances=ends,
        )

    def claim(self, name: str, operations: Sequence[int]) -> Claim:
        """That there is no order until the last of these has returned."""
        history = self.history
        until = max(operations, key=lambda row: (int(history.end_ns[row]), row))
        return {
            "kind": "no-order",
            "anomaly": name,
            "operations": [int(row) for row in operations],
            "model": self.model,
            "key": history.key.at(until),
            "until": int(until),
        }

    def claimed(self, anomaly: Anomaly) -> Anomaly:
        """An anomaly that was found by counting, with the claim that there is no order."""
        return replace(anomaly, claim=self.claim(anomaly.name, anomaly.operations))

    def _argument(self, until: int) -> str:
        history = self.history
        same = keys_of(history.key)[0]
        same = (same[self.rows] == same[until]) & (history.type[self.rows] != FAIL)
        begun = same & (history.start_ns[self.rows] <= history.end_ns[until])
        tell = Teller(history, [until], self.nameless)
        return (
            f"{tell.did(until)}, but no order of the {number(int(begun.sum()), 'operation')} on "
            f"{tell.key(until)} that had begun by then explains what they found; until the answer "
            "before it there was one"
        )

    def _count(self, anomalies: Sequence[Anomaly]) -> str:
        told = ", ".join(
            number(a.count, "key") + " without an order"
            if a.name == NAME
            else f"{a.count:,} {a.name}"
            for a in anomalies
        )
        return f"{told} among {number(len(self.rows), 'operation')}"
