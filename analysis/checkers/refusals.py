"""Swaps that were refused because another value was there: placed into an order, or contradicted.

A refused swap changes nothing, so it only needs a gap of the order where another value than the
one it expected is held, and that real time allows. Let E(g) be the latest start of what stands
before gap g, and L(g) the earliest end of what stands behind it. A refusal with interval [s, e] may
stand in g exactly if L(g) >= s and E(g) <= e; both grow with g, so its gaps are a stretch. Besides,
of two refusals with one preceding the other, the first must not stand behind the second.

Given the order of everything else, each refusal is put as far forward as that allows. All
conditions are of the kind "in one of these gaps" or "not before that one", so of two solutions the
elementwise earlier of both is one too: there is an earliest, and raising every refusal only as far
as some condition demands ends there, or shows that this order has no room. Another order may have:
so no room proves nothing, unless a refusal is contradicted outright (`contradicted`).
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.versions import NOWHERE, Versions
from analysis.checkers.zones import NEVER, Blocks, Line
from analysis.history import Ints, Mask


def place(versions: Versions, line: Line, meter: Meter) -> tuple[Ints, Mask]:
    """(rows of `line` with every refusal in its place, which refusals found none).

    Linear in what it moves; the meter's time limit is kept to.
    """
    count = len(line.row)
    if not len(versions.refused_row):
        return line.row[line.row >= 0], np.zeros(0, np.bool_)
    begun = np.maximum.accumulate(line.start)
    over = np.minimum.accumulate(line.end[::-1])[::-1]
    gap = np.searchsorted(over, versions.refused_start, side="left") - 1  # behind which operation
    last = np.searchsorted(begun, versions.refused_end, side="right") - 1
    behind = np.full(len(versions.row) + 1, NOWHERE)  # the last operation that shows a version
    behind[line.version] = np.arange(count)
    run_end = behind[versions.refused_version]  # NOWHERE picks the last cell: never held
    by_end = np.argsort(versions.refused_end, kind="stable")
    earlier = np.searchsorted(versions.refused_end[by_end], versions.refused_start, side="left")
    while True:
        meter.in_time()
        held = line.version[np.minimum(gap, count - 1)] == versions.refused_version
        gap = np.where(held, run_end + 1, gap)
        reached = np.append(-1, np.maximum.accumulate(gap[by_end]))[earlier]
        if not bool((reached > gap).any()):
            break
        gap = np.maximum(gap, reached)
    lost = gap > last
    position = np.concatenate([np.arange(count), gap])
    later = np.concatenate([np.full(count, NOWHERE), versions.refused_start])
    rows = np.concatenate([line.row, versions.refused_row])[np.lexsort((later, position))]
    return rows[rows >= 0], lost


def contradicted(versions: Versions, blocks: Blocks, future_reads: Ints) -> Ints:
    """Which refusals lie between two operations that show the expected value: the register held it
    all the while. Reads of the future do not count.
    """
    if not len(versions.refused_row):
        return np.empty(0, np.int64)
    first_end, last_start = versions.end.copy(), np.full(len(versions.row), -NEVER)
    timely = np.ones(len(versions.read_version), np.bool_)
    timely[future_reads] = False
    shown = versions.read_version[timely]
    np.minimum.at(first_end, shown, versions.read_end[timely])
    np.maximum.at(last_start, shown, versions.read_start[timely])
    swaps = np.flatnonzero(blocks.parent >= 0)
    np.maximum.at(last_start, blocks.parent[swaps], versions.start[swaps])
    known = np.flatnonzero(versions.refused_version != NOWHERE)
    known = known[versions.live[versions.refused_version[known]]]
    version = versions.refused_version[known]
    held = (first_end[version] < versions.refused_start[known]) & (
        versions.refused_end[known] < last_start[version]
    )
    return known[held]
