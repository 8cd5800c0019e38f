"""Orders that explain a history: made greedily, along what is known to come before what.

Whatever is made here is right by construction: a transaction comes only when what it reads is there,
and what others still have to read is not written over. It may get stuck; then nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.checkers.compiled import compiled
from analysis.history import Ints
from analysis.transactions import kernels
from analysis.transactions.problem import NEVER, Problem
from analysis.transactions.saturation import PARALLEL, SNAPSHOT, Saturation
from analysis.transactions.versions import NONE

FRACTION = 1 << 40


def wishes(problem: Problem) -> Iterator[Ints]:
    """When each transaction may have taken effect, in one guess after another."""
    timed = len(problem) > 1 and int(problem.start.min()) < int(problem.start.max())
    end = np.where(problem.end == NEVER, NEVER, problem.end)
    if timed:
        yield end
        yield problem.start
        yield np.where(end == NEVER, NEVER, problem.start // 2 + end // 2)
    order = np.lexsort((problem.rows, problem.end, problem.start, problem.session))
    session = problem.session[order]
    _, first, count = np.unique(session, return_index=True, return_counts=True)
    along = np.empty(len(problem), np.int64)
    begin, length = np.repeat(first, count), np.repeat(count, count)
    along[order] = (np.arange(len(problem)) - begin) * FRACTION // np.maximum(length, 1)
    yield along
    if not timed:
        yield np.arange(len(problem), dtype=np.int64)


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
        readers = none if mode == PARALLEL else saturation.snap(problem.reader)
        keys, entries = problem.read_key[: len(readers)], versions.read[: len(readers)]
        self._reads = _table(nodes, readers, keys, entries)
        takers = saturation.snap(problem.writer) if mode == SNAPSHOT else none
        self._takes = _table(nodes, takers, problem.write_key[: len(takers)], none)
        self._pending = np.bincount(entries, minlength=versions.writes + problem.keys)

    def build(self, wish: Ints) -> Ints | None:
        """Nodes of events in order, those that wish to be early first; None: it got stuck."""
        s, problem = self._s, self._s.problem
        graph, nodes, keys = s.graph, s.nodes, problem.keys
        late = np.full(nodes, NEVER)
        if s.mode == SNAPSHOT:
            late[: s.events] = np.repeat(wish, 2)
        else:
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
        arrange = compiled(kernels.arrange, s.size) or kernels.arrange
        done = arrange(
            graph.first, graph.after, rank, node_of, np.bincount(graph.after, minlength=nodes),
            *self._makes, *self._reads, *self._takes[:2], self._pending.astype(np.int64),
            s.versions.writes + np.arange(keys), np.zeros(keys, np.int64),
            np.full(keys, NONE), np.empty(nodes, np.int64), np.empty(nodes, np.int64), order,
        )  # fmt: skip
        self.came = order[:done]
        if done < nodes:
            return None
        return order[order < s.events]


def _table(nodes: int, node: Ints, key: Ints, entry: Ints) -> tuple[Ints, Ints, Ints]:
    """(first, keys, entries) by node."""
    by = np.argsort(node, kind="stable")
    first = np.searchsorted(node[by], np.arange(nodes + 1)).astype(np.int64)
    return first, np.ascontiguousarray(key[by]), entry[by] if len(entry) else entry


def accept(saturation: Saturation, *, guesses: int = 10) -> Ints | None:
    """Events in an order that the model allows: transactions (serial; parallel: in the order in
    which they commit), or nodes of snapshots and commits. None: no guess led to one.
    """
    builder = Builder(saturation)
    for number, wish in enumerate(wishes(saturation.problem)):
        if number >= guesses:
            break
        order = builder.build(wish)
        if order is not None and saturation.mode == PARALLEL:
            order = in_version_order(saturation, order)
        if order is not None:
            return order
    return None


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
