"""Saturation: what must come before what in every order that a model allows.

Three models, one graph. *Serial*: transactions are nodes. *Snapshot*: each has two, its snapshot
and its commit. *Parallel* (snapshot isolation): transactions, and only dependencies between them.
If a write of block A comes before anything of another block B of the key, all of A comes before all
of B: that forces edges, which may force others. At the fixpoint a cycle is a contradiction; without
one there may still be no order, and a search has to say (`search.py`).

What comes before a node is kept as one number for each *lane* (a chain of transactions, such as
a session), lanes a few at a time if there are many. Each pass over the graph is a *round*; an
edge's `stage` is the round that forced it, so that what follows can be told from what was known
then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Exhausted, Meter
from analysis.checkers.compiled import Marks, compiled
from analysis.history import Ints
from analysis.transactions import kernels
from analysis.transactions.graphs import Edges, Graph
from analysis.transactions.problem import (
    NEVER,
    Problem,
    lanes,
    real_time_order,
    session_order,
)
from analysis.transactions.versions import NONE, Versions, versions_of

SERIAL, PARALLEL, SNAPSHOT = 0, 1, 2
# Kinds of edges:
READS, OWN, SESSION, REALTIME, OVERWRITES, LAST, FORCED, KNOWN, ASSUMED, STALE = range(10)
# `note` of an edge is a place: for READS, OVERWRITES and STALE among the reads, for FORCED, KNOWN
# and ASSUMED in the lists of these.
CELLS = 1 << 26  # of what comes before, at a time
CELLS_MAX = 1 << 28  # of what is known of blocks and lanes
NODES_A_STEP = 16
LANE_WORK = 4  # the same for each session
WORK = 64  # how much there is to do for a read, about, as `compiled` counts it
CELLS_A_STEP = 256
TOO_LARGE = "there are too many writes of one key in too many sessions: {:,} cells, of {:,} allowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A state of a saturation."""

    counts: tuple[int, int, int, int]
    known: Marks
    graph: Graph
    order: Ints


class Saturation:
    """The graph of one problem under one model; `close` forces all that follows.

    `serial`, `parallel`, `snapshot`: which rules; sessions and real time count if they are asked.
    """

    def __init__(
        self,
        problem: Problem,
        mode: int,
        *,
        sessions: bool,
        realtime: bool,
        meter: Meter,
        versions: Versions | None = None,
    ) -> None:
        self.problem, self.mode, self.meter = problem, mode, meter
        self.sessions, self.realtime = sessions, realtime
        self.versions = versions_of(problem) if versions is None else versions
        self.count = len(problem)
        wide = LANE_WORK * min(len(np.unique(problem.session)), WORK) if sessions else 0
        self.size = (WORK + wide) * (self.count + len(problem.reader))
        self.events = 2 * self.count if mode == SNAPSHOT else self.count
        self.forced = np.empty((0, 3), np.int64)  # (A, B, stage)
        self.assumed: list[tuple[int, int]] = []  # (node, node)
        self.stage = 0
        self._parts: list[Edges] = []
        self._number()
        self._base()
        self.base_parts = len(self._parts)
        self.known: Marks = np.empty(0, np.int32)
        self._grouped = False
        self.order = np.empty(0, np.int64)

    # -- nodes

    def snap(self, transaction: Ints) -> Ints:
        """The node in which each takes its snapshot; of an initial version (-key - 1) its own."""
        return self._event(transaction, 0)

    def commit(self, transaction: Ints) -> Ints:
        """The node in which each commits."""
        return self._event(transaction, 1)

    def _event(self, transaction: Ints, which: int) -> Ints:
        real = 2 * transaction + which if self.mode == SNAPSHOT else transaction
        initial = np.where(transaction < 0, -transaction - 1, self.problem.keys)
        return np.where(transaction >= 0, real, self.source_of[initial])

    def each(self, values: Ints) -> Ints:
        """Values of transactions, for each of their events."""
        return np.repeat(values, 2) if self.mode == SNAPSHOT else values

    def writer(self, entry: Ints) -> Ints:
        """The transaction that wrote a version; of the initial one of key k, -k - 1."""
        writes = self.versions.writes
        known = entry < writes
        return np.where(
            known, np.append(self.problem.writer, 0)[np.where(known, entry, -1)], writes - entry - 1
        )

    def _number(self) -> None:
        """Numbers of nodes: events, initial versions, blocks' ends that several read, gates."""
        problem, versions = self.problem, self.versions
        used = np.unique(versions.key[versions.initial()])
        self.source_of = np.full(problem.keys + 1, NONE)
        self.source_of[used] = self.events + np.arange(len(used))
        self.first_last = self.events + len(used)
        plain = np.flatnonzero(versions.own < 0)  # reads that write nothing over
        read = versions.read[plain]
        if self.mode != PARALLEL:  # those of older versions come before what replaced these
            plain = plain[versions.child[read] < 0]
        self.last_reads = plain
        block = versions.block[versions.read[plain]]
        readers = np.bincount(block, minlength=len(versions.head))
        several = readers > 1 if self.mode != PARALLEL else readers > 0
        self.last = np.full(len(versions.head), NONE)
        if self.mode != SNAPSHOT:
            self.last = self.commit(self.writer(versions.end))
        single = plain[~several[block]]
        self.last[versions.block[versions.read[single]]] = self.snap(problem.reader[single])
        self.last[several] = self.first_last + np.arange(int(several.sum()))
        self._several = several
        self.first_gate = self.first_last + int(several.sum())

    # -- edges

    def _add(self, source: Ints, target: Ints, kind: int, note: Ints | None = None) -> None:
        size = len(source)
        self._parts.append(
            Edges(
                source=np.asarray(source, np.int64),
                target=np.asarray(target, np.int64),
                kind=np.full(size, kind),
                stage=np.full(size, self.stage),
                note=np.full(size, NONE) if note is None else np.asarray(note, np.int64),
            )
        )

    def _base(self) -> None:
        """What is certain from the beginning."""
        problem, versions = self.problem, self.versions
        reads = np.arange(len(problem.reader))
        snap, commit = self.snap(problem.reader), self.commit(self.writer(versions.read))
        self._add(commit, snap, READS, reads)
        if self.mode == SNAPSHOT:
            everyone = np.arange(self.count)
            self._add(2 * everyone, 2 * everyone + 1, OWN)
        older = np.flatnonzero((versions.own < 0) & (versions.child[versions.read] >= 0))
        self._older = older
        if self.mode != PARALLEL:
            replaced = self.writer(versions.child[versions.read[older]])
            self._add(snap[older], self.commit(replaced), OVERWRITES, older)
        shared = self.last_reads[self._several[versions.block[versions.read[self.last_reads]]]]
        last = self.last[versions.block[versions.read[shared]]]
        self._add(snap[shared], last, LAST, shared)
        if self.mode == PARALLEL:
            blocks = np.flatnonzero(self._several)
            self._add(self.commit(self.writer(versions.end[blocks])), self.last[blocks], LAST)
        known = problem.known
        self._add(self.commit(known[:, 0]), self.commit(known[:, 1]), KNOWN, np.arange(len(known)))
        self.first_real = self._orders()
        self._from_initial()

    def _orders(self) -> int:
        """Sessions and real time; the first gate of real time."""
        gate = self.first_gate
        for wanted, kind in ((self.sessions, SESSION), (self.realtime, REALTIME)):
            begin = gate
            if not wanted:
                continue
            make = session_order if kind == SESSION else real_time_order
            order = make(self.problem, gate)
            source, target = order.edges[:, 0], order.edges[:, 1]
            if self.mode == SNAPSHOT:  # the gates have higher numbers than events anyway
                source = np.where(source < self.count, 2 * source + 1, source)
                target = np.where(target < self.count, 2 * target, target)
            self._add(source, target, kind)
            gate += order.gates
        self.nodes = gate
        return begin if self.realtime else gate

    def _from_initial(self) -> None:
        versions = self.versions
        origin = np.full(self.problem.keys, NONE)
        blocks = np.flatnonzero(versions.initial())
        origin[versions.key[blocks]] = blocks
        rest = np.flatnonzero(~versions.initial() & (origin[versions.key] >= 0))
        self._force_pairs(np.column_stack([origin[versions.key[rest]], rest]))

    def _force_pairs(self, pairs: Ints) -> None:
        """The edges that say: block A comes before block B."""
        versions = self.versions
        before, behind = pairs[:, 0], pairs[:, 1]
        note = len(self.forced) + np.arange(len(pairs))
        stages = np.full((len(pairs), 1), self.stage)
        self.forced = np.concatenate([self.forced, np.concatenate([pairs, stages], axis=1)])
        end = self.commit(self.writer(versions.end[before]))
        head = self.writer(versions.head[behind])
        if self.mode == SERIAL:
            self._add(self.last[before], self.commit(head), FORCED, note)
            return
        self._add(end, self.snap(head), FORCED, note)
        if self.mode == SNAPSHOT:
            there = self.last[before] >= 0
            self._add(self.last[before][there], self.commit(head[there]), FORCED, note[there])

    def edges(self) -> Edges:
        """All of them."""
        parts = self._parts
        if len(parts) > 1:
            names = Edges.__slots__
            columns = {n: np.concatenate([getattr(part, n) for part in parts]) for n in names}
            self._parts = [Edges(**columns)]
        return self._parts[0]

    # -- rounds

    def _groups(self) -> None:
        """The writes of each key, by lane, in the order of the lane."""
        problem, versions = self.problem, self.versions
        lane, place = self._lanes()
        self.width = int(lane.max(initial=-1)) + 1
        key, writer = problem.write_key, problem.writer
        order = np.lexsort((place[writer], lane[writer], key))
        key, mine, block = key[order], lane[writer[order]], versions.block[:-1][order]
        begins = np.append(True, (key[1:] != key[:-1]) | (mine[1:] != mine[:-1]))[: len(order)]
        changed = begins | np.append(True, block[1:] != block[:-1])[: len(order)]
        at = np.arange(len(order))
        run = np.maximum.accumulate(np.where(changed, at, 0)) if len(order) else at
        self._other = np.where(begins[run], NONE, run - 1) if len(order) else at
        starts = np.flatnonzero(begins)
        self._group_first = np.append(starts, len(order)).astype(np.int64)
        self._group_lane = mine[starts]
        self._entry_block = np.ascontiguousarray(block)
        self._entry_place = place[writer[order]]
        bounds = np.arange(problem.keys + 1)
        self._key_group = np.searchsorted(key[starts], bounds).astype(np.int64)
        self._key_block = np.searchsorted(versions.key, bounds).astype(np.int64)
        cells = np.diff(self._key_group) * np.diff(self._key_block)
        self._key_known = np.append(0, np.cumsum(cells)).astype(np.int64)
        if int(self._key_known[-1]) > CELLS_MAX:
            raise Exhausted(TOO_LARGE.format(int(self._key_known[-1]), CELLS_MAX))
        self.known, self._grouped = np.zeros(int(self._key_known[-1]), np.int32), True
        self.lane = np.full(self.nodes, NONE)
        self.place = np.zeros(self.nodes, np.int64)
        if self.mode == SNAPSHOT:
            self.lane[: self.events] = np.repeat(lane, 2)
            self.place[: self.events] = np.repeat(2 * place, 2)
            self.place[1 : self.events : 2] += 1
        else:
            self.lane[: self.events], self.place[: self.events] = lane, place

    def _lanes(self) -> tuple[Ints, Ints]:
        """(lane, place in it): sessions if they count, else chains of reads."""
        if self.sessions:
            return lanes(self.problem)
        problem = self.problem
        graph = Graph(self.nodes, self.edges(), self.size)
        order = graph.sorted()
        rank = np.full(self.nodes, NEVER)
        rank[order] = np.arange(len(order))
        by = np.argsort(rank[self.snap(problem.reader)], kind="stable")
        lane, place = np.full(self.count, NONE), np.zeros(self.count, np.int64)
        link = compiled(kernels.link, self.size) or kernels.link
        link(problem.reader[by], problem.source[by], lane, place, np.empty(self.count, np.int64))
        return lane, place

    def sort(self) -> bool:
        """Put the graph as it is in order; False if it has a cycle."""
        self.meter.spend(1 + self.nodes // NODES_A_STEP)
        self.graph = Graph(self.nodes, self.edges(), self.size)
        self.order = self.graph.sorted()
        return len(self.order) == self.nodes

    def close(self) -> bool:
        """Force all that follows; False as soon as there is a cycle. Exhausted may be raised."""
        while self.sort():
            found, stale = self._follow()
            if not len(found) and not len(stale):
                return True
            self.stage += 1
            self._force_pairs(found)
            child = self.versions.child[self.versions.read[stale]]
            read = self.versions.read[stale]
            self._add(self.commit(self.writer(child)), self.commit(self.writer(read)), STALE, stale)
        return False

    def _follow(self) -> tuple[Ints, Ints]:
        """Pairs of blocks that the graph forces and that are not known yet; reads of a version
        that its own successor comes before.
        """
        versions = self.versions
        if not self._grouped:
            self._groups()
        width = max(1, min(self.width, CELLS // self.nodes))
        rank = np.empty(self.nodes, np.int64)
        rank[self.order] = np.arange(self.nodes)
        end = self.commit(self.writer(versions.end))
        if self.mode == SNAPSHOT:
            places = [(end, 2 * self._entry_place), (self.last, 2 * self._entry_place + 1)]
        else:
            places = [(self.last, self._entry_place)]
        force = compiled(kernels.force, self.size) or kernels.force
        chosen = np.empty(int(np.diff(self._key_group).max(initial=0)) + 1, np.int64)
        found = np.empty(max(1024, 8 * len(versions.head)), np.int64)
        pairs, stale = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
        for low in range(0, self.width, width):
            self.meter.spend(1 + self.nodes * width // CELLS_A_STEP)
            clock = self.graph.spread(self.order, width, low, self.lane, self.place)
            for spot, place in places:
                size = force(
                    width, low, self._key_block, self._key_group, self._key_known,
                    self._group_first, self._group_lane, place, self._entry_block, self._other,
                    versions.initial(), spot, rank[end], clock, self.known, chosen, found,
                )  # fmt: skip
                pairs.append(found[: 2 * size].reshape(-1, 2).copy())
            if self.mode == PARALLEL:
                stale.append(self._stale(clock, low, width))
        return np.concatenate(pairs), np.concatenate(stale)

    def _stale(self, clock: Marks, low: int, width: int) -> Ints:
        """Reads of versions in the middle of a block that come after the next version."""
        versions, older = self.versions, self._older
        child = self.writer(versions.child[versions.read[older]])
        lane = self.lane[child] - low
        mine = (lane >= 0) & (lane < width)
        older, child, lane = older[mine], child[mine], lane[mine]
        reached = clock[self.problem.reader[older] * width + lane] > self.place[child]
        found: Ints = older[reached]
        return found

    # -- assumptions

    def mark(self) -> Mark:
        """What `retract` needs to come back to here."""
        counts = (len(self.edges().source), len(self.forced), len(self.assumed), self.stage)
        return Mark(counts=counts, known=self.known.copy(), graph=self.graph, order=self.order)

    def assume(self, before: int, behind: int) -> None:
        """Suppose that one node comes before another."""
        self.stage += 1
        self._add(np.array([before]), np.array([behind]), ASSUMED, np.array([len(self.assumed)]))
        self.assumed.append((before, behind))

    def force(self, pairs: Ints) -> None:
        """Suppose that blocks A come before blocks B: rows (A, B)."""
        self.stage += 1
        self._force_pairs(pairs)

    def retract(self, mark: Mark) -> None:
        """Forget what was supposed since `mark`, and all that followed from it."""
        edges = self.edges()
        count, forced, assumed, self.stage = mark.counts
        self._parts = [edges.until(count)]
        self.forced = self.forced[:forced]
        del self.assumed[assumed:]
        self.known, self.graph, self.order = mark.known.copy(), mark.graph, mark.order
