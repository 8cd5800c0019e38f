"""Loops over graphs of transactions that `compiled` may turn into machine code."""

from __future__ import annotations

from analysis.checkers.compiled import Marks, Scratch
from analysis.history import Ints, Mask


def index_edges(source: Ints, target: Ints, first: Scratch, after: Scratch, edge: Scratch) -> int:
    """Kernel: edges by source: those of node v are first[v] … first[v + 1] in `after` (targets) and
    `edge` (their numbers). `first` has zeros.
    """
    nodes = len(first) - 1
    for place in range(len(source)):
        first[source[place] + 1] += 1
    for node in range(nodes):
        first[node + 1] += first[node]
    for place in range(len(source)):
        node = source[place]
        at = first[node]
        first[node] = at + 1
        after[at], edge[at] = target[place], place
    for node in range(nodes, 0, -1):
        first[node] = first[node - 1]
    first[0] = 0
    return 0


def sort_nodes(first: Ints, after: Ints, waiting: Scratch, order: Scratch) -> int:
    """Kernel: a topological order after Kahn; how many nodes it came to. `waiting`: zeros."""
    nodes = len(first) - 1
    for place in range(len(after)):
        waiting[after[place]] += 1
    ready = 0
    for node in range(nodes):
        if waiting[node] == 0:
            order[ready] = node
            ready += 1
    done = 0
    while done < ready:
        node = order[done]
        done += 1
        for place in range(first[node], first[node + 1]):
            there = after[place]
            waiting[there] -= 1
            if waiting[there] == 0:
                order[ready] = there
                ready += 1
    return done


def spread(
    order: Ints, first: Ints, after: Ints, width: int, low: int, lane: Ints, place: Ints,
    clock: Marks,
) -> int:  # fmt: skip
    """Kernel: how many nodes of each lane from `low` on come before each node, or are it."""
    for node in order:
        here = node * width
        mine = lane[node] - low
        if mine >= 0 and mine < width and clock[here + mine] <= place[node]:
            clock[here + mine] = place[node] + 1
        for at in range(first[node], first[node + 1]):
            there = after[at] * width
            for column in range(width):
                if clock[there + column] < clock[here + column]:
                    clock[there + column] = clock[here + column]
    return 0


def force(
    width: int, low: int, key_block: Ints, key_group: Ints, key_known: Ints, group_first: Ints,
    group_lane: Ints, entry_place: Ints, entry_block: Ints, entry_other: Ints, initial: Mask,
    spot: Ints, rank: Ints, clock: Marks, known: Marks, chosen: Scratch, found: Scratch,
) -> int:  # fmt: skip
    """Kernel: pairs (A, B) of blocks of one key of which a write of A comes before B's spot,
    without those that follow from others. How many were `found`; `known` counts, for each block and
    group of writes in one lane, those that have been accounted for.
    """
    size = 0
    for key in range(len(key_block) - 1):
        groups, start = key_group[key + 1] - key_group[key], key_group[key]
        if key_block[key + 1] - key_block[key] < 2:
            continue
        for block in range(key_block[key], key_block[key + 1]):
            if spot[block] < 0:
                continue
            base = key_known[key] + (block - key_block[key]) * groups
            here = spot[block] * width - low
            left = 0
            for group in range(groups):
                chosen[group] = -1
                column = group_lane[start + group]
                if column < low or column >= low + width:
                    continue
                until = clock[here + column]
                begin = group_first[start + group]
                entry = begin + known[base + group]
                end = group_first[start + group + 1]
                if entry >= end or entry_place[entry] >= until:
                    continue
                bottom = last_below(entry_place, entry, end, until)
                if entry_block[bottom] == block:
                    bottom = entry_other[bottom]
                if bottom < entry:
                    continue
                if initial[entry_block[bottom]]:
                    known[base + group] = bottom - begin + 1
                    continue
                chosen[group] = bottom
                left += 1
            while left > 0:
                best = latest(chosen, groups, entry_block, rank)
                if 2 * size + 1 >= len(found):
                    return size
                found[2 * size], found[2 * size + 1] = best, block
                size += 1
                there = key_known[key] + (best - key_block[key]) * groups
                for group in range(groups):
                    entry = chosen[group]
                    if entry < 0:
                        continue
                    count = entry - group_first[start + group] + 1
                    if entry_block[entry] == best or count <= known[there + group]:
                        known[base + group] = count
                        chosen[group] = -1
                        left -= 1
    return size


def latest(chosen: Scratch, groups: int, entry_block: Ints, rank: Ints) -> int:
    """Of the blocks of the entries that were chosen (-1: none) the one of the greatest rank."""
    best = -1
    for group in range(groups):
        entry = chosen[group]
        if entry >= 0 and (best < 0 or rank[entry_block[entry]] > rank[best]):
            best = entry_block[entry]
    return best


def last_below(places: Ints, bottom: int, top: int, until: int) -> int:
    """The last of ascending places[bottom:top] that is less than `until`; the first one is."""
    while top - bottom > 1:
        middle = (bottom + top) // 2
        if places[middle] < until:
            bottom = middle
        else:
            top = middle
    return bottom


def walk(
    starts: Ints, goal: Marks, first: Ints, after: Ints, edge: Ints, stage: Ints, limit: int,
    within: Marks, parent: Scratch, queue: Scratch,
) -> int:  # fmt: skip
    """Kernel: breadth first along edges of a stage below `limit`, over nodes `within`; the first
    goal met, or -1. `parent` (filled with -2): the edge by which a node was reached, -1 at a start.
    A start that is a goal is no goal until it is reached again.
    """
    size = 0
    for node in starts:
        if parent[node] == -2:
            parent[node] = -1
            queue[size] = node
            size += 1
    done = 0
    while done < size:
        node = queue[done]
        done += 1
        for at in range(first[node], first[node + 1]):
            there = after[at]
            if stage[edge[at]] >= limit or within[there] == 0:
                continue
            if goal[there] != 0:
                if parent[there] == -2 or parent[there] == -1:
                    parent[there] = edge[at]
                return int(there)
            if parent[there] == -2:
                parent[there] = edge[at]
                queue[size] = there
                size += 1
    return -1


def deadlines(order: Ints, first: Ints, after: Ints, wish: Scratch) -> int:
    """Kernel: nothing wishes to be later than what it comes before."""
    for number in range(len(order) - 1, -1, -1):
        node = order[number]
        for at in range(first[node], first[node + 1]):
            if wish[after[at]] < wish[node]:
                wish[node] = wish[after[at]]
    return 0


def link(reader: Ints, source: Ints, lane: Scratch, place: Scratch, tail: Scratch) -> int:
    """Kernel: chains in which each transaction has read from the one before it. Reads come in
    a topological order of readers; `lane` is filled with -1. How many chains.
    """
    lanes = 0
    for at in range(len(reader)):
        node, origin = reader[at], source[at]
        if origin < 0 or lane[node] >= 0:
            continue
        if lane[origin] < 0:
            lane[origin], place[origin] = lanes, 0
            tail[lanes] = origin
            lanes += 1
        if tail[lane[origin]] == origin:
            lane[node], place[node] = lane[origin], place[origin] + 1
            tail[lane[origin]] = node
    for node in range(len(lane)):
        if lane[node] < 0:
            lane[node], place[node] = lanes, 0
            tail[lanes] = node
            lanes += 1
    return lanes
