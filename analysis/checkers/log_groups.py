"""`group-at-least-once` and `group-exactly-once`: what a log's consumer group was shown of it.

They differ in what the group was shown again: a violation of the second, and told by the first.
docs/checkers.md defines both anomalies. All that subscribe are one group.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.checkers.base import Anomaly, Checker, CheckResult, Context
from analysis.checkers.counting import Case, rank_in_run, runs
from analysis.checkers.kinds import JEPSEN_LOG, alike
from analysis.checkers.log_columns import UNTOLD, Messages, read_log
from analysis.checkers.log_order import known
from analysis.checkers.prose import counted, number, short
from analysis.history import FAIL, INFO, History, Ints, Mask

AT_LEAST, ONCE = "group-at-least-once", "group-exactly-once"


_SKIPPED = (
    "skipped",
    "messages acknowledged with their offset that no member of the group polled, though one polled "
    "a later offset of that log",
    "delivery to the group at least once",
)
_REPEATED = (
    "repeated",
    "times that members of the group polled a message that one had polled before",
    "delivery to the group at most once",
)
KINDS = (
    *alike(AT_LEAST, (_SKIPPED,), reference=JEPSEN_LOG, acknowledged="skipped"),
    *alike(ONCE, (_SKIPPED, _REPEATED), reference=JEPSEN_LOG, acknowledged="skipped"),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether a consumer group passed anything over (f: send, poll, txn, subscribe)."""
    group = _Group(Case(property=AT_LEAST, history=history, context=context))
    return _judged(group, [group.skipped()])


def check_once(history: History, context: Context) -> CheckResult:
    """Decide whether a group was shown everything, and once (f: send, poll, txn, subscribe)."""
    group = _Group(Case(property=ONCE, history=history, context=context))
    return _judged(group, [group.skipped(), group.repeated()])


CHECKERS: Mapping[str, Checker] = {AT_LEAST: check, ONCE: check_once}


def _judged(group: _Group, found: list[Anomaly | None]) -> CheckResult:
    case, summary = group.case, group.summary()
    anomalies = [anomaly for anomaly in found if anomaly is not None]
    if anomalies:
        counts = counted(anomalies)
        return case.invalid(f"{counts}; {summary}", anomalies)
    if not group.acknowledged:
        return case.unknown("no send was acknowledged with its offset")
    if not len(group.rows):
        return case.unknown(f"no member of a group polled anything: {summary}")
    figures = group.figures()
    if figures["unsure"]:
        which = number(figures["unsure"], "message")
        return case.unknown(f"a poll without an answer may have shown {which}; {summary}")
    return case.valid(summary, figures)


def members(history: History) -> Mask:
    """Of each row whether its process had chosen last, by then, to be a member of a group: with a
    `subscribe`, and not an `assign`."""
    process = np.unique(history.process, return_inverse=True)[1]
    clock, moment = np.unique(history.start_ns, return_inverse=True)
    time = process * (len(clock) + 1) + moment
    subscribed = history.f.equals("subscribe")
    choice = np.flatnonzero((subscribed | history.f.equals("assign")) & (history.type != FAIL))
    if not len(choice):
        return np.zeros(len(history), np.bool_)
    choice = choice[np.argsort(time[choice], kind="stable")]
    at = np.searchsorted(time[choice], time, "right") - 1
    last = choice[at]
    member: Mask = (at >= 0) & (process[last] == process) & subscribed[last]
    return member


class _Group:
    """What was sent, and what members polled of it: `rows`, `place`, `numbers` of each message."""

    def __init__(self, case: Case) -> None:
        self.case, self.history = case, case.history
        self.log = read_log(case.history)
        found, polled = known(case.history, self.log), self.log.polled
        member = members(case.history)
        self.mine = np.flatnonzero(member[polled.row])
        self.rows = polled.row[self.mine]
        self.place, self.numbers = found.place[found.told :][self.mine], found.polled[self.mine]
        self.told = np.flatnonzero(self.log.sent.offset != UNTOLD)
        self.acknowledged = len(self.told)
        self.at = found.place[: found.told]
        seen = np.bincount(self.numbers, minlength=len(found.senders)) > 0
        self.unseen = ~seen[found.sent[self.told]]
        top = np.full(len(self.log.names), -1)
        np.maximum.at(top, polled.log[self.mine], self.place)
        self.passed = self.unseen & (top[self.log.sent.log[self.told]] > self.at)
        self.unsure = self.passed & self._unsure(member)
        self._again()

    def _unsure(self, member: Mask) -> Mask:
        """Of each message told of: whether a member's poll that nobody knows the outcome of was not
        over when its send began, and may have shown it."""
        polls = self.log.polls[self.history.type[self.log.polls] == INFO]
        polls = polls[member[polls]]
        begun = self.history.start_ns[self.log.sent.row[self.told]]
        if not len(polls):
            return np.zeros(len(begun), np.bool_)
        unsure: Mask = begun <= self.history.end_ns[polls].max()
        return unsure

    def _again(self) -> None:
        """Places in `mine`, those of one message next to each other, as their polls ended; of those
        in `again` one is before."""
        end = self.history.end_ns[self.rows]
        self.order = np.lexsort((self.mine, self.rows, end, self.numbers, self.place))
        starts = runs(self.place[self.order], self.numbers[self.order])
        self.again = np.flatnonzero(rank_in_run(starts) > 0)

    def figures(self) -> Mapping[str, int]:
        """What is counted."""
        unsure = int(np.count_nonzero(self.unsure))
        return {
            "acknowledged": self.acknowledged,
            "polled": len(self.rows),
            "skipped": int(np.count_nonzero(self.passed)) - unsure,
            "unsure": unsure,
            "repeated": len(self.again),
        }

    def summary(self) -> str:
        """What was looked at, and what is not as it might be though it is allowed."""
        figures = self.figures()
        parts = [
            f"{number(self.acknowledged, 'message')} sent and acknowledged, {len(self.rows):,} "
            f"polled by the group, in {number(len(self.log.names), 'log')}"
        ]
        if figures["repeated"]:
            parts.append(f"{figures['repeated']:,} of these once more")
        if figures["unsure"]:
            parts.append(f"{figures['unsure']:,} that a poll without an answer may have shown")
        if behind := int(np.count_nonzero(self.unseen & ~self.passed)):
            parts.append(f"{behind:,} that the group had not got to")
        return "; ".join(parts)

    def _did(self, verb: str, messages: Messages, at: int, rows: list[int]) -> str:
        """ "process 3 polled 17 at offset 4 of log k0 between … and …"."""
        row = int(messages.row[at])
        tell = self.case.tell(row, *rows)
        name = self.log.names[int(messages.log[at])]
        start, end = int(self.history.start_ns[row]), int(self.history.end_ns[row])
        return (
            f"{tell.who(row)} {verb} {short(self.log.content(int(messages.value[at])))} at offset "
            f"{int(messages.offset[at]):,} of {f'log {name}' if name else 'the log'} between "
            f"{tell.at(start)} and {tell.at(end)}"
        )

    def _first(self, rows: Ints) -> int:
        """Which of these ended first."""
        return int(np.lexsort((rows, self.history.end_ns[rows]))[0])

    def skipped(self) -> Anomaly | None:
        """What the group passed over."""
        sent, polled = self.log.sent, self.log.polled
        chosen = np.flatnonzero(self.passed & ~self.unsure)
        if not len(chosen):
            return None
        rows = sent.row[self.told[chosen]]
        one = chosen[self._first(rows)]
        at = int(self.told[one])
        there = (polled.log[self.mine] == sent.log[at]) & (self.place > self.at[one])
        behind = self.mine[there]
        by = int(behind[self._first(polled.row[behind])])
        witness = [int(sent.row[at]), int(polled.row[by])]
        argument = (
            f"{self._did('sent', sent, at, witness)}, which was acknowledged, and no member of the "
            f"group ever polled it, though {self._did('polled', polled, by, witness)}"
        )
        return self.case.anomaly("skipped", rows, witness, argument, count=len(chosen))

    def repeated(self) -> Anomaly | None:
        """What the group was shown again."""
        if not len(self.again):
            return None
        polled, rows = self.log.polled, self.rows[self.order[self.again]]
        at = self.again[self._first(rows)]
        one, two = (int(self.mine[self.order[place]]) for place in (at - 1, at))
        witness = [int(polled.row[one]), int(polled.row[two])]
        argument = (
            f"{self._did('polled', polled, one, witness)}, and "
            f"{self._did('polled', polled, two, witness)}, though both are of one group"
        )
        return self.case.anomaly("repeated", rows, witness, argument, count=len(self.again))
