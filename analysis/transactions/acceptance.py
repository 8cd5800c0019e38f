"""Orders that explain a history: made greedily, along what is known to come before what.

Whatever is made here is right by construction: a transaction comes only when what it reads is
there, and what others still have to read is not written over. It may get stuck; then nothing is
said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.checkers.compiled import compiled
from analysis.history import Ints
from analysis.transactions import arrange, kernels
from analysis.transactions.graphs import Graph
from analysis.transactions.lineup import LANES_MAX, line_up
from analysis.transactions.problem import NEVER, Problem, lanes
from analysis.transactions.saturation import (
    CELLS,
    CELLS_A_STEP,
    PARALLEL,
    SERIAL,
    SNAPSHOT,
    Saturation,
)
from analysis.transactions.versions import NONE

FULL = 1 << 32
NODES_A_LOOK = 4096  # that are looked back over for a step
LOOKS_A_STEP = 256
LOOKS, LOOKS_SURE = 10, 100  # for each transaction, before and after all is saturated
NOISE = 50  # transactions, by which a guess is moved at random
BACK = (16, 256, 1024)  # nodes that a greedy order looks back over before each


def wishes(saturation: Saturation, *, at_once: bool = False) -> Iterator[tuple[Ints, int]]:
    """When each event may take place, in one guess after another, and how far to look back.
    `at_once`: only what is told by times, or by places in sessions.
    """
    problem = saturation.problem
    if len(problem) > 1 and int(problem.start.min()) < int(problem.start.max()):
        middle = problem.start // 2 + problem.end // 2
        for when in (problem.end, middle, problem.start)[: 2 if at_once else 3]:
            yield saturation.each(np.where(problem.end == NEVER, NEVER, when)), BACK[0]
    if not at_once:
        wish = height(saturation)
        for most in BACK:
            yield wish, most
    yield saturation.each(along(saturation)), BACK[0]


def along(saturation: Saturation) -> Ints:
    """How far each transaction is along its session, from 0 to FULL."""
    problem = saturation.problem
    order = problem.in_sessions()
    _, first, count = np.unique(problem.session[order], return_index=True, return_counts=True)
    found = np.empty(len(problem), np.int64)
    begin, length = np.repeat(first, count), np.repeat(count, count)
    found[order] = (np.arange(len(problem)) - begin) * FULL // np.maximum(length, 1)
    return found


def height(saturation: Saturation) -> Ints:
    """Where each event may stand in an order of all: between 0 and FULL, by how many come before
    it and how many after, in a saturated graph without cycle.
    """
    s = saturation
    back = Graph(s.nodes, s.edges().reversed(), s.size)
    length = np.bincount(s.lane[: s.events], minlength=s.width)
    from_end = np.where(s.lane >= 0, length[s.lane] - 1 - s.place, 0)
    before = _counted(s, s.order, s.graph, s.place)
    behind = _counted(s, np.ascontiguousarray(s.order[::-1]), back, from_end)
    found: Ints = before * FULL // np.maximum(before + behind, 1)
    return found


def _counted(s: Saturation, order: Ints, graph: Graph, place: Ints) -> Ints:
    """How many events reach each event, itself among them."""
    width = max(1, min(s.width, CELLS // s.nodes))
    total = np.zeros(s.events, np.int64)
    for low in range(0, s.width, width):
        s.meter.spend(1 + s.nodes * width // CELLS_A_STEP)
        clock = graph.spread(order, width, low, s.lane, place)
        total += clock.reshape(s.nodes, width)[: s.events].sum(axis=1)
    return total


class Builder:
    """Builds orders of one saturated graph without cycle."""

    def __init__(self, saturation: Saturation) -> None:
        self._s = saturation
        versions, problem, mode = saturation.versions, saturation.problem, saturation.mode
        nodes = saturation.nodes
        writes = np.arange(versions.writes)
        makers = saturation.commit(problem.writer)
        self._makes = _table(nodes, makers, problem.write_key, writes)
        none = np.empty(0, np.int64)
        snap = saturation.snap(problem.reader)
        reads = np.arange(len(snap))
        if mode == PARALLEL:  # only who wrote over what it read has to come before the next version
            reads = np.flatnonzero(versions.own >= 0)
        entries = versions.read[reads]
        self._reads = _table(nodes, snap[reads], entries)
        meant = np.zeros(len(snap), np.int64)
        meant[reads] = 1
        self._seen = _table(versions.writes + problem.keys, versions.read, snap, meant)
        graph = saturation.graph
        self._back = _table(nodes, graph.edges.target, graph.edges.source)
        self._rest = np.bincount(problem.write_key, minlength=problem.keys)
        takers = saturation.snap(problem.writer) if mode == SNAPSHOT else none
        self._takes = _table(nodes, takers, problem.write_key[: len(takers)])
        self._pending = np.bincount(entries, minlength=versions.writes + problem.keys)

    def build(self, wish: Ints, most: int) -> Ints | None:
        """Nodes of events in order, those that wish to be early first; None: it got stuck."""
        s, problem = self._s, self._s.problem
        s.meter.spend(1 + s.nodes * most // NODES_A_LOOK)
        graph, nodes, keys = s.graph, s.nodes, problem.keys
        late = np.full(nodes, NEVER)
        late[: s.events] = wish
        deadlines = compiled(kernels.deadlines, s.size) or kernels.deadlines
        deadlines(s.order, graph.first, graph.after, late)
        place = np.empty(nodes, np.int64)
        place[s.order] = np.arange(nodes)
        if s.mode == SNAPSHOT:  # a commit right behind its snapshot, if nothing is against it
            place[1 : s.events : 2] = place[0 : s.events : 2]
        node_of = np.lexsort((np.arange(nodes), place, late))
        rank = np.empty(nodes, np.int64)
        rank[node_of] = np.arange(nodes)
        order = np.empty(nodes, np.int64)
        build: Any = compiled(arrange.arrange, s.size) or arrange.arrange
        done = build(
            int(s.mode == SNAPSHOT), most, graph.first, graph.after, rank, node_of,
            np.bincount(graph.after, minlength=nodes), *self._makes, *self._reads,
            *self._takes, *self._seen, *self._back, self._rest.astype(np.int64),
            self._pending.astype(np.int64), s.versions.writes + np.arange(keys),
            np.full(keys, NONE), np.full(nodes, NONE), *np.empty((2, nodes), np.int64),
            *np.zeros((2, nodes), np.int64), np.empty(nodes, np.int64), order,
        )  # fmt: skip
        self.came = order[:done]
        if done < nodes:
            return None
        return order[order < s.events]


def _table(nodes: int, node: Ints, *columns: Ints) -> tuple[Ints, ...]:
    """(first, columns …) by node."""
    by = np.argsort(node, kind="stable")
    first = np.searchsorted(node[by], np.arange(nodes + 1)).astype(np.int64)
    return first, *(np.ascontiguousarray(column[by]) for column in columns)


def accept(saturation: Saturation, *, at_once: bool = False) -> Ints | None:
    """Events in an order that the model allows: transactions (serial; parallel: in the order in
    which they commit), or nodes of snapshots and commits. None: no guess led to one.
    `at_once`: before anything is saturated.
    """
    found = in_line(saturation, at_once=at_once)
    if found is not None:
        return found
    builder = Builder(saturation)
    for wish, most in wishes(saturation, at_once=at_once):
        order = builder.build(wish, most)
        if order is not None and saturation.mode == PARALLEL:
            order = in_version_order(saturation, order)
        if order is not None:
            return order
    return None


def in_line(saturation: Saturation, *, at_once: bool) -> Ints | None:
    """A serial order of what has no times, session by session (`lineup.py`); None: none was found.
    `at_once`: as in `accept`.
    """
    s, problem, versions = saturation, saturation.problem, saturation.versions
    if s.mode != SERIAL or not s.sessions or not timeless(problem):
        return None
    lane, place = lanes(problem)
    if int(lane.max()) >= LANES_MAX:
        return None
    looks = LOOKS if at_once else LOOKS_SURE
    s.meter.spend(1 + looks * len(problem) // LOOKS_A_STEP)
    guess, pairs = along(s), np.empty((0, 2), np.int64)
    guesses = guess
    if not at_once:
        high = height(s)
        moved = np.random.default_rng(1).integers(0, NOISE * FULL // len(problem), len(problem))
        guesses = np.stack([high, guess, (high + guess) // 2, high + moved])
        before, behind = versions.end[s.forced[:, 0]], versions.head[s.forced[:, 1]]
        written = (before < versions.writes) & (behind < versions.writes)
        pairs = problem.writer[np.column_stack([before[written], behind[written]])]
    found = line_up(versions, lane, place, guesses, pairs, looks)
    return found if isinstance(found, np.ndarray) else None


def timeless(problem: Problem) -> bool:
    """Whether all transactions are at one moment."""
    start, end = problem.start, problem.end
    return bool(len(start) and (start == start[0]).all() and (end == start).all())


def in_version_order(saturation: Saturation, order: Ints) -> Ints | None:
    """Commits such that versions in their order keep parallel snapshot isolation; versions stand
    as in `order` if that is possible.
    """
    mark = saturation.mark()
    saturation.force(successions(saturation, order))
    closed = saturation.close()
    found = saturation.order[saturation.order < saturation.events] if closed else None
    saturation.retract(mark)
    return found


def successions(saturation: Saturation, order: Ints) -> Ints:
    """Pairs of blocks, each of the next of its key, as their heads stand in the order."""
    versions = saturation.versions
    place = np.full(saturation.nodes, NONE)
    place[order] = np.arange(len(order))
    by = np.lexsort((place[saturation.commit(saturation.writer(versions.head))], versions.key))
    same = versions.key[by[1:]] == versions.key[by[:-1]]
    return np.column_stack([by[:-1][same], by[1:][same]])
