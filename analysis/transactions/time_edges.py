"""The order of sessions and real time as few edges.

Where transactions overlap, x comes before y by way of a node for each end: x before its end's node,
that before the next end's, the last end before y starts before y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.history import OK, Codes, Ints, Mask
from analysis.transactions.columns import Transactions
from analysis.transactions.list_edges import Edges, edges, joined
from analysis.transactions.list_versions import quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """`edges` that say before, `on` that go on; `more` nodes, numbered from `base`."""

    edges: Edges
    on: Edges
    more: int


def in_turn(
    process: Ints, start: Ints, end: Ints, ok: Mask, chosen: Mask, processes: int
) -> tuple[Codes, Codes, Mask]:
    """Kernel: (source, target) of successive transactions of each process, rows being in order;
    and the processes of which they are not, or overlap.
    """
    last = np.full(processes, -1, np.int32)
    unended = np.full(processes, -1, np.int32)  # of those without an end the one begun last
    source, target = np.empty(len(start), np.int32), np.empty(len(start), np.int32)
    mixed = np.zeros(processes, np.bool_)
    count = 0
    for t in range(len(start)):
        if not chosen[t]:
            continue
        p = process[t]
        if last[p] >= 0:
            if start[t] < end[last[p]]:
                mixed[p] = True
            source[count], target[count] = last[p], t
            count += 1
        if ok[t]:
            last[p] = t
            if unended[p] >= 0 and end[t] <= start[unended[p]]:
                mixed[p] = True
        elif unended[p] < 0 or start[t] > start[unended[p]]:
            unended[p] = t
    return source[:count], target[:count], mixed


def sessions(told: Transactions, chosen: Mask, base: int) -> Ordered:
    """The order of sessions among the chosen transactions. New nodes are numbered from `base`."""
    process, count = _dense(told.process)
    ok = told.outcome == OK
    source, target, mixed = quick(in_turn, len(told))(
        process, told.start, told.end, ok, chosen, count
    )
    if not mixed.any():
        blank = np.full(len(source), -1, np.int32)
        return Ordered(
            edges=Edges(source=source, target=target, one=blank, other=blank), on=Edges(), more=0
        )
    plain = ~mixed[process[target]]
    parts, on, more = [edges(source[plain], target[plain])], [], 0
    members = np.flatnonzero(chosen & mixed[process])
    members = members[np.argsort(process[members], kind="stable")]
    for group in np.split(members, np.flatnonzero(np.diff(process[members])) + 1):
        found = _session(told, group, ok, base + more)
        parts.append(found.edges)
        on.append(found.on)
        more += found.more
    return Ordered(edges=joined(*parts), on=joined(*on), more=more)


def _session(told: Transactions, group: Ints, ok: Mask, base: int) -> Ordered:
    """One process whose transactions overlap. Of those at one moment the upper row is first."""
    start, end = told.start[group], told.history.end_ns[told.rows[group]]
    ended = np.flatnonzero(ok[group])
    instant = start == end
    ended = ended[np.lexsort((ended, instant[ended], end[ended]))]
    ahead = np.searchsorted(end[ended], start, "right")
    at_once = ended[instant[ended]]
    ahead[at_once] = np.flatnonzero(instant[ended])
    for y in np.flatnonzero(instant & ~ok[group]).tolist():
        same = at_once[end[at_once] == start[y]]
        ahead[y] -= int(np.count_nonzero(same > y))
    return _barriers(group[ended], group, ahead, base)


def realtime(told: Transactions, chosen: Mask, base: int) -> Ordered:
    """What ended before what started, among the chosen transactions."""
    ended, after = by_end(told, chosen), np.flatnonzero(chosen)
    ahead = np.searchsorted(told.end[ended], told.start[after], "left")
    return _barriers(ended, after, ahead, base)


def by_end(told: Transactions, chosen: Mask) -> Ints:
    """The chosen transactions that are ok in the order of their ends."""
    ended = np.flatnonzero(chosen & (told.outcome == OK))
    return ended[np.argsort(told.end[ended], kind="stable")]


def _barriers(ended: Ints, after: Ints, ahead: Ints, base: int) -> Ordered:
    """`ahead` of each of `after`: how many of `ended` come before it."""
    node = base + np.arange(len(ended))
    some = ahead > 0
    return Ordered(
        edges=edges(ended, node),
        on=joined(edges(node[:-1], node[1:]), edges(node[ahead[some] - 1], after[some])),
        more=len(ended),
    )


def _dense(process: Ints) -> tuple[Ints, int]:
    """Processes numbered from 0."""
    if not len(process):
        return process, 0
    low, high = int(process.min()), int(process.max())
    if high - low < 4 * len(process) + 1000:
        return process - low if low else process, high - low + 1
    known, number = np.unique(process, return_inverse=True)
    return number.reshape(-1), len(known)
