"""`set`: every acknowledged add is there in the end, and nothing else is.

Named anomalies, weakest first; docs/checkers.md defines each and what it counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context, Verdict, too_little
from analysis.checkers.kinds import JEPSEN, Kind
from analysis.checkers.prose import Teller, number, seconds, span_ms
from analysis.checkers.set_evidence import (
    NEVER,
    Adds,
    Evidence,
    Read,
    gather,
    read_adds,
    read_reads,
)
from analysis.history import History, Ints

PROPERTY = "set"
KINDS = (
    Kind(
        property="set",
        name="phantom",
        counts="values in a read that nobody tried to add, or not before that read had ended",
        rules_out="any memory at all",
        reference=JEPSEN,
    ),
    Kind(
        property="set",
        name="duplicate",
        counts="values that one read shows more than once",
        rules_out="being a set",
        reference=JEPSEN,
    ),
    Kind(
        property="set",
        name="lost-write",
        counts="acknowledged adds absent from every final read",
        rules_out="durability of acknowledged writes",
        reference=JEPSEN,
        acknowledged=True,
    ),
    Kind(
        property="set",
        name="vanished",
        counts="adds never acknowledged but shown by a read, absent from every final read",
        rules_out="reads of durable data only",
        reference=JEPSEN,
    ),
    Kind(
        property="set",
        name="resurrected",
        counts="adds that definitely failed yet were read, and unacknowledged adds that were read, "
        "missing from a later read, and read again",
        rules_out="atomic adds",
        reference=JEPSEN,
    ),
    Kind(
        property="set",
        name="diverged",
        counts="elements that some final reads show and others, begun when it was known, lack",
        rules_out="convergence",
        reference=JEPSEN,
    ),
    Kind(
        property="set",
        name="stale-read",
        counts="reads that lack an add acknowledged before they began, and that a later read shows",
        rules_out="linearizability of reads",
        reference=JEPSEN,
    ),
)
_WITNESS = 4  # operations in a witness at most


def check(history: History, context: Context) -> CheckResult:
    """Decide the set property of a history of adds and whole reads (f: add, read)."""
    keys = np.unique(history.key.codes[history.f.equals("add")])
    if len(keys) > 1:
        return _result(history, Verdict.UNKNOWN, f"expected one set, found {len(keys)} keys")
    adds = read_adds(history)
    reads = read_reads(history, adds, context)
    judged = _Judged(history, adds, reads, gather(adds, reads))
    anomalies = judged.all()
    if anomalies:
        return _result(history, Verdict.INVALID, judged.why(anomalies), anomalies)
    if not any(read.final for read in reads):
        why = "no final read was acknowledged, so nobody knows what was kept"
        return _result(history, Verdict.UNKNOWN, why)
    if why := too_little(history, context):
        return _result(history, Verdict.UNKNOWN, why)
    if not np.any(adds.acknowledged != NEVER):
        return _result(history, Verdict.UNKNOWN, "no add was acknowledged")
    return _result(history, Verdict.VALID, judged.praise())


def _result(
    history: History, verdict: Verdict, why: str, anomalies: tuple[Anomaly, ...] = ()
) -> CheckResult:
    return CheckResult(
        property=PROPERTY,
        verdict=verdict,
        why=why,
        anomalies=anomalies,
        operations=len(history),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """Names what the evidence shows; each method is one anomaly, or None."""

    history: History
    adds: Adds
    reads: list[Read]
    evidence: Evidence

    def all(self) -> tuple[Anomaly, ...]:
        """Every anomaly, weakest first."""
        found = (
            self._phantom(),
            self._duplicate(),
            self._lost(),
            self._vanished(),
            self._resurrected(),
            self._diverged(),
            self._stale(),
        )
        return tuple(anomaly for anomaly in found if anomaly is not None)

    def why(self, anomalies: tuple[Anomaly, ...]) -> str:
        """The counts in one sentence, lost writes first."""
        parts = []
        for anomaly in sorted(anomalies, key=lambda a: a.name != "lost-write"):
            if anomaly.name == "lost-write":
                acknowledged = int(np.count_nonzero(self.adds.acknowledged != NEVER))
                times = self.history.end_ns[anomaly.instances]
                parts.append(
                    f"{anomaly.count:,} of {number(acknowledged, 'acknowledged add')} "
                    f"{'is' if anomaly.count == 1 else 'are'} missing from every final read "
                    f"({100 * anomaly.count / acknowledged:.2g} %); "
                    f"first lost at {seconds(int(times.min()), 2)}, "
                    f"last at {seconds(int(times.max()), 2)}"
                )
            else:
                parts.append(f"{anomaly.count:,} {anomaly.name}")
        return "; ".join(parts)

    def praise(self) -> str:
        """What a valid verdict rests on."""
        acknowledged = int(np.count_nonzero(self.adds.acknowledged != NEVER))
        finals = sum(read.final for read in self.reads)
        unsure = (self.adds.acknowledged == NEVER) & ~self.adds.failed
        recovered = int(np.count_nonzero(unsure & (self.evidence.in_final > 0)))
        why = (
            f"all {number(acknowledged, 'acknowledged add')} are in "
            f"{'the final read' if finals == 1 else f'each of {finals} final reads'}"
        )
        if unsure.any():
            total = number(int(np.count_nonzero(unsure)), "indeterminate add")
            why += f"; {recovered:,} of {total} took effect"
        return why

    def _anomaly(
        self, name: str, count: int, instances: Ints, witness: list[int], argument: str
    ) -> Anomaly:
        rows = np.unique(instances)
        return Anomaly(
            name=name,
            count=count,
            first_ns=int(self.history.end_ns[rows].min()),
            operations=tuple(dict.fromkeys(witness))[:_WITNESS],
            argument=argument,
            instances=rows,
        )

    def _tell(self, *rows: int) -> Teller:
        return Teller(self.history, rows)

    def _first(self, places: Ints) -> int:
        """The element whose add ended first."""
        return int(places[np.argmin(self.history.end_ns[self.adds.row[places]])])

    def _finals(self) -> list[Read]:
        return [read for read in self.reads if read.final]

    def _lost(self) -> Anomaly | None:
        evidence = self.evidence
        lost = (self.adds.acknowledged != NEVER) & (evidence.in_final == 0) & evidence.informed
        places = np.flatnonzero(lost)
        if not len(places):
            return None
        place = self._first(places)
        row = int(self.adds.row[place])
        finals = [read.row for read in self._finals()]
        tell = self._tell(row, *finals[:3])
        lack = "the final read lacks" if len(finals) == 1 else f"all {len(finals)} final reads lack"
        argument = f"{tell.did(row)}, and the add was acknowledged, but {lack} {tell.value(row)}"
        if evidence.seen_row[place] >= 0:
            argument += f"; {tell.who(int(evidence.seen_row[place]))} had even read it"
        rows = self.adds.row[places]
        return self._anomaly("lost-write", len(places), rows, [row, *finals[:3]], argument)

    def _vanished(self) -> Anomaly | None:
        evidence, adds = self.evidence, self.adds
        gone = (adds.acknowledged == NEVER) & ~adds.failed & (evidence.seen_row >= 0)
        places = np.flatnonzero(gone & (evidence.in_final == 0) & evidence.informed)
        if not len(places):
            return None
        place = self._first(places)
        row, seen = int(adds.row[place]), int(evidence.seen_row[place])
        finals = [read.row for read in self._finals()]
        tell = self._tell(row, seen)
        argument = (
            f"the add of {tell.value(row)} was never acknowledged, but {tell.who(seen)} read it at "
            f"{tell.at(int(evidence.seen_end[place]))}; no final read has it"
        )
        rows = adds.row[places]
        return self._anomaly("vanished", len(places), rows, [row, seen, *finals[:2]], argument)

    def _phantom(self) -> Anomaly | None:
        """Values never attempted, or read before the first attempt began."""
        first: dict[int, int] = {}
        for read in self.reads:
            for value in read.seen.unknown.tolist():
                first.setdefault(value, read.row)
        early = np.flatnonzero(self.evidence.seen_end < self.adds.begun)
        early = early[self.evidence.seen_row[early] >= 0]
        for place in early.tolist():
            first[int(self.adds.element[place])] = int(self.evidence.seen_row[place])
        if not first:
            return None
        value, row = min(first.items(), key=lambda item: int(self.history.end_ns[item[1]]))
        tell = self._tell(row)
        begun = self.adds.places(np.array([value]))[0]
        rest = (
            "which no client ever tried to add"
            if begun < 0
            else f"whose add began only at {tell.at(int(self.adds.begun[begun]))}"
        )
        at = tell.at(int(self.history.end_ns[row]))
        argument = f"{tell.who(row)}'s read, which ended at {at}, shows {value}, {rest}"
        rows = np.array(list(first.values()))
        witness = [row] if begun < 0 else [row, int(self.adds.row[begun])]
        return self._anomaly("phantom", len(first), rows, witness, argument)

    def _duplicate(self) -> Anomaly | None:
        repeated = [(read.row, read.seen.repeated) for read in self.reads]
        repeated = [(row, values) for row, values in repeated if len(values)]
        if not repeated:
            return None
        row, values = repeated[0]
        tell = self._tell(row)
        at = tell.at(int(self.history.end_ns[row]))
        argument = (
            f"{tell.who(row)}'s read, which ended at {at}, shows {int(values[0])} more than once"
        )
        count = len(np.unique(np.concatenate([values for _, values in repeated])))
        rows = np.array([row for row, _ in repeated])
        place = self.adds.places(values[:1])[0]
        witness = [row] if place < 0 else [int(self.adds.row[place]), row]
        return self._anomaly("duplicate", count, rows, witness, argument)

    def _resurrected(self) -> Anomaly | None:
        """Definitely failed yet there; or seen, then gone, then there again."""
        evidence, adds = self.evidence, self.adds
        failed = np.flatnonzero(adds.failed & (evidence.seen_row >= 0))
        again = np.flatnonzero((evidence.flickered >= 0) & ~adds.failed)
        if not len(failed) + len(again):
            return None
        place = self._first(failed if len(failed) else again)
        row, seen = int(adds.row[place]), int(evidence.seen_row[place])
        tell = self._tell(row, seen)
        at = tell.at(int(evidence.seen_end[place]))
        if len(failed):
            argument = f"{tell.did(row)}, but {tell.who(seen)} read {tell.value(row)} at {at}"
            witness = [row, seen]
        else:
            gap = int(evidence.flickered[place])
            argument = (
                f"{tell.who(seen)} read {tell.value(row)} at {at}, {tell.who(gap)} did not "
                f"at {tell.at(int(self.history.start_ns[gap]))}, and later it was there again"
            )
            witness = [row, seen, gap]
        rows = adds.row[np.append(failed, again)]
        return self._anomaly("resurrected", len(rows), rows, witness, argument)

    def _diverged(self) -> Anomaly | None:
        """Final reads that disagree about an element that all of them should know."""
        evidence, adds = self.evidence, self.adds
        places = np.flatnonzero((evidence.missed_final >= 0) & (evidence.in_final > 0))
        if not len(places):
            return None
        place = self._first(places)
        row, without = int(adds.row[place]), int(evidence.missed_final[place])
        has = next(read.row for read in self._finals() if np.any(read.seen.places == place))
        tell = self._tell(has, without)
        argument = (
            f"final reads disagree about {int(adds.element[place])}: {tell.who(has)}'s has it, "
            f"{tell.who(without)}'s, which began at "
            f"{tell.at(int(self.history.start_ns[without]))}, does not"
        )
        rows = adds.row[places]
        return self._anomaly("diverged", len(places), rows, [row, has, without], argument)

    def _stale(self) -> Anomaly | None:
        """Reads that lack an acknowledged element that a later read has."""
        stale = self.evidence.stale
        if not stale:
            return None
        lag = max(
            self.reads[at].start - int(self.adds.acknowledged[places].min())
            for at, places in stale.items()
        )
        at = min(stale, key=lambda n: self.reads[n].end)
        read, places = self.reads[at], stale[at]
        place = int(places[np.argmin(self.adds.acknowledged[places])])
        row = int(self.adds.row[place])
        tell = self._tell(row, read.row)
        argument = (
            f"{tell.who(read.row)}'s read, which began at {tell.at(read.start)}, lacks "
            f"{tell.value(row)}, whose add had been acknowledged at "
            f"{tell.at(int(self.history.end_ns[row]))}; it was there later. The stalest read "
            f"lacked an add {span_ms(lag)} after its acknowledgement"
        )
        rows = np.array([self.reads[n].row for n in stale])
        return self._anomaly("stale-read", len(rows), rows, [row, read.row], argument)
