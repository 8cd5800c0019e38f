"""The adds and whole reads of set histories as columns.

An element is a value of one key. Times are readings of one clock for all keys (`clock.py`), and
reads stand in the order in which they began, so those of a key are together and "the reads that
began between two moments" is a range of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Context, Meter
from analysis.checkers.clock import Clock
from analysis.checkers.counting import BEFORE, NEVER, runs
from analysis.checkers.lists import Carried, carried
from analysis.history import FAIL, OK, History, Ints, Mask

NOWHERE = -1
_PAIRS = 1 << 18  # (read, element) pairs looked at together
_ALONE = 1 << 12  # a read that shows so many elements is looked at alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Elements:
    """Every element that a client tried to add, by key and code; one cell each."""

    key: Ints
    code: Ints
    row: Ints  # the ok add that ended first, else the first that may have happened, else any
    begun: Ints  # first start of an attempt that did not fail; NEVER: all failed
    acknowledged: Ints  # first end of an ok add; NEVER: none was

    def __len__(self) -> int:
        return len(self.key)

    @property
    def failed(self) -> Mask:
        """Every attempt definitely failed."""
        mask: Mask = self.begun == NEVER
        return mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Acknowledged whole reads by key and start, and what they show: read i shows the elements
    `places[bounds[s]:bounds[s + 1]]` with s = `shown[i]`, each once.
    """

    row: Ints
    key: Ints
    start: Ints
    end: Ints
    final: Mask  # the last ones of each key
    first_final: Ints  # per read: the first final one of its key; one after the last: there is none
    last: Ints  # per read: the last one of its key
    shown: Ints
    places: Ints
    bounds: Ints
    repeated: tuple[Ints, Ints]  # (read, code): shown more than once
    unknown: tuple[Ints, Ints]  # (read, code): nobody tried to add it

    def __len__(self) -> int:
        return len(self.row)

    def shows(self, read: int) -> Ints:
        """The elements that one read shows."""
        at = int(self.shown[read])
        return self.places[self.bounds[at] : self.bounds[at + 1]]

    def pairs(self, meter: Meter) -> Iterator[tuple[Ints, Ints]]:
        """All (read, element) such that the read shows the element, by read, in portions of whole
        reads.
        """
        if not len(self):
            return
        sizes = np.diff(self.bounds)[self.shown]
        portion = np.cumsum(sizes) // _PAIRS
        large = sizes >= _ALONE
        new = (portion[1:] != portion[:-1]) | large[1:] | large[:-1]
        begins = np.flatnonzero(np.append(True, new))
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(self)], strict=True):
            meter.in_time()
            if end == begin + 1:
                shown = self.shows(begin)
                yield np.full(len(shown), begin), shown
            else:
                some = slice(begin, end)
                at = _ranges(self.bounds[self.shown[some]], sizes[some])
                yield np.repeat(np.arange(begin, end), sizes[some]), self.places[at]

    def since(self, times: Ints) -> Ints:
        """Per time the first read that began after it."""
        return np.searchsorted(self.start, times, side="right").astype(np.int64, copy=False)


def read_sets(history: History, context: Context) -> tuple[Elements, Reads, Carried]:
    """The elements and the ok reads of a history of adds and whole reads (f: add, read).

    RecordError when a read carries something that is no list, or a payload is no JSON.
    """
    adds = np.flatnonzero(history.f.equals("add"))
    rows = np.flatnonzero(history.f.equals("read") & (history.type == OK))
    told = carried(history, adds, rows)
    listed = told.lists.place >= 0
    clock = Clock(history)
    adds, codes = adds[told.single.valid], told.single.values[told.single.valid]
    elements = _elements(history, clock, adds, codes)
    start = clock.start(rows)
    order = np.flatnonzero(listed)[np.argsort(start[listed], kind="stable")]
    reads = _reads(history, clock, rows[order], told, told.lists.place[order], elements, context)
    return elements, reads, told


def _elements(history: History, clock: Clock, rows: Ints, codes: Ints) -> Elements:
    order = np.lexsort((codes, clock.key[rows]))
    starts = runs(clock.key[rows][order], codes[order])
    place = np.empty(len(rows), np.int64)
    place[order] = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    head = order[starts[:-1]]
    count, kind = len(head), history.type[rows]
    begun, acknowledged = np.full(count, NEVER), np.full(count, NEVER)
    tried, ok = kind != FAIL, kind == OK
    np.minimum.at(begun, place[tried], clock.start(rows[tried]))
    ends = clock.end(rows[ok])
    np.minimum.at(acknowledged, place[ok], ends)
    first = ends == acknowledged[place[ok]]
    row = np.full(count, NEVER)
    for chosen in (place[ok][first], rows[ok][first]), (place[tried], rows[tried]), (place, rows):
        rest = np.full(count, NEVER)
        np.minimum.at(rest, *chosen)
        row = np.where(row == NEVER, rest, row)
    return Elements(
        key=clock.key[rows][head],
        code=codes[head],
        row=row,
        begun=begun,
        acknowledged=acknowledged,
    )


def _reads(
    history: History,
    clock: Clock,
    rows: Ints,
    told: Carried,
    place: Ints,
    elements: Elements,
    context: Context,
) -> Reads:
    """Reads in the order of `rows`, which show the lists `place`."""
    key, start = clock.key[rows], clock.start(rows)
    shown, codes, bounds, of_key = _lists_of_keys(told, place, key)
    found = _find(elements, of_key, np.diff(bounds), codes)
    owner = np.repeat(np.arange(len(of_key)), np.diff(bounds))
    places, sizes, twice = _distinct(owner, found, len(of_key), len(elements))
    strange = found < 0
    names, number = np.unique(codes[strange], return_inverse=True)
    others, strangers, also = _distinct(owner[strange], number, len(of_key), len(names))
    unknown = (np.repeat(np.arange(len(of_key)), strangers), names[others])
    repeated = np.append(twice[0], also[0]), np.append(elements.code[twice[1]], names[also[1]])
    final_from = _final_from(history, clock, context)[key]
    ends = runs(key)
    final = history.start_ns[rows] > final_from
    finals = np.add.reduceat(final.astype(np.int64), ends[:-1]) if len(rows) else ends[:-1]
    last = np.repeat(ends[1:] - 1, np.diff(ends))
    return Reads(
        row=rows,
        key=key,
        start=start,
        end=clock.end(rows),
        final=final,
        first_final=last + 1 - np.repeat(finals, np.diff(ends)),
        last=last,
        shown=shown,
        places=places,
        bounds=np.append(0, np.cumsum(sizes)),
        repeated=_spread(shown, *repeated),
        unknown=_spread(shown, *unknown),
    )


def _lists_of_keys(told: Carried, place: Ints, key: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Lists of one key each: (per read its list, codes end to end, bounds, per list its key)."""
    lists = told.lists
    pair, first, shown = np.unique(
        key * (len(lists) + 1) + place, return_index=True, return_inverse=True
    )
    kept, sizes = place[first], np.diff(lists.bounds)
    if len(pair) == len(lists) and bool((kept == np.arange(len(lists))).all()):
        return shown, lists.codes, lists.bounds, key[first]
    codes = lists.codes[_ranges(lists.bounds[kept], sizes[kept])]
    return shown, codes, np.append(0, np.cumsum(sizes[kept])), key[first]


def _ranges(begins: Ints, sizes: Ints) -> Ints:
    """The numbers from each begin on, as many as its size, end to end."""
    before = np.cumsum(sizes) - sizes
    found: Ints = np.arange(int(sizes.sum())) + np.repeat(begins - before, sizes)
    return found


def _find(elements: Elements, key: Ints, sizes: Ints, code: Ints) -> Ints:
    """Places of some values among the elements, NOWHERE where nobody tried to add them; `key[i]`
    is that of the next `sizes[i]` values.
    """
    if not len(elements):
        return np.full(len(code), NOWHERE)
    if elements.key[0] == elements.key[-1]:
        place = _position(elements.code, code)
        if bool((key == elements.key[0]).all()):
            return place
        return np.where(np.repeat(key, sizes) == elements.key[0], place, NOWHERE)
    names = np.unique(elements.code)
    number = _position(names, code)
    packed = elements.key * len(names) + np.searchsorted(names, elements.code)
    wanted = np.repeat(key, sizes) * len(names) + number
    place = np.minimum(np.searchsorted(packed, wanted), len(packed) - 1)
    return np.where((number >= 0) & (packed[place] == wanted), place, NOWHERE)


def _position(names: Ints, code: Ints) -> Ints:
    """Positions in `names`, which are sorted and differ; NOWHERE for others."""
    low, high = int(names[0]), int(names[-1])
    inside = (code >= low) & (code <= high)
    if high - low + 1 == len(names):  # no gaps: no search
        return np.where(inside, np.where(inside, code, low) - low, NOWHERE)
    place = np.minimum(np.searchsorted(names, code), len(names) - 1)
    return np.where(names[place] == code, place, NOWHERE)


def _distinct(
    owner: Ints, place: Ints, owners: int, places: int
) -> tuple[Ints, Ints, tuple[Ints, Ints]]:
    """(places by owner, each once; how many each owner has; (owner, place) of the repeated)."""
    there = place >= 0
    if not there.all():
        owner, place = owner[there], place[there]
    pair = owner * max(1, places) + place
    if not bool((pair[1:] > pair[:-1]).all()):
        pair = np.sort(pair)
        again = np.append(False, pair[1:] == pair[:-1])
        repeated = np.unique(pair[again])
        pair = pair[~again]
        place, owner = pair % max(1, places), pair // max(1, places)
    else:
        repeated = np.empty(0, np.int64)
    sizes = np.bincount(owner, minlength=owners)
    return place, sizes, (repeated // max(1, places), repeated % max(1, places))


def _spread(shown: Ints, lists: Ints, codes: Ints) -> tuple[Ints, Ints]:
    """(read, code) from (list, code), for every read that shows the list."""
    if not len(lists):
        return lists, codes
    reads = np.argsort(shown, kind="stable")
    begin = np.searchsorted(shown[reads], lists)
    sizes = np.searchsorted(shown[reads], lists, side="right") - begin
    return reads[_ranges(begin, sizes)], np.repeat(codes, sizes)


def _final_from(history: History, clock: Clock, context: Context) -> Ints:
    """Per key: reads that start later than this are final; without phases, once every add of the
    key that did not fail has ended.
    """
    if context.final_ns is not None:
        return np.full(clock.keys, context.final_ns[0] - 1)
    latest = np.full(clock.keys, BEFORE)
    adds = np.flatnonzero(history.f.equals("add") & (history.type != FAIL))
    np.maximum.at(latest, clock.key[adds], history.end_ns[adds])
    return latest
