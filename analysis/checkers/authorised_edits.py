"""`authorised-edits`: who was revoked edits no more, and nobody else's edits are lost.

Who added an element is the node of the add. docs/checkers.md defines when an edit is unauthorised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.counting import BEFORE, NEVER, Case
from analysis.checkers.elements import numbered
from analysis.checkers.kinds import ERA, KLEPPMANN, Kind
from analysis.checkers.lists import carried
from analysis.checkers.prose import counted, number
from analysis.history import FAIL, INFO, OK, History, Ints, Mask

PROPERTY = "authorised-edits"
ELEMENTS, ROLLED_BACK = "elements", "rolled-back"
KINDS = (
    Kind(
        property="authorised-edits",
        name="phantom",
        counts="times a read or a report shows an element that nobody had begun to add, but for "
        "failed attempts",
        rules_out="any memory at all",
        reference=KLEPPMANN,
    ),
    Kind(
        property="authorised-edits",
        name="unfounded-rollback",
        counts="elements that a final report has as rolled back, of which nobody had begun to "
        "revoke an author",
        rules_out="keeping what members did",
        reference=ERA,
    ),
    Kind(
        property="authorised-edits",
        name="lost-edit",
        counts="acknowledged edits, not unauthorised, that a final read lacks and no final report "
        "of its node has as rolled back",
        rules_out="durability: an edit is there, or is reported",
        reference=ERA,
        acknowledged=True,
    ),
    Kind(
        property="authorised-edits",
        name="unauthorised-edit",
        counts="elements that a final read shows and that only unauthorised edits can have added",
        rules_out="access control: revoked is revoked",
        reference=KLEPPMANN,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether revocations hold, and no edit is lost (f: add, read, revoke, admit)."""
    case = Case(property=PROPERTY, history=history, context=context)
    document = _Document(case)
    judged = document.judge()
    found = (
        document.phantom(),
        document.unfounded(judged),
        document.lost(judged),
        document.unauthorised(judged),
    )
    anomalies = [anomaly for anomaly in found if anomaly is not None]
    summary = document.summary(judged)
    if anomalies:
        counts = counted(anomalies)
        return case.invalid(f"{counts}; {summary}", anomalies)
    if not len(document.finals):
        return case.unknown("there is no final read of the elements")
    edits, revocations = int(judged.confirmed.sum()), len(document.revocations)
    if not edits or not revocations:
        what = "no final read shows an acknowledged edit" if not edits else "nobody was revoked"
        return case.unknown(f"{what}; {summary}")
    figures = {"edits": edits, "revocations": revocations, "rolled_back": document.rolled(judged)}
    bad = {"phantom": 0, "unfounded": 0, "lost": 0, "unauthorised": 0}
    return case.valid(summary, {**figures, **bad})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What the final reads and reports say: of elements by number, of adds by place. Rows of a
    read or report that shows it first, -1 where none does."""

    unauthorised: Ints  # element → read
    unfounded: Ints  # element → report
    lost: Ints  # add → read
    confirmed: Mask  # add: acknowledged, and a final read shows its element
    reported: Mask  # element: some final report has it


class _Document:
    """Adds that may have happened, and what was shown of them. All times are of one clock."""

    def __init__(self, case: Case) -> None:
        self.case, history = case, case.history
        ok, f, key = history.type == OK, history.f, history.key
        self.adds = np.flatnonzero(f.equals("add") & key.equals(ELEMENTS) & (history.type != FAIL))
        looks = f.equals("read") & ok & (key.equals(ELEMENTS) | key.equals(ROLLED_BACK))
        self.looks = np.flatnonzero(looks)
        told = carried(history, self.adds, self.looks)
        there = told.single.valid
        self.adds, codes = self.adds[there], told.single.values[there]
        self.looks, self.place = self.looks[told.lists.place >= 0], told.lists.place
        self.place = self.place[self.place >= 0]
        numbers, self.count = numbered(
            np.zeros(len(codes) + len(told.lists.codes), np.int64),
            np.append(codes, told.lists.codes),
        )
        self.element, self.listed = np.split(numbers, [len(codes)])
        self.told, self.codes = told, np.zeros(self.count, np.int64)
        self.codes[numbers] = np.append(codes, told.lists.codes)
        self.start = history.start_ns[self.adds]
        pending = history.type[self.adds] == INFO
        self.end = np.where(pending, NEVER, history.end_ns[self.adds])
        self.ok = ~pending
        self.begun = self._first(self.start)
        self._standing()
        finals = self.looks[history.start_ns[self.looks] >= self._since()]
        report = key.equals(ROLLED_BACK)[finals]
        self.finals, self.reports = finals[~report], finals[report]

    def _first(self, times: Ints) -> Ints:
        """The least of these times of adds, by element."""
        first = np.full(self.count, NEVER)
        np.minimum.at(first, self.element, times)
        return first

    def _since(self) -> int:
        """From when on reads are final."""
        history, phase = self.case.history, self.case.context.final_ns
        if phase is not None:
            return phase[0]
        changes = history.f.equals("add") | history.f.equals("revoke") | history.f.equals("admit")
        over = history.end_ns[changes & (history.type != FAIL)]
        return int(over.max(initial=BEFORE)) + 1

    def _standing(self) -> None:
        """Which adds are unauthorised, and when what may have rolled each back had begun."""
        history = self.case.history
        said: dict[str, dict[str, list[int]]] = {}
        for f in ("revoke", "admit"):
            for row in np.flatnonzero(history.f.equals(f) & (history.type != FAIL)).tolist():
                member = history.content(row)
                if isinstance(member, str):
                    said.setdefault(member, {"revoke": [], "admit": []})[f].append(row)
        self.said = said
        self.wrong = np.zeros(len(self.adds), np.bool_)
        self.cause = np.full(len(self.adds), NEVER)
        revoked: list[int] = []
        for member, rows in said.items():
            mine = np.flatnonzero(history.node.equals(member)[self.adds])
            revokes = np.array(rows["revoke"], np.int64)
            sure = revokes[history.type[revokes] == OK]
            revoked += sure.tolist()
            self.wrong[mine] = self._after(mine, sure, np.array(rows["admit"], np.int64)) >= 0
            first = int(history.start_ns[revokes].min(initial=NEVER))
            self.cause[mine] = np.maximum(self.start[mine], first)
        self.revocations = np.array(revoked, np.int64)
        self.allowed = self._first(np.where(self.wrong, NEVER, self.start))
        self.explained = self._first(self.cause)

    def _after(self, mine: Ints, revokes: Ints, admits: Ints) -> Ints:
        """Per add the acknowledged revocation that makes it unauthorised, -1 if none does: of
        those that had ended before it began, the one begun last has the fewest admits after it."""
        history = self.case.history
        if not len(revokes):
            return np.full(len(mine), -1)
        revokes = revokes[np.argsort(history.end_ns[revokes], kind="stable")]
        begun = np.maximum.accumulate(history.start_ns[revokes])
        last = np.searchsorted(history.end_ns[revokes], self.start[mine], side="left") - 1
        since = begun[np.maximum(last, 0)]
        open_ = np.zeros(len(mine), np.bool_)
        if len(admits):
            admits = admits[np.argsort(history.start_ns[admits], kind="stable")]
            pending = history.type[admits] == INFO
            over = np.maximum.accumulate(np.where(pending, NEVER, history.end_ns[admits]))
            upto = np.searchsorted(history.start_ns[admits], self.end[mine], side="right") - 1
            open_ = (upto >= 0) & (over[np.maximum(upto, 0)] >= since)
        which = np.array([int(np.argmax(begun[: n + 1])) for n in range(len(revokes))])
        return np.where((last >= 0) & ~open_, revokes[which[np.maximum(last, 0)]], -1)

    def _shown(self, row: int) -> Ints:
        """The numbers of the elements that a read or a report has."""
        place = int(self.place[np.searchsorted(self.looks, row)])
        bounds = self.told.lists.bounds
        return self.listed[bounds[place] : bounds[place + 1]]

    def judge(self) -> _Judged:
        """Look at every final read and report."""
        history = self.case.history
        unauthorised, unfounded = np.full(self.count, -1), np.full(self.count, -1)
        lost = np.full(len(self.adds), -1)
        confirmed, reported = np.zeros(len(self.adds), np.bool_), np.zeros(self.count, np.bool_)
        by_node: dict[str | None, Mask] = {}
        for row in self.reports.tolist():
            shown, end = self._shown(row), int(history.end_ns[row])
            mine = by_node.setdefault(history.node.at(row), np.zeros(self.count, np.bool_))
            mine[shown] = reported[shown] = True
            odd = shown[(self.begun[shown] <= end) & (self.explained[shown] > end)]
            unfounded[odd[unfounded[odd] < 0]] = row
        for row in self.finals.tolist():
            shown, end = self._shown(row), int(history.end_ns[row])
            there = np.zeros(self.count, np.bool_)
            there[shown] = True
            odd = shown[(self.begun[shown] <= end) & (self.allowed[shown] > end)]
            unauthorised[odd[unauthorised[odd] < 0]] = row
            due = self.ok & (self.end < history.start_ns[row])
            confirmed |= due & there[self.element]
            if (told := by_node.get(history.node.at(row))) is not None:
                there |= told
            lost[(lost < 0) & due & ~self.wrong & ~there[self.element]] = row
        return _Judged(
            unauthorised=unauthorised,
            unfounded=unfounded,
            lost=lost,
            confirmed=confirmed,
            reported=reported,
        )

    def rolled(self, judged: _Judged) -> int:
        """How many acknowledged edits a final report has."""
        return int(np.count_nonzero(self.ok & judged.reported[self.element]))

    def summary(self, judged: _Judged) -> str:
        """What was edited, rolled back and revoked."""
        edits = number(int(np.count_nonzero(self.ok)), "acknowledged edit")
        return (
            f"of {edits} {int(judged.confirmed.sum()):,} are in final reads and "
            f"{self.rolled(judged):,} were rolled back, and reported; "
            f"{number(len(self.revocations), 'revocation')} acknowledged"
        )

    def phantom(self) -> Anomaly | None:
        """What nobody added."""
        history, bounds = self.case.history, self.told.lists.bounds
        begun = self.begun[self.listed]
        full = np.flatnonzero(np.diff(bounds))
        latest = np.full(len(bounds) - 1, BEFORE)
        if len(full):
            latest[full] = np.maximum.reduceat(begun, bounds[full])
        rows = self.looks[latest[self.place] > history.end_ns[self.looks]]
        if not len(rows):
            return None
        odd = [self._shown(row)[self.begun[self._shown(row)] > history.end_ns[row]] for row in rows]
        at = int(np.argmin(history.end_ns[rows]))
        row, code = int(rows[at]), int(self.codes[odd[at][0]])
        tell = self.case.tell(row)
        argument = (
            f"{tell.who(row)} was shown {self.told.text(code)} at "
            f"{tell.at(int(history.end_ns[row]))}, but no add of it that may have happened had "
            "begun by then"
        )
        count, value = sum(map(len, odd)), self.told.content(code)
        return self.case.anomaly("phantom", rows, [row], argument, count=count, value=value)

    def unfounded(self, judged: _Judged) -> Anomaly | None:
        """What was rolled back without a revocation."""
        elements = np.flatnonzero(judged.unfounded >= 0)
        if not len(elements):
            return None
        add, row = self._earliest(elements), judged.unfounded
        chosen = int(add[0])
        report = int(row[self.element[chosen]])
        tell = self.case.tell(int(self.adds[chosen]), report)
        argument = (
            f"{tell.whose(int(self.adds[chosen]))} at {self._node(int(self.adds[chosen]))} is "
            f"reported as rolled back by {self._node(report)} at "
            f"{tell.at(int(self.case.history.end_ns[report]))}, and nobody had begun to revoke "
            f"{self._node(int(self.adds[chosen]))}"
        )
        return self._anomaly("unfounded-rollback", add, argument, [chosen], [report])

    def lost(self, judged: _Judged) -> Anomaly | None:
        """What is neither there nor reported."""
        history = self.case.history
        adds = np.flatnonzero(judged.lost >= 0)
        if not len(adds):
            return None
        chosen = int(adds[np.argmin(self.end[adds])])
        add, read = int(self.adds[chosen]), int(judged.lost[chosen])
        tell = self.case.tell(add, read)
        argument = (
            f"{tell.whose(add)} was acknowledged by {self._node(add)} at "
            f"{tell.at(int(history.end_ns[add]))}, and {self._node(read)}, read from "
            f"{tell.at(int(history.start_ns[read]))} on, neither shows it nor reports it as "
            "rolled back"
        )
        return self._anomaly("lost-edit", adds, argument, [chosen], [read])

    def unauthorised(self, judged: _Judged) -> Anomaly | None:
        """What only the revoked can have added."""
        history = self.case.history
        elements = np.flatnonzero(judged.unauthorised >= 0)
        if not len(elements):
            return None
        adds = self._earliest(elements)
        chosen = int(adds[0])
        add, member = int(self.adds[chosen]), self._node(int(self.adds[chosen]))
        rows = {f: np.array(found, np.int64) for f, found in self.said[member].items()}
        sure = rows["revoke"][history.type[rows["revoke"]] == OK]
        revoke = int(self._after(np.array([chosen]), sure, rows["admit"])[0])
        read = int(judged.unauthorised[self.element[chosen]])
        tell = self.case.tell(revoke, add, read)
        argument = (
            f"{self._node(revoke)} had acknowledged the revocation of {member} at "
            f"{tell.at(int(history.end_ns[revoke]))}; {tell.whose(add)} at {member} began at "
            f"{tell.at(int(history.start_ns[add]))}, and in the end {self._node(read)} shows it"
        )
        return self._anomaly("unauthorised-edit", adds, argument, [chosen], [read], [revoke])

    def _earliest(self, elements: Ints) -> Ints:
        """Places of the first adds of these elements, the first of them first."""
        order = np.argsort(self.start, kind="stable")
        order = order[np.isin(self.element[order], elements)]
        return order[np.sort(np.unique(self.element[order], return_index=True)[1])]

    def _anomaly(
        self, name: str, adds: Ints, argument: str, chosen: list[int], looks: list[int],
        before: list[int] | None = None,
    ) -> Anomaly:  # fmt: skip
        value = self.told.content(int(self.codes[self.element[chosen[0]]]))
        witness = [*(before or ()), *self.adds[chosen].tolist(), *looks]
        return self.case.anomaly(
            name, self.adds[adds], witness, argument, count=len(adds), value=value
        )

    def _node(self, row: int) -> str:
        return self.case.history.node.at(row) or "a node"
