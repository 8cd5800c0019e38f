"""What the adds and reads of a set history say about each element, as columns.

What a read lacks is never listed: it is counted, as the reads of a range less those of them that
show the element.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.counting import BEFORE, NEVER
from analysis.checkers.set_history import NOWHERE, Elements, Reads
from analysis.history import Ints, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Per element. It is *known* from its acknowledgement, or from the end of a read that shows it;
    a read that begins later *owes* it.
    """

    elements: Elements
    reads: Reads
    seen_end: Ints  # first end of a read that shows it; NEVER: none does
    seen_read: Ints  # that read; NOWHERE: none
    last_start: Ints  # last start of a read that shows it; BEFORE: none does
    last_read: Ints  # that read; NOWHERE: none
    newest: Ints  # the last read of its key if that owes it, else NOWHERE
    kept: Mask  # a read that owes it shows it
    missed: Mask  # a read that owes it lacks it

    @property
    def known(self) -> Ints:
        """From when on the element is known; NEVER."""
        return np.minimum(self.elements.acknowledged, self.seen_end)

    @property
    def gone(self) -> Mask:
        """A read that owes it lacks it, and no read begun when that did, or later, shows it."""
        owed = self.newest >= 0
        gone = np.zeros(len(owed), np.bool_)
        gone[owed] = self.last_start[owed] < self.reads.start[self.newest[owed]]
        return gone

    def teller(self, place: int) -> int:
        """The row of the operation from whose end on the element is known."""
        if self.elements.acknowledged[place] <= self.seen_end[place]:
            return int(self.elements.row[place])
        return int(self.reads.row[self.seen_read[place]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Absences:
    """Of some elements, each with a range of reads: which of these lack them."""

    places: Ints
    lacking: Ints  # how many reads of its range lack it
    last: Ints  # the last of those; NOWHERE: none
    reads: Ints  # the reads that lack an element within its range


def gather(elements: Elements, reads: Reads, meter: Meter) -> Evidence:
    """Two passes over the reads: when each element was shown, then how often when it was owed."""
    count = len(elements)
    seen_end, last_start = np.full(count, NEVER), np.full(count, BEFORE)
    seen_read, last_read = np.full(count, NOWHERE), np.full(count, NOWHERE)
    for read, place in reads.pairs(meter):
        np.minimum.at(seen_end, place, reads.end[read])
        last_read[place] = read  # by start, so the last one stays
    shown = last_read >= 0
    last_start[shown] = reads.start[last_read[shown]]
    known = np.minimum(elements.acknowledged, seen_end)
    showing = np.zeros(count, np.int64)
    for read, place in reads.pairs(meter):
        owed = reads.start[read] > known[place]
        showing += np.bincount(place[owed], minlength=count)
        first = reads.end[read] == seen_end[place]
        seen_read[place[first]] = read[first]
    newest = np.full(count, NOWHERE)
    since = reads.since(known)
    if len(reads):
        at = np.minimum(since, len(reads) - 1)
        owed = (since < len(reads)) & (reads.key[at] == elements.key)
        newest[owed] = reads.last[at[owed]]
    owing = np.where(newest >= 0, newest + 1 - since, 0)
    return Evidence(
        elements=elements,
        reads=reads,
        seen_end=seen_end,
        seen_read=seen_read,
        last_start=last_start,
        last_read=last_read,
        newest=newest,
        kept=showing > 0,
        missed=owing > showing,
    )


def absences(reads: Reads, places: Ints, first: Ints, last: Ints, meter: Meter) -> Absences:
    """Which of the reads first … last (both inclusive, of the element's key) lack each element.

    `places` are sorted, with one range each; an empty range has last < first.
    """
    count = int(places.max(initial=-1)) + 1
    wanted = np.full(count, NOWHERE)
    wanted[places] = np.arange(len(places))
    showing, shown = np.zeros(len(places), np.int64), np.zeros(len(reads), np.int64)
    before, absent = first - 1, np.full(len(places), NOWHERE)
    for read, place in reads.pairs(meter) if count else ():
        at = wanted[place] if place.max(initial=0) < count else _among(wanted, place)
        inside = (at >= 0) & (read >= first[at]) & (read <= last[at])
        at, read = at[inside], read[inside]
        if not len(at):
            continue
        if read[0] == read[-1]:
            showing[at] += 1
            shown[read[0]] = len(at)
        else:
            showing += np.bincount(at, minlength=len(places))
            shown[read[0] : read[-1] + 1] += np.bincount(read - read[0])
            order = np.argsort(at, kind="stable")  # so that each one's reads are in their order
            at, read = at[order], read[order]
        previous = before[at]
        same = at[1:] == at[:-1]
        previous[1:][same] = read[:-1][same]
        gap = read > previous + 1
        absent[at[gap]] = read[gap] - 1
        before[at] = read
    cover = np.zeros(len(reads) + 1, np.int64)
    there = last >= first
    np.add.at(cover, first[there], 1)
    np.add.at(cover, last[there] + 1, -1)
    return Absences(
        places=places,
        lacking=np.maximum(last - first + 1, 0) - showing,
        last=np.where(there & (before < last), last, absent),
        reads=np.flatnonzero(np.cumsum(cover[:-1]) > shown),
    )


def _among(wanted: Ints, place: Ints) -> Ints:
    """`wanted[place]`, NOWHERE beyond its end."""
    return np.where(place < len(wanted), wanted[np.minimum(place, len(wanted) - 1)], NOWHERE)


def figures(evidence: Evidence, **good: Mask) -> dict[str, int]:
    """What a certificate of validity counts (docs/certificates.md), where nothing is in excess or
    repeated; `good` by its name.
    """
    masks = {**good, "missed": evidence.missed, "lost": evidence.gone}
    counts = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
    return {**counts, "excess": 0, "repeated": 0}
