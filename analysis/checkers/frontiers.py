"""Reaching by frontiers: the last operation of each lane that comes before a node.

A lane is a chain, so one number per lane says all that comes before (as a vector clock does), in
O(nodes × lanes) instead of O(nodes²) bits. The loops are kernels (`compiled.py`).
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import Exhausted
from analysis.checkers.compiled import Scratch, compiled
from analysis.checkers.precedence import Blocks
from analysis.checkers.programs import NOBODY, Programs
from analysis.history import Ints

CELLS_MAX = 1 << 26  # numbers in all frontiers together: 512 MiB


class Frontiers:
    """What comes before each node: per lane, one more than the place of the last; 0: nothing."""

    def __init__(self, programs: Programs, blocks: Blocks) -> None:
        self._programs, self._blocks = programs, blocks
        self._count = len(programs)
        self._nodes = self._count + len(blocks)
        length = np.bincount(programs.lane)
        alone = (length[programs.lane] == 1) & (programs.written < 0)  # nothing comes after it
        used, column = np.unique(programs.lane[~alone], return_inverse=True)
        self._lanes = len(used)
        cells = (self._nodes + len(blocks)) * self._lanes
        if cells > CELLS_MAX:
            raise Exhausted(
                f"{self._count:,} operations of {self._lanes:,} processes need {cells:,} numbers, "
                f"more than the {CELLS_MAX:,} there is room for"
            )
        self._column = np.full(self._nodes, -1, np.int64)
        self._column[np.flatnonzero(~alone)] = column
        self._frontier = np.zeros(self._nodes * self._lanes, np.int64)
        self._known = np.zeros(len(blocks) * self._lanes, np.int64)
        self._seen = _Index(programs, self._column, np.flatnonzero(blocks.of >= 0), blocks.of)
        self._work = self._nodes * max(1, self._lanes)

    def follow(self, order: Ints, first: Ints, after: Ints) -> Ints:
        """Reach all that the edges reach; pairs (A, B) of blocks for which that forces an edge."""
        self.reach(order, first, after)
        rank = np.empty(self._nodes, np.int64)
        rank[order] = np.arange(self._nodes)
        found = np.empty(4 * len(self._blocks) + 1024, np.int64)
        index = self._seen
        size = (compiled(force, self._work) or force)(
            self._count, self._lanes, self._blocks.head, self._blocks.key, self._blocks.of,
            self._programs.place, rank, self._frontier, index.code, index.node, index.other,
            index.width, index.keys, self._known, np.empty(self._lanes, np.int64), found,
        )  # fmt: skip
        return found[: 2 * size].reshape(-1, 2)

    def reach(self, order: Ints, first: Ints, after: Ints) -> None:
        """Spread what comes before along the edges."""
        place = np.append(self._programs.place, np.zeros(len(self._blocks), np.int64))
        (compiled(sweep, self._work) or sweep)(
            order, first, after, self._lanes, self._column, place, self._frontier
        )

    def stale(self) -> Ints:
        """Nodes that see a value which another write comes between, in what has been reached."""
        programs = self._programs
        index = _Index(programs, self._column, np.flatnonzero(programs.written >= 0), None)
        found = np.zeros(self._count, np.int64)
        observers = np.flatnonzero(programs.source > NOBODY)
        (compiled(find_stale, self._work) or find_stale)(
            observers, self._lanes, programs.source, programs.key, self._column, programs.place,
            self._frontier, index.code, index.node, index.width, index.keys, found,
        )  # fmt: skip
        return np.flatnonzero(found)


class _Index:
    """Finds the last of some nodes on a key, in a lane, up to a place."""

    def __init__(self, programs: Programs, column: Ints, nodes: Ints, of: Ints | None) -> None:
        nodes = nodes[column[nodes] >= 0]
        self.width, self.keys = len(programs) + 1, len(programs.initial)
        line = column[nodes] * self.keys + programs.key[nodes]
        code = line * self.width + programs.place[nodes]
        order = np.argsort(code)
        self.code, self.node = code[order], nodes[order]
        self.other = np.empty(0, np.int64)  # per node found: the last before it of another block
        if of is not None and len(nodes):
            line, block = line[order], of[self.node]
            changed = np.append(True, (line[1:] != line[:-1]) | (block[1:] != block[:-1]))
            begin = np.maximum.accumulate(np.where(changed, np.arange(len(order)), 0))
            there = (begin > 0) & (line[begin - 1] == line)
            self.other = np.where(there, self.node[begin - 1], -1)


def sort_nodes(first: Ints, successors: Ints, waiting: Scratch, order: Scratch, ready: int) -> int:
    """Kernel: a topological order after Kahn; `order` begins with the `ready` nodes that nothing
    comes before. How many nodes it came to.
    """
    done = 0
    while done < ready:
        node = order[done]
        done += 1
        for place in range(first[node], first[node + 1]):
            after = successors[place]
            waiting[after] -= 1
            if waiting[after] == 0:
                order[ready] = after
                ready += 1
    return done


def sweep(
    order: Ints, first: Ints, after: Ints, lanes: int, column: Ints, place: Ints, frontier: Scratch
) -> int:
    """Kernel: in topological order, what comes before a node comes before its successors."""
    for node in order:
        here = node * lanes
        if column[node] >= 0:
            own = here + column[node]
            frontier[own] = max(frontier[own], place[node] + 1)
        for edge in range(first[node], first[node + 1]):
            there = after[edge] * lanes
            for lane in range(lanes):
                if frontier[here + lane] > frontier[there + lane]:
                    frontier[there + lane] = frontier[here + lane]
    return 0


def force(
    count: int, lanes: int, head: Ints, key: Ints, of: Ints, place: Ints, rank: Ints,
    frontier: Ints, code: Ints, node: Ints, other: Ints, width: int, keys: int, known: Scratch,
    chosen: Scratch, found: Scratch,
) -> int:  # fmt: skip
    """Kernel: per block and lane the last operation of another block of its key that comes before
    it; of those blocks, the ones that come before no other of them. How many pairs were `found`.
    """
    size = 0
    for block in range(len(head)):
        if head[block] < 0:
            continue
        here = (count + block) * lanes
        left = 0
        for lane in range(lanes):
            chosen[lane] = -1
            until = frontier[here + lane]
            if until <= known[block * lanes + lane]:
                continue
            line = lane * keys + key[block]
            low, high = 0, len(code)
            while low < high:
                middle = (low + high) // 2
                if code[middle] < line * width + until:
                    low = middle + 1
                else:
                    high = middle
            if low and code[low - 1] // width == line:
                last = node[low - 1]
                if of[last] == block:
                    last = other[low - 1]
                if last >= 0 and place[last] >= known[block * lanes + lane]:
                    chosen[lane] = last
                    left += 1
        while left:
            best = -1
            for lane in range(lanes):
                if chosen[lane] >= 0 and (best < 0 or rank[chosen[lane]] > rank[best]):
                    best = chosen[lane]
            if 2 * size + 1 >= len(found):
                return size
            found[2 * size], found[2 * size + 1] = of[best], block
            size += 1
            there = (count + of[best]) * lanes
            for lane in range(lanes):
                last = chosen[lane]
                if last >= 0 and (of[last] == of[best] or place[last] < frontier[there + lane]):
                    known[block * lanes + lane] = place[last] + 1
                    chosen[lane] = -1
                    left -= 1
    return size


def find_stale(
    observers: Ints, lanes: int, source: Ints, key: Ints, column: Ints, place: Ints, frontier: Ints,
    code: Ints, node: Ints, width: int, keys: int, found: Scratch,
) -> int:  # fmt: skip
    """Kernel: marks observers that a write comes before which their own source comes before."""
    for observer in observers:
        origin = source[observer]
        for lane in range(lanes):
            until = frontier[observer * lanes + lane]
            if column[observer] == lane:
                until -= 1
            line = lane * keys + key[observer]
            low, high = 0, len(code)
            while low < high:
                middle = (low + high) // 2
                if code[middle] < line * width + until:
                    low = middle + 1
                else:
                    high = middle
            if not low or code[low - 1] // width != line:
                continue
            write = node[low - 1]
            if write == origin:
                continue
            if origin < 0 or frontier[write * lanes + column[origin]] > place[origin]:
                found[observer] = 1
                break
    return 0
