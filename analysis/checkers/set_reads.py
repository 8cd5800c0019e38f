"""An order of a set's operations when some of them read the set as a whole.

Elements are no objects of their own then: a read is one moment for all of them. Every operation
gets the first moment that it could have and the last one. A read is after the add of what it shows
and before its removal; of what it lacks it is before the add or after the removal, and which of
these is known as soon as the other is impossible. So the bounds are narrowed until nothing changes.
If everything happens at its first moment then, that is an order, but for answers of which neither
side is known and neither holds: their side is guessed, and so on. A guess may be wrong. None means
that no order was found, not that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.clock import Clock
from analysis.checkers.membership import Deeds, Membership
from analysis.history import Ints, Mask

_ROOM = 2**20  # how many operations may follow each other within one moment of the clock
_ROUNDS = 200
_PAIRS = 20_000_000  # of a read and an element: more would take too much memory
_NEVER = 2**61


@dataclass(slots=True)
class _Bounds:
    """The first and the last moment of each operation; `first` only grows, `last` only shrinks."""

    first: Ints
    last: Ints

    def precede(self, before: Ints, after: Ints) -> None:
        """Each of `before` comes before its partner in `after`."""
        np.maximum.at(self.first, after, self.first[before] + 1)
        np.minimum.at(self.last, before, self.last[after] - 1)

    @property
    def possible(self) -> bool:
        """Whether every operation still has a moment."""
        return bool((self.first <= self.last).all())

    def copy(self) -> _Bounds:
        """Bounds that change by themselves."""
        return _Bounds(self.first.copy(), self.last.copy())


def order_of_key(
    clock: Clock, deeds: Deeds, found: Membership, reads: Ints, key: int, meter: Meter
) -> Ints | None:
    """Rows of the operations of one key in a linear order; None if none was found.

    All elements of the key are simple and none is flawed.
    """
    elements = np.flatnonzero((deeds.key == key) & found.present)
    place = np.full(len(deeds), -1)
    place[elements] = np.arange(len(elements))
    adds = deeds.adds.only(place[deeds.adds.element] >= 0)
    removals = deeds.removals.only(place[deeds.removals.element] >= 0)
    seen = deeds.seen.only((place[deeds.seen.element] >= 0) & ~deeds.read)
    unseen = deeds.unseen.only(place[deeds.unseen.element] >= 0)
    mine = reads[clock.key[reads] == key]
    rows = np.concatenate([adds.row, removals.row, seen.row, unseen.row, mine])
    start = np.concatenate(
        [adds.start, removals.start, seen.start, unseen.start, clock.start(mine)]
    )
    end = np.concatenate([adds.end, removals.end, seen.end, unseen.end, clock.end(mine)])
    ranks = np.unique(np.append(start, end), return_inverse=True)[1].astype(np.int64)
    bounds = _Bounds(ranks[: len(rows)] * _ROOM, ranks[len(rows) :] * _ROOM + _ROOM - 1)
    count = len(elements)
    add, removal = np.full(count, -1), np.full(count, -1)
    add[place[adds.element]] = np.arange(len(adds.row))
    removal[place[removals.element]] = len(adds.row) + np.arange(len(removals.row))
    if len(mine) * count > _PAIRS:
        return None
    shows = _shows(deeds, place, mine, count)
    meter.spend(1 + shows.size // 64)
    begin = len(adds.row) + len(removals.row)
    reader = len(rows) - len(mine)
    which, of = np.nonzero(shows)
    sees = _Pairs(
        np.append(begin + np.arange(len(seen.row)), reader + which),
        np.append(place[seen.element], of),
        add,
        removal,
    )
    which, of = np.nonzero(~shows)
    begin += len(seen.row)
    lacks = _Pairs(
        np.append(begin + np.arange(len(unseen.row)), reader + which),
        np.append(place[unseen.element], of),
        add,
        removal,
    )
    for early in (True, False):
        first = _narrow(bounds.copy(), sees, lacks, (add, removal), early, meter)
        if first is not None:
            break
    else:
        return None
    ordered = rows[np.argsort(first, kind="stable")]
    others = deeds.unseen.row[
        (deeds.key[deeds.unseen.element] == key) & ~found.present[deeds.unseen.element]
    ]
    return _merged(clock, ordered[ordered >= 0], others)


class _Pairs:
    """Answers about elements: `answer` is an operation, and so are `add` and `removal` (-1: none)
    of the element that it is about.
    """

    def __init__(self, answer: Ints, element: Ints, add: Ints, removal: Ints) -> None:
        self.answer, self.add, self.removal = answer, add[element], removal[element]
        self.removed: Mask = self.removal >= 0


def _shows(deeds: Deeds, place: Ints, reads: Ints, count: int) -> Mask:
    """Whether a read (first axis) shows an element (second axis)."""
    listed = deeds.seen.only(deeds.read & (place[deeds.seen.element] >= 0))
    number = np.searchsorted(reads, listed.row)
    shows = np.zeros((len(reads), count), np.bool_)
    shows[number, place[listed.element]] = True
    return shows


def _narrow(
    bounds: _Bounds,
    sees: _Pairs,
    lacks: _Pairs,
    stays: tuple[Ints, Ints],
    early: bool,
    meter: Meter,
) -> Ints | None:
    """Moments at which everything may happen; None if that fails. `stays`: the add and the removal
    of each element. `early`: whether what is open is guessed to be before the add.
    """
    both = stays[1] >= 0
    before, after = ~lacks.removed, np.zeros(len(lacks.answer), np.bool_)
    for _ in range(_ROUNDS):
        meter.spend(1 + (len(sees.answer) + len(lacks.answer)) // 64)
        known = bounds.first.sum() - bounds.last.sum()
        bounds.precede(stays[0][both], stays[1][both])
        bounds.precede(sees.add, sees.answer)
        bounds.precede(sees.answer[sees.removed], sees.removal[sees.removed])
        bounds.precede(lacks.answer[before], lacks.add[before])
        bounds.precede(lacks.removal[after], lacks.answer[after])
        if not bounds.possible:
            return None
        first, last = bounds.first[lacks.answer], bounds.last[lacks.answer]
        removed = np.where(lacks.removed, bounds.first[lacks.removal], _NEVER)
        above = ~after & lacks.removed & (first >= bounds.last[lacks.add])
        below = ~before & (last <= removed)
        after |= above
        before |= below
        changed = bounds.first.sum() - bounds.last.sum() != known
        if changed or above.any() or below.any():
            continue
        open_ = ~before & ~after & (first >= bounds.first[lacks.add]) & (first <= removed)
        if not open_.any():
            return bounds.first
        chosen = open_ & (first == first[open_].min())
        before |= chosen & early
        after |= chosen & (not early)
    return None


def _merged(clock: Clock, rows: Ints, others: Ints) -> Ints:
    """An order with further rows, which may stand anywhere but where time forbids it."""
    at = np.append(np.maximum.accumulate(clock.start(rows)), clock.start(others))
    return np.append(rows, others)[np.argsort(at, kind="stable")]
