"""When a queue or a stack certainly held something, and whether it may have been empty.

An element was certainly there strictly between the end of its first operation and the start of its
last one. An answer "empty" needs one moment of its interval in no such stretch. That is enough:
what was done by such a moment and what was not can be ordered apart, since no operation of the
latter ended before one of the former began (after Emmi & Enea, POPL 2018, doi:10.1145/3158113).
"""

from __future__ import annotations

import numpy as np

from analysis.history import Ints, Mask


def stretches(shown: Ints, needed: Ints) -> tuple[Ints, Ints]:
    """Where anything was certainly there: disjoint open intervals (begin, end), in order.

    Those that touch are apart: at that moment there may have been nothing.
    """
    there = np.flatnonzero(shown < needed)
    there = there[np.argsort(shown[there], kind="stable")]
    begin, reach = shown[there], np.maximum.accumulate(needed[there])
    first = np.flatnonzero(np.append(True, begin[1:] >= reach[:-1])) if len(there) else there
    last = np.append(first[1:], len(there))[: len(first)] - 1
    return begin[first], reach[last]


def moments(start: Ints, end: Ints, shown: Ints, needed: Ints) -> tuple[Ints, Mask]:
    """The first moment from each `start` on when there may have been nothing, and whether it is
    too late: after `end`.
    """
    begin, reach = stretches(shown, needed)
    if not len(begin) or not len(start):
        return start, np.zeros(len(start), np.bool_)
    within = np.searchsorted(begin, start, side="left") - 1
    moment = np.where(within >= 0, np.maximum(start, reach[within]), start)
    return moment, moment > end


def fewest(start: int, end: int, shown: Ints, needed: Ints) -> list[int]:
    """Places of the fewest elements that were certainly there at all moments of [start, end].

    They are known to cover it.
    """
    chosen = []
    while True:
        place = int(np.argmax(np.where(shown < start, needed, start)))
        chosen.append(place)
        if needed[place] > end:
            return chosen
        start = int(needed[place])
