"""Guesses at a serial order, where real time is not one: cheap to make, and then replayed.

- Clocks, or replicas, may be apart: each process gets a shift of its times, such that what must
  come before something else began before that ended (difference constraints, Bellman 1958).
- Writes may have happened as their times say, and only reads have been late. Then each key's
  writes have an order, and with all it implies there either is a cycle or the rest follows.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from analysis.checkers.precedence import Blocks
from analysis.checkers.programs import Programs
from analysis.checkers.saturation import adjacency
from analysis.checkers.serial_orders import in_time
from analysis.history import Ints

UNBOUNDED = 2**61
ROUNDS_MAX = 100  # of relaxing the shifts; without a solution they still are a guess


def guesses(programs: Programs, blocks: Blocks, edges: Ints) -> Iterator[Ints]:
    """Orders to try. `edges` of operations, then ends of blocks; they must have no cycle."""
    shifted = _shifted(programs, blocks, edges)
    yield in_time(shifted, blocks)[0]
    for timed in (programs, shifted):
        by_time = _by_time(timed, blocks, edges)
        order = _sorted(len(programs), np.concatenate([edges, _in_turn(blocks, by_time)]), by_time)
        if order is not None:
            yield order


def _shifted(programs: Programs, blocks: Blocks, edges: Ints) -> Programs:
    """The same with the times of each process shifted."""
    count = len(programs)
    names, owner = np.unique(programs.process, return_inverse=True)
    through = edges[edges[:, 0] >= count]  # all that comes before a block's end, before a head
    direct = edges[(edges < count).all(axis=1)]
    into = edges[edges[:, 1] >= count]
    # Of each block and process only the operation that began last bounds anything.
    into = into[np.lexsort((programs.start[into[:, 0]], owner[into[:, 0]], into[:, 1]))]
    whose = owner[into[:, 0]]
    last = np.append((into[1:, 1] != into[:-1, 1]) | (whose[1:] != whose[:-1]), True)
    into = into[last[: len(into)]]
    first = np.searchsorted(into[:, 1], through[:, 0], side="left")
    size = np.searchsorted(into[:, 1], through[:, 0], side="right") - first
    at = np.repeat(first - np.cumsum(size) + size, size) + np.arange(int(size.sum()))
    pairs = np.stack([into[at, 0], np.repeat(through[:, 1], size)], axis=1)
    pairs = np.concatenate([direct, pairs])
    pairs = pairs[programs.definite[pairs[:, 1]]]
    x, y = pairs[:, 0], pairs[:, 1]
    line, place = np.unique(owner[x] * len(names) + owner[y], return_inverse=True)
    room = np.full(len(line), np.iinfo(np.int64).max)
    np.minimum.at(room, place, programs.end[y] - programs.start[x])
    taken = _middle(line // len(names), line % len(names), room, len(names))[owner]
    return replace(programs, start=programs.start - taken, end=programs.end - taken)


def _middle(one: Ints, other: Ints, room: Ints, count: int) -> Ints:
    """Shifts with shift[other] <= shift[one] + room: the middle of what each may be, relative to
    the first process's.
    """
    most = _least_sums(one, other, room, count)
    least = -_least_sums(other, one, room, count)
    most = np.where(most == UNBOUNDED, least, most)
    least = np.where(least == -UNBOUNDED, most, least)
    shift: Ints = np.where(np.abs(most) == UNBOUNDED, 0, least + (most - least) // 2)
    return shift


def _least_sums(one: Ints, other: Ints, room: Ints, count: int) -> Ints:
    """The least sum of `room` on any way from the first process to each (Bellman & Ford)."""
    sums = np.full(count, UNBOUNDED)
    sums[:1] = 0
    for _ in range(ROUNDS_MAX):
        better = sums.copy()
        known = sums[one] != UNBOUNDED
        np.minimum.at(better, other[known], (sums[one] + room)[known])
        if bool((better == sums).all()):
            break
        sums = better
    return sums


def _by_time(programs: Programs, blocks: Blocks, edges: Ints) -> Ints:
    """The rank of each node in a topological order that prefers what was over first."""
    nodes = len(programs) + len(blocks)
    middle = np.where(programs.definite, programs.start + programs.end, 2 * programs.start)
    # An operation without an answer is timed by the first that saw its value.
    seen = np.full(len(programs), np.iinfo(np.int64).max)
    observers = np.flatnonzero(programs.source >= 0)
    np.minimum.at(seen, programs.source[observers], programs.end[observers])
    late = ~programs.definite & (seen != np.iinfo(np.int64).max)
    middle = np.where(late, programs.start + np.maximum(seen, programs.start), middle)
    low = int(middle.min(initial=0)) - 1
    order = _sorted(len(programs), edges, np.append(middle, np.full(len(blocks), low)))
    rank = np.zeros(nodes, np.int64)
    if order is not None:
        rank[order] = np.arange(len(order)) + 1
    return rank


def _in_turn(blocks: Blocks, rank: Ints) -> Ints:
    """(m, 2): of each key one block ends before the next begins, in the order of their heads."""
    ends = len(rank) - len(blocks)
    others = np.flatnonzero(blocks.head >= 0)
    order = others[np.lexsort((rank[blocks.head[others]], blocks.key[others]))]
    same = blocks.key[order][1:] == blocks.key[order][:-1]
    return np.stack([ends + order[:-1][same], blocks.head[order[1:][same]]], axis=1)


def _sorted(count: int, edges: Ints, priority: Ints) -> Ints | None:
    """The operations (nodes below `count`) in a topological order; None: there is a cycle."""
    nodes = len(priority)
    first, after = (part.tolist() for part in adjacency(nodes, edges))
    waiting = np.bincount(edges[:, 1], minlength=nodes).tolist()
    urgency = priority.tolist()
    heap = [(urgency[node], node) for node in range(nodes) if not waiting[node]]
    heapq.heapify(heap)
    order = []
    while heap:
        _, node = heapq.heappop(heap)
        order.append(node)
        for place in range(first[node], first[node + 1]):
            follower = after[place]
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(heap, (urgency[follower], follower))
    if len(order) < nodes:
        return None
    sequence = np.array(order, np.int64)
    return sequence[sequence < count]
