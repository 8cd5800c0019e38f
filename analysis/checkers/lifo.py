"""Can the operations of a stack be ordered? In O(n log n), with looks and answers "empty".

An element was certainly there strictly between the end of its first and the start of its last
operation (`presence.py`). If there is no such time, its operations can take effect at one
moment, one after another, whatever else lies on the stack: it is no matter. The others:

Consider the moments at which none of them was certainly there. What lies between two of these that
follow each other has an order on its own or none, since all of it can be done within (as in
`presence.py`). In such a span something is always there, so one element must lie at the bottom
throughout: its put began no later than the span, its take ended no earlier, and each look at it
includes a moment when nothing else of the span was certainly there. Of all that could, any one
will do: whatever order there is without it can be put on top of it. So take it away, and what is
left of the span falls into shorter ones. If none could, there is no order: neither of the span,
nor of anything with the same elements in it.

This is decrease-and-conquer (Lee & Mathur, OOPSLA 2025, arXiv:2410.04581) with an order as its
outcome. How fast: a tree over moments counts what covers each; two trees over elements find those
whose put (take) a new moment between spans falls into. Each element leaves each tree once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.checkers.compiled import compiled
from analysis.checkers.elements import Elements, Empties
from analysis.checkers.lifo_kernels import FULL, awaken, grant, nearest, uncover
from analysis.history import Ints, Mask

_WEIGHT = 40  # the plain loops take that many times as long as reading the history


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of each element: when it was put in and taken out, and its number `depth` among those that
    share their moment: what has a lower one lies below. `span` is the number of the span that an
    element is stuck in, -1 if it could be ordered. `looked`: when each look was;
    `moments`: when the empty ones were answered.
    """

    put_at: Ints
    take_at: Ints
    depth: Ints
    span: Ints
    looked: Ints
    moments: Ints

    @property
    def stuck(self) -> Mask:
        """Which elements could not be ordered."""
        return self.span >= 0


def decide(elements: Elements, moments: Ints, keys: Ints) -> Found:
    """Order elements as far as that is possible.

    `moments` are those of empty answers, in no certain stretch (`presence`). Spans never hold more
    than one key, so that `keys`, theirs, do not matter.
    """
    shown, needed = elements.shown, elements.needed
    put_at, take_at = needed.copy(), needed.copy()
    depth = np.zeros(len(elements), np.int64)
    span = np.full(len(elements), -1, np.int64)
    looked = needed[elements.looks.element]
    there = np.flatnonzero(shown < needed)
    if len(there):
        there = there[np.argsort(shown[there], kind="stable")]
        work = _Work(elements, there)
        work.run()
        put_at[there], take_at[there] = work.stays()
        depth[there] = work.removed
        span[there] = work.spans()
        looked[work.look] = work.look_at(put_at, take_at)
    return Found(
        put_at=put_at, take_at=take_at, depth=depth, span=span, looked=looked, moments=moments
    )


def order(elements: Elements, empties: Empties, found: Found) -> Ints:
    """The rows of all operations in a linear order; nothing may be stuck. What no operation put in
    has none.

    At one moment: first takes, the upper before the lower; then what leaves the stack as it was,
    one element after another; then puts, the lower before the upper. A look at an element that
    is put in (taken) at that moment comes just after its put (just before its take).
    """
    takes = np.flatnonzero(elements.take >= 0)
    seen = elements.looks.element
    rows = [elements.put, elements.take[takes], elements.looks.row, empties.row]
    times = [found.put_at, found.take_at[takes], found.looked, found.moments]
    below = found.depth
    deepest = int(below.max()) if len(below) else 0
    width = deepest + len(elements) + len(empties.row) + 1
    lone = np.arange(len(elements))  # the number of what is put in and taken out at one moment
    at_once, looked = below == 0, found.looked
    put = np.where(at_once, 3 * (width + lone), 3 * (2 * width + below))
    take = np.where(at_once, 3 * (width + lone) + 2, 3 * (deepest - below) + 1)
    look = 3 * (width + lone[seen]) + 1
    stays = ~at_once[seen]
    look = np.where(stays & (looked == found.put_at[seen]), put[seen] + 1, look)
    look = np.where(stays & (looked == found.take_at[seen]), take[seen] - 1, look)
    empty = 3 * (width + len(elements) + np.arange(len(empties.row)))
    turns = np.concatenate([put, take[takes], look, empty])
    ordered = np.concatenate(rows)[np.lexsort((turns, np.concatenate(times)))]
    return ordered[ordered >= 0]


class _Work:
    """The elements `there`, in the order of `shown`; moments as places in `points`."""

    def __init__(self, elements: Elements, there: Ints) -> None:
        place = np.full(len(elements), -1, np.int64)
        place[there] = np.arange(len(there))
        self._elements, self._place = elements, place
        looks = elements.looks
        kept = np.flatnonzero(place[looks.element] >= 0)
        self.look = kept[np.argsort(place[looks.element[kept]], kind="stable")]
        shown, needed = elements.shown[there], elements.needed[there]
        begun = looks.start[self.look]
        self.points = np.unique(np.concatenate([shown, needed, begun]))
        self.low = np.searchsorted(self.points, shown)
        self.high = np.searchsorted(self.points, needed)
        early = np.searchsorted(self.points, elements.put_start[there], side="left")
        late = np.searchsorted(self.points, elements.take_end[there], side="right") - 1
        self.look_low = np.searchsorted(self.points, begun)
        self.look_high = np.searchsorted(self.points, looks.end[self.look], side="right") - 1
        self.owner = place[looks.element[self.look]]
        self.removed = np.zeros(len(there), np.int64)
        self._cover()
        self._watch(early, late)

    def _cover(self) -> None:
        """The tree of counts: `count[p]` is the least below p, `more[p]` what was added at p."""
        size = len(self.points)
        change = np.bincount(self.low + 1, minlength=size + 1)
        covering = np.cumsum(change - np.bincount(self.high, minlength=size + 1))[:size]
        free = np.flatnonzero(covering == 0)
        leaves = np.full(_power(size), FULL)
        leaves[:size] = np.where(covering == 0, FULL, covering)
        self.count = _tree(leaves)
        self.more = np.zeros_like(self.count)
        self.marked = np.zeros(size, np.int64)  # when each became a moment between spans
        self.marked[free] = 1
        self.pending = np.zeros(size, np.int64)  # those moments, as they came
        self.pending[: len(free)] = free
        self.clock = np.array([1, len(free)])

    def _watch(self, early: Ints, late: Ints) -> None:
        """Two trees of elements: who needs a moment in early … low, and who in high … late, in
        mirrored time. `since`: the first leaf that may need a moment.
        """
        last, moments = len(self.points) - 1, np.arange(len(self.points))
        mirrored = np.argsort(-self.high, kind="stable")
        size = _power(len(self.low) + 1)
        trees = []
        for key in (early, (last - late)[mirrored]):
            leaves = np.full(size, FULL)
            leaves[: len(key)] = key
            trees.append(_tree(leaves))
        self.watch = np.concatenate(trees)
        self.names = np.concatenate([np.arange(len(self.low)), mirrored])
        first = np.searchsorted(self.low, moments)
        self.since = np.append(first, np.searchsorted(-self.high[mirrored], -moments))
        self.need = np.full(len(self.low), 2)  # its put, its take, and its looks if it has any
        self.need[self.owner] = 3
        self.ready = np.zeros(len(self.low), np.int64)

    def run(self) -> None:
        """Take away whatever can lie at the bottom of its span, until nothing can."""
        kernels: tuple[Any, ...] = (awaken, uncover, grant, nearest)
        size = (len(self.points) + len(self.low)) * _WEIGHT
        fast: list[Any] = [compiled(kernel, size) for kernel in kernels]
        plain = any(kernel is None for kernel in fast)
        awake, lift, look, near = kernels if plain else fast

        def hand(*arrays: Ints) -> list[Any]:
            return [array.tolist() for array in arrays] if plain else list(arrays)

        seen, begin, end = np.zeros(len(self.look), np.int64), self.low.copy(), self.high.copy()
        removed, marked, pending = hand(self.removed, self.marked, self.pending)
        tree = hand(self.count, self.more, self.low, self.high)
        watch = hand(self.watch, self.names, self.since)
        need, ready, clock = hand(self.need, self.ready, self.clock)
        first = np.searchsorted(self.owner, np.arange(len(self.low) + 1))
        ranges = np.stack([self.look_low, self.look_high], axis=1).ravel()
        looks = hand(first, ranges, seen)
        done, known = 0, int(self.clock[1])
        while True:
            chosen = awake(*watch, pending, done, known, need, ready)
            done = known
            if not chosen and len(seen):
                chosen = look(*tree, *looks[:2], marked, looks[2], need, ready)
            if not chosen:
                break
            known = lift(*tree, ready, chosen, removed, marked, pending, clock)
        self.removed, self.marked = np.array(removed), np.array(marked)
        self.seen = np.array(looks[2], np.int64)
        order = np.argsort(self.removed, kind="stable")
        order = order[self.removed[order] > 0]
        stays, links = hand(begin, end), hand(np.arange(len(marked)), np.arange(len(marked)))
        rows = hand(order, np.array(pending[:known], np.int64))
        near(*rows, marked, removed, *tree[2:], *links, *stays)
        self.begin, self.end = (np.array(stay, np.int64) for stay in stays)

    def stays(self) -> tuple[Ints, Ints]:
        """From when to when each element that was taken away lies on the stack."""
        return self.points[self.begin], self.points[self.end]

    def spans(self) -> Ints:
        """The number of the span of each element that is left, else -1."""
        return np.where(self.removed > 0, -1, np.cumsum(self.marked > 0)[self.low])

    def look_at(self, put_at: Ints, take_at: Ints) -> Ints:
        """When each look is: within the stay of what it sees."""
        element = self._elements.looks.element[self.look]
        moment: Ints = np.clip(self.points[self.seen], put_at[element], take_at[element])
        return moment


def _power(size: int) -> int:
    return 1 << max(1, (size - 1).bit_length())


def _tree(leaves: Ints) -> Ints:
    """A heap of minima over the leaves: node p has the children 2p and 2p + 1, the root is 1."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        levels.append(levels[-1].reshape(-1, 2).min(axis=1))
    return np.concatenate([np.full(1, FULL), *levels[::-1]])
