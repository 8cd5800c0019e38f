"""What must come before what in any serial order of programs, as a graph.

Versions linked by cas form a *block*, as in `zones.py`: no other write can enter it. Nodes of the
graph are the operations 0 … n-1 and, for each block b, its end n + b, which all its operations come
before. Certain are process order and reads-from (together: causal order), the order within a
block, and that the block of the initial value ends before any other begins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.programs import INITIAL, NOBODY, Programs
from analysis.history import Ints

ALONE = -1  # the block of an observation whose source is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Versions that follow one another immediately. The first arrays have a cell per node."""

    of: Ints  # the node's block, or ALONE
    depth: Ints  # its version's place in the block
    head: Ints  # per block: the write it begins with, or INITIAL
    key: Ints  # per block
    lost: Ints  # cas nodes that replaced what another cas had replaced; each heads its own block

    def __len__(self) -> int:
        return len(self.head)


def process_edges(programs: Programs) -> Ints:
    """(m, 2): successive operations of a lane, and pairs between lanes."""
    order = np.lexsort((programs.place, programs.lane))
    same = programs.lane[order][1:] == programs.lane[order][:-1]
    return np.concatenate([np.stack([order[:-1][same], order[1:][same]], axis=1), programs.before])


def reads_from(programs: Programs) -> Ints:
    """(m, 2): who wrote, who observed it."""
    observers = np.flatnonzero(programs.source >= 0)
    return np.stack([programs.source[observers], observers], axis=1)


def blocks_of(programs: Programs) -> Blocks:
    """Follow every cas back to the write, or the initial value, that its block begins with.

    In a circle of cas, which has no order at all, blocks mean nothing.
    """
    count, keys = len(programs), len(programs.initial)
    node = np.arange(count)
    writes = programs.written >= 0
    swaps = np.flatnonzero(writes & (programs.source > NOBODY) & (programs.source != node))
    swaps = swaps[np.lexsort((swaps, programs.end[swaps], ~programs.definite[swaps]))]
    origin = np.where(programs.source == INITIAL, count + programs.key, programs.source)
    first = np.unique(origin[swaps], return_index=True)[1]
    lost = np.delete(swaps, first)
    parent = np.arange(count + keys)  # of versions: nodes that write, then initial values
    parent[swaps[first]] = origin[swaps[first]]
    depth = (parent != np.arange(count + keys)).astype(np.int64)
    hop = parent
    for _ in range(int(count + keys).bit_length()):
        depth, hop = depth + depth[hop], hop[hop]
    version = np.where(writes, node, np.where(programs.source > NOBODY, origin, ALONE))
    root = np.where(version >= 0, hop[version], ALONE)
    roots, of = np.unique(root[root >= 0], return_inverse=True)
    member = np.full(count, ALONE, np.int64)
    member[root >= 0] = of
    return Blocks(
        of=member,
        depth=np.where(version >= 0, depth[version], 0),
        head=np.where(roots < count, roots, INITIAL),
        key=np.where(roots < count, programs.key[np.minimum(roots, count - 1)], roots - count),
        lost=np.sort(lost),
    )


def block_edges(programs: Programs, blocks: Blocks) -> Ints:
    """(m, 2): reads of a version before the cas that replaced it, all of a block before its end,
    and the end of an initial value's block before every other of that key begins.
    """
    count = len(programs)
    in_block = np.flatnonzero(blocks.of >= 0)
    ends = np.stack([in_block, count + blocks.of[in_block]], axis=1)
    replacing = np.flatnonzero((programs.written >= 0) & (blocks.depth > 0))
    place = blocks.of * (count + 1) + blocks.depth
    order = replacing[np.argsort(place[replacing])]
    reads = np.flatnonzero((programs.written < 0) & (blocks.of >= 0))
    at = np.searchsorted(place[order], place[reads] + 1)
    found = at < len(order)
    found[found] = place[order][at[found]] == place[reads][found] + 1
    replaced = np.stack([reads[found], order[at[found]]], axis=1)
    others = np.flatnonzero(blocks.head >= 0)
    first = np.full(len(programs.initial), -1, np.int64)
    initial = np.flatnonzero(blocks.head == INITIAL)
    first[blocks.key[initial]] = initial
    others = others[first[blocks.key[others]] >= 0]
    begins = np.stack([count + first[blocks.key[others]], blocks.head[others]], axis=1)
    return np.concatenate([ends, replaced, begins])
