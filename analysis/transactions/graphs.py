"""Directed graphs as arrays: order, cycles and short ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.checkers.compiled import Marks, compiled
from analysis.history import Ints
from analysis.transactions import kernels

_EVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Edges by columns: what each is (`kind`, `note`), and since when it is known (`stage`)."""

    source: Ints
    target: Ints
    kind: Ints
    stage: Ints
    note: Ints

    def reversed(self) -> Edges:
        """Each the other way round."""
        return replace(self, source=self.target, target=self.source)

    def until(self, count: int) -> Edges:
        """The first `count` of them."""
        return Edges(**{name: getattr(self, name)[:count] for name in self.__slots__})


class Graph:
    """Edges, indexed by source. `size`: how much there is to do, for `compiled`."""

    def __init__(self, nodes: int, edges: Edges, size: int) -> None:
        self.nodes, self.edges, self.size = nodes, edges, size
        self.first, self.after, self.edge = _indexed(nodes, edges.source, edges.target, size)

    def sorted(self) -> Ints:
        """The nodes in topological order; without those in a cycle, and behind one."""
        return _sorted(self.nodes, self.first, self.after, self.size)

    def spread(self, order: Ints, width: int, low: int, lane: Ints, place: Ints) -> Marks:
        """How many nodes of each lane from `low` on, `width` of them, come before each node, or are
        it: a cell for each node and lane. `order`: what `sorted` gave, and all are in it.
        """
        clock: Marks = np.zeros(self.nodes * width, np.int32)
        kernel = compiled(kernels.spread, self.size)
        if kernel is not None:
            kernel(order, self.first, self.after, width, low, lane, place, clock)
            return clock
        table = clock.reshape(self.nodes, width)
        bounds, mine = self.first.tolist(), (lane - low).tolist()
        for node in order.tolist():
            row, column = table[node], mine[node]
            if 0 <= column < width and row[column] <= place[node]:
                row[column] = place[node] + 1
            for there in self.after[bounds[node] : bounds[node + 1]].tolist():
                behind = table[there]
                np.maximum(behind, row, out=behind)
        return clock

    def on_cycles(self, order: Ints) -> Ints:
        """Nodes on cycles, or between two; `order`: what `sorted` gave."""
        alive = np.ones(self.nodes, np.bool_)
        alive[order] = False
        left = np.flatnonzero(alive)
        inside = alive[self.edges.source] & alive[self.edges.target]
        place = np.full(self.nodes, -1)
        place[left] = np.arange(len(left))
        source, target = place[self.edges.source[inside]], place[self.edges.target[inside]]
        first, after, _ = _indexed(len(left), target, source, self.size)
        kept = np.ones(len(left), np.bool_)
        kept[_sorted(len(left), first, after, self.size)] = False
        return left[kept]

    def cycles(self, order: Ints, events: int, most: int) -> list[list[int]]:
        """Short cycles through up to `most` nodes below `events`, the shortest first. Every cycle
        has such a node; `order`: what `sorted` gave.
        """
        left = self.on_cycles(order)
        within: Marks = np.zeros(self.nodes, np.int32)
        within[left] = 1
        places = left[left < events]
        found = []
        for node in places[:: max(1, len(places) // most)].tolist():
            way = self.way(np.array([node]), np.array([node]), _EVER, within)
            if way is None:  # it is between two cycles
                node = self._behind(node, events, within)
                way = self.way(np.array([node]), np.array([node]), _EVER, within)
            assert way is not None, "it is on a cycle"
            found.append(way)
        return sorted(found, key=len)

    def _behind(self, node: int, events: int, within: Marks) -> int:
        """A node below `events` on a cycle that this one, from which one can go on, leads to."""
        seen: set[int] = set()
        while node not in seen:
            if node < events:
                seen.add(node)
            after = self.after[self.first[node] : self.first[node + 1]]
            node = int(after[within[after] != 0][0])
        return node

    def way(self, starts: Ints, goals: Ints, limit: int, within: Marks) -> list[int] | None:
        """Edges of a shortest way to any goal, at least one, of stages below `limit` and over nodes
        `within`; None: there is no way.
        """
        goal: Marks = np.zeros(self.nodes, np.int32)
        goal[goals] = 1
        parent, queue = np.full(self.nodes, -2), np.empty(self.nodes, np.int64)
        walk = compiled(kernels.walk, self.size) or kernels.walk
        reached = walk(
            starts, goal, self.first, self.after, self.edge, self.edges.stage, limit, within,
            parent, queue,
        )  # fmt: skip
        if reached < 0:
            return None
        way = [int(parent[reached])]
        node = int(self.edges.source[way[0]])
        while node != reached and parent[node] >= 0:
            way.append(int(parent[node]))
            node = int(self.edges.source[way[-1]])
        return way[::-1]


def _indexed(nodes: int, source: Ints, target: Ints, size: int) -> tuple[Ints, Ints, Ints]:
    first = np.zeros(nodes + 1, np.int64)
    after, edge = np.empty(len(source), np.int64), np.empty(len(source), np.int64)
    index = compiled(kernels.index_edges, size) or kernels.index_edges
    index(source, target, first, after, edge)
    return first, after, edge


def _sorted(nodes: int, first: Ints, after: Ints, size: int) -> Ints:
    order = np.empty(nodes, np.int64)
    sort = compiled(kernels.sort_nodes, size) or kernels.sort_nodes
    return order[: sort(first, after, np.zeros(nodes, np.int64), order)]
