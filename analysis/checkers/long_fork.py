"""`long-fork`: no two transactions see two writes in opposite orders.

Each key is written once, so a read tells whether that write was there. docs/checkers.md defines
what is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.counting import Case, runs
from analysis.checkers.kinds import LONG_FORK, Kind
from analysis.checkers.prose import number, short
from analysis.history import FAIL, OK, History, Ints
from analysis.transactions.columns import APPEND, READ, WRITE, Transactions, read_transactions

PROPERTY = "long-fork"
KINDS = (
    Kind(
        property="long-fork",
        name="long-fork",
        counts="ok transactions that saw one write and not another, which somebody saw the other "
        "way round",
        rules_out="snapshot isolation, and all above it",
        reference=LONG_FORK,
    ),
)
PAIRS_A_STEP = 100
PAIRS_AT_ONCE = 10_000_000


def check(history: History, context: Context) -> CheckResult:
    """Decide whether readers agree on the order of writes (f: txn; each key written once)."""
    case = Case(property=PROPERTY, history=history, context=context)
    txns = read_transactions(history)
    if bool((txns.kind == APPEND).any()):
        return case.unknown("long-fork is about registers, but there are appends to lists")
    reads = _Reads(case, txns)
    if anomaly := reads.forked():
        why = (
            f"{anomaly.count:,} of {number(reads.count, 'reading transaction')} saw two writes in "
        )
        return case.invalid(f"{why}an order that another one saw reversed", [anomaly])
    if not reads.count:
        return case.unknown("no transaction that reads was acknowledged")
    if reads.repeated:
        what = number(reads.repeated, "key")
        return case.unknown(f"each key must be written once, but {what} may have been written more")
    if reads.strange:
        what = number(reads.strange, "read")
        return case.unknown(
            f"{what} showed what nobody wrote to the key, or only who failed: that is for "
            "rw-register to judge"
        )
    if not reads.partial:
        return case.unknown("no transaction saw one write and not another: no order was seen")
    figures = {"partial": reads.partial, "forked": 0, "repeated": 0, "strange": 0}
    return case.valid(f"all {reads.summary()} agree on the order of writes", figures)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A transaction `txn` saw the write of `seen` and not that of `unseen` (places of reads)."""

    seen: Ints
    unseen: Ints
    code: Ints  # of the two keys
    reverse: Ints


class _Reads:
    """What transactions saw of keys that are written once, before they wrote them themselves."""

    def __init__(self, case: Case, txns: Transactions) -> None:
        self.case, self.txns = case, txns
        owner, keys = txns.owner(), len(txns.keys)
        initial = txns.code(case.context.initial)
        writes = np.flatnonzero((txns.kind == WRITE) & (txns.outcome[owner] != FAIL))
        times = np.bincount(txns.key[writes], minlength=keys)
        self.writer, self.written = np.full(keys, -1), np.full(keys, -1)
        self.writer[txns.key[writes]] = owner[writes]
        self.written[txns.key[writes]] = txns.value[writes]
        again = (times > 1) | ((times == 1) & (self.written == initial))
        self.repeated = int(np.count_nonzero(again))
        self.count = len(np.unique(owner[(txns.kind == READ) & (txns.outcome[owner] == OK)]))
        places = _external(txns, owner)
        value, key = txns.value[places], txns.key[places]
        there = (times[key] == 1) & (value == self.written[key])
        odd = ~there & (value != initial) & ~again[key]
        self.strange = int(np.count_nonzero(odd))
        judged = ~odd & (times[key] == 1) & ~again[key]
        self.place, self.seen = places[judged], there[judged]
        self.owner, self.key = owner[self.place], txns.key[self.place]
        order = np.lexsort((~self.seen, self.owner))
        self.place, self.seen = self.place[order], self.seen[order]
        self.owner, self.key = self.owner[order], self.key[order]
        self.cuts = runs(self.owner)
        size = np.diff(self.cuts)
        self.many = np.add.reduceat(self.seen, self.cuts[:-1]) if len(size) else size
        self.rest = size - self.many
        self.partial = int(np.count_nonzero((self.many > 0) & (self.rest > 0)))

    def summary(self) -> str:
        """What was looked at."""
        return (
            f"{number(self.count, 'reading transaction')}, {self.partial:,} of which saw one write "
            "and not another"
        )

    def pairs(self) -> Iterator[_Pairs]:
        """All of them, some transactions at a time."""
        each = self.many * self.rest
        total = np.cumsum(each)
        self.case.context.meter.spend(int(total[-1]) // PAIRS_A_STEP if len(total) else 0)
        begin = 0
        while begin < len(each):
            before = int(total[begin] - each[begin])
            end = int(np.searchsorted(total, before + PAIRS_AT_ONCE, "right"))
            end = max(end, begin + 1)
            yield self._some(np.arange(begin, end))
            begin = end

    def _some(self, groups: Ints) -> _Pairs:
        groups = groups[(self.many[groups] > 0) & (self.rest[groups] > 0)]
        many, rest, first = self.many[groups], self.rest[groups], self.cuts[groups]
        seen = np.repeat(first - (np.cumsum(many) - many), many) + np.arange(int(many.sum()))
        times = np.repeat(rest, many)  # each seen one with all unseen ones
        start = np.repeat(first + many, many)
        unseen = np.repeat(start - (np.cumsum(times) - times), times) + np.arange(int(times.sum()))
        seen = np.repeat(seen, times)
        keys = len(self.txns.keys)
        x, y = self.key[seen], self.key[unseen]
        return _Pairs(seen, unseen, x * keys + y, y * keys + x)

    def forked(self) -> Anomaly | None:
        """Transactions that saw two writes in an order which another one saw reversed."""
        found = np.empty(0, np.int64)
        for some in self.pairs():
            found = np.union1d(found, some.code)
        keys = len(self.txns.keys)
        bad = found[np.isin(found % max(keys, 1) * keys + found // max(keys, 1), found)]
        if not len(bad):
            return None
        rows, first = [], None
        for some in self.pairs():
            wrong = np.flatnonzero(np.isin(some.code, bad))
            if len(wrong):
                rows.append(self.txns.rows[np.unique(self.owner[some.seen[wrong]])])
                end = self.case.history.end_ns[self._row(some.seen[wrong])]
                at = wrong[np.lexsort((self._row(some.seen[wrong]), end))[0]]
                told = (int(end.min()), int(some.seen[at]), int(some.unseen[at]))
                first = min(first or told, told)
        assert first is not None
        _, seen, unseen = first
        back = self._other(int(self.key[unseen] * keys + self.key[seen]))
        return self._told((seen, unseen), back, np.concatenate(rows))

    def _row(self, places: Ints) -> Ints:
        rows: Ints = self.txns.rows[self.owner[places]]
        return rows

    def _other(self, code: int) -> tuple[int, int]:
        """Some reads of one transaction that saw the first key's write and not the second's."""
        for some in self.pairs():
            at = np.flatnonzero(some.code == code)
            if len(at):
                return int(some.seen[at[0]]), int(some.unseen[at[0]])
        raise AssertionError("a fork with one end")

    def _told(self, one: tuple[int, int], two: tuple[int, int], rows: Ints) -> Anomaly:
        history = self.case.history
        a, b = (int(self.txns.rows[self.owner[seen]]) for seen, _ in (one, two))
        writers = [
            int(self.txns.rows[self.writer[self.key[seen]]]) for seen, _ in (one, two)
        ]  # fmt: skip
        tell = self.case.tell(a, b, *writers)

        def name(place: int) -> str:
            return f"key {short(self.txns.key_name(int(self.key[place])))}"

        def saw(row: int, pair: tuple[int, int]) -> str:
            seen, unseen = pair
            value = short(self.txns.content(int(self.txns.value[self.place[seen]])))
            times = (tell.at(int(ns)) for ns in (history.start_ns[row], history.end_ns[row]))
            return (
                f"{tell.who(row)} read {value} from {name(seen)} and the initial value from "
                f"{name(unseen)} between {' and '.join(times)}"
            )

        wrote = " and ".join(
            f"{tell.who(row)} wrote {name(pair[0])} in a transaction that began at "
            f"{tell.at(int(history.start_ns[row]))}"
            for row, pair in zip(writers, (one, two), strict=True)
        )
        argument = (
            f"{saw(a, one)}, so the write of {name(one[0])} came first; but {saw(b, two)}, so it "
            f"came last: {wrote}"
        )
        return self.case.anomaly("long-fork", rows, [*writers, a, b], argument, proof=[a, b])


def _external(txns: Transactions, owner: Ints) -> Ints:
    """The first read of each key in each ok transaction, unless that wrote the key before."""
    order = np.lexsort((txns.key, owner))
    first = order[runs(owner[order], txns.key[order])[:-1]]
    chosen: Ints = first[(txns.kind[first] == READ) & (txns.outcome[owner[first]] == OK)]
    return chosen
