"""`set`: every acknowledged add is there in the end, and nothing else is.

Named anomalies, weakest first; docs/checkers.md defines each and what it counts.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context, too_little
from analysis.checkers.counting import NEVER, Case
from analysis.checkers.kinds import JEPSEN, Kind
from analysis.checkers.lists import Carried
from analysis.checkers.prose import number, seconds, span_ms
from analysis.checkers.set_evidence import Evidence, absences, figures, gather
from analysis.checkers.set_flaws import duplicate, failed, failed_argument, phantom
from analysis.checkers.set_history import read_sets
from analysis.history import History, Ints, Mask

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
        counts="acknowledged adds absent from every final read (there being none: from the last "
        "ones)",
        rules_out="durability of acknowledged writes",
        reference=JEPSEN,
        acknowledged=True,
    ),
    Kind(
        property="set",
        name="vanished",
        counts="adds never acknowledged but shown by a read, absent from every final read (or the "
        "last)",
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
        counts="reads that lack an add acknowledged before they began, which one begun then or "
        "later shows",
        rules_out="linearizability of reads",
        reference=JEPSEN,
    ),
)
_WITNESS = 4  # operations in a witness at most


def check(history: History, context: Context) -> CheckResult:
    """Decide the set property of a history of adds and whole reads (f: add, read)."""
    case = Case(property=PROPERTY, history=history, context=context)
    elements, reads, told = read_sets(history, context)
    judged = _Judged(case, gather(elements, reads, context.meter), told)
    anomalies = judged.all()
    if anomalies:
        return case.invalid(judged.why(anomalies), anomalies)
    if not reads.final.any():
        return case.unknown("no final read was acknowledged, so nobody knows what was kept")
    if why := too_little(history, context):
        return case.unknown(why)
    if not (elements.acknowledged != NEVER).any():
        return case.unknown("no add was acknowledged")
    if not judged.confirmed.any():
        return case.unknown("no final read began after an add had been acknowledged")
    return case.valid(judged.praise(), figures(judged.evidence, confirmed=judged.confirmed))


class _Judged:
    """Names what the evidence shows; each method is one anomaly, or None."""

    def __init__(self, case: Case, evidence: Evidence, told: Carried) -> None:
        self.case = case
        self.evidence = evidence
        self.told = told
        self.history, self.meter = case.history, case.context.meter
        self.elements, self.reads = evidence.elements, evidence.reads
        self.in_final: Mask = np.zeros(len(self.elements), np.bool_)
        shown = evidence.last_read >= 0
        self.in_final[shown] = self.reads.final[evidence.last_read[shown]]

    @property
    def confirmed(self) -> Mask:
        """Elements that were acknowledged before a final read that shows them began."""
        mask: Mask = self.in_final & (self.elements.acknowledged < self.evidence.last_start)
        return mask

    def all(self) -> tuple[Anomaly, ...]:
        """Every anomaly, weakest first."""
        found = (
            phantom(self.case, self.evidence, self.told),
            duplicate(self.case, self.evidence, self.told),
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
                acknowledged = int(np.count_nonzero(self.elements.acknowledged != NEVER))
                times = self.history.end_ns[anomaly.instances]
                reads = "every final read" if self.reads.final.any() else "every later read"
                parts.append(
                    f"{anomaly.count:,} of {number(acknowledged, 'acknowledged add')} "
                    f"{'is' if anomaly.count == 1 else 'are'} missing from {reads} "
                    f"({100 * anomaly.count / acknowledged:.2g} %); "
                    f"first lost at {seconds(int(times.min()), 2)}, "
                    f"last at {seconds(int(times.max()), 2)}"
                )
            else:
                parts.append(f"{anomaly.count:,} {anomaly.name}")
        return "; ".join(parts)

    def praise(self) -> str:
        """What a valid verdict rests on."""
        acknowledged = self.elements.acknowledged != NEVER
        found = int(np.count_nonzero(self.confirmed))
        total = int(np.count_nonzero(acknowledged))
        finals = int(np.count_nonzero(self.reads.final))
        unsure = ~acknowledged & ~self.elements.failed
        recovered = int(np.count_nonzero(unsure & self.in_final))
        read = "the final read" if finals == 1 else f"each of {finals} final reads"
        why = f"all {number(total, 'acknowledged add')} are in {read}"
        if found < total:
            why = (
                f"of {number(total, 'acknowledged add')} {found:,} were read in the end, none lost"
            )
        if unsure.any():
            adds = number(int(np.count_nonzero(unsure)), "indeterminate add")
            why += f"; {recovered:,} of {adds} took effect"
        return why

    def _first(self, places: Ints) -> int:
        """The element whose add ended first."""
        return int(places[np.argmin(self.history.end_ns[self.elements.row[places]])])

    def _anomaly(
        self, name: str, rows: Ints, witness: list[int], argument: str, place: int, proof: list[int]
    ) -> Anomaly:
        return self.case.anomaly(
            name,
            rows,
            witness[:_WITNESS],
            argument,
            proof=proof,
            value=self.told.content(int(self.elements.code[place])),
        )

    def _finals(self, place: int) -> list[int]:
        """The final reads of an element's key by end; without any, the last read that owes it."""
        reads = self.reads
        rows = reads.row[reads.final & (reads.key == self.elements.key[place])]
        if not len(rows):
            return [int(reads.row[self.evidence.newest[place]])]
        found: list[int] = rows[np.lexsort((rows, self.history.end_ns[rows]))].tolist()
        return found

    def _gone(self) -> Mask:
        mask: Mask = self.evidence.gone & ~self.in_final
        return mask

    def _lost(self) -> Anomaly | None:
        evidence = self.evidence
        places = np.flatnonzero(self._gone() & (self.elements.acknowledged != NEVER))
        if not len(places):
            return None
        place = self._first(places)
        row = int(self.elements.row[place])
        finals = self._finals(place)
        tell = self.case.tell(row, *finals[:3])
        last = "final" if self.reads.final[evidence.newest[place]] else "last"
        lack = f"the {last} read lacks"
        if len(finals) > 1:
            lack = f"all {len(finals)} final reads lack"
        argument = f"{tell.did(row)}, and the add was acknowledged, but {lack} {tell.value(row)}"
        if evidence.seen_read[place] >= 0:
            seen = int(self.reads.row[evidence.seen_read[place]])
            argument += f"; {tell.who(seen)} had even read it"
        rows = self.elements.row[places]
        proof = [evidence.teller(place), int(self.reads.row[evidence.newest[place]])]
        return self._anomaly("lost-write", rows, [row, *finals[:3]], argument, place, proof)

    def _vanished(self) -> Anomaly | None:
        evidence, elements = self.evidence, self.elements
        unsure = (elements.acknowledged == NEVER) & ~elements.failed
        places = np.flatnonzero(self._gone() & unsure)
        if not len(places):
            return None
        place = self._first(places)
        row, seen = int(elements.row[place]), evidence.teller(place)
        finals = self._finals(place)
        tell = self.case.tell(row, seen)
        last = "final" if self.reads.final[evidence.newest[place]] else "later"
        argument = (
            f"the add of {tell.value(row)} was never acknowledged, but {tell.who(seen)} read it at "
            f"{tell.at(int(self.history.end_ns[seen]))}; no {last} read has it"
        )
        proof = [seen, int(self.reads.row[evidence.newest[place]])]
        rows = elements.row[places]
        return self._anomaly("vanished", rows, [row, seen, *finals[:2]], argument, place, proof)

    def _resurrected(self) -> Anomaly | None:
        """Definitely failed yet there; or seen, then gone, then there again."""
        evidence, elements, reads = self.evidence, self.elements, self.reads
        fallen = failed(evidence)
        first = reads.since(evidence.seen_end)
        last = np.minimum(self._before_return(), reads.since(elements.acknowledged) - 1)
        again = evidence.missed & ~elements.failed & (evidence.seen_read >= 0) & (first <= last)
        places = np.flatnonzero(again)
        found = absences(reads, places, first[places], last[places], self.meter)
        places, gaps = places[found.lacking > 0], found.last[found.lacking > 0]
        if not len(fallen) + len(places):
            return None
        place = self._first(fallen if len(fallen) else places)
        row, seen = int(elements.row[place]), int(reads.row[evidence.seen_read[place]])
        if len(fallen):
            argument = failed_argument(self.case, evidence, place)
            witness, proof = [row, seen], [seen]
        else:
            gap = int(reads.row[gaps[places == place][0]])
            tell = self.case.tell(row, seen)
            argument = (
                f"{tell.who(seen)} read {tell.value(row)} at "
                f"{tell.at(int(self.history.end_ns[seen]))}, {tell.who(gap)} did not "
                f"at {tell.at(int(self.history.start_ns[gap]))}, and later it was there again"
            )
            witness = [row, seen, gap]
            proof = [seen, gap, int(reads.row[evidence.last_read[place]])]
        rows = elements.row[np.append(fallen, places)]
        return self._anomaly("resurrected", rows, witness, argument, place, proof)

    def _diverged(self) -> Anomaly | None:
        """Final reads that disagree about an element that all of them should know."""
        evidence, elements, reads = self.evidence, self.elements, self.reads
        places = np.flatnonzero(self.in_final & evidence.missed)
        owed = reads.since(evidence.known[places])
        shown = evidence.last_read[places]
        first = np.maximum(owed, reads.first_final[shown])
        found = absences(reads, places, first, reads.last[shown], self.meter)
        places, last = places[found.lacking > 0], found.last[found.lacking > 0]
        if not len(places):
            return None
        place = self._first(places)
        row, without = int(elements.row[place]), int(reads.row[last[places == place][0]])
        has = int(reads.row[evidence.last_read[place]])
        tell = self.case.tell(has, without)
        argument = (
            f"final reads disagree about {tell.value(row)}: {tell.who(has)}'s has it, "
            f"{tell.who(without)}'s, which began at "
            f"{tell.at(int(self.history.start_ns[without]))}, does not"
        )
        rows = elements.row[places]
        proof = [evidence.teller(place), without, has]
        return self._anomaly("diverged", rows, [row, has, without], argument, place, proof)

    def _before_return(self) -> Ints:
        """Per element the last read, none of the final ones, that began when one that shows the
        element did, or earlier.
        """
        evidence, reads = self.evidence, self.reads
        shown = np.maximum(evidence.last_read, 0)
        final = reads.first_final[shown] if len(reads) else shown
        return np.minimum(reads.since(evidence.last_start), final) - 1

    def _stale(self) -> Anomaly | None:
        """Reads that lack an acknowledged element that is shown by one begun then or later."""
        evidence, elements, reads = self.evidence, self.elements, self.reads
        first, last = reads.since(elements.acknowledged), self._before_return()
        places = np.flatnonzero(evidence.missed & (evidence.last_read >= 0) & (first <= last))
        found = absences(reads, places, first[places], last[places], self.meter)
        if not len(found.reads):
            return None
        lacking = places[found.lacking > 0]
        ends = self.history.end_ns[elements.row[lacking]]
        latest = reads.row[found.last[found.lacking > 0]]
        lag = int((self.history.start_ns[latest] - ends).max())
        rows = reads.row[found.reads]
        read = int(found.reads[np.lexsort((rows, self.history.end_ns[rows]))[0]])
        lost = lacking[(first[lacking] <= read) & (read <= last[lacking])]
        lost = lost[~np.isin(lost, reads.shows(read))]
        place = int(lost[np.argmin(elements.acknowledged[lost])])
        row, late = int(elements.row[place]), int(reads.row[read])
        tell = self.case.tell(row, late)
        argument = (
            f"{tell.who(late)}'s read, which began at {tell.at(int(self.history.start_ns[late]))}, "
            f"lacks {tell.value(row)}, whose add had been acknowledged at "
            f"{tell.at(int(self.history.end_ns[row]))}; it was there later. The stalest read "
            f"lacked an add {span_ms(lag)} after its acknowledgement"
        )
        proof = [row, late, int(reads.row[evidence.last_read[place]])]
        return self._anomaly("stale-read", rows, [row, late], argument, place, proof)
