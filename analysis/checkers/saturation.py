"""Saturation: everything that must come before something else in any serial order of programs.

Deciding sequential consistency is NP-complete, even with unique values (Gibbons & Korach 1997).
But if any operation of one block must come before any of another of the same key, all of it must:
that forces an edge, which may force others. At the fixpoint a cycle is a contradiction; without one
there may still be no order, and a search has to say (`serial_search.py`).

What has been reached is kept as one set of bits per node; for large histories `frontiers.py` does
the same with one number per node and lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.compiled import compiled
from analysis.checkers.frontiers import Frontiers, sort_nodes
from analysis.checkers.precedence import Blocks, block_edges, process_edges, reads_from
from analysis.checkers.programs import INITIAL, NOBODY, Programs
from analysis.history import Ints

BITS_MAX = 20_000  # nodes: of more of them the bits are too many
NODES_A_STEP = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturated:
    """The graph at the fixpoint, or when it first had a cycle.

    `forced`: (m, 3), (block A, block B, round): A ends before B begins, because of edges that were
    certain from the beginning or were forced before that round.
    `stale`: nodes that observe a value after it was replaced, in causal order alone.
    `looping`: causal order itself has a cycle; then there is nothing else.
    """

    forced: Ints
    stale: Ints
    looping: bool
    cyclic: bool
    before: Sequence[int]  # what comes before each node, as bits; empty if there are too many

    def graph(self, programs: Programs, blocks: Blocks) -> Ints:
        """All edges, (m, 2), unless `looping` or something is stale."""
        edges = [process_edges(programs), reads_from(programs), block_edges(programs, blocks)]
        return _with_forced(np.concatenate(edges), self.forced, len(programs), blocks)


def saturate(programs: Programs, blocks: Blocks, meter: Meter) -> Saturated:
    """Force edges until no more follow, or causal order or the whole has a cycle, or something
    is stale already. Exhausted when the meter runs out.
    """
    count, nodes = len(programs), len(programs) + len(blocks)
    edges = np.concatenate([process_edges(programs), reads_from(programs)])
    forced = np.empty((0, 3), np.int64)
    order = sorted_nodes(nodes, edges)
    none = np.empty(0, np.int64)
    if len(order) < nodes:
        return Saturated(forced=forced, stale=none, looping=True, cyclic=True, before=())
    kind = Bits if count <= BITS_MAX else Frontiers
    reach: Bits | Frontiers = kind(programs, blocks)
    meter.spend(1 + nodes // NODES_A_STEP)
    reach.reach(order, *adjacency(nodes, edges))
    stale = reach.stale()
    edges = np.concatenate([edges, block_edges(programs, blocks)])
    cyclic = len(stale) > 0
    while not cyclic:
        meter.spend(1 + nodes // NODES_A_STEP)
        graph = _with_forced(edges, forced, count, blocks)
        order = sorted_nodes(nodes, graph)
        cyclic = len(order) < nodes
        if cyclic:
            break
        more = reach.follow(order, *adjacency(nodes, graph))
        if not len(more):
            break
        stage = np.full((len(more), 1), int(forced[-1, 2]) + 1 if len(forced) else 0)
        forced = np.concatenate([forced, np.concatenate([more, stage], axis=1)])
    before = reach.before if isinstance(reach, Bits) else ()
    return Saturated(forced=forced, stale=stale, looping=False, cyclic=cyclic, before=before)


def _with_forced(edges: Ints, forced: Ints, count: int, blocks: Blocks) -> Ints:
    ends_first = np.stack([count + forced[:, 0], blocks.head[forced[:, 1]]], axis=1)
    return np.concatenate([edges, ends_first])


def sorted_nodes(nodes: int, edges: Ints) -> Ints:
    """The nodes in a topological order; without those in a cycle, or that one comes before."""
    first, successors = adjacency(nodes, edges)
    waiting = np.bincount(edges[:, 1], minlength=nodes).astype(np.int64)
    free = np.flatnonzero(waiting == 0)
    order = np.append(free, np.zeros(nodes - len(free), np.int64))
    kernel = compiled(sort_nodes, nodes) or sort_nodes
    return order[: kernel(first, successors, waiting, order, len(free))]


def adjacency(nodes: int, edges: Ints) -> tuple[Ints, Ints]:
    """`successors[first[v] : first[v + 1]]` are those of node v."""
    order = np.argsort(edges[:, 0], kind="stable")
    first = np.searchsorted(edges[order, 0], np.arange(nodes + 1)).astype(np.int64)
    return first, np.ascontiguousarray(edges[order, 1])


def members(programs: Programs, blocks: Blocks) -> tuple[list[int], list[int]]:
    """The operations of each block, and those of each key that are in any, as bits."""
    inside, on_key = [0] * len(blocks), [0] * len(programs.initial)
    for node, block in enumerate(blocks.of.tolist()):
        if block >= 0:
            inside[block] |= 1 << node
    for block, key in enumerate(blocks.key.tolist()):
        on_key[key] |= inside[block]
    return inside, on_key


class Bits:
    """What comes before each node, as bits of an integer: bit x is node x."""

    def __init__(self, programs: Programs, blocks: Blocks) -> None:
        self._programs = programs
        self._count = len(programs)
        self._of = blocks.of.tolist()
        self._head = blocks.head.tolist()
        self._key = blocks.key.tolist()
        self._members, self._on_key = members(programs, blocks)
        self._known = list(self._members)  # per block: what needs no new edge to come before it
        self.before: Sequence[int] = ()

    def reach(self, order: Ints, first: Ints, after: Ints) -> None:
        """Spread what comes before along the edges."""
        starts, successors = first.tolist(), after.tolist()
        before = [0] * (len(starts) - 1)
        for node in order.tolist():
            here = before[node] | (1 << node if node < self._count else 0)
            for place in range(starts[node], starts[node + 1]):
                before[successors[place]] |= here
        self.before = before

    def follow(self, order: Ints, first: Ints, after: Ints) -> Ints:
        """Reach all that the edges reach; pairs (A, B) of blocks for which that forces an edge."""
        self.reach(order, first, after)
        before, count = self.before, self._count
        found = []
        for block, head in enumerate(self._head):
            if head < 0:  # what comes before the initial value makes a cycle anyway
                continue
            new = before[count + block] & self._on_key[self._key[block]] & ~self._known[block]
            while new:
                other = self._of[new.bit_length() - 1]
                found.append((other, block))
                # What comes before that block gets there by edges of its own.
                hidden = self._members[other] | before[count + other]
                self._known[block] |= hidden & self._on_key[self._key[block]]
                new &= ~hidden
        return np.array(found, np.int64).reshape(-1, 2)

    def stale(self) -> Ints:
        """Nodes that see a value which another write comes between, in what has been reached."""
        programs, before = self._programs, self.before
        writers = [0] * len(programs.initial)
        for node in np.flatnonzero(programs.written >= 0).tolist():
            writers[int(programs.key[node])] |= 1 << node
        found = []
        for node in np.flatnonzero(programs.source > NOBODY).tolist():
            source = int(programs.source[node])
            between = before[node] & writers[int(programs.key[node])]
            if source != INITIAL:
                between &= ~(before[source] | 1 << source)
            while between and source != INITIAL:
                write = between.bit_length() - 1
                if before[write] >> source & 1:
                    break
                between &= ~(1 << write | before[write])  # what is before it is not after source
            if between:
                found.append(node)
        return np.array(found, np.int64)
