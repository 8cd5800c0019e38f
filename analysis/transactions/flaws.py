"""What one read, or two, show that cannot be: of lists.

Every array of a `Flaw` has a cell for each read that has it, in the order of the reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.history import FAIL, Ints, Mask
from analysis.transactions.columns import READ, Transactions
from analysis.transactions.list_kernels import FUTURE, INTERNAL
from analysis.transactions.list_versions import NOBODY, Versions, elements_of

ALWAYS = ("thin-air-read", "future-read", "duplicate-elements", "incompatible-order")
NAMES = (*ALWAYS, "G1a", "G1b", "internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One kind of impossible read. `read` and `other` are micro-operations, `value` a code."""

    name: str
    read: Ints
    value: Ints  # the value that cannot be; -1: none in particular
    other: Ints  # the write, or the read, that it is at odds with; -1: none

    def __len__(self) -> int:
        return len(self.read)


def flaws_of_lists(versions: Versions) -> tuple[Flaw, ...]:
    """All kinds of them that there are, the worst first."""
    told = versions.transactions
    write, place = versions.write, np.arange(len(versions.write))
    inner = np.ones(len(write), np.bool_)
    inner[versions.begin[1:] - 1] = False
    nobody = inner & (write == NOBODY)
    failed = inner & ~nobody & (versions.writer == NOBODY)
    failed[failed] = told.outcome[versions.owner[write[failed]]] == FAIL
    twice = inner & (write >= 0) & (versions.place[write] != place)
    if nobody.any():
        twice |= _repeated(versions, np.flatnonzero(nobody))
    before = np.where(inner & ~nobody & ~failed, versions.previous[write], -1)
    late = before >= 0
    late[late] = (versions.place[before[late]] < 0) | (
        versions.place[before[late]] > np.flatnonzero(late)
    )
    odd = _Odd(versions)
    found = [
        _shown(versions, "thin-air-read", nobody, odd.nobody),
        _flagged(versions, FUTURE, "future-read"),
        _shown(versions, "duplicate-elements", twice, odd.twice),
        _incompatible(versions, _shown(versions, "incompatible-order", late, odd.late)),
        _shown(versions, "G1a", failed, odd.failed),
        _intermediate(versions),
        _flagged(versions, INTERNAL, "internal"),
    ]
    return tuple(flaw for flaw in found if len(flaw)) if len(told) else ()


def _repeated(versions: Versions, places: Ints) -> Mask:
    """Which of these places (of elements nobody wrote) repeat an element of the same list."""
    mask = np.zeros(len(versions.write), np.bool_)
    key, value = np.searchsorted(versions.begin, places, "right"), versions.value(places)
    order = np.lexsort((places, value, key))
    again = (np.diff(key[order]) == 0) & (np.diff(value[order]) == 0)
    mask[places[order][1:][again]] = True
    return mask


class _Odd:
    """What is wrong with elements of odd reads, one by one."""

    def __init__(self, versions: Versions) -> None:
        told, write, read = versions.transactions, versions.odd_write, versions.odd_read
        where, _ = elements_of(told, np.flatnonzero(~versions.good))
        value, place = told.element[where], np.arange(len(where))
        self.nobody = write == NOBODY
        self.failed = ~self.nobody & (told.outcome[versions.owner[write]] == FAIL)
        order = np.lexsort((place, value, read))
        again = (np.diff(read[order]) == 0) & (np.diff(value[order]) == 0)
        self.twice = np.zeros(len(where), np.bool_)
        self.twice[order[1:][again]] = True
        before = np.where(self.nobody | self.failed, -1, versions.previous[write])
        self.late = before >= 0
        if self.late.any():
            stride = len(told.kind) + 1
            cell = read * stride + write
            sort = np.argsort(cell, kind="stable")
            wanted = read * stride + before
            at = np.minimum(np.searchsorted(cell[sort], wanted), len(sort) - 1)
            there = (cell[sort][at] == wanted) & (sort[at] < place)
            self.late &= ~there


def _shown(versions: Versions, name: str, wrong: Mask, odd: Mask) -> Flaw:
    """Reads that show one of the `wrong` places, or elements of odd reads."""
    told = versions.transactions
    read = value = other = np.empty(0, np.int64)
    if wrong.any():
        places = np.flatnonzero(wrong)
        key = np.searchsorted(versions.begin, places, "right") - 1
        key, first = np.unique(key, return_index=True)
        earliest = np.full(len(told.keys), np.iinfo(np.int64).max)
        earliest[key] = places[first]
        reads = np.flatnonzero((versions.ext >= 0) & versions.good)
        depth = versions.begin[told.key[reads]] + versions.length(reads)
        read = reads[depth > earliest[told.key[reads]]]
        shown = earliest[told.key[read]]
        value, other = versions.value(shown), versions.write[shown].astype(np.int64)
    if odd.any():
        places = np.flatnonzero(odd)
        reads, first = np.unique(versions.odd_read[places], return_index=True)
        where, _ = elements_of(told, np.flatnonzero(~versions.good))
        read = np.concatenate([read, reads])
        value = np.concatenate([value, told.element[where[places[first]]]])
        other = np.concatenate([other, versions.odd_write[places[first]]])
    order = np.argsort(read, kind="stable")
    return Flaw(name=name, read=read[order], value=value[order], other=other[order])


def _incompatible(versions: Versions, late: Flaw) -> Flaw:
    """Odd reads, against the longest of their key, and reads that show a part of a transaction."""
    odd = np.flatnonzero(~versions.good)
    other = versions.whole[versions.transactions.key[odd]]
    late_too = ~np.isin(late.read, odd)
    read = np.concatenate([odd, late.read[late_too]])
    order = np.argsort(read, kind="stable")
    value = np.concatenate([np.full(len(odd), -1), late.value[late_too]])
    others = np.concatenate([other, late.other[late_too]])
    return Flaw(name=late.name, read=read[order], value=value[order], other=others[order])


def _flagged(versions: Versions, flag: int, name: str) -> Flaw:
    read = np.flatnonzero(versions.flag & flag) if versions.flag.any() else np.empty(0, np.int64)
    value, other = np.full(len(read), -1), np.full(len(read), -1)
    if flag == FUTURE:
        for n, at in enumerate(read.tolist()):
            other[n] = _later(versions.transactions, at, int(versions.owner[at]))
        value = versions.transactions.value[other]
    return Flaw(name=name, read=read, value=value, other=other)


def _later(told: Transactions, read: int, owner: int) -> int:
    """The first append behind a read whose element the read shows."""
    shown = set(told.element[told.list_first[read] : told.list_first[read + 1]].tolist())
    last = int(told.first[owner + 1])
    return next(
        at
        for at in range(read + 1, last)
        if told.kind[at] != READ and told.key[at] == told.key[read] and int(told.value[at]) in shown
    )


def _intermediate(versions: Versions) -> Flaw:
    """Reads whose external part ends within what one transaction appended."""
    told, write = versions.transactions, versions.write
    part = (versions.writer >= 0) & versions.rewritten[write]
    read = other = np.empty(0, np.int64)
    if part.any():
        reads = np.flatnonzero((versions.ext > 0) & versions.good)
        last = versions.begin[told.key[reads]] + versions.ext[reads] - 1
        read = reads[part[last]]
        other = write[last[part[last]]].astype(np.int64)
    odd = np.flatnonzero(~versions.good & (versions.ext > 0))
    if len(odd):
        every = np.flatnonzero(~versions.good)
        start = np.cumsum(versions.length(every)) - versions.length(every)
        at = start[np.searchsorted(every, odd)] + versions.ext[odd] - 1
        by = versions.odd_write[at].astype(np.int64)
        bad = (by >= 0) & versions.rewritten[by]
        bad[bad] = told.outcome[versions.owner[by[bad]]] != FAIL
        read, other = np.concatenate([read, odd[bad]]), np.concatenate([other, by[bad]])
    order = np.argsort(read, kind="stable")
    return Flaw(name="G1b", read=read[order], value=told.value[other[order]], other=other[order])
