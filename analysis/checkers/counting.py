"""What the checkers that decide by counting share: their results, and how they group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context, Verdict, too_little
from analysis.checkers.prose import Teller
from analysis.history import History, Ints

NEVER = np.iinfo(np.int64).max
BEFORE = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One property of one history, while it is decided."""

    property: str
    history: History
    context: Context

    def tell(self, *rows: int) -> Teller:
        """Words for the operations of a witness."""
        return Teller(self.history, rows)

    def anomaly(
        self,
        name: str,
        rows: Ints,
        witness: Iterable[int],
        argument: str,
        *,
        count: int | None = None,
        proof: Iterable[int] | None = None,
        **fields: Any,
    ) -> Anomaly:
        """An anomaly of the operations `rows` (default count: how many), claimed as observed.

        `proof` (default: `witness`) becomes the claim's operations, which have the fields
        `fields`; a row that is in it twice stands where it was first.
        """
        rows = np.unique(rows)
        operations = tuple(dict.fromkeys(int(row) for row in witness))
        claimed = operations if proof is None else dict.fromkeys(int(row) for row in proof)
        return Anomaly(
            name=name,
            count=len(rows) if count is None else count,
            first_ns=int(self.history.end_ns[rows].min()),
            operations=operations,
            argument=argument,
            instances=rows,
            claim={
                "kind": "observed",
                "anomaly": name,
                "operations": list(claimed),
                **fields,
            },
        )

    def invalid(self, why: str, anomalies: Iterable[Anomaly]) -> CheckResult:
        """A promise was broken; `anomalies` weakest first."""
        return self._result(Verdict.INVALID, why, anomalies=tuple(anomalies))

    def unknown(self, why: str) -> CheckResult:
        """Nothing could be inferred."""
        return self._result(Verdict.UNKNOWN, why)

    def valid(self, why: str, figures: Mapping[str, int]) -> CheckResult:
        """Nothing is wrong, as the figures say; unknown if the history is too small to mean it."""
        if small := too_little(self.history, self.context):
            return self.unknown(small)
        claim = {"kind": "figures", "figures": {name: int(n) for name, n in figures.items()}}
        return self._result(Verdict.VALID, why, claim=claim)

    def _result(self, verdict: Verdict, why: str, **more: Any) -> CheckResult:
        return CheckResult(
            property=self.property,
            verdict=verdict,
            why=why,
            operations=len(self.history),
            **more,
        )


def runs(*columns: Ints) -> Ints:
    """Where runs of equal cells begin in columns that are sorted together, and their length at
    the end: run n is from `runs[n]` up to `runs[n + 1]`.
    """
    size = len(columns[0])
    new = np.ones(size + 1, np.bool_)
    if size:
        new[1:-1] = False
        for column in columns:
            new[1:-1] |= column[1:] != column[:-1]
    return np.flatnonzero(new) if size else np.zeros(1, np.int64)


def rank_in_run(starts: Ints) -> Ints:
    """Each cell's place in its run, from 0."""
    lengths = np.diff(starts)
    return np.arange(int(starts[-1])) - np.repeat(starts[:-1], lengths)


def quantiles_ms(spans_ns: Ints) -> str:
    """Median, 99 % and the most, in ms: "0.0 / 3.1 / 17.0 ms"."""
    ordered = np.sort(spans_ns)
    at = [ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.5, 0.99, 1)]
    return " / ".join(f"{ns / 1e6:,.1f}" for ns in at) + " ms"
