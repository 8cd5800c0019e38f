"""`log`: what is sent to a log stands at one offset of it, and is polled in that order.

Kafka's logs, with and without transactions. docs/checkers.md defines each anomaly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.counting import Case, runs
from analysis.checkers.log_columns import UNTOLD, Messages, read_log
from analysis.checkers.log_kinds import KINDS, PROPERTY
from analysis.checkers.log_order import NEVER, Places, Positions, Steps, known, steps
from analysis.checkers.prose import counted, number, short
from analysis.history import OK, History, Ints, Mask

__all__ = ["KINDS", "PROPERTY", "check"]


def check(history: History, context: Context) -> CheckResult:
    """Decide what logs with offsets lost, doubled or put out of order (f: send, poll, txn)."""
    case = Case(property=PROPERTY, history=history, context=context)
    flow = _Flow(case)
    found = [*flow.unfounded(), *flow.places(), *flow.lost(), *flow.vanished()]
    found += [*flow.polls(), *flow.sends()]
    summary = flow.summary()
    if found:
        counts = counted(found)
        return case.invalid(f"{counts}; {summary}", found)
    if not flow.acknowledged:
        return case.unknown("no send was acknowledged")
    if not len(flow.log.polled):
        return case.unknown(f"no message was polled: {summary}")
    if flow.unseen and context.final_ns is not None:
        return case.unknown(
            f"the logs were not read to the end of what was acknowledged: {summary}"
        )
    bad = dict.fromkeys(("unfounded", "inconsistent", "duplicate", "lost", "polls", "sends"), 0)
    told = {"acknowledged": flow.acknowledged, "polled": len(flow.log.polled)}
    return case.valid(summary, told | bad)


class _Flow:
    """What was sent and polled."""

    def __init__(self, case: Case) -> None:
        self.case, self.history = case, case.history
        self.log = log = read_log(case.history)
        case.context.meter.in_time()
        self.known = known(case.history, log)
        self.ok = case.history.type[log.sent.row] == OK
        self.acknowledged = int(np.count_nonzero(self.ok))
        self.positions = Positions(case.history, log, case.context.meter)
        self.told = np.flatnonzero(log.sent.offset != UNTOLD)
        self.committed = self.known.committed()
        self.allowed: list[str] = []
        seen = np.bincount(self.known.polled, minlength=len(self.known.senders)) > 0
        self.seen = seen[self.known.sent]  # of each message sent, whether a poll showed it
        self.passed = np.zeros(len(self.seen), np.bool_)  # those of these that are lost
        self.unseen = int(np.count_nonzero(~self.seen & self.ok))

    def summary(self) -> str:
        """What was looked at, and what is not as it might be though it is allowed."""
        log, unseen = self.log, self.unseen
        parts = [
            f"{number(self.acknowledged, 'message')} sent and acknowledged, {len(log.polled):,} "
            f"polled, in {number(len(log.names), 'log')}"
        ]
        if unseen:
            parts.append(f"{unseen:,} acknowledged never polled")
        if gaps := self._gaps():
            parts.append(f"{number(gaps, 'offset')} that nobody told of")
        return "; ".join([*parts, *self.allowed])

    def _gaps(self) -> int:
        """Offsets between the first and the last known of their log, without a known message."""
        log = np.append(self.log.sent.log[self.told], self.log.polled.log)
        offset = np.append(self.log.sent.offset[self.told], self.log.polled.offset)
        places = Places(self.known.place).count
        low, high = (np.full(len(self.log.names), end) for end in (NEVER, -1))
        np.minimum.at(low, log, offset)
        np.maximum.at(high, log, offset)
        there = high >= 0
        return int((high[there] - low[there] + 1).sum()) - places

    def _message(self, messages: Messages, at: int) -> str:
        """ "17 at offset 4 of log 0"."""
        value = short(self.log.content(int(messages.value[at])))
        name = self.log.names[int(messages.log[at])]
        log = f"log {name}" if name else "the log"
        offset = int(messages.offset[at])
        return f"{value} in {log}" if offset == UNTOLD else f"{value} at offset {offset:,} of {log}"

    def _when(self, row: int, rows: Iterable[int] = ()) -> str:
        tell = self.case.tell(row, *rows)
        start, end = int(self.history.start_ns[row]), int(self.history.end_ns[row])
        return f"between {tell.at(start)} and {tell.at(end)}"

    def _did(self, verb: str, messages: Messages, at: int, rows: Iterable[int] = ()) -> str:
        """ "process 3 polled 17 at offset 4 of log 0 between … and …"."""
        row = int(messages.row[at])
        who = self.case.tell(row).who(row)
        return f"{who} {verb} {self._message(messages, at)} {self._when(row, rows)}"

    def _first(self, messages: Messages, chosen: Ints) -> int:
        """The one of these whose operation ended first."""
        rows = messages.row[chosen]
        return int(chosen[np.lexsort((chosen, rows, self.history.end_ns[rows]))[0]])

    def unfounded(self) -> list[Anomaly]:
        """Messages that were polled though nobody else may have sent them by then."""
        known, polled = self.known, self.log.polled
        seen = known.polled
        nobody = known.senders[seen] == 0
        failed = known.failed[seen]
        later = ~nobody & (known.begun[seen] > self.history.end_ns[polled.row])
        own = (known.senders[seen] == 1) & (known.sender[seen] == polled.row)
        cases: tuple[tuple[str, Mask, str], ...] = (
            ("thin-air-poll", nobody & ~failed, "which nobody ever tried to send there"),
            ("aborted-read", nobody & failed, "whose senders were all told that they failed"),
            ("future-poll", later, "which nobody had begun to send when that had ended"),
            ("precommitted-read", own, "which only this transaction itself sent"),
        )
        found = []
        for name, mask, why in cases:
            if mask.any():
                chosen = np.flatnonzero(mask)
                at = self._first(polled, chosen)
                argument = f"{self._did('polled', polled, at)}, {why}"
                rows = polled.row[chosen]
                found.append(
                    self.case.anomaly(
                        name, rows, [int(polled.row[at])], argument, count=len(chosen)
                    )
                )
        return found

    def _known(self, at: int) -> tuple[Messages, int]:
        """The messages, and the place there, of something known."""
        known = self.known
        if at < known.told:
            return self.log.sent, int(self.told[at])
        return self.log.polled, at - known.told

    def _tells(self, at: int, rows: Iterable[int] = ()) -> str:
        messages, place = self._known(at)
        verb = "polled" if messages is self.log.polled else "was told that it had sent"
        return self._did(verb, messages, place, rows)

    def places(self) -> list[Anomaly]:
        """Offsets of several messages, and messages at several offsets."""
        known = self.known
        return [
            *self._several("inconsistent-offsets", known.place, known.number, None),
            *self._several("duplicate", known.number, known.place, known.senders),
        ]

    def _several(self, name: str, one: Ints, others: Ints, allowed: Ints | None) -> list[Anomaly]:
        """Where one thing has more of the others than are `allowed` (None: 1)."""
        if _paired(one, others):
            return []
        row, end = self.known.row, self.history.end_ns[self.known.row]
        order = np.lexsort((row, end, others, one))
        cuts = runs(one[order], others[order])
        first = order[cuts[:-1]]  # of each pair who told of it first
        groups = runs(one[first])
        size = np.diff(groups)
        limit = np.ones(len(size), np.int64)
        if allowed is not None and len(size):
            limit = allowed[one[first[groups[:-1]]]]
        bad = np.flatnonzero((size > limit) & (limit > 0))
        if not len(bad):
            return []
        members = np.repeat(groups[bad], size[bad]) + (
            np.arange(int(size[bad].sum())) - np.repeat(np.cumsum(size[bad]) - size[bad], size[bad])
        )
        rows = row[first[members]]
        chosen, least = 0, NEVER
        for at in bad.tolist():  # the one that was evident first
            ends = np.sort(end[first[groups[at] : groups[at + 1]]])
            evident = int(ends[int(limit[at])])
            if evident < least:
                chosen, least = at, evident
        told = first[groups[chosen] : groups[chosen + 1]]
        told = told[np.argsort(end[told], kind="stable")][: int(limit[chosen]) + 1]
        witness = row[told].tolist()
        argument = "; but ".join(self._tells(int(at), witness) for at in told)
        return [self.case.anomaly(name, rows, witness, argument, count=len(bad))]

    def lost(self) -> list[Anomaly]:
        """Acknowledged messages that were passed over for ever: a poll showed one of a higher
        offset, or, where no offset was told, one that was sent only afterwards."""
        known, sent, polled = self.known, self.log.sent, self.log.polled
        if not len(polled):
            return []
        place, ended = np.full(len(sent), -1), self.history.end_ns[sent.row]
        place[self.told] = known.place[: known.told]
        shown = known.place[known.told :]
        begun = np.where(known.senders > 0, known.begun, -NEVER)[known.polled]
        top, late = (np.full(len(self.log.names), -NEVER) for _ in range(2))
        np.maximum.at(top, polled.log, shown)
        np.maximum.at(late, polled.log, begun)
        untold = sent.offset == UNTOLD
        passed = np.where(untold, late[sent.log] > ended, top[sent.log] > place)
        self.passed = self.ok & ~self.seen & passed
        chosen = np.flatnonzero(self.passed)
        if not len(chosen):
            return []
        at = self._first(sent, chosen)
        behind = begun > ended[at] if untold[at] else shown > place[at]
        by = self._first(polled, np.flatnonzero((polled.log == sent.log[at]) & behind))
        witness = [int(sent.row[at]), int(polled.row[by])]
        argument = (
            f"{self._did('sent', sent, at, witness)}, which was acknowledged, and no poll ever "
            f"showed it, though {self._did('polled', polled, by, witness)}"
        )
        if untold[at]:
            argument += ", which nobody had begun to send by then"
        rows = sent.row[chosen]
        return [
            self.case.anomaly("lost-write", rows, witness, argument, count=len(chosen))
        ]  # fmt: skip

    def vanished(self) -> list[Anomaly]:
        """Acknowledged messages, but for the lost, at whose offset polls show another afterwards:
        begun when all had ended that tell of the message there."""
        known, sent, polled = self.known, self.log.sent, self.log.polled
        if _paired(known.place, known.number):
            return []
        order = np.lexsort((known.number, known.place))
        cuts = runs(known.place[order], known.number[order])  # of each message at a place
        last = np.maximum.reduceat(self.history.end_ns[known.row][order], cuts[:-1])
        begun = self.history.start_ns[known.row]
        begun[: known.told] = -NEVER  # sends
        begun = np.maximum.reduceat(begun[order], cuts[:-1])
        groups = runs(known.place[order[cuts[:-1]]])
        gone = np.zeros(len(last), np.bool_)
        for at in np.flatnonzero(np.diff(groups) > 1).tolist():
            each = slice(groups[at], groups[at + 1])
            latest = np.sort(begun[each])
            others = np.where(begun[each] == latest[-1], latest[-2], latest[-1])
            gone[each] = others > last[each]
        pair = np.empty(len(order), np.int64)
        pair[order] = np.repeat(np.arange(len(last)), np.diff(cuts))
        chosen = np.flatnonzero(gone[pair[: known.told]] & ~self.passed[self.told])
        if not len(chosen):
            return []
        at = self._first(sent, self.told[chosen])
        mine = int(np.searchsorted(self.told, at))
        there = known.place[known.told :] == known.place[mine]
        there &= self.history.start_ns[polled.row] > last[pair[mine]]
        by = self._first(polled, np.flatnonzero(there))
        witness = [int(sent.row[at]), int(polled.row[by])]
        argument = (
            f"{self._did('sent', sent, at, witness)}, which was acknowledged; but afterwards "
            f"{self._did('polled', polled, by, witness)}"
        )
        rows = sent.row[self.told[chosen]]
        return [self.case.anomaly("vanished", rows, witness, argument, count=len(chosen))]

    def polls(self) -> list[Anomaly]:
        """Steps of one process through a log that go back, or over a message."""
        polled = self.log.polled
        found = steps(self.history, polled, np.arange(len(polled)))
        sure, free = self.positions.judge(polled, found)
        shown = self.known.place[self.known.told :]
        one, two = shown[found.first], shown[found.second]
        back = sure & (two <= one)
        skip = sure & (two > one) & (self.committed.between(one, np.maximum(one, two)) > 0)
        loose = int(np.count_nonzero((back | skip) & free))
        if loose:
            self.allowed.append(f"{number(loose, 'jump')} of subscribed consumers, which may")
        cases: tuple[tuple[str, Mask, Callable[[int], int]], ...] = (
            ("int-nonmonotonic-poll", back & found.inside, lambda _: -1),
            ("int-poll-skip", skip & found.inside, lambda at: self._between(one[at], two[at])),
            ("nonmonotonic-poll", back & ~found.inside & ~free, lambda _: -1),
            ("poll-skip", skip & ~found.inside & ~free, lambda at: self._between(one[at], two[at])),
        )
        return [
            self._step("polled", name, polled, found, np.flatnonzero(mask), missed)
            for name, mask, missed in cases
            if mask.any()
        ]

    def _between(self, one: int, two: int) -> int:
        """Something known of a message between two places, committed."""
        known = self.known
        there = (known.place > one) & (known.place < two) & (known.senders[known.number] > 0)
        chosen = np.flatnonzero(there)
        return int(chosen[np.argmin(self.history.end_ns[known.row[chosen]])])

    def _step(
        self,
        verb: str,
        name: str,
        messages: Messages,
        found: Steps,
        chosen: Ints,
        missed: Callable[[int], int],
    ) -> Anomaly:
        rows = messages.row[found.second[chosen]]
        at = int(chosen[np.lexsort((chosen, self.history.end_ns[rows]))[0]])
        first, second, left = int(found.first[at]), int(found.second[at]), missed(at)
        witness = [int(messages.row[first]), int(messages.row[second])]
        if left >= 0:
            witness.append(int(self.known.row[left]))
        then = "then, in the same operation," if found.inside[at] else "and next"
        argument = f"{self._did(verb, messages, first, witness)}, {then}"
        argument += f" {self._message(messages, second)}"
        argument += "" if found.inside[at] else f" {self._when(witness[1], witness)}"
        if left >= 0:
            argument += f", without the message between: {self._tells(left, witness)}"
        return self.case.anomaly(name, rows, witness, argument, count=len(chosen))

    def sends(self) -> list[Anomaly]:
        """Messages that got a lower offset than earlier ones."""
        sent, known = self.log.sent, self.known
        found = steps(self.history, sent, self.told)
        place = np.full(len(sent), -1)
        place[self.told] = known.place[: known.told]
        back = place[found.second] < place[found.first]
        anomalies = []
        for name, mask in (
            ("int-nonmonotonic-send", back & found.inside),
            ("nonmonotonic-send", back & ~found.inside),
        ):
            if mask.any():
                chosen = np.flatnonzero(mask)
                anomalies.append(self._step("sent", name, sent, found, chosen, lambda _: -1))
        done = np.zeros(len(sent), np.bool_)
        done[found.second[back]] = True
        return [*anomalies, *self._reordered(place, done)]

    def _reordered(self, place: Ints, done: Mask) -> list[Anomaly]:
        """The same in real time, but for those that are `done`."""
        sent, told = self.log.sent, self.told
        rows = sent.row[told]
        start, end = self.history.start_ns[rows], self.history.end_ns[rows]
        low = int(start.min(initial=0))
        stretch = int(end.max(initial=0)) - low + 1
        if stretch * len(self.log.names) >= 2**62:  # only the order of times matters
            clock = np.unique(np.append(start, end))
            start, end = np.searchsorted(clock, start), np.searchsorted(clock, end)
            low, stretch = 0, len(clock) + 1
        start, end = (sent.log[told] * stretch + (times - low) for times in (start, end))
        order = np.argsort(end, kind="stable")
        places = place[told[order]]
        most = np.maximum.accumulate(places) if len(places) else places
        before = np.searchsorted(end[order], start, "left")
        late = (np.append(most, -1)[before - 1] > place[told]) & (before > 0) & ~done[told]
        chosen = told[late]
        if not len(chosen):
            return []
        at = self._first(sent, chosen)
        upto = int(before[np.searchsorted(told, at)])
        a = int(told[order[np.argmax(places[:upto])]])
        witness = [int(sent.row[a]), int(sent.row[at])]
        argument = (
            f"{self._did('sent', sent, a, witness)}, and after that had been acknowledged "
            f"{self._did('sent', sent, at, witness)}"
        )
        rows = sent.row[chosen]
        return [
            self.case.anomaly("reordered", rows, witness, argument, count=len(chosen))
        ]  # fmt: skip


def _paired(one: Ints, others: Ints) -> bool:
    """Whether each of the one comes with one of the others only."""
    size = int(one.max(initial=-1)) + 1
    if size > 4 * len(one) + 1_000_000:
        one = np.unique(one, return_inverse=True)[1]
        size = len(one)
    some = np.zeros(size, np.int64)
    some[one] = others
    return bool((some[one] == others).all())
