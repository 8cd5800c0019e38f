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
    """Kernel: pairs (A, B) of blocks of one key of which a write of A comes before B's spot, without
    those that follow from others. How many were `found`; `known` counts, for each block and group of
    writes in one lane, those that have been accounted for.
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
                bottom, top = entry, end
                while top - bottom > 1:
                    middle = (bottom + top) // 2
                    if entry_place[middle] < until:
                        bottom = middle
                    else:
                        top = middle
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
                best = -1
                for group in range(groups):
                    entry = chosen[group]
                    if entry >= 0 and (best < 0 or rank[entry_block[entry]] > rank[best]):
                        best = entry_block[entry]
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
                return there
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


def arrange(
    snapshot: int, most: int, first: Ints, after: Ints, rank: Ints, node_of: Ints, waiting: Scratch,
    makes_first: Ints, makes_key: Ints, makes_entry: Ints, reads_first: Ints, reads_entry: Ints,
    takes_first: Ints, takes_key: Ints, seen_first: Ints, seen_node: Ints,
    seen_wait: Ints, back_first: Ints, back: Ints, rest: Scratch, pending: Scratch, current: Scratch, locked: Scratch,
    blocked: Scratch, chain: Scratch, heap: Scratch, came: Scratch, stamp: Scratch, stack: Scratch,
    order: Scratch,
) -> int:  # fmt: skip
    """Kernel: one node after another, the least rank of those that may come: all that comes before
    it has come, nobody else still has to read a version that it replaces, keys that it takes are
    free, and nobody who reads what it makes has to wait for another who makes it. How many came.

    `rank` numbers the nodes, `node_of` is its inverse. Entries are versions; `pending` counts who
    still has to read one before it may be replaced, `seen` lists all who read it, `seen_wait` which
    of them are meant. `rest` counts who still has to make a version of a key, and gives the key
    back. `blocked` (-1) heads lists, by node, of nodes that wait for it; `chain` links them.
    `back`: what comes right before a node. `stamp`, `stack`: for looking back from a node, over no more
    than `most` others.
    """
    nodes = len(first) - 1
    size, looks, left = 0, 0, 0
    for node in range(nodes):
        if waiting[node] == 0:
            heap[size] = rank[node]
            size += 1
            child = size - 1
            while child > 0 and heap[(child - 1) // 2] > heap[child]:
                heap[(child - 1) // 2], heap[child] = heap[child], heap[(child - 1) // 2]
                child = (child - 1) // 2
    done = 0
    while size > 0:
        node = node_of[heap[0]]
        size -= 1
        heap[0] = heap[size]
        parent = 0
        while 2 * parent + 1 < size:
            child = 2 * parent + 1
            if child + 1 < size and heap[child + 1] < heap[child]:
                child += 1
            if heap[parent] <= heap[child]:
                break
            heap[parent], heap[child] = heap[child], heap[parent]
            parent = child
        wait = -1
        taken = takes_first[node + 1] - takes_first[node]
        for at in range(takes_first[node], takes_first[node + 1]):
            if locked[takes_key[at]] >= 0:
                wait = locked[takes_key[at]]
        for at in range(makes_first[node], makes_first[node + 1]):
            version = current[makes_key[at]]
            if wait >= 0 or pending[version] == 0:
                continue
            for other in range(seen_first[version], seen_first[version + 1]):
                reader = seen_node[other]
                if seen_wait[other] != 0 and came[reader] == 0 and reader != node:
                    wait = reader
                    break
        maker = node + 1 if taken > 0 else node
        if wait < 0 and (snapshot == 0 or taken > 0):
            for at in range(makes_first[maker], makes_first[maker + 1]):
                key, version = makes_key[at], makes_entry[at]
                if rest[key] == 1:
                    continue
                looks += 1
                top = 0
                for other in range(seen_first[version], seen_first[version + 1]):
                    reader = seen_node[other]
                    if came[reader] == 0 and stamp[reader] != looks:
                        stamp[reader] = looks
                        stack[top] = reader
                        top += 1
                bottom = 0
                while bottom < top and bottom < most and wait < 0:
                    here = stack[bottom]
                    bottom += 1
                    for other in range(back_first[here], back_first[here + 1]):
                        there = back[other]
                        if came[there] == 0 and stamp[there] != looks and there != node:
                            stamp[there] = looks
                            stack[top] = there
                            top += 1
                            for made in range(makes_first[there], makes_first[there + 1]):
                                if makes_key[made] == key and there != maker:
                                    wait = there
                    for made in range(makes_first[here], makes_first[here + 1]):
                        old = current[makes_key[made]]
                        if pending[old] == 0:
                            continue
                        for other in range(seen_first[old], seen_first[old + 1]):
                            there = seen_node[other]
                            if came[there] == 0 and stamp[there] != looks and there != node:
                                stamp[there] = looks
                                stack[top] = there
                                top += 1
                                for again in range(makes_first[there], makes_first[there + 1]):
                                    if makes_key[again] == key and there != maker:
                                        wait = there
                    for other in range(takes_first[here], takes_first[here + 1]):
                        there = locked[takes_key[other]]
                        if there >= 0 and came[there] == 0 and stamp[there] != looks:
                            stamp[there] = looks
                            stack[top] = there
                            top += 1
                            for made in range(makes_first[there], makes_first[there + 1]):
                                if makes_key[made] == key and there != maker:
                                    wait = there
                if wait >= 0:
                    break
        if wait >= 0:
            chain[node] = blocked[wait]
            blocked[wait] = node
            continue
        order[done] = node
        came[node] = 1
        done += 1
        for at in range(takes_first[node], takes_first[node + 1]):
            locked[takes_key[at]] = maker
        top = size
        for at in range(reads_first[node], reads_first[node + 1]):
            pending[reads_entry[at]] -= 1
        for at in range(makes_first[node], makes_first[node + 1]):
            key = makes_key[at]
            current[key] = makes_entry[at]
            locked[key] = -1
            rest[key] -= 1
        while blocked[node] >= 0:
            heap[top] = rank[blocked[node]]
            blocked[node] = chain[blocked[node]]
            top += 1
        for at in range(first[node], first[node + 1]):
            there = after[at]
            waiting[there] -= 1
            if waiting[there] == 0:
                heap[top] = rank[there]
                top += 1
        while size < top:
            child = size
            size += 1
            while child > 0 and heap[(child - 1) // 2] > heap[child]:
                heap[(child - 1) // 2], heap[child] = heap[child], heap[(child - 1) // 2]
                child = (child - 1) // 2
    return done


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
