"""`linearizable-kv-append`: every key is a text that is written, appended to and read whole.

Where texts tell operations apart, what reads spell decides (`spelling.py`, `lines.py`), in
O(n log n); else the general search does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Claim, Context, Verdict, too_little
from analysis.checkers.keys import by_key, rows_of, search_keys
from analysis.checkers.kinds import ADYA, GIBBONS_KORACH, HERLIHY_WING, Kind
from analysis.checkers.lines import Finding, Times, between, inner, order
from analysis.checkers.models import KvAppend
from analysis.checkers.prose import Teller, number
from analysis.checkers.spelling import Spelled, Speller
from analysis.history import FAIL, OK, History, Ints

PROPERTY = "linearizable-kv-append"
_ELLE = "Kingsbury & Alvaro 2020, doi:10.14778/3430915.3430918"
KINDS = (
    Kind(
        property=PROPERTY,
        name="thin-air-read",
        counts="reads of a text that no series of the texts anyone tried to write can leave",
        rules_out="any memory at all",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property=PROPERTY,
        name="aborted-read",
        counts="reads that show the text of a write or append that was told that it failed",
        rules_out="read committed, and all above it",
        reference=ADYA,
    ),
    Kind(
        property=PROPERTY,
        name="duplicate-append",
        counts="appends that one read shows twice, or two reads behind different writes",
        rules_out="appends that happen once",
        reference=_ELLE,
    ),
    Kind(
        property=PROPERTY,
        name="incompatible-order",
        counts="reads neither of which begins the other, of the same write's text",
        rules_out="one order of appends",
        reference=_ELLE,
    ),
    Kind(
        property=PROPERTY,
        name="future-read",
        counts="reads that ended before an operation whose text they show began",
        rules_out="causality, and all above it",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property=PROPERTY,
        name="misordered-append",
        counts="operations shown before one that had completed when they began",
        rules_out="linearizability of writes",
        reference=HERLIHY_WING,
    ),
    Kind(
        property=PROPERTY,
        name="lost-append",
        counts="acknowledged appends that no read shows, though one shows text from before and "
        "began when they had completed, or shows text from after and before",
        rules_out="durability of acknowledged writes",
        reference=_ELLE,
        acknowledged=True,
    ),
    Kind(
        property=PROPERTY,
        name="stale-read",
        counts="reads of a text that had been appended to, or replaced, before they began",
        rules_out="linearizability (regular and atomic registers)",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property=PROPERTY,
        name="non-linearizable",
        counts="operations on a text after another one was established, though that other was seen "
        "to come later too; of keys that only the search decides: keys without an order",
        rules_out="linearizability (atomic registers)",
        reference=HERLIHY_WING,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of texts (f: write, append, read), key by key."""
    rows = rows_of(history, ("write", "append", "read"))
    if not len(rows):
        return _result(0, Verdict.UNKNOWN, "there is no write, append or read in the history")
    texts = [history.content(row) for row in rows.tolist()]
    for row, text in zip(rows.tolist(), texts, strict=True):
        if text is not None and not isinstance(text, str):
            why = f"expected texts, but operation {row} carries {text!r}"
            return _result(len(rows), Verdict.UNKNOWN, why)
    initial = "" if context.initial is None else context.initial
    if not isinstance(initial, str):
        why = f"expected the initial value to be a text, got {initial!r}"
        return _result(len(rows), Verdict.UNKNOWN, why)
    text_of = {row: text or "" for row, text in zip(rows.tolist(), texts, strict=True)}
    judged = _Judged(history, text_of, initial)
    hard = []
    parts = by_key(history, rows)
    for part in parts:
        context.meter.in_time()
        if not judged.spell(part):
            hard.append(part)
    searched = search_keys(history, hard, KvAppend(initial), context.meter)
    anomalies = judged.anomalies(searched.untils)
    if anomalies:
        return _result(len(rows), Verdict.INVALID, judged.why(anomalies), anomalies)
    if searched.exhausted is not None:
        raise searched.exhausted
    if not np.any(history.f.equals("read")[rows] & (history.type[rows] == OK)):
        why = "no read was acknowledged: nothing was observed"
        return _result(len(rows), Verdict.UNKNOWN, why)
    if why := too_little(history, context):
        return _result(len(rows), Verdict.UNKNOWN, why)
    why = f"{number(len(rows), 'operation')} on {number(len(parts), 'key')} have a linear order"
    orders = [*judged.orders, *searched.orders]
    claim = {"kind": "order", "model": "kv-append", "order": np.concatenate(orders)}
    return _result(len(rows), Verdict.VALID, why, claim=claim)


def _result(
    operations: int,
    verdict: Verdict,
    why: str,
    anomalies: tuple[Anomaly, ...] = (),
    claim: Claim | None = None,
) -> CheckResult:
    return CheckResult(
        property=PROPERTY,
        verdict=verdict,
        why=why,
        anomalies=anomalies,
        claim=claim,
        operations=operations,
    )


class _Judged:
    """What was found so far, key by key."""

    def __init__(self, history: History, texts: dict[int, str], initial: str) -> None:
        self._history = history
        self._texts = texts
        self._initial = initial
        self._reads, self._appends = history.f.equals("read"), history.f.equals("append")
        self._ends = history.end_ns.tolist()
        known = (history.type == OK).tolist()
        self._times = Times(history.start_ns.tolist(), self._ends, known)
        self._found: list[Finding] = []
        self.orders: list[Ints] = []

    def spell(self, part: Ints) -> bool:
        """Judge one key by what its reads spell; False: its texts do not tell operations apart."""
        history, texts = self._history, self._texts
        types = history.type[part]
        happened = types != FAIL
        appends = part[self._appends[part] & happened].tolist()
        reads = part[self._reads[part] & (types == OK)].tolist()
        written = ~self._reads[part] & ~self._appends[part]
        writes = part[written & happened].tolist()
        failed = part[~self._reads[part] & (types == FAIL)].tolist()
        told = [[(row, texts[row]) for row in rows] for rows in (writes, appends, failed)]
        speller = Speller(self._initial, *told)
        if not speller.tells_apart:
            return False
        by_text: dict[str, list[int]] = {}
        for row in reads:
            by_text.setdefault(texts[row], []).append(row)
        spelled = speller.read(by_text)
        shown = {op for line in spelled.lines for op in line.ops}
        alone = [r for r in (*writes, *appends) if r not in shown and history.type[r] == OK]
        found = self._nonsense(spelled)
        for line in spelled.lines:
            found += inner(line, self._times)
        isolated = [(row, bool(self._appends[row])) for row in alone]
        found += between(spelled.lines, isolated, self._times)
        self._found += found
        if not found:
            self.orders.append(np.array(order(spelled.lines, alone, self._times), np.int64))
        return True

    def _nonsense(self, spelled: Spelled) -> list[Finding]:
        return [
            *(Finding("thin-air-read", row, ()) for row in spelled.unexplained),
            *(Finding("aborted-read", row, (failed,)) for row, failed in spelled.aborted),
            *(
                Finding("duplicate-append", row, tuple(dict.fromkeys(reads)))
                for row, *reads in spelled.repeated
            ),
            *(Finding("incompatible-order", row, (other,)) for row, other in spelled.diverged),
        ]

    def anomalies(self, untils: Sequence[int]) -> tuple[Anomaly, ...]:
        """Every anomaly, weakest first. `untils`: of keys that the search found no order of."""
        found = [*self._found, *(Finding("non-linearizable", row, ()) for row in untils)]
        anomalies = []
        for kind in KINDS:
            named = [finding for finding in found if finding.name == kind.name]
            if named:
                anomalies.append(self._anomaly(named))
        return tuple(anomalies)

    def _anomaly(self, named: list[Finding]) -> Anomaly:
        first = min(named, key=lambda finding: (self._ends[finding.row], finding.row))
        witness = tuple(dict.fromkeys((*first.others, first.row)))
        instances = np.unique([finding.row for finding in named])
        done = [row for row in witness if self._history.type[row] == OK]
        until = max(done, key=lambda row: (self._ends[row], row))
        begun = [row for row in witness if self._times.start(row)[0] <= self._ends[until]]
        claim = {
            "kind": "no-order",
            "anomaly": first.name,
            "operations": begun,
            "model": "kv-append",
            "key": self._history.key.at(first.row),
            "until": until,
        }
        return Anomaly(
            name=first.name,
            count=len(instances),
            first_ns=self._ends[first.row],
            operations=witness,
            argument=_Argument(self._history, first, witness).tell(),
            claim=claim,
            instances=instances,
        )

    def why(self, anomalies: Iterable[Anomaly]) -> str:
        """The counts in one sentence."""
        counts = ", ".join(number(a.count, _NOUNS.get(a.name, a.name)) for a in anomalies)
        reads = int(np.count_nonzero(self._reads & (self._history.type == OK)))
        return f"{counts} among {number(reads, 'acknowledged read')}"


_NOUNS = {
    "thin-air-read": "thin air read",
    "aborted-read": "aborted read",
    "duplicate-append": "duplicate append",
    "incompatible-order": "read in an incompatible order",
    "future-read": "future read",
    "misordered-append": "misordered append",
    "lost-append": "lost append",
    "stale-read": "stale read",
    "non-linearizable": "non-linearizable operation",
}


@dataclass(frozen=True, slots=True)
class _Argument:
    """The first instance of an anomaly in words."""

    history: History
    finding: Finding
    witness: tuple[int, ...]

    def tell(self) -> str:
        """The argument, as its anomaly needs it."""
        method = getattr(self, "_" + self.finding.name.replace("-", "_"))
        return str(method(Teller(self.history, self.witness)))

    def _thin_air_read(self, tell: Teller) -> str:
        return (
            f"{tell.did(self.finding.row)}, but no series of the writes and appends that anyone "
            "tried leaves that text"
        )

    def _aborted_read(self, tell: Teller) -> str:
        failed = self.finding.others[0]
        return (
            f"{tell.did(self.finding.row)}, but {tell.value(failed)} must not be there: "
            f"{tell.whose(failed)} was told that it failed at {tell.at(self._end(failed))}"
        )

    def _duplicate_append(self, tell: Teller) -> str:
        append, (read, *other) = self.finding.row, self.finding.others
        if not other:
            return f"{tell.did(read)}, which shows {tell.whose(append)} more than once"
        return (
            f"{tell.did(read)}, and {tell.did(other[0])}: both show {tell.whose(append)}, behind "
            "different writes"
        )

    def _incompatible_order(self, tell: Teller) -> str:
        return (
            f"{tell.did(self.finding.others[0])}, and {tell.did(self.finding.row)}: neither begins "
            "with the other, so appends came in two orders"
        )

    def _future_read(self, tell: Teller) -> str:
        began = tell.began(self.finding.others[0])
        return f"{tell.did(self.finding.row)}, but {began}, after that had ended"

    def _misordered_append(self, tell: Teller) -> str:
        row, (earlier, read) = self.finding.row, self.finding.others
        return (
            f"{tell.did(read)}, which shows {tell.value(row)} before {tell.value(earlier)}, "
            f"although {tell.done(earlier)} and {tell.began(row)}"
        )

    def _lost_append(self, tell: Teller) -> str:
        row, others = self.finding.row, self.finding.others
        reads = [r for r in others if self.history.f.at(r) == "read"]
        late = next((r for r in reads if self.history.start_ns[r] > self._end(row)), reads[-1])
        return (
            f"{tell.done(row)}, and no read ever showed it: {tell.did(late)}, and what that shows "
            "was there before and after"
        )

    def _stale_read(self, tell: Teller) -> str:
        row, others = self.finding.row, self.finding.others
        evidence = [r for r in others[1:] if r not in (row, others[0])]
        shown = f" and {tell.did(evidence[0])}" if evidence else ""
        return f"{tell.did(row)}, although {tell.done(others[0])}{shown}"

    def _non_linearizable(self, tell: Teller) -> str:
        row, others = self.finding.row, self.finding.others
        if not others:
            return (
                f"what began before {tell.done(row)} has no order in which each read shows what "
                "was written before it"
            )
        told = "; ".join(tell.did(r) for r in others if r != row)
        return f"{told}; and {tell.did(row)}: each text was there before the other and after it"

    def _end(self, row: int) -> int:
        return int(self.history.end_ns[row])
