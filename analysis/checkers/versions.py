"""A register history as versions: who wrote each value, and who saw it.

A value that was seen and that one operation alone can have written names a version. Keys where
another value was seen are left to the general search. All times are readings of `Clock`, so that
everything after this file knows only one register.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from analysis.checkers.clock import Clock
from analysis.history import FAIL, INFO, MISMATCH, OK, History, Ints, Mask
from analysis.values import Values

NOWHERE = -1  # version of a value that nobody wrote to that key


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions 0 … w-1 are writes and swaps (`row`), then one initial version per key.

    `parent` of a successful cas is the version it replaced, else NOWHERE. `live` is false for an
    indeterminate write whose value nobody saw: it is dropped. Reads are ok reads only; a refusal is
    a failed cas that found another value than `refused_version`.
    All times are readings of the common clock (keys end to end).
    """

    row: Ints  # history row of the writer; -1 for initial versions
    start: Ints
    end: Ints  # infinite (end of the key's stretch) for an indeterminate write
    parent: Ints
    live: Mask
    swaps: Ints  # versions written by a live cas
    read_row: Ints
    read_version: Ints
    read_start: Ints
    read_end: Ints
    refused_row: Ints
    refused_version: Ints
    refused_start: Ints
    refused_end: Ints
    unexplained: Ints  # rows of ok reads and live cas that saw a value nobody can have written
    aborted: Mask  # of those: the value belongs to a definitely failed write
    searched: Ints  # keys (as in `Columns`) of which nothing is here, except in `unexplained`

    def any(self) -> bool:
        """Whether an operation is here."""
        return bool(len(self.read_row) or len(self.refused_row) or len(self.unexplained)
                    or self.row.max(initial=NOWHERE) >= 0)  # fmt: skip


class _Lookup:
    """Finds the version of a (key, value), the first one where there are several: then `twice`."""

    def __init__(self, key: Ints, value: Ints) -> None:
        self._key = key
        low, high = (int(value.min()), int(value.max())) if len(value) else (0, 0)
        self._low, self._size = low, high - low + 1
        self._table: Ints | None = None
        self.twice = np.zeros(len(value), np.bool_)
        if self._size <= 8 * len(value) + 1024:
            table = np.full(self._size + 1, NOWHERE, np.int64)  # the last cell: out of range
            table[value - low] = np.arange(len(value))
            if bool((table[value - low] == np.arange(len(value))).all()):
                self._table = table
        if self._table is None:
            self._names = np.unique(value)
            packed = self._pack(key, np.searchsorted(self._names, value))
            self._order = np.argsort(packed, kind="stable")
            self._packed = packed[self._order]
            again = np.append(self._packed[1:] == self._packed[:-1], False)
            self.twice[self._order[again]] = True  # all but the last of those that share a value

    def _pack(self, key: Ints, place: Ints) -> Ints:
        return key * (len(self._names) + 1) + place

    def __call__(self, key: Ints, value: Ints) -> Ints:
        """Versions, NOWHERE where that value was not written to that key."""
        if not len(self._key):
            return np.full(len(value), NOWHERE, np.int64)
        if self._table is not None:
            inside = (value >= self._low) & (value <= self._low + (self._size - 1))
            found = self._table[np.where(inside, value - self._low, self._size)]
            right = (found >= 0) & (self._key[found] == key)
            return np.where(right, found, NOWHERE)
        place = np.minimum(np.searchsorted(self._names, value), len(self._names) - 1)
        packed = self._pack(key, place)
        at = np.minimum(np.searchsorted(self._packed, packed), len(self._packed) - 1)
        hit = (self._names[place] == value) & (self._packed[at] == packed)
        return np.where(hit, self._order[at], NOWHERE)


class Columns:
    """The columns of a register history that count, keys and values as codes."""

    def __init__(self, history: History, values: Values) -> None:
        self.history = history
        self.clock = Clock(history)
        self.key, self.keys = self.clock.key, self.clock.keys
        self.value, self.expected, self.initial = values.solid()
        self.is_cas = history.f.equals("cas")
        self.is_writer = history.f.equals("write") | self.is_cas
        self.is_read = history.f.equals("read") & (history.type == OK)

    def saw(self, rows: Ints) -> Ints:
        """What each operation found in the register."""
        return np.where(self.is_cas[rows], self.expected[rows], self.value[rows])


def prepare(rows: Columns, *, refusals: bool = False) -> Versions:
    """The versions of every key where a value names one. With `refusals` a cas that failed with
    `cas-mismatch` is an observation.
    """
    history = rows.history
    refused = np.flatnonzero(rows.is_cas & history.errors(MISMATCH) & (history.type == FAIL))
    chosen = np.ones(len(history), np.bool_)
    versions, ambiguous = _prepare(rows, chosen, refused if refusals else refused[:0])
    if not len(ambiguous):
        return versions
    odd = versions.unexplained
    apart = np.zeros(rows.keys, np.bool_)
    apart[ambiguous] = True
    definite = (history.type[odd] == OK) & apart[rows.key[odd]]
    chosen = ~apart[rows.key]
    rest = _nothing(rows)
    if chosen.any():
        rest, _ = _prepare(rows, chosen, refused[chosen[refused]] if refusals else refused[:0])
    return replace(
        rest,
        unexplained=np.append(rest.unexplained, odd[definite]),
        aborted=np.append(rest.aborted, versions.aborted[definite]),
        searched=ambiguous,
    )


def _prepare(rows: Columns, chosen: Mask, refused: Ints) -> tuple[Versions, Ints]:
    """The versions of some rows, and the keys where a value that was seen may have two writers."""
    history, key, keys = rows.history, rows.key, rows.keys
    writer = np.flatnonzero(rows.is_writer & (history.type != FAIL) & chosen)
    initial = len(writer)
    find = _Lookup(key[writer], rows.value[writer])
    twice = np.append(find.twice, np.zeros(keys, np.bool_))
    twice[initial + key[writer[rows.value[writer] == rows.initial]]] = True

    def version_of(some: Ints, value: Ints) -> Ints:
        of_writer = find(key[some], value)
        return np.where(value == rows.initial, initial + key[some], of_writer)

    read_row = np.flatnonzero(rows.is_read & chosen)
    read_version = version_of(read_row, rows.value[read_row])
    swaps = np.flatnonzero(rows.is_cas[writer])
    parent = np.full(initial + keys, NOWHERE, np.int64)
    parent[swaps] = version_of(writer[swaps], rows.expected[writer[swaps]])
    live = np.ones(initial + keys, np.bool_)
    pending = history.type[writer] == INFO
    live[:initial] = ~pending
    live[read_version[read_version >= 0]] = True
    _spread_live(live, parent, swaps)
    swaps = swaps[live[swaps]]
    refused_version = version_of(refused, rows.expected[refused])
    seen = np.concatenate([read_version, parent[swaps], refused_version])
    by = np.concatenate([read_row, writer[swaps], refused])
    ambiguous = np.unique(key[by[twice[seen] & (seen >= 0)]])
    clock = rows.clock
    odd_swaps = swaps[parent[swaps] == NOWHERE]
    odd_reads = read_version == NOWHERE
    unexplained = np.concatenate([read_row[odd_reads], writer[odd_swaps]])
    if odd_reads.any():
        read_row, read_version = read_row[~odd_reads], read_version[~odd_reads]
    versions = Versions(
        row=np.concatenate([writer, np.full(keys, NOWHERE, np.int64)]),
        start=np.concatenate([clock.start(writer), clock.first]),
        end=np.concatenate([clock.end(writer), clock.first]),
        parent=parent,
        live=live,
        swaps=swaps,
        read_row=read_row,
        read_version=read_version,
        read_start=clock.start(read_row),
        read_end=clock.end(read_row),
        refused_row=refused,
        refused_version=refused_version,
        refused_start=clock.start(refused),
        refused_end=clock.end(refused),
        unexplained=unexplained,
        aborted=_aborted(rows, unexplained),
        searched=np.empty(0, np.int64),
    )
    return versions, ambiguous


def _nothing(rows: Columns) -> Versions:
    """Initial versions, and no operations."""
    none, clock = np.empty(0, np.int64), rows.clock
    empty = {field.name: none for field in fields(Versions)}
    return Versions(**empty | {
        "row": np.full(rows.keys, NOWHERE), "start": clock.first, "end": clock.first,
        "parent": np.full(rows.keys, NOWHERE), "live": np.ones(rows.keys, np.bool_),
        "aborted": np.empty(0, np.bool_),
    })  # fmt: skip


def _spread_live(live: Mask, parent: Ints, swaps: Ints) -> None:
    """A cas whose new value was seen has happened, so the value it expected was there too."""
    front = swaps[live[swaps]]
    while len(front):
        seen = parent[front]
        seen = np.unique(seen[seen >= 0])
        seen = seen[~live[seen]]
        live[seen] = True
        front = seen[parent[seen] >= 0]


def _aborted(rows: Columns, odd: Ints) -> Mask:
    """Which of these observations saw the value of a write that definitely failed."""
    failed = np.flatnonzero(rows.is_writer & (rows.history.type == FAIL))
    if not len(odd) or not len(failed):
        return np.zeros(len(odd), np.bool_)
    names, code = np.unique(rows.value[failed], return_inverse=True)
    known = np.unique(code * rows.keys + rows.key[failed])
    saw = rows.saw(odd)
    place = np.minimum(np.searchsorted(names, saw), len(names) - 1)
    mask: Mask = (names[place] == saw) & np.isin(place * rows.keys + rows.key[odd], known)
    return mask
