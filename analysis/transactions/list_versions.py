"""Version orders of lists: what reads show, element by element, and who wrote it.

The longest read of a key shows the order of its versions; all other reads must be beginnings of
it. Those that are not (*odd* ones) are looked into one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

import numpy as np

from analysis.checkers.compiled import Bytes, compiled
from analysis.history import FAIL, INFO, OK, Codes, Ints, Mask
from analysis.transactions import list_kernels as kernels
from analysis.transactions.columns import READ, Transactions

P = ParamSpec("P")
R = TypeVar("R")
NOBODY = -1


def quick(kernel: Callable[P, R], work: int) -> Callable[P, R]:
    """The kernel as machine code, if that pays for so many steps; else as it stands."""
    return compiled(kernel, work) or kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Places of version orders: those of key k are begin[k] … begin[k + 1] - 1, and the last of
    them is behind the end. Micro-operations are `writes` and `reads` (of ok transactions).
    """

    transactions: Transactions
    owner: Codes  # (m) the transaction of each micro-operation
    ext: Codes  # (m) of a read: how many of its elements are external; else -1
    flag: Bytes  # (m) INTERNAL | FUTURE, of reads
    previous: Codes  # (m) of an append: the one before it, same transaction and list; else -1
    rewritten: Mask  # (m) whether the same transaction appends to the same list later
    whole: Ints  # (keys) the longest read, -1 if there is none
    outside: Ints  # (keys) the read with the longest external part
    good: Mask  # (m) false for odd reads
    begin: Ints  # (keys + 1)
    write: Codes  # (places) the append that wrote the element; NOBODY
    writer: (
        Codes  # (places) its transaction; NOBODY where it failed or the element repeats: no version
    )
    place: Codes  # (m) of an append: the first place of its element, -1 if no read shows it
    odd_read: Ints  # elements of odd reads: which read …
    odd_write: Codes  # … and the append that wrote it, or NOBODY
    silent: Ints  # keys of which an ambiguous value was read
    committed: Mask  # (n)

    def value(self, places: Ints) -> Ints:
        """The values of some places (none of them behind an end)."""
        told = self.transactions
        key = np.searchsorted(self.begin, places, "right") - 1
        found: Ints = told.element[told.list_first[self.whole[key]] + places - self.begin[key]]
        return found

    def length(self, reads: Ints) -> Ints:
        """How many elements these reads show."""
        first = self.transactions.list_first
        length: Ints = first[reads + 1] - first[reads]
        return length


def version_orders(told: Transactions) -> Versions:
    """The version orders of a history of lists."""
    ok, keys, work = told.outcome == OK, len(told.keys), len(told.element) + len(told.kind)
    ext, flag, previous = quick(kernels.scan, work)(
        told.first, told.kind, told.key, told.value, told.list_first, told.element, ok, keys
    )
    whole, outside = quick(kernels.longest, work)(told.kind, told.key, told.list_first, ext, keys)
    good = quick(kernels.agree, work)(told.key, told.list_first, told.element, ext, whole)
    size = 1 << int(2 * np.count_nonzero(told.kind != READ) + 1).bit_length()
    cells, shared = quick(kernels.enter, work)(
        told.first, told.kind, told.key, told.value, told.outcome, size
    )
    find = quick(kernels.find, work)
    owner = np.repeat(np.arange(len(told), dtype=np.int32), np.diff(told.first))
    begin, key, value = _places(told, whole)
    write = find(cells, told.key, told.value, key, value)
    odd = np.flatnonzero(~good)
    at, odd_read = elements_of(told, odd)
    odd_write = find(cells, told.key, told.value, told.key[odd_read], told.element[at])
    writer = np.where(write >= 0, owner[write], np.int32(NOBODY))
    if (told.outcome == FAIL).any():
        writer[(writer >= 0) & (told.outcome[writer] == FAIL)] = NOBODY
    place = _first_places(write, len(ext))
    writer[place[write] != np.arange(len(write))] = NOBODY
    rewritten = np.zeros(len(ext), np.bool_)
    rewritten[previous[previous >= 0]] = True
    return Versions(
        transactions=told,
        owner=owner,
        ext=ext,
        flag=flag,
        previous=previous,
        rewritten=rewritten,
        whole=whole,
        outside=outside,
        good=good,
        begin=begin,
        write=write,
        writer=writer,
        place=place,
        odd_read=odd_read,
        odd_write=odd_write,
        silent=_silent(told, shared, write, odd_write),
        committed=_committed(told, owner, write, odd_write),
    )


def _places(told: Transactions, whole: Ints) -> tuple[Ints, Ints, Ints]:
    """(begin, the key of each place, its value or -1)."""
    length = np.where(whole >= 0, told.list_first[whole + 1] - told.list_first[whole], 0)
    begin = np.zeros(len(whole) + 1, np.int64)
    np.cumsum(length + 1, out=begin[1:])
    key = np.repeat(np.arange(len(whole)), length + 1)
    inner = np.ones(int(begin[-1]), np.bool_)
    inner[begin[1:] - 1] = False
    value = np.full(len(inner), -1, np.int64)
    shift = np.repeat(told.list_first[whole] - begin[:-1], length)
    value[inner] = told.element[np.flatnonzero(inner) + shift]
    return begin, key, value


def elements_of(told: Transactions, reads: Ints) -> tuple[Ints, Ints]:
    """Of all elements that some reads show: (where in `element`, the read)."""
    length = told.list_first[reads + 1] - told.list_first[reads]
    before = np.cumsum(length) - length
    where = np.arange(int(length.sum())) + np.repeat(told.list_first[reads] - before, length)
    return where, np.repeat(reads, length)


def _first_places(write: Codes, count: int) -> Codes:
    place = np.full(count, -1, np.int32)
    there = np.flatnonzero(write >= 0)[::-1]
    place[write[there]] = there
    return place


def _silent(told: Transactions, shared: Mask, *writes: Codes) -> Ints:
    """Keys of which a read shows a value that was written more than once."""
    if not shared.any():
        return np.empty(0, np.int64)
    shown = np.concatenate([write[write >= 0] for write in writes])
    return np.unique(told.key[shown[shared[shown]]])


def _committed(told: Transactions, owner: Codes, *writes: Codes) -> Mask:
    """Which transactions are ok, or were seen though nobody knows how they ended."""
    seen: Mask = told.outcome == OK
    if (told.outcome == INFO).any():
        for write in writes:
            seen[owner[write[write >= 0]]] = True
        seen &= told.outcome != FAIL
    return seen


def without(told: Transactions, silent: Ints) -> Transactions:
    """The transactions without all micro-operations of some keys."""
    kept = ~np.isin(told.key, silent)
    length = np.diff(told.list_first)
    count = np.zeros(len(told.first), np.int64)
    count[1:] = np.cumsum(kept)[told.first[1:] - 1] if len(kept) else 0
    count[1:][told.first[1:] == 0] = 0
    begin = np.zeros(int(np.count_nonzero(kept)) + 1, np.int64)
    np.cumsum(length[kept], out=begin[1:])
    return replace(
        told,
        first=count,
        kind=told.kind[kept],
        key=told.key[kept],
        value=told.value[kept],
        list_first=begin,
        element=told.element[np.repeat(kept, length)],
        keys=told.keys if len(begin) > 1 else told.keys[:0],
    )
