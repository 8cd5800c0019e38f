"""A history of lists: everything that follows from it, worked out when it is asked for.

`analyse_lists` is the way in: impossible reads, dependencies, and an order of all transactions if
there is one that also keeps sessions and real time; then there is no cycle of any kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.history import OK, Ints, Mask
from analysis.transactions import graph_kernels as kernels
from analysis.transactions.columns import READ, Transactions
from analysis.transactions.flaws import Flaw, flaws_of_lists
from analysis.transactions.list_edges import (
    ON,
    REALTIME,
    RW,
    SESSION,
    WR,
    WW,
    Dependencies,
    Edges,
    dependencies,
    joined,
)
from analysis.transactions.list_versions import Versions, quick, version_orders, without
from analysis.transactions.tangle import PLAIN, PROCESS, TIME, Cycles, Lot, tangle
from analysis.transactions.time_edges import Ordered, by_end, realtime, sessions


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What follows from a history of lists. Transactions are numbered as in `transactions`."""

    transactions: Transactions  # without the keys of which nothing can be said
    left_out: int  # how many keys these are
    versions: Versions
    flaws: tuple[Flaw, ...]
    dependencies: Dependencies
    session: Ordered

    @property
    def committed(self) -> Mask:
        """(n) ok, or seen."""
        return self.versions.committed

    @property
    def nodes(self) -> int:
        """How many nodes the graph has without real time: transactions come first."""
        return len(self.transactions) + self.dependencies.more + self.session.more

    def order(self, kinds: tuple[int, ...], level: int) -> Ints | None:
        """All committed transactions in an order in which edges of these kinds (WW, WR, RW), the
        order of sessions from level PROCESS on and real time at level TIME go forward; None if
        there is none.
        """
        told, found = self.transactions, self.dependencies
        none = Edges()
        by_session = (self.session.edges, self.session.on) if level >= PROCESS else ()
        on = (found.on,) if RW in kinds else ()
        lots = [found.ww, found.wr if WR in kinds else none, found.rw if RW in kinds else none]
        lots.append(joined(*on, *by_session))
        work = self.nodes + 2 * sum(map(len, lots))
        columns = [column for lot in lots for column in (lot.source, lot.target)]
        first, after, into = quick(kernels.successors, work)(self.nodes, *columns)
        start = told.start
        by_start = np.argsort(start, kind="stable")
        last = by_end(told, self.committed) if level == TIME else np.empty(0, np.int64)
        order = quick(kernels.arrange, work)(
            first, after, into, self.committed, by_start, start, last, told.end
        )
        order = order[order < len(told)]
        return order if len(order) == int(np.count_nonzero(self.committed)) else None

    @cached_property
    def strict(self) -> Ints | None:
        """An order that explains everything and keeps sessions and real time; None: there is none
        (without regard to impossible reads).
        """
        return self.order((WW, WR, RW), TIME)

    @cached_property
    def cycles(self) -> Cycles:
        """All that is on cycles."""
        found, base = self.dependencies, self.nodes
        lots: list[Lot] = [
            (found.ww, WW, PLAIN),
            (found.wr, WR, PLAIN),
            (found.rw, RW, PLAIN),
            (found.on, ON, PLAIN),
            (self.session.edges, SESSION, PROCESS),
            (self.session.on, ON, PROCESS),
        ]
        if self.strict is not None:
            return Cycles(tangle([(Edges(), WW, PLAIN)], 0))
        timed = realtime(self.transactions, self.committed, base)
        lots += [(timed.edges, REALTIME, TIME), (timed.on, ON, TIME)]
        return Cycles(tangle(lots, base + timed.more))

    def rows(self, transactions: Ints) -> Ints:
        """The history's rows."""
        return self.transactions.rows[transactions]

    def nothing(self) -> str:
        """Why this history says nothing at all, or ""."""
        return nothing_said(self.transactions)


def nothing_said(told: Transactions) -> str:
    """Why transactions of lists say nothing at all, or ""."""
    if told.mixed:
        return "lists and registers in one history: expected either appends or writes, found both"
    if not told.lists:
        return "no transaction appends to a list"
    ok = np.repeat(told.outcome == OK, np.diff(told.first))
    if not ((told.kind == READ) & ok).any():
        return "no read was acknowledged, so nothing could be inferred"
    return ""


def analyse_lists(told: Transactions) -> Analysis:
    """Everything that follows from a history of lists."""
    versions, left_out = version_orders(told), 0
    if len(versions.silent):
        left_out = len(versions.silent)
        told = without(told, versions.silent)
        versions = version_orders(told)
    found = dependencies(versions)
    return Analysis(
        transactions=told,
        left_out=left_out,
        versions=versions,
        flaws=flaws_of_lists(versions),
        dependencies=found,
        session=sessions(told, versions.committed, len(told) + found.more),
    )
