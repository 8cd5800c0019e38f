"""Loops over graphs of transactions that `compiled` may turn into machine code.

Edges come as pairs of arrays (sources, targets); nodes are numbered from 0.
"""

from __future__ import annotations

import numpy as np

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
