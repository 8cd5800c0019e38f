"""`bank`: money is moved, and none is made or lost.

Named anomalies, weakest first; docs/checkers.md defines each and what it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.checkers.balances import read_balances, told
from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.clock import Clock
from analysis.checkers.counting import Case, runs
from analysis.checkers.kinds import JEPSEN_BANK, Kind
from analysis.checkers.prose import counted, number
from analysis.history import OK, History, Ints

PROPERTY = "bank"
KINDS = (
    Kind(
        property="bank",
        name="unexpected-key",
        counts="ok reads that show an account which was not told",
        rules_out="any memory at all",
        reference=JEPSEN_BANK,
    ),
    Kind(
        property="bank",
        name="missing-balance",
        counts="ok reads that show null for an account, or lack one that was told",
        rules_out="any memory at all",
        reference=JEPSEN_BANK,
    ),
    Kind(
        property="bank",
        name="wrong-total",
        counts="ok reads whose balances add up to another total than was told, or, where none was "
        "told, than most reads show",
        rules_out="snapshot isolation of reads, and all above it",
        reference=JEPSEN_BANK,
    ),
    Kind(
        property="bank",
        name="negative-balance",
        counts="ok reads that show a balance below zero, unless that was allowed",
        rules_out="serializability of transfers that look before they take",
        reference=JEPSEN_BANK,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether every read of a bank adds up (f: transfer, read)."""
    case = Case(property=PROPERTY, history=history, context=context)
    bank = _Bank(case)
    found = (bank.unexpected(), bank.missing(), bank.wrong(), bank.negative())
    anomalies = [anomaly for anomaly in found if anomaly is not None]
    if anomalies:
        counts = counted(anomalies)
        return case.invalid(f"{counts} among {bank.summary()}", anomalies)
    if not bank.reads:
        return case.unknown("no read of balances was acknowledged")
    if not bank.transfers:
        return case.unknown("no transfer was acknowledged: nothing could go wrong")
    if not bank.compared:
        return case.unknown(
            "the total was not told (--initial), and no two reads show one to compare"
        )
    figures = dict.fromkeys(("wrong", "unexpected", "missing", "negative"), 0)
    figures |= {"transfers": bank.transfers, "compared": bank.compared}
    return case.valid(bank.summary(), figures)


class _Bank:
    """The reads of a history, each with its total and what it should be. Keys are banks of their
    own.
    """

    def __init__(self, case: Case) -> None:
        self.case, history = case, case.history
        self.known = told(case.context.initial)
        self.shown = shown = read_balances(history, self.known)
        case.context.meter.in_time()
        done = history.f.equals("transfer") & (history.type == OK)
        self.transfers, self.reads = int(np.count_nonzero(done)), len(shown.rows)
        self.whole = np.flatnonzero(shown.whole[shown.place])  # places in shown.rows
        self.rows = shown.rows[self.whole]
        self.total: Any = shown.total[shown.place[self.whole]]
        self.compared = len(self.rows)
        if self.known.total is None:
            self._most()
        else:
            self.other = np.flatnonzero(self.total != self.known.total)

    def _most(self) -> None:
        """Which reads show another total than most of their key; of several the earliest."""
        key = Clock(self.case.history).key[self.rows]
        code = np.unique(self.total, return_inverse=True)[1].astype(np.int64)
        order = np.lexsort((self.rows, code, key))
        cuts = runs(key[order], code[order])
        first, size = order[cuts[:-1]], np.diff(cuts)
        best = np.lexsort((self.rows[first], -size, key[first]))
        chosen = first[best[runs(key[first][best])[:-1]]]  # of each key one that shows it
        self.usual = np.full(int(key.max(initial=-1)) + 1, -1)
        self.usual[key[chosen]] = chosen
        self.key = key
        self.compared -= len(chosen)
        self.other = np.flatnonzero(code != code[self.usual[key]])

    def summary(self) -> str:
        """What was looked at, and what the total is."""
        what = f"{number(self.reads, 'read')} and {number(self.transfers, 'transfer')}"
        if self.known.total is not None:
            return f"{what}; the total is {self.known.total:,}, as was told"
        totals = {self.total[at] for at in getattr(self, "usual", ()) if at >= 0}
        if not totals:
            return f"{what}; the total was not told"
        shown = f"{totals.pop():,}" if len(totals) == 1 else "of one amount for each key"
        every = "most reads show" if len(self.other) else "all reads show"
        return f"{what}; {every} a total of {shown}, and nobody told another (--initial)"

    def _anomaly(
        self, name: str, rows: Ints, said: Callable[[int], str], size: Any, *more: int
    ) -> Anomaly | None:
        """`said`: what a row shows; `size`: of each row how bad it is."""
        if not len(rows):
            return None
        history = self.case.history
        order = np.lexsort((rows, history.end_ns[rows]))
        first, last = int(rows[order[0]]), int(rows[order[-1]])
        worst = int(rows[order[np.argmax(size[order])]])
        tell = self.case.tell(first, worst, last, *more)

        def when(row: int) -> str:
            start, end = int(history.start_ns[row]), int(history.end_ns[row])
            return f"between {tell.at(start)} and {tell.at(end)}"

        argument = f"{tell.who(first)} read {said(first)} {when(first)}"
        if len(rows) > 1:
            more_of = "" if worst == first else f" {said(worst)}, by {tell.who(worst)}"
            argument += "; that was the worst" if worst == first else f"; the worst was{more_of}"
            if last != worst:
                argument += f"; the last was {said(last)}, by {tell.who(last)} {when(last)}"
        return self.case.anomaly(name, rows, [*more, first], argument)

    def _balances(self, row: int) -> dict[str, int | None]:
        content: dict[str, int | None] = self.case.history.content(row)
        return content

    def unexpected(self) -> Anomaly | None:
        """Accounts that nobody told of."""
        accounts = self.known.accounts or frozenset()
        rows = self.shown.rows[self.shown.unexpected[self.shown.place]]

        def strange(row: int) -> list[str]:
            return sorted(self._balances(row).keys() - accounts)

        def said(row: int) -> str:
            return f"{_listed(strange(row))}, which is no account of this bank"

        return self._anomaly("unexpected-key", rows, said, _sizes(rows, strange))

    def missing(self) -> Anomaly | None:
        """Accounts without a balance."""
        accounts = self.known.accounts or frozenset()
        rows = self.shown.rows[self.shown.missing[self.shown.place]]

        def absent(row: int) -> list[str]:
            shown = self._balances(row)
            return sorted({*(accounts - shown.keys()), *(n for n in shown if shown[n] is None)})

        def said(row: int) -> str:
            return f"no balance of {_listed(absent(row))}"

        return self._anomaly("missing-balance", rows, said, _sizes(rows, absent))

    def negative(self) -> Anomaly | None:
        """Balances below zero."""
        rows = self.shown.rows[self.shown.negative[self.shown.place]]

        def least(row: int) -> tuple[int, str]:
            return min((n, name) for name, n in self._balances(row).items() if n is not None)

        def said(row: int) -> str:
            balance, name = least(row)
            return f"a balance of {balance:,} in {name}"

        sizes = np.array([-least(int(row))[0] for row in rows], object)
        return self._anomaly("negative-balance", rows, said, sizes)

    def wrong(self) -> Anomaly | None:
        """Totals that are not what they should be."""
        if not len(self.other):
            return None
        rows, known = self.rows[self.other], self.known.total
        total = self.total[self.other].astype(object)
        if known is not None:
            return self._totals(rows, dict(zip(rows.tolist(), total, strict=True)), known)
        usual = self.usual[self.key[self.other]]
        wanted = self.total[usual].astype(object)
        history = self.case.history
        at = np.lexsort((rows, history.end_ns[rows]))[0]
        witness = int(self.rows[usual[at]])
        same = self.key[self.other] == self.key[self.other[at]]  # the words are of one bank
        shown = dict(zip(rows[same].tolist(), total[same], strict=True))
        words = self._totals(rows[same], shown, int(wanted[at]), witness)
        tell = self.case.tell(witness, int(rows[at]))
        agree = np.count_nonzero(self.key == self.key[self.other[at]]) - len(shown)
        argument = (
            f"{words.argument}. No total was told, but {number(int(agree), 'read')} showed "
            f"{int(wanted[at]):,} ({tell.who(witness)}'s was the first): both cannot be right"
        )
        return self.case.anomaly("wrong-total", rows, [witness, int(rows[at])], argument)

    def _totals(self, rows: Ints, shown: dict[int, int], known: int, *more: int) -> Anomaly:
        def said(row: int) -> str:
            off = shown[row] - known
            much = "too much" if off > 0 else "too little"
            return f"a total of {shown[row]:,} instead of {known:,} ({abs(off):,} {much})"

        sizes = np.array([abs(shown[int(row)] - known) for row in rows], object)
        anomaly = self._anomaly("wrong-total", rows, said, sizes, *more)
        assert anomaly is not None
        return anomaly


def _sizes(rows: Ints, names: Callable[[int], list[str]]) -> Ints:
    return np.array([len(names(int(row))) for row in rows], np.int64)


def _listed(names: list[str]) -> str:
    some = ", ".join(f'"{name}"' for name in names[:3])
    return some if len(names) <= 3 else f"{some} and {len(names) - 3:,} more"
