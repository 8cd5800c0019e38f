"""What each session did, in its order, and which of its reads break a session's guarantee.

Write u *certainly replaces* value v of its key if v was known before u began (or is the
initial value, or u is a swap that expects v): u takes effect after v did. A read of v is wrong if
its session must have seen such a u before. Whether there is one among several u is told by the one
that began last; swaps of v are remembered by v. So a session needs one number and a mark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.checkers.base import Exhausted, Meter
from analysis.checkers.compiled import compiled
from analysis.checkers.replacements import NOBODY, Registers
from analysis.checkers.session_kernels import KINDS, OWN_READ, OWN_WRITE, walk
from analysis.history import FAIL, OK, History, Ints, Mask

EVENTS_A_STEP = 1_000  # that a session may take in from others for one step of the budget
NOTHING = -2  # what an operation saw that is no observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """Operations in the order of their sessions: session n has the events from `bounds[n]` on.

    An operation is checked when it begins and counts when it has ended, if it was ok; that is one
    event unless operations of a process overlap. `place`: of each row the event when it began.
    """

    bounds: Ints
    row: Ints
    check: Mask
    insert: Mask
    place: Ints


def events(history: History) -> Events:
    """The events of all registers together."""
    relevant = history.f.equals("read") | history.f.equals("write") | history.f.equals("cas")
    rows = np.flatnonzero(relevant & (history.type != FAIL))
    row = rows[np.argsort(history.process[rows], kind="stable")]
    start, end = history.start_ns[row], history.end_ns[row]
    new = history.process[row][1:] != history.process[row][:-1]
    check = np.ones(len(row), np.bool_)
    insert = history.type[row] == OK
    if len(row) and not bool((new | (end[:-1] <= start[1:])).all()):
        row, check, insert = _overlapping(history, rows)
        new = history.process[row][1:] != history.process[row][:-1]
    bounds = np.concatenate([[0], np.flatnonzero(new) + 1, [len(row)]]) if len(row) else [0]
    place = np.full(len(history), NOBODY)
    place[row[check]] = np.flatnonzero(check)
    return Events(
        bounds=np.asarray(bounds, np.int64), row=row, check=check, insert=insert, place=place
    )


def _overlapping(history: History, rows: Ints) -> tuple[Ints, Mask, Mask]:
    """Beginnings and ends apart. At one moment ends come first, then what takes no time at all,
    row by row, then beginnings.
    """
    start, end = history.start_ns[rows], history.end_ns[rows]
    point = start == end
    row = np.concatenate([rows, rows])
    at = np.concatenate([start, end])
    phase = np.concatenate([np.where(point, 1, 2), np.where(point, 1, 0)])
    is_end = np.repeat([False, True], len(rows))
    order = np.lexsort((is_end, np.where(phase == 1, row, 0), phase, at, history.process[row]))
    row, is_end = row[order], is_end[order]
    return row, ~is_end, is_end & (history.type[row] == OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Values that can be judged, by number (`Registers`): written by one operation at most, and
    not seen before that began. `begin`: when the only write began (-1: the initial value),
    `writer` its row, `expects` the number that it replaced as a swap.
    """

    judged: Mask
    begin: Ints
    writer: Ints
    expects: Ints


def versions(registers: Registers) -> Versions:
    """The versions of all registers."""
    sole = registers.writers == np.where(registers.initial, 0, 1)
    judged = sole & (registers.initial | (registers.begun <= registers.since))
    written = registers.written
    writer, expects = (np.full(len(judged), NOBODY) for _ in range(2))
    writer[written] = registers.write
    expects[written] = registers.expected
    expects[expects == np.arange(len(expects))] = NOBODY
    plain = judged & ~registers.initial
    return Versions(
        judged=judged,
        begin=np.where(plain, registers.begun, -1),
        writer=np.where(plain, writer, NOBODY),
        expects=np.where(plain, expects, NOBODY),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """`broken`: of each row the guarantees that it breaks (bits of `session_kernels`); `compared`:
    observations that had something in their session to be compared with. `look` and `put`: of
    each row the version seen and put, by number; `over`: what it replaced as a swap. `stopped`:
    why not all was looked at.
    """

    events: Events
    versions: Versions
    broken: Ints
    compared: int
    look: Ints
    put: Ints
    over: Ints
    stopped: Exhausted | None


def read_sessions(history: History, registers: Registers, meter: Meter) -> Sessions:
    """Go through all sessions; the meter's budget bounds what they see of one another."""
    told, found = events(history), versions(registers)
    size, clock = len(history), registers.clock
    look, put, over = np.full(size, NOTHING), np.full(size, NOBODY), np.full(size, NOBODY)
    look[registers.look] = np.where(found.judged[registers.found], registers.found, NOBODY)
    ok = history.type[registers.write] == OK
    put[registers.write[ok]] = registers.written[ok]
    over[registers.write] = registers.expected
    over[over == put] = NOBODY
    seen, row = look[told.row], told.row
    judged = told.insert & (seen >= 0)
    wrote = told.insert & (put[row] >= 0)
    there = np.flatnonzero(found.writer != NOBODY)
    at, home = (np.full(len(found.writer), NOBODY) for _ in range(2))
    at[there] = told.place[found.writer[there]]
    home[there] = np.searchsorted(told.bounds, at[there], "right") - 1
    at_all = np.maximum(seen, 0)
    began = (np.where(wrote, clock.start(row), -1), np.where(judged, found.begin[at_all], -1))
    swaps = (np.where(wrote, over[row], -1), np.where(judged, found.expects[at_all], -1))
    keys, count, sessions = clock.keys, len(found.writer), max(len(told.bounds) - 1, 0)
    sizes = (KINDS * keys, KINDS * keys, KINDS * count, sessions, sessions, keys, len(row))
    arrays = [
        *(told.bounds, told.check, told.insert, clock.key[row], seen),
        *(np.concatenate(began), np.concatenate(swaps), registers.since, at, home),
        *(np.full(size, -1) for size in sizes),
    ]
    fast = compiled(walk, size)
    kernel: Callable[..., tuple[int, int]] = fast or walk
    given: list[Any] = [np.ascontiguousarray(array) for array in arrays]
    if fast is None:
        given = [array.tolist() for array in arrays]
    limit = meter.left() * EVENTS_A_STEP
    taken, compared = kernel(*given[:10], limit, keys, *given[10:])
    bad = np.maximum(np.array(given[-1], np.int64), 0)
    own = bad & (OWN_WRITE | OWN_READ)
    broken = np.zeros(size, np.int64)
    np.bitwise_or.at(broken, row, np.where(own, own, bad))
    stopped = None
    try:
        meter.spend(taken // EVENTS_A_STEP)
        if taken > limit:
            meter.spend(meter.left() + 1)
    except Exhausted as error:
        stopped = error
    return Sessions(
        events=told,
        versions=found,
        broken=broken,
        compared=int(compared),
        look=look,
        put=put,
        over=over,
        stopped=stopped,
    )
