"""Loops that find what has to be visible; `compiled` may turn them into machine code."""

from __future__ import annotations

from analysis.checkers.compiled import Marks, Scratch
from analysis.history import Ints


def seen(
    atomic: int, first_read: Ints, read_key: Ints, source: Ints, first_write: Ints, write_key: Ints,
    last: Scratch, whose: Scratch, before: Scratch, asked: Scratch, found: Scratch,
) -> int:  # fmt: skip
    """Kernel: rows (T2, T1, read) where the reader reads a key from T1 and anything (if not
    `atomic`: anything before) from T2, which wrote that key too. How many; -1: `found` is too
    short.
    """
    size, room = 0, len(found) // 3
    for reader in range(len(first_read) - 1):
        begin, end = first_read[reader], first_read[reader + 1]
        for read in range(begin, end):
            key = read_key[read]
            before[read] = last[key] if whose[key] == reader else -1
            last[key], whose[key] = read, reader
        for read in range(begin, end):
            other = source[read]
            if other < 0 or asked[other] == reader:
                continue
            asked[other] = reader
            until = begin - 1 if atomic else read
            low, high = first_write[other], first_write[other + 1]
            if high - low <= end - begin:
                for write in range(low, high):
                    key = write_key[write]
                    at = last[key] if whose[key] == reader else -1
                    while at > until:
                        if source[at] != other:
                            if size == room:
                                return -1
                            found[3 * size], found[3 * size + 1] = other, source[at]
                            found[3 * size + 2] = at
                            size += 1
                        at = before[at]
                continue
            for at in range(until + 1, end):
                if source[at] == other:
                    continue
                bottom, top = low, high
                while bottom < top:
                    middle = (bottom + top) // 2
                    if write_key[middle] < read_key[at]:
                        bottom = middle + 1
                    else:
                        top = middle
                if bottom < high and write_key[bottom] == read_key[at]:
                    if size == room:
                        return -1
                    found[3 * size], found[3 * size + 1] = other, source[at]
                    found[3 * size + 2] = at
                    size += 1
    return size


def in_session(
    order: Ints, session: Ints, first_read: Ints, read_key: Ints, source: Ints, first_write: Ints,
    write_key: Ints, last: Scratch, whose: Scratch, found: Scratch,
) -> int:  # fmt: skip
    """Kernel: rows (T2, T1, read) where T2 is the last before the reader in its session that wrote
    the key, and the reader reads it from T1. How many. `order`: session by session.
    """
    size = 0
    for node in order:
        mine = session[node]
        for read in range(first_read[node], first_read[node + 1]):
            key = read_key[read]
            if whose[key] == mine and last[key] != source[read]:
                found[3 * size], found[3 * size + 1] = last[key], source[read]
                found[3 * size + 2] = read
                size += 1
        for write in range(first_write[node], first_write[node + 1]):
            key = write_key[write]
            last[key], whose[key] = node, mine
    return size


def caused(
    width: int, low: int, key_group: Ints, key_read: Ints, group_first: Ints, group_lane: Ints,
    writer: Ints, reads: Ints, reader: Ints, source: Ints, lane: Ints, place: Ints, rank: Ints,
    clock: Marks, following: Scratch, chosen: Scratch, found: Scratch,
) -> int:  # fmt: skip
    """Kernel: rows (T2, T1, read) where T2 comes before the reader in causal order, wrote the key
    that it reads from T1, and does not come before T1 in causal order, without those that follow
    from others. How many; -1: `found` is too short. `reads` are ordered by key, lane and place.
    """
    size, room = 0, len(found) // 3
    for key in range(len(key_group) - 1):
        start, groups = key_group[key], key_group[key + 1] - key_group[key]
        before = -1
        for at in range(key_read[key], key_read[key + 1]):
            read = reads[at]
            node, origin = reader[read], source[read]
            if lane[node] != before:
                before = lane[node]
                for group in range(groups):
                    following[group] = group_first[start + group]
            left = 0
            for group in range(groups):
                chosen[group] = -1
                column = group_lane[start + group]
                if column < low or column >= low + width:
                    continue
                until = clock[node * width + column - low]
                if column == lane[node]:
                    until -= 1
                entry, end = following[group], group_first[start + group + 1]
                while entry < end and place[writer[entry]] < until:
                    entry += 1
                following[group] = entry
                if entry == group_first[start + group]:
                    continue
                other = writer[entry - 1]
                if other == origin:
                    continue
                if origin >= 0 and clock[origin * width + column - low] > place[other]:
                    continue
                chosen[group] = other
                left += 1
            while left > 0:
                best = -1
                for group in range(groups):
                    if chosen[group] >= 0 and (best < 0 or rank[chosen[group]] > rank[best]):
                        best = chosen[group]
                if size == room:
                    return -1
                found[3 * size], found[3 * size + 1], found[3 * size + 2] = best, origin, read
                size += 1
                for group in range(groups):
                    other = chosen[group]
                    if other >= 0:
                        column = group_lane[start + group] - low
                        if other == best or clock[best * width + column] > place[other]:
                            chosen[group] = -1
                            left -= 1
    return size
