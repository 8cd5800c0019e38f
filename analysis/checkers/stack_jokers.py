"""What pops without an answer took from a stack: guessed as it is needed.

At first nobody took what nobody is known to have taken, so it stays for ever. Take a span that has
no order then and reaches to the end (`lifo.py`). Nothing that stays can lie at its bottom, so
something lay there that was taken out later, and before that the first element that was pushed onto
it for good must have gone: a joker took it. The same is true of what was there when the answer was
"empty". Of the jokers the one is chosen that began last before that element was there, for the
others can take more; if all began later, the first. So it goes on until there is an order or no
joker is left. Which joker took what is a guess, and so is all that follows from it.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from analysis.checkers import lifo
from analysis.checkers.elements import NOBODY, Elements, Empties, Jokers
from analysis.checkers.presence import moments
from analysis.history import Ints

_WORK = 20_000_000  # elements looked at, in all rounds together
_LAST = 2**62  # after every joker


def as_needed(elements: Elements, jokers: Jokers, empties: Empties) -> Elements:
    """The elements with the takes that they need to have an order."""
    loose = elements.take == NOBODY
    keys = np.intersect1d(elements.key[loose], jokers.key)
    free = _Free(jokers)
    chosen, takers, spent = list[int](), list[int](), 0
    while len(keys):
        part = np.flatnonzero(np.isin(elements.key, keys))
        spent += len(part)
        known = np.full(len(elements), -1)
        known[chosen] = takers
        mine = np.flatnonzero(known[part] >= 0)
        now = elements.only(part).taken(mine, jokers.only(known[part[mine]]))
        asked = empties.only(np.isin(empties.key, keys))
        needed = _needed(now, asked)
        keys = np.unique(now.key[needed])
        taken = [(int(part[place]), free.taker(now, int(place))) for place in needed]
        taken = [(element, joker) for element, joker in taken if joker >= 0]
        chosen += [element for element, _ in taken]
        takers += [joker for _, joker in taken]
        if not taken or spent > _WORK:
            break
    order = np.argsort(np.array(chosen, np.int64))
    places = np.array(chosen, np.int64)[order]
    return elements.taken(places, jokers.only(np.array(takers, np.int64)[order]))


def _needed(elements: Elements, empties: Empties) -> Ints:
    """Elements that somebody must have taken: the first of every span, and of every key whose
    first wrong answer "empty" came when it was there.
    """
    found, late = moments(empties.start, empties.end, elements.shown, elements.needed)
    stuck = lifo.decide(elements, found[~late], empties.key[~late]).span
    loose = np.flatnonzero((elements.take == NOBODY) & (stuck >= 0))
    loose = loose[np.lexsort((elements.shown[loose], stuck[loose]))]
    _, first = np.unique(stuck[loose], return_index=True)
    chosen = [loose[first]]
    wrong = empties.only(late)
    for key in np.unique(wrong.key):
        end = wrong.end[wrong.key == key].min()
        there = (elements.take == NOBODY) & (elements.key == key) & (elements.shown < end)
        there = np.flatnonzero(there)
        chosen.append(there[np.argsort(elements.shown[there], kind="stable")][:1])
    return np.unique(np.concatenate(chosen))


class _Free:
    """The jokers of each key that took nothing yet."""

    def __init__(self, jokers: Jokers) -> None:
        self._of: dict[int, list[tuple[int, int]]] = {}
        for joker, (key, start) in enumerate(zip(jokers.key, jokers.start, strict=True)):
            self._of.setdefault(int(key), []).append((int(start), joker))
        for each in self._of.values():
            each.sort()

    def taker(self, elements: Elements, place: int) -> int:
        """The joker that took an element; -1: there is none any more."""
        free = self._of.get(int(elements.key[place]), [])
        if not free:
            return -1
        at = bisect_right(free, (int(elements.shown[place]), _LAST))
        return free.pop(max(at - 1, 0))[1]
