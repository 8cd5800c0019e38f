"""Loops over graphs of transactions that `compiled` may turn into machine code.

Edges come as pairs of arrays (sources, targets); nodes are numbered from 0.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.compiled import Scratch
from analysis.history import Codes, Ints, Mask


def successors(
    nodes: int,
    source: Codes, target: Codes, source_2: Codes, target_2: Codes,
    source_3: Codes, target_3: Codes, source_4: Codes, target_4: Codes,
) -> tuple[Ints, Codes, Codes]:  # fmt: skip
    """(first, targets, edges into each node): the edges of node v are first[v] … first[v + 1]."""
    first = np.zeros(nodes + 2, np.int64)
    into = np.zeros(nodes, np.int32)
    for lot in range(4):
        sources, targets = source, target
        if lot == 1:
            sources, targets = source_2, target_2
        elif lot == 2:
            sources, targets = source_3, target_3
        elif lot == 3:
            sources, targets = source_4, target_4
        for n in range(len(sources)):
            first[sources[n] + 2] += 1
            into[targets[n]] += 1
    for v in range(nodes):
        first[v + 2] += first[v + 1]
    after = np.empty(first[nodes + 1], np.int32)
    for lot in range(4):
        sources, targets = source, target
        if lot == 1:
            sources, targets = source_2, target_2
        elif lot == 2:
            sources, targets = source_3, target_3
        elif lot == 3:
            sources, targets = source_4, target_4
        for n in range(len(sources)):
            v = sources[n]
            after[first[v + 1]] = targets[n]
            first[v + 1] += 1
    return first[: nodes + 1], after, into


def arrange(
    first: Ints, after: Codes, into: Codes, chosen: Mask, by_start: Ints, start: Ints,
    by_end: Ints, end: Ints,
) -> Ints:  # fmt: skip
    """The chosen nodes in an order in which all edges go forward and nothing comes before what
    ended before it started, as far as there is one: the nodes of a circle, and what is after
    them, are missing. `by_end`: of those whose ends count. Nodes beyond `chosen` have no times.
    """
    nodes = len(into)
    waits = into.copy()
    order = np.empty(nodes, np.int64)
    timely = np.zeros(nodes, np.bool_)
    done = np.zeros(nodes, np.bool_)
    size = head = 0
    for v in range(len(chosen), nodes):
        timely[v] = True
        if waits[v] == 0:
            order[size] = v
            size += 1
    ended = begun = 0
    while True:
        while ended < len(by_end) and done[by_end[ended]]:
            ended += 1
        while begun < len(by_start) and (
            ended == len(by_end) or start[by_start[begun]] <= end[by_end[ended]]
        ):
            v = by_start[begun]
            begun += 1
            timely[v] = True
            if chosen[v] and waits[v] == 0:
                order[size] = v
                size += 1
        if head == size:
            return order[:size]
        v = order[head]
        head += 1
        done[v] = True
        for n in range(first[v], first[v + 1]):
            w = after[n]
            waits[w] -= 1
            if waits[w] == 0 and timely[w]:
                order[size] = w
                size += 1


def index(nodes: int, source: Codes, target: Codes) -> tuple[Ints, Codes, Codes]:
    """(first, targets, numbers of edges): edges by source, those of v from first[v]."""
    first = np.zeros(nodes + 2, np.int64)
    for n in range(len(source)):
        first[source[n] + 2] += 1
    for v in range(nodes):
        first[v + 2] += first[v + 1]
    after, number = np.empty(len(source), np.int32), np.empty(len(source), np.int32)
    for n in range(len(source)):
        at = first[source[n] + 1]
        first[source[n] + 1] += 1
        after[at], number[at] = target[n], n
    return first[: nodes + 1], after, number


def components(first: Ints, before: Codes) -> tuple[Codes, int]:
    """Strongly connected components, after Tarjan 1972, of a graph given by its *predecessors*:
    (the component of each node, how many there are). They are numbered so that edges go from
    lower numbers to higher ones, and otherwise as nodes are.
    """
    nodes = len(first) - 1
    found = np.full(nodes, -1, np.int32)
    seen = np.zeros(nodes, np.int32)  # when a node was first met, from 1
    low = np.zeros(nodes, np.int32)
    path, open_ = np.empty(nodes, np.int32), np.empty(nodes, np.int32)
    at = first[:nodes].copy()
    count = clock = size = 0
    for root in range(nodes):
        if seen[root]:
            continue
        depth = 0
        path[0] = open_[size] = root
        size += 1
        clock += 1
        seen[root] = low[root] = clock
        while depth >= 0:
            v = path[depth]
            if at[v] < first[v + 1]:
                w = before[at[v]]
                at[v] += 1
                if seen[w] == 0:
                    clock += 1
                    seen[w] = low[w] = clock
                    depth += 1
                    path[depth] = open_[size] = w
                    size += 1
                elif found[w] < 0 and seen[w] < low[v]:
                    low[v] = seen[w]
                continue
            depth -= 1
            if depth >= 0 and low[v] < low[path[depth]]:
                low[path[depth]] = low[v]
            if low[v] == seen[v]:
                while True:
                    size -= 1
                    w = open_[size]
                    found[w] = count
                    if w == v:
                        break
                count += 1
    return found, count


def reach(first: Ints, after: Codes, begin: Codes, goal: Codes) -> Mask:
    """Whether each `begin` reaches its `goal`, by edges that all go from lower to higher nodes.
    The queries are in the order of `begin`; 62 at a time are followed through all nodes between.
    """
    found = np.zeros(len(begin), np.bool_)
    bits = np.zeros(len(first), np.int64)
    for low in range(0, len(begin), 62):
        high = min(low + 62, len(begin))
        last = begin[low]
        for n in range(low, high):
            bits[begin[n]] |= 1 << (n - low)
            last = max(last, goal[n])
        for v in range(begin[low], last):
            if bits[v]:
                for n in range(first[v], first[v + 1]):
                    if after[n] <= last:
                        bits[after[n]] |= bits[v]
        for n in range(low, high):
            found[n] = goal[n] >= begin[n] and (bits[goal[n]] >> (n - low)) & 1 == 1
        for n in range(low, high):
            bits[begin[n]] = 0
        for v in range(begin[low], last + 1):
            bits[v] = 0
    return found


def way(
    first: Ints, after: Codes, number: Codes, free: Mask, start: int, goal: int, longest: int,
    stamp: Scratch, length: Scratch, came: Scratch, stage: int,
) -> int:  # fmt: skip
    """The least number of edges from `start` to `goal`, not counting `free` ones (by number); -1
    if they are more than `longest`. Afterwards came[v] is the edge that leads to v, by number.
    `stamp` holds numbers below `stage` of earlier searches.
    """
    nodes = len(first) - 1
    now, then = np.empty(nodes + 1, np.int32), np.empty(nodes + 1, np.int32)
    now[0] = start
    size, steps = 1, 0
    stamp[start], length[start], came[start] = stage, 0, -1
    while size > 0 and steps <= longest:
        more = 0
        while size > 0:
            size -= 1
            v = now[size]
            if length[v] != steps:
                continue
            if v == goal:
                return steps
            for n in range(first[v], first[v + 1]):
                w, edge = after[n], number[n]
                cost = steps if free[edge] else steps + 1
                if stamp[w] == stage and length[w] <= cost:
                    continue
                known = stamp[w] == stage
                stamp[w], length[w], came[w] = stage, cost, edge
                if cost == steps:
                    now[size] = w
                    size += 1
                elif not known:
                    then[more] = w
                    more += 1
        now, then = then, now
        size = more
        steps += 1
    return -1


def schedule(first: Ints, after: Codes, chosen: Mask, transactions: int) -> Ints:
    """The chosen nodes in an order in which edges go forward, as far as there is one. Nodes 2 t and
    2 t + 1 are snapshot and commit of t: a snapshot comes just before its commit if it can.
    """
    nodes = len(chosen)
    waits, events = np.zeros(nodes, np.int32), 2 * transactions
    for n in range(len(after)):
        waits[after[n]] += 1
    order = np.empty(nodes, np.int64)
    done = np.zeros(nodes, np.bool_)
    now, eager = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    lazy = np.empty(nodes, np.int64)
    some = early = early_end = late = late_end = size = 0
    for v in range(nodes):
        if chosen[v] and waits[v] == 0:
            if v >= events or v % 2 == 1:
                now[some] = v
                some += 1
            elif waits[v + 1] == 1:
                eager[early_end] = v
                early_end += 1
            else:
                lazy[late_end] = v
                late_end += 1
    while True:
        if some > 0:
            some -= 1
            v = now[some]
        elif early < early_end:
            v = eager[early]
            early += 1
        elif late < late_end:
            v = lazy[late]
            late += 1
        else:
            return order[:size]
        if done[v]:
            continue
        done[v] = True
        order[size] = v
        size += 1
        for n in range(first[v], first[v + 1]):
            w = after[n]
            waits[w] -= 1
            if w >= events or w % 2 == 1:
                if waits[w] == 0:
                    now[some] = w
                    some += 1
                elif waits[w] == 1 and w < events and waits[w - 1] == 0 and not done[w - 1]:
                    eager[early_end] = w - 1
                    early_end += 1
            elif waits[w] == 0:
                if waits[w + 1] == 1:
                    eager[early_end] = w
                    early_end += 1
                else:
                    lazy[late_end] = w
                    late_end += 1
