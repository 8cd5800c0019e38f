"""What pops without an answer took from a stack: guessed as it is needed.

At first nobody took what nobody is known to have taken, so it stays for ever. If a key has no order
then, take away those that stay, the last first, until it has one. What could not be added again was
pushed onto something that was taken out or looked at later, or was there when the answer was
"empty": it must have gone before, so a joker took it.

A joker can take effect whenever it has begun, so whatever one can explain, one that began earlier
can, too. Of those that explain that the element has gone, the last to begin is chosen: the others
may do where that one would not. So it goes on until there is an order or no joker is left. Which
joker took what is a guess, and so is all that follows from it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from analysis.checkers import lifo
from analysis.checkers.base import Meter
from analysis.checkers.elements import NOBODY, Elements, Empties, Jokers
from analysis.checkers.presence import moments
from analysis.history import Ints, Mask

_WORK = 50_000_000  # elements looked at, in all rounds together


def as_needed(elements: Elements, jokers: Jokers, empties: Empties, meter: Meter) -> Elements:
    """The elements with the takes that they need to have an order. Exhausted when time is up."""
    loose = elements.take == NOBODY
    keys = np.intersect1d(elements.key[loose], jokers.key)
    free = _Free(jokers)
    chosen, takers, spent = list[int](), list[int](), 0
    while len(keys) and spent < _WORK:
        part = np.flatnonzero(np.isin(elements.key, keys))
        known = np.full(len(elements), -1)
        known[chosen] = takers
        mine = np.flatnonzero(known[part] >= 0)
        now = elements.only(part).taken(mine, jokers.only(known[part[mine]]))
        look = _Round(now, empties.only(np.isin(empties.key, keys)), free, meter)
        taken = look.taken()
        spent += look.spent
        keys = np.unique(now.key[[place for place, _ in taken]])
        chosen += [int(part[place]) for place, _ in taken]
        takers += [joker for _, joker in taken]
    order = np.argsort(np.array(chosen, np.int64))
    places = np.array(chosen, np.int64)[order]
    return elements.taken(places, jokers.only(np.array(takers, np.int64)[order]))


class _Round:
    """Finds of each key that has no order one element that a joker took, and the joker.

    Only elements that are stuck matter, and where an answer "empty" is wrong all of the key. Of
    those the ones that stay have a `rank` in their key, as they were shown; the others have -1.
    """

    def __init__(self, elements: Elements, empties: Empties, free: _Free, meter: Meter) -> None:
        self.spent = 0
        self._elements, self._empties, self._free, self._meter = elements, empties, free, meter
        stuck, late = self._test(elements, empties)
        concerned = stuck | np.isin(elements.key, empties.key[late])
        loose = elements.take == NOBODY
        there = np.flatnonzero(loose & concerned)
        there = there[np.lexsort((elements.shown[there], elements.key[there]))]
        self._rank = np.full(len(elements), len(elements))
        self._rank[concerned & ~loose] = -1
        self._keys, self._stay = list[int](), list[Ints]()
        keys, first = np.unique(elements.key[there], return_index=True)
        for key, stay in zip(keys.tolist(), np.split(there, first)[1:], strict=True):
            if free.left(key):
                self._keys.append(key)
                self._stay.append(stay)
                self._rank[stay] = np.arange(len(stay))

    def taken(self) -> list[tuple[int, int]]:
        """(place, joker) of at most one element of each key."""
        elements, free = self._elements, self._free
        count = np.array([len(stay) for stay in self._stay], np.int64)
        good = [
            int(np.searchsorted(elements.shown[stay], free.since.get(key, -1)))
            for key, stay in zip(self._keys, self._stay, strict=True)
        ]
        size = _least(self._unexplained, np.minimum(np.array(good, np.int64) + 1, count), count)
        needed = np.array([stay[n - 1] for stay, n in zip(self._stay, size, strict=True)], np.int64)

        def unexplained(some: Ints, joker: Ints) -> Mask:
            return self._unexplained(some, size[some], needed[some], joker)

        soon = [free.before(elements, place) for place in needed.tolist()]
        left = np.array([free.left(key) for key in self._keys], np.int64)
        last = _least(unexplained, np.array(soon, np.int64), left) - 1
        return free.take(elements, needed[last >= 0], last[last >= 0])

    def _unexplained(
        self, some: Ints, size: Ints, needed: Ints | None = None, joker: Ints | None = None
    ) -> Mask:
        """Which of some keys have no order when so many stay, but for those that jokers take."""
        keys = np.array(self._keys, np.int64)[some]
        limit = np.full(int(self._elements.key.max(initial=0)) + 1, -1)
        limit[keys] = size
        places = np.flatnonzero(self._rank < limit[self._elements.key])
        tried = self._elements.only(places)
        if needed is not None and joker is not None:
            tried = self._free.given(tried, np.searchsorted(places, needed), joker)
        asked = self._empties.only(limit[self._empties.key] >= 0)
        stuck, late = self._test(tried, asked)
        return np.isin(keys, np.append(tried.key[stuck], asked.key[late]))

    def _test(self, elements: Elements, empties: Empties) -> tuple[Mask, Mask]:
        """Which elements are stuck, and which empty answers too late."""
        self._meter.in_time()
        self.spent += len(elements)
        found, late = moments(empties.start, empties.end, elements.shown, elements.needed)
        return lifo.decide(elements, found[~late], empties.key[~late]).stuck, late


def _least(bad: Callable[[Ints, Ints], Mask], low: Ints, high: Ints) -> Ints:
    """For each cell the least number from `low` on that is bad; `high` if none before is.

    `bad` is asked for some cells at once; what is above a bad number is bad. Near numbers are
    tried first.
    """
    low, high, stride = low.copy(), high.copy(), np.ones(len(low), np.int64)
    while len(some := np.flatnonzero(low < high)):
        near = np.minimum(low[some] + stride[some], high[some]) - 1
        number = np.where(stride[some] > 0, near, (low[some] + high[some]) // 2)
        is_bad = bad(some, number)
        high[some[is_bad]], stride[some[is_bad]] = number[is_bad], 0
        low[some[~is_bad]] = number[~is_bad] + 1
        stride[some] *= 2
    return low


class _Free:
    """The jokers of each key that took nothing yet, by their start."""

    def __init__(self, jokers: Jokers) -> None:
        self._jokers = jokers
        self.since: dict[int, int] = {}  # what stays and was shown before has an order, by key
        self._of: dict[int, list[int]] = {}
        for joker in np.argsort(jokers.start, kind="stable").tolist():
            self._of.setdefault(int(jokers.key[joker]), []).append(joker)

    def left(self, key: int) -> int:
        """How many there are."""
        return len(self._of.get(key, ()))

    def before(self, elements: Elements, place: int) -> int:
        """How many began before an element was there for certain."""
        starts = [int(self._jokers.start[j]) for j in self._of[int(elements.key[place])]]
        return bisect_right(starts, int(elements.shown[place]))

    def given(self, elements: Elements, places: Ints, choice: Ints) -> Elements:
        """The elements with those at `places` taken by the jokers at `choice` of their keys."""
        keys = elements.key[places].tolist()
        chosen = [self._of[key][at] for key, at in zip(keys, choice.tolist(), strict=True)]
        order = np.argsort(places)
        return elements.taken(places[order], self._jokers.only(np.array(chosen, np.int64)[order]))

    def take(self, elements: Elements, places: Ints, choice: Ints) -> list[tuple[int, int]]:
        """(place, joker) of each; those are free no more. Each key is there once."""
        for place in places.tolist():
            self.since[int(elements.key[place])] = int(elements.shown[place])
        return [
            (place, self._of[int(elements.key[place])].pop(at))
            for place, at in zip(places.tolist(), choice.tolist(), strict=True)
        ]
