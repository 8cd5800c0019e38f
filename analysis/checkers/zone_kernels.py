"""Zones over blocks in linear time: plain loops that `compiled.py` turns into machine code.

What `versions.py` and `zones.py` say, for a whole history at once and only as far as all is well:
whatever is odd (a value nobody wrote, or two did; two zones in conflict) ends it, and the caller
goes the other way, which names what is wrong. Rows must be in the order of their ends: then
versions are met in the order of their first ends, which spares every sort.

A version is the row of its writer; `count + key` is the initial version of a key.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.compiled import Bytes, Scratch
from analysis.history import Ints, Mask

READ, WRITE, CAS, OTHER = 0, 1, 2, 3
OK, FAIL = 0, 1
DEEDS = {"read": READ, "write": WRITE, "cas": CAS}
NOWHERE = -1
NEVER = 2**62


def resolve(
    deed: Bytes,
    kind: Bytes,
    key: Ints,
    value: Ints,
    expected: Ints,
    low: int,
    size: int,
    stride: int,
    keys: int,
    initial: int,
) -> tuple[bool, Mask, Ints]:
    """(possible, versions that share their value with another, what each row saw).

    Values lie in [low, low + size). `stride`: cells of the table for one key; 0: all keys share
    them, which is possible if no value is written to two keys.
    """
    count = len(deed)
    table = np.full(max(stride * keys, size), NOWHERE, np.int64)
    twice = np.zeros(count + keys, np.bool_)
    source = np.full(count, NOWHERE, np.int64)
    for row in range(count):
        if kind[row] == FAIL or (deed[row] != WRITE and deed[row] != CAS):
            continue
        if value[row] == initial:
            twice[count + key[row]] = True
            continue
        cell = key[row] * stride + value[row] - low
        other = table[cell]
        if other < 0:
            table[cell] = row
        elif key[other] == key[row]:
            twice[other] = True
        else:
            return False, twice, source
    for row in range(count):
        if (deed[row] == READ and kind[row] == OK) or (deed[row] == CAS and kind[row] != FAIL):
            saw = value[row] if deed[row] == READ else expected[row]
            if saw == initial:
                source[row] = count + key[row]
            elif low <= saw < low + size:
                version = table[key[row] * stride + saw - low]
                if version >= 0 and key[version] == key[row]:
                    source[row] = version
    return True, twice, source


def happened(deed: Bytes, kind: Bytes, source: Ints, twice: Mask, keys: int) -> tuple[bool, Mask]:
    """(everything that was seen has one possible writer, which versions certainly were there)."""
    count = len(deed)
    live = np.zeros(count + keys, np.bool_)
    live[count:] = True
    for row in range(count):
        if kind[row] == OK and (deed[row] == WRITE or deed[row] == CAS):
            live[row] = True
    for row in range(count):
        if kind[row] == OK and (deed[row] == READ or deed[row] == CAS):
            version = source[row]
            while True:
                if version < 0 or twice[version]:
                    return False, live
                if live[version]:
                    break
                live[version] = True
                if deed[version] != CAS:
                    break
                version = source[version]
    return True, live


def measure(
    deed: Bytes,
    kind: Bytes,
    start: Ints,
    end: Ints,
    source: Ints,
    live: Mask,
    keys: int,
    dawn: int,
) -> tuple[bool, Ints, Ints, Ints, Ints]:
    """(no read of the future; by version: first end, last start, reads; versions as met).

    `dawn`: a time before all others, when initial versions were written.
    """
    count = len(deed)
    first = np.full(count + keys, NEVER, np.int64)
    last = np.full(count + keys, dawn, np.int64)
    reads = np.zeros(count + keys, np.int64)
    met = np.empty(count + keys, np.int64)
    for version in range(count, count + keys):
        first[version] = dawn
        met[version - count] = version
    found = keys
    for row in range(count):
        if live[row]:
            last[row] = start[row]
    for row in range(count):
        if kind[row] != OK or deed[row] == OTHER:
            continue
        version = row
        if deed[row] == READ:
            version = source[row]
            if version < count and end[row] < start[version]:
                return False, first, last, reads, met[:found]
            reads[version] += 1
            last[version] = max(last[version], start[row])
        if first[version] == NEVER:
            first[version] = end[row]
            met[found] = version
            found += 1
    return True, first, last, reads, met[:found]


def link(
    deed: Bytes, source: Ints, live: Mask, first: Scratch, last: Scratch
) -> tuple[bool, Ints, Ints]:
    """(chains of swaps are in order, each version's root, the version that replaced it or -1).

    Turns `first` and `last` of every root into those of its whole block.
    """
    count = len(deed)
    root = np.arange(len(live))
    child = np.full(len(live), NOWHERE, np.int64)
    swaps = 0
    for row in range(count):
        if deed[row] == CAS and live[row]:
            if child[source[row]] >= 0:
                return False, root, child
            child[source[row]] = row
            swaps += 1
    if swaps:
        for version in range(len(live)):
            if not live[version] or (version < count and deed[version] == CAS):
                continue
            at = child[version]
            while at >= 0:
                if first[at] < last[version]:
                    return False, root, child
                root[at] = version
                first[version] = min(first[version], first[at])
                last[version] = max(last[version], last[at])
                swaps -= 1
                at = child[at]
    return swaps == 0, root, child


def arrange(
    met: Ints, key: Ints, root: Ints, first: Ints, last: Ints, keys: int
) -> tuple[bool, Ints]:
    """(no two blocks must precede each other, the blocks in order).

    Blocks come in the order of their first ends. A forward one is held back until one of its key
    comes that ends after it began last; backward ones that come before that stand before it.
    """
    count = len(root) - keys
    done = np.zeros(len(root), np.bool_)
    held = np.full(keys, NOWHERE, np.int64)
    order = np.empty(len(root), np.int64)
    size = 0
    for version in met:
        block = root[version]
        if done[block]:
            continue
        done[block] = True
        of = key[block] if block < count else block - count
        before = held[of]
        if before >= 0 and first[block] >= last[before]:
            order[size] = before
            size += 1
            before = held[of] = NOWHERE
        if first[block] < last[block]:
            if before >= 0:
                return False, order[:size]
            held[of] = block
        else:
            if before >= 0 and first[before] < last[block]:
                return False, order[:size]
            order[size] = block
            size += 1
    for of in range(keys):
        if held[of] >= 0:
            order[size] = held[of]
            size += 1
    return True, order[:size]


def emit(deed: Bytes, kind: Bytes, source: Ints, order: Ints, child: Ints, reads: Ints) -> Ints:
    """The rows in the order of the blocks: of each version its writer, then its reads."""
    count = len(deed)
    rows = np.empty(count, np.int64)
    place = np.empty(len(child), np.int64)
    size = 0
    for block in order:
        version = block
        while version >= 0:
            if version < count:
                rows[size] = version
                size += 1
            place[version] = size
            size += reads[version]
            version = child[version]
    for row in range(count):
        if deed[row] == READ and kind[row] == OK:
            version = source[row]
            rows[place[version]] = row
            place[version] += 1
    return rows[:size]
