"""Queues and stacks: which keys have a linear order, which have none, and which need a search.

Each key is decided by the exact and fast test of its kind (`fifo.py`, `lifo.py`). Two things that
those do not know are taken care of here:

- *Jokers*, takes without an answer. Which elements they took is guessed, and the test says whether
  the guess is right. If none is, what can be left out is left out: elements that nobody is known
  to have taken, with all their operations. If even the rest has no order, there is none.
- Elements put in more than once. The key without them may have no order, which settles it; or it
  has one with each of them put in once, which does as well where the others are not known to
  have happened.

What is left is for the general search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.elements import NOBODY, Elements, Empties, Gathered, Jokers
from analysis.checkers.models import MODELS, literal
from analysis.checkers.presence import moments
from analysis.checkers.search import decide
from analysis.history import FAIL, History, Ints, Mask

Guess = Callable[[Elements, Jokers, Empties, Meter], Elements]


class Arranged(Protocol):
    """What a test found: who could not be ordered."""

    @property
    def stuck(self) -> Mask:
        """One cell for each element at least; elements come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Discipline:
    """What makes a queue a queue, and a stack a stack."""

    name: str  # of the model
    words: tuple[str, str, str]  # what puts, takes and looks are called
    arrange: Callable[[Elements, Ints, Ints], Any]  # elements; moments of the empty answers, keys
    order: Callable[[Elements, Empties, Any], Ints]  # rows, if nothing is stuck
    guesses: tuple[Guess, ...]  # what jokers took; the first is exact once `hazy` are left out
    hazy: Callable[[Elements], Mask]  # elements of which it is not clear whether jokers took them


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One test of some keys: `late` are the empty answers that come too late."""

    elements: Elements
    empties: Empties
    late: Mask
    arranged: Any

    @property
    def stuck(self) -> Mask:
        """Which elements could not be ordered."""
        mask: Mask = self.arranged.stuck[: len(self.elements)]
        return mask

    @property
    def bad(self) -> Ints:
        """Keys without an order."""
        return np.unique(np.append(self.elements.key[self.stuck], self.empties.key[self.late]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`orders`: rows of the keys that have one, one array for some keys each. `broken`: the
    elements and empty answers of keys that have none, without what could be left out; of these
    `bare` holds the elements without any guess. `unsure`: keys that need a search.
    """

    orders: tuple[Ints, ...]
    broken: Tried
    bare: Elements
    unsure: Ints


def test(elements: Elements, empties: Empties, discipline: Discipline) -> Tried:
    """The fast test of whatever keys these belong to."""
    found, late = moments(empties.start, empties.end, elements.shown, elements.needed)
    arranged = discipline.arrange(elements, found[~late], empties.key[~late])
    return Tried(elements=elements, empties=empties, late=late, arranged=arranged)


def settle(gathered: Gathered, discipline: Discipline, meter: Meter) -> Settled:
    """Decide every key as far as the fast test goes."""
    whole, jokers, empties = gathered.elements, gathered.jokers, gathered.empties
    doubtful = np.unique(whole.key[whole.repeated])
    orders, failing = _guess(whole.only(~whole.repeated), empties, jokers, discipline, meter)
    failed = np.isin(whole.key, failing) & ~whole.repeated
    bare = whole.only(failed)
    shaky = np.isin(bare.key, np.unique(jokers.key)) & discipline.hazy(bare)
    bare = bare.only(~shaky)
    silent = empties.only(np.isin(empties.key, failing))
    broken = test(discipline.guesses[0](bare, jokers, silent, meter), silent, discipline)
    unsure = np.setdiff1d(failing, broken.bad)
    if len(doubtful):
        orders = _without(orders, doubtful, gathered)
        chosen = np.setdiff1d(doubtful, failing)
        hopeless = np.unique(whole.key[whole.repeated & whole.hopeless])
        again = np.setdiff1d(chosen, hopeless)
        kept = whole.only(np.isin(whole.key, again))
        heard = empties.only(np.isin(empties.key, again))
        more, failing_again = _guess(kept, heard, jokers, discipline, meter)
        orders += more
        rest = np.concatenate([np.intersect1d(chosen, hopeless), failing_again])
        unsure = np.union1d(unsure, rest)
    return Settled(orders=orders, broken=broken, bare=bare, unsure=unsure)


def _guess(
    elements: Elements, empties: Empties, jokers: Jokers, discipline: Discipline, meter: Meter
) -> tuple[tuple[Ints, ...], Ints]:
    """Orders of the keys that have one, and the other keys. Those without jokers have none."""
    orders, given_up = [], []
    for guess in discipline.guesses:
        meter.in_time()
        tried = test(guess(elements, jokers, empties, meter), empties, discipline)
        bad = tried.bad
        if len(bad):
            good = test(
                tried.elements.only(~np.isin(elements.key, bad)),
                empties.only(~np.isin(empties.key, bad)),
                discipline,
            )
        else:
            good = tried
        orders.append(discipline.order(good.elements, good.empties, good.arranged))
        again = np.intersect1d(bad, jokers.key)
        given_up.append(np.setdiff1d(bad, again))
        if not len(again):
            return tuple(orders), np.concatenate(given_up)
        elements = elements.only(np.isin(elements.key, again))
        empties = empties.only(np.isin(empties.key, again))
    return tuple(orders), np.concatenate([*given_up, again])


def _without(orders: Sequence[Ints], keys: Ints, gathered: Gathered) -> tuple[Ints, ...]:
    """The orders without the rows of some keys."""
    return tuple(order[~np.isin(gathered.clock.key[order], keys)] for order in orders)


def search(
    history: History, key: Ints, number: int, discipline: Discipline, initial: Any, meter: Meter
) -> Any:
    """The general search over key `number`; `key` holds the number of each row's."""
    model = MODELS[discipline.name]([literal(element) for element in initial or ()])
    f = np.zeros(len(history), np.bool_)
    for word in discipline.words:
        f |= history.f.equals(word)
    rows = np.flatnonzero(f & (key == number) & (history.type != FAIL))
    return decide(history, rows, model, meter)


def fewest(elements: Elements, broken: Callable[[Elements], bool]) -> Elements:
    """Elements none of which can be left out: without any of them the others are not `broken`.

    `elements` as a whole are. What is enough stays enough with more, so the shortest beginning
    that is enough ends with one that is needed; and so on without what comes after it.
    """
    kept: list[int] = []
    rest = np.argsort(elements.needed, kind="stable")
    while not broken(elements.only(np.sort(np.array(kept, np.int64)))):
        low, high, size = 0, len(rest), 8
        while size < high:
            if broken(_with(elements, kept, rest[:size])):
                high = size
            else:
                low, size = size, 2 * size
        while low + 1 < high:
            middle = (low + high) // 2
            if broken(_with(elements, kept, rest[:middle])):
                high = middle
            else:
                low = middle
        kept.append(int(rest[high - 1]))
        rest = rest[: high - 1][::-1]
    return elements.only(np.sort(np.array(kept, np.int64)))


def _with(elements: Elements, kept: list[int], more: Ints) -> Elements:
    return elements.only(np.sort(np.append(np.array(kept, np.int64), more)))


def in_turn(by: Callable[[Elements], Ints]) -> Guess:
    """The guess that the i-th joker of a key took the i-th of its elements that nobody took."""

    def guess(elements: Elements, jokers: Jokers, empties: Empties, meter: Meter) -> Elements:
        loose = np.flatnonzero(elements.take == NOBODY)
        if not len(loose) or not len(jokers.row):
            return elements
        loose = loose[np.lexsort((by(elements)[loose], elements.key[loose]))]
        order = np.lexsort((jokers.start, jokers.key))
        nth, nth_joker = _nth(elements.key[loose]), _nth(jokers.key[order])
        width = len(elements) + len(jokers.row) + 1
        place = elements.key[loose] * width + nth
        places = jokers.key[order] * width + nth_joker
        _, of_element, of_joker = np.intersect1d(
            place, places, assume_unique=True, return_indices=True
        )
        return elements.taken(loose[of_element], jokers.only(order[of_joker]))

    return guess


def _nth(keys: Ints) -> Ints:
    """The place of each cell among those of its key; keys are sorted."""
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else keys
    return np.arange(len(keys)) - np.repeat(first, np.diff(np.append(first, len(keys))))


def last_come(elements: Elements, jokers: Jokers, empties: Empties, meter: Meter) -> Elements:
    """The guess that each joker took the element shown last of those that nobody took."""
    loose = np.flatnonzero((elements.take == NOBODY) & np.isin(elements.key, jokers.key))
    order = np.argsort(jokers.start, kind="stable")
    loose = loose[np.argsort(elements.shown[loose], kind="stable")]
    shown, keys = elements.shown[loose].tolist(), elements.key[loose].tolist()
    chosen, takers, waiting, following = [], [], list[int](), 0
    for joker in order.tolist():
        begun, key = int(jokers.start[joker]), int(jokers.key[joker])
        while following < len(loose) and shown[following] <= begun:
            waiting.append(following)
            following += 1
        while waiting and keys[waiting[-1]] != key:
            waiting.pop()
        if waiting:
            chosen.append(int(loose[waiting.pop()]))
            takers.append(joker)
    return elements.taken(np.array(chosen, np.int64), jokers.only(np.array(takers, np.int64)))
