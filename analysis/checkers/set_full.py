"""`set-full`: what became of every element: stable, lost, stale for a while, or never read.

Named anomalies, weakest first; docs/checkers.md defines each and what it counts. After
`jepsen.checker/set-full`, which never reports an element twice in a read; every read counts here.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.counting import NEVER, Case, quantiles_ms
from analysis.checkers.kinds import JEPSEN, Kind
from analysis.checkers.lists import Carried
from analysis.checkers.prose import counted, number, span_ms
from analysis.checkers.set_evidence import Evidence, absences, figures, gather
from analysis.checkers.set_flaws import duplicate, failed, failed_argument, phantom
from analysis.checkers.set_history import read_sets
from analysis.history import History, Ints, Mask

PROPERTY = "set-full"
KINDS = (
    Kind(
        property="set-full",
        name="phantom",
        counts="values in a read that nobody tried to add, or not before that read had ended",
        rules_out="any memory at all",
        reference=JEPSEN,
    ),
    Kind(
        property="set-full",
        name="duplicate",
        counts="values that one read shows more than once",
        rules_out="being a set",
        reference=JEPSEN,
    ),
    Kind(
        property="set-full",
        name="resurrected",
        counts="elements that a read shows although every add of them definitely failed",
        rules_out="atomic adds",
        reference=JEPSEN,
    ),
    Kind(
        property="set-full",
        name="lost",
        counts="elements known (acknowledged, or read) before a read began that lacks them, which "
        "no read begun then or later shows",
        rules_out="durability of acknowledged writes",
        reference=JEPSEN,
        acknowledged=True,
    ),
    Kind(
        property="set-full",
        name="stale-read",
        counts="elements known before a read began that lacks them, which are not lost; only if "
        "reads are to be linearizable",
        rules_out="linearizability of reads",
        reference=JEPSEN,
    ),
)
_WORST = 3  # stale elements told one by one


def check(history: History, context: Context) -> CheckResult:
    """Decide what became of each element of a history of adds and whole reads (f: add, read)."""
    case = Case(property=PROPERTY, history=history, context=context)
    elements, reads, told = read_sets(history, context)
    fates = _Fates(case, gather(elements, reads, context.meter), told)
    found = (
        phantom(case, fates.evidence, told),
        duplicate(case, fates.evidence, told),
        fates.resurrected_anomaly(),
        fates.lost_anomaly(),
        fates.stale_anomaly() if context.linearizable else None,
    )
    anomalies = [anomaly for anomaly in found if anomaly is not None]
    if anomalies:
        counts = counted(anomalies)
        return case.invalid(f"{counts}; {fates.summary()}", anomalies)
    if not len(reads):
        return case.unknown("no read was acknowledged, so nobody knows what was kept")
    if not fates.evidence.kept.any():
        why = "no read that shows an element began after that was known: nothing could be lost"
        return case.unknown(f"{why}; {fates.summary()}")
    return case.valid(fates.summary(), figures(fates.evidence, kept=fates.evidence.kept))


class _Fates:
    """Per element: what became of it."""

    def __init__(self, case: Case, evidence: Evidence, told: Carried) -> None:
        self.case, self.evidence, self.told = case, evidence, told
        elements = evidence.elements
        possible = ~elements.failed
        self.lost: Ints = np.flatnonzero(evidence.gone & possible)
        self.stable: Mask = (evidence.last_read >= 0) & ~evidence.gone & possible
        self.stale: Ints = np.flatnonzero(self.stable & evidence.missed)
        unread = (elements.acknowledged != NEVER) & (evidence.newest < 0)
        self.never_read: Mask = unread & (evidence.last_read < 0)
        reads = evidence.reads
        first, last = reads.since(evidence.known), reads.since(evidence.last_start) - 1
        found = absences(reads, self.stale, first[self.stale], last[self.stale], case.context.meter)
        self.last_absent: Ints = found.last  # per stale element: the last read that lacks it

    def _known_ns(self, places: Ints) -> Ints:
        """When each element was known, on the history's own clock."""
        evidence = self.evidence
        by_add = evidence.elements.acknowledged[places] <= evidence.seen_end[places]
        rows = evidence.elements.row[places].copy()
        rows[~by_add] = evidence.reads.row[evidence.seen_read[places[~by_add]]]
        return self.case.history.end_ns[rows]

    def _started_ns(self, reads: Ints) -> Ints:
        return self.case.history.start_ns[self.evidence.reads.row[reads]]

    def stale_ns(self) -> Ints:
        """Per stale element: how long after it was known a read that lacks it still began."""
        return self._started_ns(self.last_absent) - self._known_ns(self.stale)

    def summary(self) -> str:
        """What became of the elements, with times."""
        evidence = self.evidence
        stable = int(np.count_nonzero(self.stable))
        parts = [f"{stable:,} of {number(len(evidence.elements), 'element')} stable"]
        late = self.stale_ns()
        if len(self.stale):
            latency = np.append(np.zeros(stable - len(late), np.int64), late)
            worst = np.argsort(-late, kind="stable")[:_WORST]
            listed = ", ".join(f"{self._text(self.stale[n])} {span_ms(late[n])}" for n in worst)
            again = evidence.seen_end[self.stale] < evidence.reads.start[self.last_absent]
            shown = int(np.count_nonzero(again))
            parts.append(
                f"{len(late):,} of these stale for a while, worst {listed} (until all reads showed "
                f"them: median / 99 % / most {quantiles_ms(latency)})"
                + (f", {shown:,} though they had been read before" if shown else "")
            )
        if len(self.lost):
            seen = self.lost[evidence.last_read[self.lost] >= 0]
            lasted = np.zeros(len(self.lost), np.int64)
            since = self._started_ns(evidence.last_read[seen]) - self._known_ns(seen)
            lasted[: len(seen)] = np.maximum(since, 0)
            parts.append(f"{len(lasted):,} lost (last shown after {quantiles_ms(lasted)})")
        if self.never_read.any():
            parts.append(f"{np.count_nonzero(self.never_read):,} acknowledged but never read after")
        return ", ".join(parts)

    def _text(self, place: int) -> str:
        return self.told.text(int(self.evidence.elements.code[place]))

    def _anomaly(
        self, name: str, places: Ints, place: int, witness: list[int], argument: str
    ) -> Anomaly:
        elements = self.evidence.elements
        value = self.told.content(int(elements.code[place]))
        rows, count = elements.row[places], len(places)
        return self.case.anomaly(name, rows, witness, argument, count=count, value=value)

    def resurrected_anomaly(self) -> Anomaly | None:
        """Elements shown although every add of them failed."""
        places = failed(self.evidence)
        if not len(places):
            return None
        place = self._first(places)
        argument = failed_argument(self.case, self.evidence, place)
        seen = int(self.evidence.reads.row[self.evidence.seen_read[place]])
        return self._anomaly("resurrected", places, place, [seen], argument)

    def _first(self, places: Ints) -> int:
        """The element that was known first."""
        return int(places[np.argmin(self._known_ns(places))])

    def lost_anomaly(self) -> Anomaly | None:
        """Elements known, then gone for ever."""
        if not len(self.lost):
            return None
        evidence = self.evidence
        place = self._first(self.lost)
        known, without = evidence.teller(place), int(evidence.reads.row[evidence.newest[place]])
        tell = self.case.tell(known, without)
        argument = (
            f"{self._known(place)}; {tell.who(without)}'s read, which began at "
            f"{tell.at(int(self.case.history.start_ns[without]))}, lacks it, and no read begun "
            "then or later shows it"
        )
        return self._anomaly("lost", self.lost, place, [known, without], argument)

    def stale_anomaly(self) -> Anomaly | None:
        """Elements known, then missing, then there again."""
        if not len(self.stale):
            return None
        evidence, reads = self.evidence, self.evidence.reads
        at = int(np.argmin(self._known_ns(self.stale)))
        place, without = int(self.stale[at]), int(reads.row[self.last_absent[at]])
        has = int(reads.row[evidence.last_read[place]])
        known = evidence.teller(place)
        tell = self.case.tell(known, without, has)
        started = self.case.history.start_ns
        argument = (
            f"{self._known(place)}; {tell.who(without)}'s read, which began at "
            f"{tell.at(int(started[without]))}, lacks it, and {tell.who(has)}'s, which began at "
            f"{tell.at(int(started[has]))}, shows it"
        )
        witness = [known, without, has]
        return self._anomaly("stale-read", self.stale, place, witness, argument)

    def _known(self, place: int) -> str:
        """Since when an element is known, and from whom."""
        row = self.evidence.teller(place)
        tell = self.case.tell(row)
        ended = tell.at(int(self.case.history.end_ns[row]))
        if row == self.evidence.elements.row[place]:
            return f"{tell.whose(row)} was acknowledged at {ended}"
        return f"{tell.who(row)}'s read, which ended at {ended}, shows {self._text(place)}"
