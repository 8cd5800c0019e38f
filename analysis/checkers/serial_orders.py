"""Serial orders of programs: one that real time suggests, and whether an order is one."""

from __future__ import annotations

import numpy as np

from analysis.checkers.precedence import Blocks
from analysis.checkers.programs import Programs
from analysis.history import Ints


def in_time(programs: Programs, blocks: Blocks) -> tuple[Ints, Ints]:
    """All nodes in an order that is serial if the history is linearizable, and their moments.

    By locality (Herlihy & Wing 1990) each key may be ordered alone, by the middles of its blocks'
    zones (`zones.py`). Then every operation happens as early as that allows: at the last start
    among those before it, which lies within its own interval.
    """
    times = np.concatenate([programs.start, programs.end])
    ranks = np.unique(times, return_inverse=True)[1].astype(np.int64) + 1
    start, end = ranks[: len(programs)], ranks[len(programs) :]
    latest = int(ranks.max(initial=0)) + 1
    end = np.where(programs.definite, end, latest)
    first_end, last_start = np.full(len(blocks), latest), np.zeros(len(blocks), np.int64)
    member = np.flatnonzero(blocks.of >= 0)
    np.minimum.at(first_end, blocks.of[member], end[member])
    np.maximum.at(last_start, blocks.of[member], start[member])
    first_end[blocks.head < 0] = 0
    middle = 2 * start
    middle[member] = (first_end + last_start)[blocks.of[member]]
    reads = programs.written < 0
    order = np.lexsort((start, reads, blocks.depth, blocks.of, middle, programs.key))
    moment = _earliest(programs, order, start)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return np.lexsort((rank, moment)), moment


def as_one(programs: Programs, order: Ints) -> Ints:
    """Orders of the keys, each linear, one after another in `order`, as one of all keys."""
    order = order[np.argsort(programs.key[order], kind="stable")]
    start = np.unique(programs.start, return_inverse=True)[1].astype(np.int64)
    moment = _earliest(programs, order, start)[order]
    return order[np.lexsort((np.arange(len(order)), moment))]


def _earliest(programs: Programs, order: Ints, start: Ints) -> Ints:
    """Per node: the last start among those up to it; `order` is key by key."""
    shift = programs.key[order] * (int(start.max(initial=0)) + 1)
    moment = np.zeros(len(programs), np.int64)
    moment[order] = np.maximum.accumulate(start[order] + shift) - shift
    return moment


def is_serial(programs: Programs, order: Ints) -> bool:
    """Whether `order`, of nodes that differ, keeps process order and explains what was seen; of the
    optional ones, which come before nothing, any may be left out.
    """
    rank = np.full(len(programs), len(order), np.int64)
    rank[order] = np.arange(len(order))
    if bool((rank[~programs.optional] == len(order)).any()):
        return False
    in_lanes = np.lexsort((programs.place, programs.lane))
    same = programs.lane[in_lanes][1:] == programs.lane[in_lanes][:-1]
    if bool((rank[in_lanes][1:] <= rank[in_lanes][:-1])[same].any()):
        return False
    if bool((rank[programs.before[:, 0]] >= rank[programs.before[:, 1]]).any()):
        return False
    return _explains(programs, order)


def _explains(programs: Programs, order: Ints) -> bool:
    """Replay every key: each observation sees what was written last, or the initial value."""
    if not len(order):
        return True
    order = order[np.argsort(programs.key[order], kind="stable")]
    key = programs.key[order]
    written, seen = programs.written[order], programs.seen[order]
    place = np.arange(len(order))
    first = np.searchsorted(key, key)
    last = np.maximum.accumulate(np.where(written >= 0, place, -1))
    before = np.append(-1, last[:-1])
    state = np.where(before >= first, written[before], programs.initial[key])
    return bool(((seen < 0) | (seen == state)).all())
