"""Loops over transactions of lists that `compiled` may turn into machine code.

Reads are those of ok transactions; `ext` is how many elements of a read are external, `previous`
the append before it of the same transaction to the same list.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.compiled import Bytes
from analysis.history import Codes, Ints, Mask

READ = 0
FAIL = 1
INTERNAL, FUTURE = 1, 2  # flags of a read


def scan(
    first: Ints, kind: Bytes, key: Ints, value: Ints, list_first: Ints, element: Ints,
    ok: Mask, keys: int,
) -> tuple[Codes, Bytes, Codes]:  # fmt: skip
    """(ext: -1 where there is no read, flags, previous: -1 where there is none)."""
    count = len(kind)
    ext, flag = np.full(count, -1, np.int32), np.zeros(count, np.int8)
    previous = np.full(count, -1, np.int32)
    stamp = np.full(keys, -1, np.int32)  # the transaction that last touched a key, and its …
    last = np.full(keys, -1, np.int32)  # … last append
    shown = np.full(keys, -1, np.int32)  # … last read
    for t in range(len(first) - 1):
        for j in range(first[t], first[t + 1]):
            if kind[j] != READ:
                k = key[j]
                if stamp[k] == t:
                    previous[j] = last[k]
                stamp[k], last[k], shown[k] = t, j, -1
        if not ok[t]:
            continue
        for j in range(first[t], first[t + 1]):
            if kind[j] != READ:
                continue
            k, low = key[j], list_first[j]
            size = list_first[j + 1] - low
            ext[j] = size
            if stamp[k] != t:
                stamp[k], last[k], shown[k] = t, -1, j
                continue
            own = last[k]
            while own >= 0:
                for i in range(size):
                    if element[low + i] == value[own]:
                        ext[j] = min(ext[j], i)
                        if own > j:
                            flag[j] |= FUTURE
                own = previous[own]
            own = last[k]
            while own > j:
                own = previous[own]
            place, before = size, shown[k]
            rest = -1
            while own >= 0:  # the list must end with these
                if own < before and rest < 0:
                    rest = place
                place -= 1
                if place < 0 or element[low + place] != value[own]:
                    flag[j] |= INTERNAL
                    break
                own = previous[own]
            if before >= 0:
                rest, start = rest if rest >= 0 else max(place, 0), list_first[before]
                other = rest != list_first[before + 1] - start
                for i in range(0 if other else rest):
                    other = other or element[low + i] != element[start + i]
                if other:
                    flag[j] |= INTERNAL
            shown[k] = j
    return ext, flag, previous


def longest(kind: Bytes, key: Ints, list_first: Ints, ext: Codes, keys: int) -> tuple[Ints, Ints]:
    """Of each key (the first of its longest reads, the first that is longest outside), or -1."""
    whole, outside = np.full(keys, -1, np.int64), np.full(keys, -1, np.int64)
    size, most = np.full(keys, -1, np.int64), np.full(keys, -1, np.int64)
    for j in range(len(kind)):
        if ext[j] < 0:
            continue
        k, length = key[j], list_first[j + 1] - list_first[j]
        if length > size[k]:
            size[k], whole[k] = length, j
        if ext[j] > most[k]:
            most[k], outside[k] = ext[j], j
    return whole, outside


def agree(key: Ints, list_first: Ints, element: Ints, ext: Codes, whole: Ints) -> Mask:
    """Of each read: whether it is a beginning of the longest of its key; elsewhere true."""
    good = np.ones(len(key), np.bool_)
    for j in range(len(key)):
        if ext[j] > 0 or (ext[j] == 0 and list_first[j + 1] > list_first[j]):
            other = whole[key[j]]
            low, shift = list_first[j], list_first[other] - list_first[j]
            difference = 0
            for i in range(low, list_first[j + 1]):
                difference |= element[i] ^ element[i + shift]
            good[j] = difference == 0
    return good


def enter(
    first: Ints, kind: Bytes, key: Ints, value: Ints, outcome: Bytes, size: int
) -> tuple[Codes, Mask]:
    """(a table of `size` cells, a power of two, that finds writes by key and value; which writes
    share theirs with another one). A write of a transaction that failed is there only if no other
    transaction wrote that.
    """
    cells = np.full(size, -1, np.int32)
    shared = np.zeros(len(kind), np.bool_)
    mask = size - 1
    for failed in range(2):
        for t in range(len(first) - 1):
            if (outcome[t] == FAIL) != (failed == 1):
                continue
            for j in range(first[t], first[t + 1]):
                if kind[j] == READ:
                    continue
                k, v = key[j], value[j]
                mixed = (k * 2654435761 & 0x7FFFFFFF) ^ (((v >> 3) & 0xFFFFFFFF) * 1640531527 >> 9)
                cell = ((mixed ^ (v >> 35)) * 8 + (v & 7)) & mask
                while True:
                    other = cells[cell]
                    if other < 0:
                        cells[cell] = j
                        break
                    if key[other] == k and value[other] == v:
                        if failed == 0:
                            shared[other] = shared[j] = True
                        break
                    cell = (cell + 1) & mask
    return cells, shared


def find(cells: Codes, key: Ints, value: Ints, wanted_key: Ints, wanted: Ints) -> Codes:
    """The write of each wanted key and value by the table of `enter`, or -1."""
    found = np.full(len(wanted), -1, np.int32)
    mask = len(cells) - 1
    for n in range(len(wanted)):
        k, v = wanted_key[n], wanted[n]
        if v < 0:
            continue
        mixed = (k * 2654435761 & 0x7FFFFFFF) ^ (((v >> 3) & 0xFFFFFFFF) * 1640531527 >> 9)
        cell = ((mixed ^ (v >> 35)) * 8 + (v & 7)) & mask
        while True:
            other = cells[cell]
            if other < 0:
                break
            if key[other] == k and value[other] == v:
                found[n] = other
                break
            cell = (cell + 1) & mask
    return found


def succession(begin: Ints, writer: Codes) -> tuple[Codes, Codes]:
    """Of each place of a version order (each key's has one more place, behind its end): the first
    version there or later that another transaction than that of the place before wrote; and the
    last version before the place; -1: none. `writer` of a place is -1 where there is no version.
    """
    after = np.full(len(writer), -1, np.int32)
    before = np.full(len(writer), -1, np.int32)
    for k in range(len(begin) - 1):
        good = change = -1  # the first version from here on, and the first of another transaction
        for i in range(begin[k + 1] - 1, begin[k] - 1, -1):
            if writer[i] >= 0:
                if good >= 0 and writer[good] != writer[i]:
                    change = good
                good = i
            after[i] = good
            if i > begin[k] and good >= 0 and writer[i - 1] == writer[good]:
                after[i] = change
        good = -1
        for i in range(begin[k], begin[k + 1]):
            before[i] = good
            if writer[i] >= 0:
                good = i
    return after, before


def write_edges(begin: Ints, writer: Codes, before: Codes, write: Codes) -> tuple[Codes, ...]:
    """ww between successive versions: (source, target, write of the source, of the target)."""
    size = len(writer)
    source, target = np.empty(size, np.int32), np.empty(size, np.int32)
    one, other = np.empty(size, np.int32), np.empty(size, np.int32)
    count = 0
    for i in range(size):
        if writer[i] >= 0 and before[i] >= 0 and writer[before[i]] != writer[i]:
            source[count], target[count] = writer[before[i]], writer[i]
            one[count], other[count] = write[before[i]], write[i]
            count += 1
    return source[:count], target[:count], one[:count], other[:count]


def read_edges(
    first: Ints, key: Ints, ext: Codes, good: Mask, begin: Ints, writer: Codes, write: Codes,
    after: Codes, final: Mask, reads: int,
) -> tuple[tuple[Codes, ...], tuple[Codes, ...], Codes]:  # fmt: skip
    """wr and rw as (source, target, the source's micro-operation, the target's), and the reads
    that no version is later than. `final`: places whose writer did not write over them itself.
    """
    source, target = np.empty(reads, np.int32), np.empty(reads, np.int32)
    one, other = np.empty(reads, np.int32), np.empty(reads, np.int32)
    source_rw, target_rw = np.empty(reads, np.int32), np.empty(reads, np.int32)
    one_rw, other_rw = np.empty(reads, np.int32), np.empty(reads, np.int32)
    newest = np.empty(reads, np.int32)
    count = count_rw = tail = 0
    for t in range(len(first) - 1):
        for j in range(first[t], first[t + 1]):
            if ext[j] < 0 or not good[j]:
                continue
            place = begin[key[j]] + ext[j]
            if ext[j] > 0 and writer[place - 1] >= 0 and final[place - 1]:
                source[count], target[count] = writer[place - 1], t
                one[count], other[count] = write[place - 1], j
                count += 1
            if after[place] < 0:
                newest[tail] = j
                tail += 1
            elif writer[after[place]] != t:
                source_rw[count_rw], target_rw[count_rw] = t, writer[after[place]]
                one_rw[count_rw], other_rw[count_rw] = j, write[after[place]]
                count_rw += 1
    return (
        (source[:count], target[:count], one[:count], other[:count]),
        (source_rw[:count_rw], target_rw[:count_rw], one_rw[:count_rw], other_rw[:count_rw]),
        newest[:tail],
    )
