"""`total-queue` and `at-least-once`: what goes in comes out, and nothing else does.

They differ in what comes out again: a violation of the first, and told by the second. Named
anomalies, weakest first; docs/checkers.md defines each and what it counts. Order does not matter
here: `linearizable-queue` decides that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.checkers.base import Anomaly, Checker, CheckResult, Context
from analysis.checkers.clock import Clock
from analysis.checkers.counting import Case, rank_in_run, runs
from analysis.checkers.elements import numbered
from analysis.checkers.kinds import JEPSEN_QUEUE, alike
from analysis.checkers.lists import carried
from analysis.checkers.prose import counted, number
from analysis.history import FAIL, INFO, OK, History, Ints

ONCE, AT_LEAST = "total-queue", "at-least-once"


_UNEXPECTED = (
    "unexpected",
    "times an element came out that nobody had begun to put in, but for failed attempts",
    "any memory at all",
)
_DUPLICATED = (
    "duplicated",
    "times an element came out more often than it may have been put in by then",
    "delivery at most once",
)
_LOST = (
    "lost",
    "acknowledged enqueues whose element never came out though the queue was found "
    "empty afterwards, less the dequeues without an answer that may have taken it",
    "delivery at least once",
)
KINDS = (
    *alike(ONCE, (_UNEXPECTED, _DUPLICATED, _LOST), reference=JEPSEN_QUEUE, acknowledged="lost"),
    *alike(AT_LEAST, (_UNEXPECTED, _LOST), reference=JEPSEN_QUEUE, acknowledged="lost"),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide what was lost and what came twice (f: enqueue, dequeue, drain)."""
    flow = _Flow(Case(property=ONCE, history=history, context=context))
    figures = {"acknowledged": flow.acknowledged, "missing": 0, "excess": 0}
    return _judged(flow, [flow.unexpected(), flow.duplicated(), flow.lost()], figures, "")


def check_at_least_once(history: History, context: Context) -> CheckResult:
    """Decide what was lost, whatever came twice (f: enqueue, dequeue, drain)."""
    flow = _Flow(Case(property=AT_LEAST, history=history, context=context))
    again = len(flow.over) - int(np.count_nonzero(flow.out_of_nowhere))
    figures = {"acknowledged": flow.acknowledged, "missing": 0, "unexpected": 0, "again": again}
    told = f"; {again:,} of them once more than they had been put in" if again else ""
    return _judged(flow, [flow.unexpected(), flow.lost()], figures, told)


CHECKERS: Mapping[str, Checker] = {ONCE: check, AT_LEAST: check_at_least_once}


def _judged(
    flow: _Flow, found: list[Anomaly | None], figures: Mapping[str, int], told: str
) -> CheckResult:
    """What was `found`, or why nothing was; `told`: what else there is to say."""
    case, summary = flow.case, flow.summary() + told
    anomalies = [anomaly for anomaly in found if anomaly is not None]
    if anomalies:
        counts = counted(anomalies)
        return case.invalid(f"{counts}; {summary}", anomalies)
    if not flow.acknowledged:
        return case.unknown("no enqueue was acknowledged")
    missing = len(flow.missing)
    if missing:
        which = "was not seen to come out" if missing == 1 else "were not seen to come out"
        why = f"{number(missing, 'acknowledged element')} {which}, and {flow.excuse()}"
        return case.unknown(f"{why}; {summary}")
    return case.valid(summary, figures)


class _Flow:
    """What went in (`puts`) and what came out (`shows`: one cell for each time), by number of the
    element. Times are readings of one clock for all keys.
    """

    def __init__(self, case: Case) -> None:
        self.case, history = case, case.history
        self.clock = Clock(history)
        self.tried = np.flatnonzero(history.f.equals("enqueue"))
        self.puts = self.tried[history.type[self.tried] != FAIL]
        dequeues = np.flatnonzero(history.f.equals("dequeue") & (history.type != FAIL))
        takes, unsure = (dequeues[history.type[dequeues] == kind] for kind in (OK, INFO))
        drains = np.flatnonzero(history.f.equals("drain") & (history.type == OK))
        rows = np.concatenate([self.puts, takes, unsure])
        told = carried(history, rows, drains)
        single, lists = told.single, told.lists
        bounds = np.cumsum([len(self.puts), len(takes)])
        put, take, hold = np.split(np.arange(len(rows)), bounds)
        lacking = ~single.valid[put]  # nothing was put in
        self.puts, put = self.puts[~lacking], put[~lacking]
        came, answered = single.valid[take], lists.place >= 0
        held = single.valid[hold]
        self.held, self.jokers = unsure[held], unsure[~held]
        self.empties = np.append(takes[~came], drains[answered])
        self.silent = drains[~answered]
        sizes = np.diff(lists.bounds)[lists.place[answered]]
        at = np.repeat(lists.bounds[lists.place[answered]] - (np.cumsum(sizes) - sizes), sizes)
        listed = lists.codes[at + np.arange(len(at))]
        self.shows = np.append(takes[came], np.repeat(drains[answered], sizes))
        gave = [single.values[of] for of in (put, take[came], hold[held])]
        self.codes = np.concatenate([gave[0], gave[1], listed, gave[2]])
        self.told = told
        rows = np.concatenate([self.puts, self.shows, self.held])
        numbers, self.count = numbered(self.clock.key[rows], self.codes)
        bounds = np.cumsum([len(self.puts), len(self.shows)])
        self.put, self.show, self.hold = np.split(numbers, bounds)
        self.ok = history.type[self.puts] == OK
        self.acknowledged = int(np.count_nonzero(self.ok))
        self.missing = self._missing()
        self._excess()

    def _missing(self) -> Ints:
        """Rows of acknowledged enqueues that no answer accounts for: of one element the last."""
        rows, element = self.puts[self.ok], self.put[self.ok]
        came = np.bincount(np.append(self.show, self.hold), minlength=self.count)
        if bool((came[element] > 0).all()) and len(np.unique(element)) == len(element):
            return np.empty(0, np.int64)
        order = np.lexsort((rows, self.clock.end(rows), element))
        rank = rank_in_run(runs(element[order]))
        missing: Ints = rows[order[rank >= came[element[order]]]]
        return missing

    def _excess(self) -> None:
        """Per show in `order`: its place among those of its element, and the place of the put that
        would account for it; the shows of which that is missing or began later are in `over`.
        """
        starts, ends = self.clock.start(self.puts), self.clock.end(self.shows)
        puts = np.lexsort((starts, self.put))
        self.order = np.lexsort((self.shows, ends, self.show))
        show = self.show[self.order]
        self.nth = rank_in_run(runs(show))
        many = np.bincount(self.put, minlength=self.count)
        first = np.cumsum(many) - many
        begun = np.append(starts[puts], self.clock.last[-1])
        account = np.where(self.nth < many[show], first[show] + self.nth, len(puts))
        self.over = np.flatnonzero(begun[account] > ends[self.order])
        earliest = begun[np.where(many[show] > 0, first[show], len(puts))]
        self.out_of_nowhere = (earliest > ends[self.order])[self.over]

    def summary(self) -> str:
        """What was attempted, acknowledged, came out, was recovered."""
        may, came = (np.bincount(part, minlength=self.count) for part in (self.put, self.show))
        sure = np.bincount(self.put[self.ok], minlength=self.count)
        recovered = int(np.maximum(np.minimum(came, may) - sure, 0).sum())
        why = (
            f"of {number(len(self.tried), 'enqueue')} {self.acknowledged:,} were acknowledged; "
            f"{number(len(self.shows), 'element')} came out"
        )
        unsure = int(np.count_nonzero(~self.ok))
        if unsure:
            why += f"; {recovered:,} of {number(unsure, 'indeterminate enqueue')} took effect"
        if len(self.held):
            why += f"; {number(len(self.held), 'element')} came to who may not have taken it"
        return why

    def excuse(self) -> str:
        """Why what is missing need not be lost."""
        history = self.case.history
        started = history.start_ns[self.empties]
        late = started.max(initial=-1) > history.end_ns[self.missing].min()
        if not late:
            return "the queue was not found empty afterwards"
        if not len(self.jokers):
            return "a drain without an answer may have taken them"
        return "takes without an answer may have taken them"

    def _anomaly(self, name: str, chosen: Ints, argument: str) -> Anomaly | None:
        """`chosen`: places in `order` of shows that are too many."""
        if not len(chosen):
            return None
        history = self.case.history
        rows = self.shows[self.order[chosen]]
        at = int(chosen[np.argmin(history.end_ns[rows])])
        same = self.shows[self.order[at - int(self.nth[at]) : at + 1]].tolist()
        witness = same[-1:] if name == "unexpected" else same
        row = witness[-1]
        tell = self.case.tell(*witness)
        code = int(self.codes[len(self.puts) + self.order[at]])
        argument = (
            f"{self.told.text(code)} came out of {tell.key(row)} at "
            f"{tell.at(int(history.end_ns[row]))}, to {tell.who(row)}, {argument}"
        )
        if name == "duplicated":
            others = ", ".join(tell.who(other) for other in witness[:-1])
            argument += f"; before that it had come to {others}"
        return self.case.anomaly(
            name, rows, witness, argument, count=len(chosen), value=self.told.content(code)
        )

    def unexpected(self) -> Anomaly | None:
        """What came out of nowhere."""
        chosen = self.over[self.out_of_nowhere]
        return self._anomaly(
            "unexpected", chosen, "but no enqueue of it that may have happened had begun by then"
        )

    def duplicated(self) -> Anomaly | None:
        """What came out more often than it went in."""
        chosen = self.over[~self.out_of_nowhere]
        return self._anomaly("duplicated", chosen, "more often than anybody had begun to put it in")

    def lost(self) -> Anomaly | None:
        """What was put in before the queue was found empty, and that nobody can have taken."""
        history, clock = self.case.history, self.clock
        unsure = history.type == INFO
        drains = np.append(np.flatnonzero(history.f.equals("drain") & unsure), self.silent)
        start, end = clock.start(self.empties), clock.end(self.empties)
        first = clock.first[clock.key[self.empties]]

        def among(times: Ints, until: Ints) -> Ints:
            times = np.sort(times)
            begun: Ints = np.searchsorted(times, until) - np.searchsorted(times, first)
            return begun

        gone = among(clock.end(self.missing), start)
        taken = among(clock.start(self.jokers), end + 1)
        sure = np.where(among(clock.start(drains), end + 1) == 0, gone - taken, 0)
        if not bool((sure > 0).any()):
            return None
        at = int(np.argmax(sure))
        empty = int(self.empties[at])
        ends, key = clock.end(self.missing), clock.key[self.empties]

        def gone_by(at: int) -> Ints:
            gone: Ints = self.missing[(ends < start[at]) & (ends > first[at])]
            return gone

        order = np.lexsort((sure, key))  # of each queue the moment at which most was missing
        most = order[np.append(key[order][1:] != key[order][:-1], True)]
        most = most[sure[most] > 0]
        every = np.concatenate([gone_by(place) for place in most.tolist()])
        rows = gone_by(at)
        row = int(rows[np.argmin(history.end_ns[rows])])
        tell = self.case.tell(row, empty)
        what = "drain" if history.f.at(empty) == "drain" else "dequeue"
        argument = (
            f"{tell.whose(row)} was acknowledged at {tell.at(int(history.end_ns[row]))}, and "
            f"{tell.who(empty)}'s {what}, which began at "
            f"{tell.at(int(history.start_ns[empty]))}, found {tell.key(empty)} empty, but it "
            "never came out"
        )
        if taken[at]:
            argument += (
                f"; of {number(len(rows), 'element')} missing like it, "
                f"{number(int(taken[at]), 'dequeue')} without an answer may have taken as many"
            )
        return self.case.anomaly(
            "lost", every, [row, empty], argument, count=int(sure[most].sum()), proof=[empty]
        )
