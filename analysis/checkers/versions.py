"""A register history as versions: who wrote each value, and who saw it.

Every written value is unique per key, so a value names a version. Keys are laid end to end in time:
each gets its own stretch of a common clock, which changes no order within a key and makes every
operation of one key precede every operation of the next. By locality (Herlihy & Wing 1990) the
whole is linearizable exactly if each key is, so everything after this file knows only one register.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.history import FAIL, INFO, OK, Codes, History, Ints, Mask, Words

NOWHERE = -1  # version of a value that nobody wrote to that key
CLOCK_MAX = 2**61  # two clock readings may be added without overflow


class NotUnique(Exception):
    """Two writes of one value to one key: a value no longer names a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions 0 … w-1 are writes and swaps (`row`), then one initial version per key.

    `parent` of a successful cas is the version it replaced, else NOWHERE. `live` is false for an
    indeterminate write whose value nobody saw: it is dropped. Reads are ok reads only.
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
    unexplained: Ints  # rows of ok reads and live cas that saw a value nobody can have written
    aborted: Mask  # of those: the value belongs to a definitely failed write


class _Lookup:
    """Finds the version of a (key, value)."""

    def __init__(self, key: Codes, value: Ints, version: Ints) -> None:
        self._version = version
        self._key = key
        low, high = (int(value.min()), int(value.max())) if len(value) else (0, 0)
        self._low, self._size = low, high - low + 1
        self._table: Ints | None = None
        if self._size <= 8 * len(value) + 1024:
            table = np.full(self._size + 1, NOWHERE, np.int64)  # the last cell: out of range
            table[value - low] = np.arange(len(value))
            if bool((table[value - low] == np.arange(len(value))).all()):
                self._table = table
        if self._table is None:
            self._names = np.unique(value)
            packed = self._pack(key, value)
            self._order = np.argsort(packed, kind="stable")
            self._packed = packed[self._order]
            if bool((self._packed[1:] == self._packed[:-1]).any()):
                where = int(np.argmax(self._packed[1:] == self._packed[:-1]))
                raise NotUnique(int(value[self._order[where]]))

    def _pack(self, key: Codes, value: Ints) -> Ints:
        place = np.searchsorted(self._names, value)
        return key.astype(np.int64) * (len(self._names) + 1) + place

    def __call__(self, key: Codes, value: Ints) -> Ints:
        """Versions, NOWHERE where that value was not written to that key."""
        if not len(self._version):
            return np.full(len(value), NOWHERE, np.int64)
        if self._table is not None:
            place = value - self._low
            place = np.where((place >= 0) & (place < self._size), place, self._size)
            found = self._table[place]
            right = (found >= 0) & (self._key[found] == key)
            return np.where(right, self._version[found], NOWHERE)
        place = np.minimum(np.searchsorted(self._names, value), len(self._names) - 1)
        known = self._names[place] == value
        packed = key.astype(np.int64) * (len(self._names) + 1) + place
        at = np.minimum(np.searchsorted(self._packed, packed), len(self._packed) - 1)
        hit = known & (self._packed[at] == packed)
        return np.where(hit, self._version[self._order[at]], NOWHERE)


def key_codes(words: Words) -> tuple[Codes, int]:
    """Keys as 0 … k-1 and k; a null key is key 0 of its own."""
    return words.codes + np.int32(1), len(words.names) + 1


def prepare(history: History) -> Versions:
    """The versions of every key of a register history (f: read, write, cas).

    Raises NotUnique when a value was written twice to one key, or null was written.
    """
    key, keys = key_codes(history.key)
    is_cas = history.f.equals("cas")
    is_writer = history.f.equals("write") | is_cas
    writer = np.flatnonzero(is_writer & (history.type != FAIL))
    if not bool(history.value.valid[writer].all()):
        raise NotUnique(None)
    initial = len(writer)
    find = _Lookup(key[writer], history.value.values[writer], np.arange(initial))

    def version_of(rows: Ints, value: Ints, valid: Mask) -> Ints:
        return np.where(valid, find(key[rows], value), initial + key[rows])

    read_row = np.flatnonzero(history.f.equals("read") & (history.type == OK))
    read_version = version_of(
        read_row, history.value.values[read_row], history.value.valid[read_row]
    )
    swaps = np.flatnonzero(is_cas[writer])
    parent = np.full(initial + keys, NOWHERE, np.int64)
    rows = writer[swaps]
    parent[swaps] = version_of(rows, history.expected.values[rows], history.expected.valid[rows])
    live = np.ones(initial + keys, np.bool_)
    pending = history.type[writer] == INFO
    live[:initial] = ~pending
    live[read_version[read_version >= 0]] = True
    _spread_live(live, parent, swaps)
    swaps = swaps[live[swaps]]
    clock = _Clock(history, key, keys)
    start = np.concatenate([clock.start(writer), clock.first])
    end = np.concatenate([clock.end(writer), clock.first])
    end[:initial][pending] = clock.last[key[writer[pending]]]
    odd_swaps = swaps[parent[swaps] == NOWHERE]
    odd_reads = read_version == NOWHERE
    unexplained = np.concatenate([read_row[odd_reads], writer[odd_swaps]])
    read_row, read_version = read_row[~odd_reads], read_version[~odd_reads]
    return Versions(
        row=np.concatenate([writer, np.full(keys, NOWHERE, np.int64)]),
        start=start,
        end=end,
        parent=parent,
        live=live,
        swaps=swaps,
        read_row=read_row,
        read_version=read_version,
        read_start=clock.start(read_row),
        read_end=clock.end(read_row),
        unexplained=unexplained,
        aborted=_aborted(history, key, unexplained, is_writer),
    )


def _spread_live(live: Mask, parent: Ints, swaps: Ints) -> None:
    """A cas whose new value was seen has happened, so the value it expected was there too."""
    front = swaps[live[swaps]]
    while len(front):
        seen = parent[front]
        seen = np.unique(seen[seen >= 0])
        seen = seen[~live[seen]]
        live[seen] = True
        front = seen[parent[seen] >= 0]


def _aborted(history: History, key: Codes, rows: Ints, is_writer: Mask) -> Mask:
    """Which of these observations saw the value of a write that definitely failed."""
    failed = np.flatnonzero(is_writer & (history.type == FAIL) & history.value.valid)
    if not len(rows) or not len(failed):
        return np.zeros(len(rows), np.bool_)
    size = int(key.max()) + 1
    values, code = np.unique(history.value.values[failed], return_inverse=True)
    known = np.unique(code * size + key[failed])
    is_cas = history.f.equals("cas")[rows]
    saw = np.where(is_cas, history.expected.values[rows], history.value.values[rows])
    place = np.minimum(np.searchsorted(values, saw), len(values) - 1)
    mask: Mask = (values[place] == saw) & np.isin(place * size + key[rows], known)
    return mask


class _Clock:
    """Lays keys end to end: `first` and `last` bound each key's stretch strictly."""

    def __init__(self, history: History, key: Codes, keys: int) -> None:
        self._start, self._end, self._key = history.start_ns, history.end_ns, key
        low = int(self._start.min()) if len(history) else 0
        stretch = (int(self._end.max()) if len(history) else 0) - low + 4
        if stretch * keys > CLOCK_MAX:  # too long for int64: only the order of times matters
            times = np.concatenate([self._start, self._end])
            ranks = np.unique(times, return_inverse=True)[1].astype(np.int64)
            self._start, self._end = ranks[: len(history)], ranks[len(history) :]
            low, stretch = 0, len(times) + 4
        self._low = low - 1
        self.first = np.arange(keys, dtype=np.int64) * stretch
        self.last = self.first + stretch - 1

    def start(self, rows: Ints) -> Ints:
        """Clock readings of the starts of some rows."""
        return self._start[rows] - self._low + self.first[self._key[rows]]

    def end(self, rows: Ints) -> Ints:
        """Clock readings of the ends of some rows."""
        return self._end[rows] - self._low + self.first[self._key[rows]]


def acknowledged_reads(history: History) -> int:
    """How many operations told a client what was in a register: ok reads and ok cas."""
    saw = (history.f.equals("read") | history.f.equals("cas")) & (history.type == OK)
    return int(np.count_nonzero(saw))
