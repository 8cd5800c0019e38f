"""The shortest cycles of each kind, found by breadth-first search inside their components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.history import Codes, Ints, Mask
from analysis.transactions import graph_kernels as kernels
from analysis.transactions.list_edges import ON, RW
from analysis.transactions.list_versions import quick
from analysis.transactions.tangle import (
    G0,
    ITEM,
    NONADJACENT,
    Cycles,
    Graph,
    Layer,
    components,
)

SHOWN_MAX = 5  # cycles of one kind that are told
TRIED_MAX = 400  # edges of one kind from which a cycle is looked for
LONG = 50  # of a cycle
CELLS_MAX = 20_000_000  # nodes and edges of the components looked through for them


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One edge of a cycle between transactions. `one`, `other`: as in `Edges`."""

    source: int
    target: int
    kind: int
    one: int
    other: int


Cycle = tuple[Hop, ...]


class Search:
    """Looks for cycles of one kind at one level."""

    def __init__(self, layer: Layer, kind: int) -> None:
        self.graph, self.kind = layer.graph, kind
        graph = self.graph
        if kind == NONADJACENT:
            self.source, self.target, self.edge = layer.two()
            self.nodes = 2 * graph.nodes
        else:
            kept = layer.any if kind == ITEM else layer.any & (graph.kind != RW)
            if kind == G0:
                kept = layer.written | (layer.any & layer.certain & (graph.level > 0))
            self.edge = np.flatnonzero(kept)
            self.source, self.target = graph.source[self.edge], graph.target[self.edge]
            self.nodes = graph.nodes
        self.work = self.nodes + 4 * len(self.edge)
        self.first, self.after, self.number = quick(kernels.index, self.work)(
            self.nodes, self.source, self.target
        )
        self.free: Mask = graph.kind[self.edge] == ON
        self.stamp = np.zeros(self.nodes, np.int64)
        self.length, self.came = np.zeros(self.nodes, np.int64), np.zeros(self.nodes, np.int64)
        self.stage = 0

    def shortest(self, closing: int, longest: int) -> Cycle | None:
        """The shortest cycle that an edge closes, if it has `longest` more edges at most."""
        graph = self.graph
        start, goal = int(graph.target[closing]), int(graph.source[closing])
        if self.kind == NONADJACENT:
            start += graph.nodes
        self.stage += 1
        found = quick(kernels.way, self.work)(
            self.first, self.after, self.number, self.free, start, goal, longest,
            self.stamp, self.length, self.came, self.stage,
        )  # fmt: skip
        if found < 0:
            return None
        at = goal
        back: list[int] = []
        while at != start:
            number = int(self.came[at])
            back.append(int(self.edge[number]))
            at = int(self.source[number])
        cycle = _hops(graph, [closing, *reversed(back)])
        return cycle if len({hop.source for hop in cycle}) == len(cycle) else None


def _hops(graph: Graph, edges: Iterable[int]) -> Cycle:
    """The edges between transactions, those by way of other nodes taken together."""
    hops: list[Hop] = []
    for edge in edges:
        source, target = (
            int(graph.name[graph.source[edge]]),
            int(graph.name[graph.target[edge]]),
        )
        one, other = int(graph.one[edge]), int(graph.other[edge])
        if graph.kind[edge] == ON:
            last = hops.pop()
            source, one = last.source, last.one
            kind = last.kind
        else:
            kind = int(graph.kind[edge])
        hops.append(Hop(source=source, target=target, kind=kind, one=one, other=other))
    return tuple(hops)


def shortest_cycles(cycles: Cycles, kind: int, level: int, closing: Ints) -> list[Cycle]:
    """Some cycles closed by these edges, the shortest first, no two of the same transactions.

    Of every component one edge is tried, then more of them, as far as the limits above allow; the
    first one is the shortest of all if none of them is met.
    """
    layer = cycles.layers[level]
    search = Search(layer, kind)
    found: dict[frozenset[int], Cycle] = {}
    longest, cells = search.nodes, 0
    size = _sizes(layer)
    for edge in _spread(layer, closing).tolist():
        cycle = search.shortest(edge, longest)
        cells += int(size[edge])
        if cycle is not None:
            members = frozenset(hop.source for hop in cycle)
            if len(cycle) < len(found.get(members, (*cycle, cycle[0]))):
                found[members] = cycle
        lengths = sorted(map(len, found.values()))
        if len(found) >= SHOWN_MAX:
            longest = lengths[SHOWN_MAX - 1] - 1
        elif found and lengths[0] > LONG:  # others are only of interest if they are shorter
            longest = lengths[0] - 2
        if cells > CELLS_MAX:
            break
    return sorted(found.values(), key=lambda cycle: (len(cycle), cycle[0].source))


def _component(layer: Layer) -> Codes:
    graph = layer.graph
    chosen = np.flatnonzero(layer.any)
    return components(graph.nodes, graph.source[chosen], graph.target[chosen])


def _sizes(layer: Layer) -> Ints:
    """Of each edge how many edges its component has."""
    component = _component(layer)
    inside = np.flatnonzero(layer.any)
    count = np.bincount(component[layer.graph.source[inside]], minlength=len(component) + 1)
    sizes: Ints = count[component[layer.graph.source]].astype(np.int64)
    return sizes


def _spread(layer: Layer, closing: Ints) -> Ints:
    """At most TRIED_MAX of the edges: the first of each component, then others at equal steps."""
    component = _component(layer)[layer.graph.source[closing]]
    _, first = np.unique(component, return_index=True)
    first = np.sort(first)[:TRIED_MAX]
    rest = np.setdiff1d(np.arange(len(closing)), first)
    step = max(1, -(-len(rest) // max(TRIED_MAX - len(first), 1)))
    chosen: Ints = closing[np.concatenate([first, rest[::step]])[:TRIED_MAX]]
    return chosen
