"""Can the operations of a queue be ordered? In O(n log n), with looks and answers "empty".

Each element is put in once and taken once (`elements.py`). In a linear order of a queue elements
are taken as they were put in, so it is an order of elements first of all. a must come before b if

    put:   a's put ended before b's put began,
    take:  an operation of a's (its take, a look) ended before one of b's began,
    late:  an operation of a's ended before b's put began.

Conversely, any order of elements that agrees with these is one of the operations. Let puts take
effect in this order, each as early as may be: at the latest start among its own and those before;
likewise takes and looks, not before their element's put. Nothing takes effect after its end, for
whatever it waits for began before that, or one of the three would say otherwise. An answer "empty"
is an element that is put in and taken at one moment (`presence.py` says when).

So all depends on whether the three go round in a circle. A topological order takes away, again and
again, an element that none of the remaining ones must precede. All three compare an end with a
start, so the least ends that remain say which, and every list is gone through once: this is the
decrease-and-conquer of Lee & Mathur (OOPSLA 2025, arXiv:2410.04581), with looks. Without looks two
elements suffice for a circle (Henzinger, Sezgin & Vafeiadis, CONCUR 2013,
doi:10.1007/978-3-642-40184-8_18); with them it may take three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.checkers.compiled import Scratch, compiled
from analysis.checkers.elements import Elements, Empties
from analysis.history import Ints, Mask

_WEIGHT = 8  # the plain loop takes that many times as long as reading the history


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`ranks`: of each element and then each empty answer its place in the order, -1 if it cannot
    be ordered. `moments`: when the empty ones were answered.
    """

    ranks: Ints
    moments: Ints

    @property
    def stuck(self) -> Mask:
        """Which elements, and after them which empty answers, were left over."""
        return self.ranks < 0


def decide(elements: Elements, moments: Ints, keys: Ints) -> Found:
    """Order elements, key by key.

    `moments` are those of empty answers, in no certain stretch (`presence`), `keys` theirs.
    """
    put_start = np.append(elements.put_start, moments)
    put_end = np.append(elements.put_end, moments)
    first_end = np.append(elements.first_end, moments)
    last_start = np.append(elements.last_start, moments)
    arguments = (
        put_start,
        first_end,
        put_end,
        last_start,
        _sorted(put_start),
        _sorted(last_start),
        _sorted(put_end),
        _sorted(first_end),
        np.append(elements.key, keys),
    )
    fast = compiled(rank, len(put_start) * _WEIGHT)
    ranks = np.full(len(put_start), -1, np.int64)
    if fast is not None:
        fast(*arguments, np.full(len(ranks), 3), ranks)
    else:
        plain: Callable[..., Any] = rank
        cells = ranks.tolist()
        plain(*(array.tolist() for array in arguments), [3] * len(cells), cells)
        ranks = np.array(cells, np.int64)
    return Found(ranks=ranks, moments=moments)


def _sorted(times: Ints) -> Ints:
    return np.argsort(times, kind="stable")


def rank(
    put_start: Ints,
    first_end: Ints,
    put_end: Ints,
    last_start: Ints,
    by_put_start: Ints,
    by_last_start: Ints,
    by_put_end: Ints,
    by_first_end: Ints,
    keys: Ints,
    held: Scratch,
    ranks: Scratch,
) -> int:
    """Number the elements in a topological order; how many are done with.

    `held` holds 3: of what may still keep an element back, 1 is its put and 2 the rest. Where
    nothing goes on, the rest of that key is given up: its `ranks` stay as they are.
    """
    count = len(put_start)
    put_next, take_next, put_least, take_least, second, done = 0, 0, 0, 0, 0, 0
    while done < count:
        while held[by_put_end[put_least]] == 0:
            put_least += 1
        while held[by_first_end[take_least]] == 0:
            take_least += 1
        second = max(second, take_least + 1)
        while second < count and held[by_first_end[second]] == 0:
            second += 1
        head, before = by_first_end[take_least], done + put_next + take_next
        least = first_end[head]
        bound = min(least, put_end[by_put_end[put_least]])
        if second == count or last_start[head] <= first_end[by_first_end[second]]:
            held[head] &= 1  # what keeps the others back does not keep itself back
            if held[head] == 0:
                ranks[head] = done
                done += 1
        while put_next < count and put_start[by_put_start[put_next]] <= bound:
            place = by_put_start[put_next]
            put_next += 1
            if held[place] == 1:
                ranks[place] = done
                done += 1
            held[place] &= 2
        while take_next < count and last_start[by_last_start[take_next]] <= least:
            place = by_last_start[take_next]
            take_next += 1
            if held[place] == 2:
                ranks[place] = done
                done += 1
            held[place] &= 1
        if before == done + put_next + take_next:
            lost, place = keys[by_put_end[put_least]], put_next
            while place > 0 and keys[by_put_start[place - 1]] == lost:
                place -= 1
            while place < count and keys[by_put_start[place]] == lost:
                done += held[by_put_start[place]] != 0
                held[by_put_start[place]] = 0
                place += 1
    return done


def order(elements: Elements, empties: Empties, found: Found) -> Ints:
    """The rows of all operations in a linear order; nothing may be stuck. What no operation put in
    has none.
    """
    rows = _order(elements, empties, found)
    return rows[rows >= 0]


def _order(elements: Elements, empties: Empties, found: Found) -> Ints:
    count, ranks = len(elements), found.ranks
    sequence = np.argsort(ranks)
    begun = np.append(elements.put_start, found.moments)[sequence]
    put_at = np.maximum.accumulate(begun)  # by rank
    put = sequence[sequence < count]
    row, rank, start, kind = _second_halves(elements, empties, found)
    at = np.maximum.accumulate(np.maximum(start, put_at[rank]))
    after = np.cumsum(sequence >= count)  # how many empty answers came first, by rank
    rows = np.concatenate([elements.put[put], row])
    moment = np.concatenate([put_at[ranks[put]], at])
    if not len(empties.row):
        return rows[np.argsort(moment, kind="stable")]  # ties: puts first, each kind in its order
    emptied = np.concatenate([after[ranks[put]], after[rank]])
    kinds = np.concatenate([np.ones(len(put), np.int64), kind])
    return rows[np.lexsort((kinds, emptied, moment))]


def _second_halves(
    elements: Elements, empties: Empties, found: Found
) -> tuple[Ints, Ints, Ints, Ints]:
    """(row, rank, start, kind) of empty answers (kind 0), looks and takes (2), in their order."""
    count, looks = len(elements), elements.looks
    takes = np.flatnonzero(elements.take >= 0)
    row = np.concatenate([empties.row, looks.row, elements.take[takes]])
    start = np.concatenate([found.moments, looks.start, elements.take_start[takes]])
    rank = np.concatenate([found.ranks[count:], found.ranks[looks.element], found.ranks[takes]])
    others = len(row) - len(takes)
    kind = np.full(len(row), 2, np.int64)
    kind[: len(empties.row)] = 0
    if others == 0:
        order = np.argsort(rank)
    else:
        last = np.append(np.zeros(others, np.int64), np.ones(len(takes), np.int64))
        order = np.lexsort((start, last, rank))
    return row[order], rank[order], start[order], kind[order]
