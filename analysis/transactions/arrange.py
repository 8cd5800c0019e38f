"""The greedy order of `acceptance.py`, as a loop that `compiled` may turn into machine code."""

from __future__ import annotations

from analysis.checkers.compiled import Scratch
from analysis.history import Ints


def arrange(
    snapshot: int, most: int, first: Ints, after: Ints, rank: Ints, node_of: Ints,
    waiting: Scratch, makes_first: Ints, makes_key: Ints, makes_entry: Ints, reads_first: Ints,
    reads_entry: Ints, takes_first: Ints, takes_key: Ints, seen_first: Ints, seen_node: Ints,
    seen_wait: Ints, back_first: Ints, back: Ints, rest: Scratch, pending: Scratch,
    current: Scratch, locked: Scratch, blocked: Scratch, chain: Scratch, heap: Scratch,
    came: Scratch, stamp: Scratch, stack: Scratch, order: Scratch,
) -> int:  # fmt: skip
    """Kernel: one node after another, the least rank of those that may come: all that comes before
    it has come, nobody else still has to read a version that it replaces, keys that it takes are
    free, and nobody who reads what it makes has to wait for another who makes it. How many came.

    `rank` numbers the nodes, `node_of` is its inverse. Entries are versions; `pending` counts who
    still has to read one before it may be replaced, `seen` lists all who read it, `seen_wait` which
    of them are meant. `rest` counts who still has to make a version of a key, and gives the key
    back. `blocked` (-1) heads lists, by node, of nodes that wait for it; `chain` links them.
    `back`: what comes right before a node. `stamp`, `stack`: for looking back from a node, over no
    more than `most` others.
    """
    size, looks, done = 0, 0, 0
    for node in range(len(first) - 1):
        if waiting[node] == 0:
            size = push(heap, size, rank[node])
    while size > 0:
        node = node_of[heap[0]]
        size = pop(heap, size)
        taken = takes_first[node + 1] - takes_first[node]
        maker = node + 1 if taken > 0 else node
        wait = held(
            node, makes_first, makes_key, takes_first, takes_key, seen_first, seen_node, seen_wait,
            pending, current, locked, came,
        )  # fmt: skip
        if wait < 0 and (snapshot == 0 or taken > 0):
            for at in range(makes_first[maker], makes_first[maker + 1]):
                looks += 1
                if wait < 0 and rest[makes_key[at]] > 1:
                    wait = ahead(
                        node, maker, makes_key[at], makes_entry[at], looks, most, makes_first,
                        makes_key, takes_first, takes_key, seen_first, seen_node, back_first, back,
                        pending, current, locked, came, stamp, stack,
                    )  # fmt: skip
        if wait >= 0:
            chain[node] = blocked[wait]
            blocked[wait] = node
            continue
        order[done], came[node] = node, 1
        done += 1
        come(
            node, maker, makes_first, makes_key, makes_entry, reads_first, reads_entry, takes_first,
            takes_key, rest, pending, current, locked,
        )  # fmt: skip
        while blocked[node] >= 0:
            size = push(heap, size, rank[blocked[node]])
            blocked[node] = chain[blocked[node]]
        for at in range(first[node], first[node + 1]):
            waiting[after[at]] -= 1
            if waiting[after[at]] == 0:
                size = push(heap, size, rank[after[at]])
    return done


def push(heap: Scratch, size: int, value: int) -> int:
    """Put a value into a heap of `size`; its new size."""
    child = size
    while child > 0 and heap[(child - 1) // 2] > value:
        heap[child] = heap[(child - 1) // 2]
        child = (child - 1) // 2
    heap[child] = value
    return size + 1


def pop(heap: Scratch, size: int) -> int:
    """Take the least out of a heap of `size`; its new size."""
    size -= 1
    value = heap[size]
    parent = 0
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if value <= heap[child]:
            break
        heap[parent] = heap[child]
        parent = child
    heap[parent] = value
    return size


def held(
    node: int, makes_first: Ints, makes_key: Ints, takes_first: Ints, takes_key: Ints,
    seen_first: Ints, seen_node: Ints, seen_wait: Ints, pending: Scratch, current: Scratch,
    locked: Scratch, came: Scratch,
) -> int:  # fmt: skip
    """A node that has to come first: who has a key that this one takes, or has still to read what
    this one replaces; -1: none.
    """
    for at in range(takes_first[node], takes_first[node + 1]):
        if locked[takes_key[at]] >= 0:
            return int(locked[takes_key[at]])
    for at in range(makes_first[node], makes_first[node + 1]):
        version = current[makes_key[at]]
        if pending[version] == 0:
            continue
        for other in range(seen_first[version], seen_first[version + 1]):
            reader = seen_node[other]
            if seen_wait[other] != 0 and came[reader] == 0 and reader != node:
                return int(reader)
    return -1


def ahead(
    node: int, maker: int, key: int, version: int, looks: int, most: int, makes_first: Ints,
    makes_key: Ints, takes_first: Ints, takes_key: Ints, seen_first: Ints, seen_node: Ints,
    back_first: Ints, back: Ints, pending: Scratch, current: Scratch, locked: Scratch,
    came: Scratch, stamp: Scratch, stack: Scratch,
) -> int:  # fmt: skip
    """Another who makes a version of the key, and whom somebody has to wait for who reads this one;
    -1: none was found. What has to be waited for is what comes before, who still has to read what
    is replaced, and who has a key that is taken.
    """
    top = 0
    for at in range(seen_first[version], seen_first[version + 1]):
        top = note(seen_node[at], looks, came, stamp, stack, top)
    bottom = 0
    while bottom < top and bottom < most:
        here = stack[bottom]
        bottom += 1
        known = top
        for at in range(back_first[here], back_first[here + 1]):
            if back[at] != node:
                top = note(back[at], looks, came, stamp, stack, top)
        for made in range(makes_first[here], makes_first[here + 1]):
            old = current[makes_key[made]]
            if pending[old] > 0:
                for at in range(seen_first[old], seen_first[old + 1]):
                    if seen_node[at] != node:
                        top = note(seen_node[at], looks, came, stamp, stack, top)
        for at in range(takes_first[here], takes_first[here + 1]):
            if locked[takes_key[at]] >= 0:
                top = note(locked[takes_key[at]], looks, came, stamp, stack, top)
        for place in range(known, top):
            there = stack[place]
            for made in range(makes_first[there], makes_first[there + 1]):
                if makes_key[made] == key and there != maker:
                    return int(there)
    return -1


def note(node: int, looks: int, came: Scratch, stamp: Scratch, stack: Scratch, top: int) -> int:
    """Put a node that has not come on the stack, once; how many are there."""
    if came[node] != 0 or stamp[node] == looks:
        return top
    stamp[node] = looks
    stack[top] = node
    return top + 1


def come(
    node: int, maker: int, makes_first: Ints, makes_key: Ints, makes_entry: Ints, reads_first: Ints,
    reads_entry: Ints, takes_first: Ints, takes_key: Ints, rest: Scratch, pending: Scratch,
    current: Scratch, locked: Scratch,
) -> int:  # fmt: skip
    """What changes when a node has come."""
    for at in range(takes_first[node], takes_first[node + 1]):
        locked[takes_key[at]] = maker
    for at in range(reads_first[node], reads_first[node + 1]):
        pending[reads_entry[at]] -= 1
    for at in range(makes_first[node], makes_first[node + 1]):
        key = makes_key[at]
        current[key] = makes_entry[at]
        locked[key] = -1
        rest[key] -= 1
    return 0
