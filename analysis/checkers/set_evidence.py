"""What the adds and reads of a set history say about each element, as columns.

What a read lacks is never listed: it is counted, as the reads of a range less those of them that
show the element.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.counting import BEFORE, NEVER, rank_in_run, runs
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
    sizes = np.maximum(last - first + 1, 0)
    count = int(places.max(initial=-1)) + 1
    wanted = np.full(max(count, 1), NOWHERE)
    wanted[places] = np.arange(len(places))
    found: list[tuple[Ints, Ints]] = []
    for read, place in reads.pairs(meter) if len(places) else ():
        at = np.where(place < count, wanted[np.minimum(place, count - 1)], NOWHERE)
        inside = (at >= 0) & (read >= first[at]) & (read <= last[at])
        found.append((at[inside], read[inside]))
    none = np.empty(0, np.int64)
    at = np.concatenate([a for a, _ in found] or [none])
    read = np.concatenate([r for _, r in found] or [none])
    showing = np.bincount(at, minlength=len(places))
    cover = np.zeros(len(reads) + 1, np.int64)
    np.add.at(cover, first[sizes > 0], 1)
    np.add.at(cover, last[sizes > 0] + 1, -1)
    cover = np.cumsum(cover[:-1]) - np.bincount(read, minlength=len(reads))
    return Absences(
        places=places,
        lacking=sizes - showing,
        last=np.where(sizes > showing, last - _unbroken(at, read, last), NOWHERE),
        reads=np.flatnonzero(cover),
    )


def _unbroken(at: Ints, read: Ints, last: Ints) -> Ints:
    """How many reads in a row, backwards from the last of its range, show each element."""
    order = np.lexsort((-read, at))
    at, read = at[order], read[order]
    starts = runs(at)
    nth = rank_in_run(starts)
    broken = np.where(read == last[at] - nth, np.repeat(np.diff(starts), np.diff(starts)), nth)
    length = np.zeros(len(last), np.int64)
    if len(at):
        length[at[starts[:-1]]] = np.minimum.reduceat(broken, starts[:-1])
    return length


def figures(evidence: Evidence, **good: Mask) -> dict[str, int]:
    """What a certificate of validity counts (docs/certificates.md), where nothing is in excess or
    repeated; `good` by its name.
    """
    masks = {**good, "missed": evidence.missed, "lost": evidence.gone}
    counts = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
    return {**counts, "excess": 0, "repeated": 0}
