"""Which models of isolation a history of lists allows.

Exact, but for one thing: appends of one key by several transactions that no read shows may stand in
any order, and under snapshots not every one will do. Two are tried; then it is None, not decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.history import Ints
from analysis.transactions import graph_kernels as kernels
from analysis.transactions.flaws import ALWAYS
from analysis.transactions.list_edges import RW, WR, WW, Edges, Numbers, edges, joined
from analysis.transactions.list_forms import (
    Updates,
    axiom_holds,
    causal_holds,
    fractured_reads,
    lost_updates,
)
from analysis.transactions.list_versions import quick
from analysis.transactions.lists import Analysis
from analysis.transactions.tangle import (
    G0,
    G1C,
    ITEM,
    NONADJACENT,
    PLAIN,
    PROCESS,
    SINGLE,
    TIME,
    Cycles,
    Lot,
    tangle,
)

MODELS = (  # the weakest first
    "read-uncommitted",
    "read-committed",
    "read-atomic",
    "causal",
    "parallel-snapshot-isolation",
    "snapshot-isolation",
    "strong-session-snapshot-isolation",
    "serializable",
    "strict-serializable",
)
SESSIONS = {"causal", "strong-session-snapshot-isolation", "strict-serializable"}
FLAWS = {
    "read-uncommitted": {*ALWAYS},
    "read-committed": {*ALWAYS, "G1a", "G1b"},
}  # what one read breaks; of the others also `internal`


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """That a model holds: a `kind` of claim, and transactions in its order."""

    kind: str  # serialization | snapshots | commit-order
    order: Ints


class Models:
    """What each model says of a history."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.flaws = {flaw.name for flaw in analysis.flaws}

    def decide(self, model: str, *, sessions: bool = False, realtime: bool = False) -> bool | None:
        """Whether a model holds; None: not decided. `sessions`, `realtime`: whether they count
        though the model's name does not say so.
        """
        if self.flaws & FLAWS.get(model, {*ALWAYS, "G1a", "G1b", "internal"}):
            return False
        if self.analysis.strict is not None:
            return True
        sessions = sessions or model in SESSIONS
        realtime = realtime or model == "strict-serializable"
        level = TIME if realtime else PROCESS if sessions else PLAIN
        cycles = self.analysis.cycles
        if model == "read-uncommitted":
            return not cycles.there(G0, level)
        if model in ("read-committed", "read-atomic", "causal"):
            return not cycles.there(G1C, level) and self._axiom(model, sessions=sessions)
        if model.endswith("serializable"):
            return not cycles.there(ITEM, level)
        weak = model == "parallel-snapshot-isolation"
        if cycles.there(SINGLE if weak else NONADJACENT, level) or len(self.lost):
            return False
        if not len(self.unsure) or self.snapshots(level) is not None:
            return True
        return True if weak and self.parallel(level) is not None else None

    def shown(self, model: str, *, sessions: bool = False, realtime: bool = False) -> Shown | None:
        """Why a model holds; None if it does not, or no order was found."""
        if not self.decide(model, sessions=sessions, realtime=realtime):
            return None
        sessions = sessions or model in SESSIONS
        realtime = realtime or model == "strict-serializable"
        level = TIME if realtime else PROCESS if sessions else PLAIN
        analysis = self.analysis
        order = analysis.strict
        if order is None:
            order = analysis.order((WW, WR, RW), level)
        if order is not None and not self.flaws:
            return Shown(kind="serialization", order=order)
        if model.endswith("snapshot-isolation"):
            order = self.snapshots(level)
            if order is not None:
                return Shown(kind="snapshots", order=order)
            order = self.parallel(level) if model.startswith("parallel") else None
        else:
            order = analysis.order((WW,) if model == "read-uncommitted" else (WW, WR), level)
        return None if order is None else Shown(kind="commit-order", order=order)

    @cached_property
    def lost(self) -> Updates:
        """Updates that were lost; none if there is no cycle at all."""
        if self.analysis.strict is not None:
            nothing = np.empty(0, np.int64)
            return Updates(first=nothing, second=nothing)
        return lost_updates(self.analysis)

    @cached_property
    def torn(self) -> tuple[Ints, Ints, Ints]:
        """Fractured reads, as `fractured_reads` has them."""
        nothing = np.empty(0, np.int64)
        if self.analysis.strict is not None or not self.analysis.cycles.there(SINGLE, PLAIN):
            return nothing, nothing, nothing
        return fractured_reads(self.analysis)

    def _axiom(self, model: str, *, sessions: bool) -> bool:
        if model == "causal":
            return causal_holds(self.analysis)
        if sessions:
            return axiom_holds(self.analysis, model, sessions=True)
        return model == "read-committed" or not len(self.torn[0])

    @cached_property
    def unsure(self) -> Ints:
        """Keys with unseen appends of several transactions."""
        told = self.analysis.transactions
        keys, count = np.unique(told.key[self.analysis.dependencies.unseen], return_counts=True)
        return keys[count > 1]

    def parallel(self, level: int) -> Ints | None:
        """An order of commits under which no G-single arises from unseen appends."""
        analysis = self.analysis
        order = analysis.order((WW, WR), level)
        if order is None:
            return None
        found = analysis.dependencies
        more = self._chained(order)
        lots: list[Lot] = [
            (joined(found.ww, more), WW, PLAIN), (found.wr, WR, PLAIN), (found.rw, RW, PLAIN),
            (found.on, 5, PLAIN), (analysis.session.edges, 3, PROCESS),
            (analysis.session.on, 5, PROCESS),
        ]  # fmt: skip
        return None if Cycles(tangle(lots, analysis.nodes)).there(SINGLE, level) else order

    def _chained(self, order: Ints) -> Edges:
        """Unseen appends of each key one after another, as their transactions are in the order."""
        analysis = self.analysis
        unseen = analysis.dependencies.unseen
        place = np.zeros(len(analysis.transactions), np.int64)
        place[order] = np.arange(len(order))
        key, owner = analysis.transactions.key[unseen], analysis.versions.owner[unseen]
        sort = np.lexsort((place[owner], key))
        key, owner = key[sort], owner[sort]
        same = np.flatnonzero(np.diff(key) == 0)
        return edges(owner[same], owner[same + 1])

    def snapshots(self, level: int) -> Ints | None:
        """Each transaction twice, snapshot and commit; None: no such order was found."""
        schedule = self._scheduled(level, Edges())
        for _ in range(2):
            if schedule is None or self._exclusive(schedule):
                return schedule
            commits = schedule[_second(schedule)]
            schedule = self._scheduled(level, self._chained(commits))
        return None

    def _scheduled(self, level: int, more: Edges) -> Ints | None:
        """An order of snapshots (2 t) and commits (2 t + 1) by what is known, as transactions."""
        analysis = self.analysis
        found = analysis.dependencies
        certain = [found.ww, found.wr, more]
        if level >= PROCESS:
            certain += [analysis.session.edges, analysis.session.on]
        before, after = joined(*certain), joined(found.rw, found.on)
        size, nodes = len(analysis.transactions), analysis.nodes
        source = np.concatenate([_late(before.source, size), _early(after.source, size)])
        target = np.concatenate([_early(before.target, size), _late(after.target, size)])
        every = np.flatnonzero(analysis.committed)
        source = np.concatenate([source, 2 * every]).astype(np.int32)
        target = np.concatenate([target, 2 * every + 1]).astype(np.int32)
        chosen = np.zeros(size + nodes, np.bool_)
        chosen[2 * every] = chosen[2 * every + 1] = True
        chosen[2 * size :] = True
        work = size + nodes + 2 * len(source)
        first, then, _ = quick(kernels.index, work)(size + nodes, source, target)
        order = quick(kernels.schedule, work)(first, then, chosen, size)
        if len(order) < int(np.count_nonzero(chosen)):
            return None
        order = order[order < 2 * size]
        return order >> 1

    def _exclusive(self, schedule: Ints) -> bool:
        """Whether no two transactions with unseen appends of one key are there at once."""
        analysis = self.analysis
        unseen = analysis.dependencies.unseen
        late = _second(schedule)
        begin, end = np.zeros((2, len(analysis.transactions)), np.int64)
        place = np.arange(len(schedule))
        begin[schedule[~late]], end[schedule[late]] = place[~late], place[late]
        key, owner = analysis.transactions.key[unseen], analysis.versions.owner[unseen]
        sort = np.lexsort((begin[owner], key))
        key, owner = key[sort], owner[sort]
        apart = begin[owner[1:]] > end[owner[:-1]]
        return bool((apart | (np.diff(key) != 0)).all())


def _late(nodes: Numbers, size: int) -> Ints:
    """The commits of transactions; other nodes are numbered after all events."""
    wide = np.asarray(nodes, np.int64)
    return np.where(wide < size, 2 * wide + 1, wide + size)


def _early(nodes: Numbers, size: int) -> Ints:
    """The snapshots of transactions."""
    wide = np.asarray(nodes, np.int64)
    return np.where(wide < size, 2 * wide, wide + size)


def _second(schedule: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which places hold a transaction for the second time."""
    late = np.ones(len(schedule), np.bool_)
    late[np.unique(schedule, return_index=True)[1]] = False
    return late
