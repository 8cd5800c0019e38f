"""Process order as chains: in each lane every operation comes before the next.

In the order of a process x comes before y if x.end <= y.start, of two at one and the same moment
the upper one. A client does one thing at a time, so nearly always a process is one lane. But one
without a definite answer comes before nothing and gets a lane of its own, and a process whose
operations overlap (a file that does not tell clients apart) is laid out on several.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

import numpy as np

from analysis.history import Ints, Mask


def chains(process: Ints, start: Ints, end: Ints, definite: Mask) -> tuple[Ints, Ints, Ints]:
    """Each operation's lane and its place there, and pairs (m, 2) of order between lanes.

    Among the pairs is, for each operation and each other lane of its process, the latest one there
    that comes before it.
    """
    lane, place = np.zeros(len(process), np.int64), np.zeros(len(process), np.int64)
    known = np.flatnonzero(definite)
    # lexsort is stable: of operations at one moment the upper comes first.
    order = known[np.lexsort((end[known], start[known], process[known]))]
    same = process[order][1:] == process[order][:-1]
    head = np.flatnonzero(np.append(True, ~same)[: len(order)])
    group = np.cumsum(np.append(0, ~same))[: len(order)]
    lane[order], place[order] = group, np.arange(len(order)) - head[group]
    overlapping = np.unique(group[1:][same & (end[order][:-1] > start[order][1:])])
    layout = _Layout(start, end)
    pairs: list[tuple[int, int]] = []
    lanes = len(head)
    split: dict[int, list[list[int]]] = {}
    for number in overlapping.tolist():
        nodes = order[head[number] : _next(head, number, len(order))].tolist()
        found = layout.laid_out(nodes)
        for fresh, chain in enumerate(found):
            lane[chain] = lanes + fresh - 1 if fresh else number
            place[chain] = np.arange(len(chain))
        lanes += len(found) - 1
        split[int(process[nodes[0]])] = found
        pairs += layout.between(nodes, found)
    loose = np.flatnonzero(~definite)
    lane[loose] = lanes + np.arange(len(loose))
    number_of = {int(process[order[at]]): number for number, at in enumerate(head.tolist())}
    for node in loose.tolist():
        owner = int(process[node])
        if owner not in split and owner in number_of:
            number = number_of[owner]
            chain = order[head[number] : _next(head, number, len(order))].tolist()
            split[owner] = [chain]
        pairs += layout.between([node], split.get(owner, []))
    return lane, place, np.array(pairs, np.int64).reshape(-1, 2)


def _next(head: Ints, number: int, count: int) -> int:
    return int(head[number + 1]) if number + 1 < len(head) else count


class _Layout:
    """Lays the operations of one process out on as few lanes as a first fit finds."""

    def __init__(self, start: Ints, end: Ints) -> None:
        self._start, self._end = start, end

    def laid_out(self, nodes: list[int]) -> list[list[int]]:
        """Chains of some nodes, which are sorted by start."""
        found: list[list[int]] = []
        for node in nodes:
            for chain in found:
                if self._before(chain[-1], node):
                    chain.append(node)
                    break
            else:
                found.append([node])
        return found

    def between(self, nodes: list[int], found: list[list[int]]) -> Iterator[tuple[int, int]]:
        """Of each node and each chain without it: the latest one that comes before the node."""
        for chain in found:
            ends = self._end[chain].tolist()
            members = set(chain)
            for node in nodes:
                at = bisect_right(ends, int(self._start[node])) - 1
                while at >= 0 and not self._before(chain[at], node):
                    at -= 1
                if at >= 0 and node not in members:
                    yield chain[at], node

    def _before(self, x: int, y: int) -> bool:
        at_once = self._start[x] == self._end[y]  # given x.end <= y.start, all four are equal
        return bool(self._end[x] <= self._start[y]) and not (at_once and x > y)
