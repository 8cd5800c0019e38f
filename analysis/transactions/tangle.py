"""Every cycle of a history of lists: which kinds there are, and which dependencies close them.

All cycles lie within strongly connected components of the graph of everything, so only these
are kept. A kind of cycle is a component of a graph of its own: G0 of ww; G1c of ww and wr;
G-nonadjacent of two layers, of which one is entered by rw and left by anything else; G2-item of
all. G-single is an rw from whose target ww and wr lead back: followed for 62 at a time, in an order
in which these go forward, so only through what is between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.history import Codes, Ints, Mask
from analysis.transactions import graph_kernels as kernels
from analysis.transactions.list_edges import ON, REALTIME, RW, SESSION, WR, WW, Edges
from analysis.transactions.list_versions import quick

G0, G1C, SINGLE, NONADJACENT, ITEM = range(5)
NAMES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
PLAIN, PROCESS, TIME = range(3)
SUFFIXES = ("", "-process", "-realtime")
CLOSED_BY = (WW, WR, RW, RW, RW)  # the edge that makes a cycle one of the kind
Lot = tuple[Edges, int, int]  # edges, their kind, their level


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes 0 … nodes-1 and edges by columns. `name` of a node: its transaction, or a higher
    number.
    """

    name: Ints
    source: Codes
    target: Codes
    kind: Codes
    level: Codes
    one: Codes
    other: Codes

    def __len__(self) -> int:
        return len(self.source)

    @property
    def nodes(self) -> int:
        """How many nodes."""
        return len(self.name)


def tangle(lots: list[Lot], nodes: int) -> Graph:
    """The edges that lie on cycles, and their nodes."""
    columns = [
        np.concatenate([getattr(edges, name) for edges, _, _ in lots])
        for name in ("source", "target", "one", "other")
    ]
    sizes = [len(edges) for edges, _, _ in lots]
    kind = np.repeat(np.array([kind for _, kind, _ in lots], np.int32), sizes)
    level = np.repeat(np.array([level for _, _, level in lots], np.int32), sizes)
    source, target, one, other = columns
    component = components(nodes, source, target)
    kept = np.flatnonzero(component[source] == component[target])
    name, ends = np.unique(np.concatenate([source[kept], target[kept]]), return_inverse=True)
    number = ends.reshape(-1).astype(np.int32)
    return Graph(
        name=name.astype(np.int64),
        source=number[: len(kept)],
        target=number[len(kept) :],
        kind=kind[kept],
        level=level[kept],
        one=one[kept],
        other=other[kept],
    )


def components(nodes: int, source: Codes, target: Codes) -> Codes:
    """The component of each node; edges go from lower ones to higher ones."""
    work = nodes + 2 * len(source)
    first, before, _ = quick(kernels.index, work)(nodes, target, source)
    return quick(kernels.components, work)(first, before)[0]


class Layer:
    """The cycles of a graph by edges up to a level."""

    def __init__(self, graph: Graph, level: int) -> None:
        self.graph, self.level = graph, level
        self.there: Mask = graph.level <= level
        self.rw: Mask = self.there & (graph.kind == RW)

    def _alike(self, chosen: Mask) -> tuple[Codes, Mask]:
        """(components by these edges, which of these edges lie within one)."""
        graph = self.graph
        component = components(graph.nodes, graph.source[chosen], graph.target[chosen])
        alike: Mask = component[graph.source] == component[graph.target]
        return component, chosen & alike

    @cached_property
    def any(self) -> Mask:
        """Edges on cycles of any kind."""
        return self._alike(self.there)[1]

    @cached_property
    def written(self) -> Mask:
        """ww on cycles without wr and rw."""
        graph = self.graph
        if not (self.depending[1] & (graph.kind == WW)).any():
            return np.zeros(len(graph), np.bool_)
        found: Mask = self._alike(self.any & (graph.kind != WR) & self.certain)[1]
        found &= graph.kind == WW
        return found

    @cached_property
    def certain(self) -> Mask:
        """All edges but rw and what goes on from them."""
        graph = self.graph
        later: Mask = graph.level > PLAIN
        certain: Mask = (graph.kind != RW) & ((graph.kind != ON) | later)
        return certain

    @cached_property
    def depending(self) -> tuple[Codes, Mask]:
        """(components, edges within them) without rw."""
        return self._alike(self.any & self.certain)

    @cached_property
    def single(self) -> Mask:
        """rw from whose target one gets back to the source without another rw."""
        graph = self.graph
        chosen = self.any & (graph.kind != RW)
        component, _ = self._alike(chosen)
        source, target = component[graph.source], component[graph.target]
        rw = np.flatnonzero(self.any & self.rw & (target <= source))
        found = np.zeros(len(graph), np.bool_)
        if not len(rw):
            return found
        rw = rw[np.argsort(target[rw], kind="stable")]
        between = chosen & (source != target)
        work = len(graph) + 8 * int((source[rw] - target[rw]).sum())
        first, after, _ = quick(kernels.index, work)(
            int(component.max()) + 1, source[between], target[between]
        )
        found[rw] = quick(kernels.reach, work)(first, after, target[rw], source[rw])
        return found

    def two(self) -> tuple[Codes, Codes, Ints]:
        """The graph of two layers: (sources, targets, which edge): node v + nodes was entered by
        an rw.
        """
        graph, nodes = self.graph, np.int32(self.graph.nodes)
        certain = np.flatnonzero(self.any & self.certain)
        rw = np.flatnonzero(self.any & self.rw)
        on = np.flatnonzero(self.any & ~self.certain & (graph.kind == ON))
        parts = (
            (certain, 0, 0),
            (certain, nodes, 0),
            (rw, 0, nodes),
            (on, nodes, nodes),
        )
        return (
            np.concatenate([graph.source[which] + np.int32(up) for which, up, _ in parts]),
            np.concatenate([graph.target[which] + np.int32(up) for which, _, up in parts]),
            np.concatenate([which for which, _, _ in parts]),
        )

    @cached_property
    def apart(self) -> Mask:
        """rw on closed ways on which no two follow one another."""
        graph = self.graph
        found = np.zeros(len(graph), np.bool_)
        rw = np.flatnonzero(self.any & self.rw)
        if len(rw):
            source, target, _ = self.two()
            component = components(2 * graph.nodes, source, target)
            same = component[graph.source[rw]] == component[graph.target[rw] + graph.nodes]
            found[rw[same]] = True
        return found

    @property
    def kinds(self) -> tuple[Mask, ...]:
        """Of each kind of cycle the edges that close one."""
        graph = self.graph
        depending = self.depending[1] & (graph.kind == WR)
        return self.written, depending, self.single, self.apart, self.any & self.rw


class Cycles:
    """The kinds of cycles in a graph, by level. An edge counts for the weakest it closes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers = tuple(Layer(graph, level) for level in (PLAIN, PROCESS, TIME))

    def there(self, kind: int, level: int) -> bool:
        """Whether there is a cycle of this kind, or of a weaker one, at this level."""
        layer = self.layers[level]
        if kind == G0:
            return bool(layer.written.any())
        if kind == G1C:
            return bool(layer.depending[1].any())
        if kind == SINGLE:
            return self.there(G1C, level) or bool(layer.single.any())
        if kind == NONADJACENT:
            return self.there(G1C, level) or bool(layer.apart.any())
        return bool(layer.any.any())

    @cached_property
    def counted(self) -> dict[tuple[int, int], Ints]:
        """Of each (kind, level) the edges that close such a cycle and none of a weaker one."""
        found: dict[tuple[int, int], Ints] = {}
        told: list[tuple[int, int, Mask]] = []
        for level, layer in enumerate(self.layers):
            if not layer.any.any():
                continue
            for kind, mask in enumerate(layer.kinds):
                new = mask.copy()
                for weaker, lower, known in told:
                    if weaker <= kind and lower <= level:
                        new &= ~known
                told.append((kind, level, mask))
                if new.any():
                    found[kind, level] = np.flatnonzero(new)
        return found


__all__ = ["ON", "REALTIME", "RW", "SESSION", "WR", "WW", "Cycles", "Graph", "Layer", "tangle"]
