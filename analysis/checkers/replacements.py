"""When the values of registers were certainly replaced, and how far behind a read certainly is.

A value is *known* from the end of an acknowledged operation that writes or shows it. A write takes
effect before the value it writes is known. So a value was replaced, at the latest, when another
became known whose write began after the first was known; or whose write is a swap that expects it;
or any, if it is the initial value. Every bound here follows from that alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.clock import Clock
from analysis.checkers.counting import NEVER
from analysis.checkers.elements import numbered
from analysis.history import FAIL, OK, History, Ints, Mask
from analysis.values import Values

NOBODY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """The operations of registers. Values have numbers, one for each key and value, and times are
    readings of one clock for all keys.

    `write`: rows that may have written `written`, by start. `look`: rows that found `found`.
    Per number: `known` since when (NEVER), by which operation `teller`; `shown` and `shower` are
    the same of looks alone; `since`: known, or, of a key's initial value, before all else.
    """

    clock: Clock
    write: Ints
    written: Ints
    expected: Ints  # per write the number that it replaces if it is a swap, else NOBODY
    look: Ints
    found: Ints
    known: Ints
    teller: Ints
    shown: Ints
    shower: Ints
    since: Ints
    initial: Mask
    writers: Ints  # how many may have written it
    begun: Ints  # when the first of these began; NEVER
    failed: Mask  # one that failed tried to write it


def read_registers(history: History, values: Values) -> Registers:
    """The registers of a history (f: read, write, cas)."""
    clock = Clock(history)
    value, expected, initial = values.solid()
    cas, ok = history.f.equals("cas"), history.type == OK
    write = np.flatnonzero((history.f.equals("write") | cas) & (history.type != FAIL))
    write = write[np.argsort(clock.start(write), kind="stable")]
    look = np.flatnonzero((history.f.equals("read") | cas) & ok)
    swaps = np.flatnonzero(cas[write])
    failed = np.flatnonzero((history.f.equals("write") | cas) & (history.type == FAIL))
    keys = np.arange(clock.keys)
    saw = np.where(cas[look], expected[look], value[look])
    parts = [
        (clock.key[write], value[write]),
        (clock.key[look], saw),
        (clock.key[write[swaps]], expected[write[swaps]]),
        (clock.key[failed], value[failed]),
        (keys, np.full(clock.keys, initial)),
    ]
    key, code = (np.concatenate(column) for column in zip(*parts, strict=True))
    number, count = numbered(key, code)
    cuts = np.cumsum([len(part[0]) for part in parts[:-1]])
    written, found, replaced, denied, first = np.split(number, cuts)
    is_initial, is_denied = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    is_initial[first], is_denied[denied] = True, True
    replaces = np.full(len(write), NOBODY)
    replaces[swaps] = replaced
    done = np.flatnonzero(ok[write])
    shown, shower = _first_end(clock, look, found, count)
    known, teller = _first_end(
        clock, np.append(look, write[done]), np.append(found, written[done]), count
    )
    since, begun = known.copy(), np.full(count, NEVER)
    since[first] = clock.first
    np.minimum.at(begun, written, clock.start(write))
    return Registers(
        clock=clock,
        write=write,
        written=written,
        expected=replaces,
        look=look,
        found=found,
        known=known,
        teller=teller,
        shown=shown,
        shower=shower,
        since=since,
        initial=is_initial,
        begun=begun,
        failed=is_denied,
        writers=np.bincount(written, minlength=count),
    )


def _first_end(clock: Clock, rows: Ints, number: Ints, count: int) -> tuple[Ints, Ints]:
    """Per number the first end of its rows, and one such row; NEVER and NOBODY without any."""
    ends = clock.end(rows)
    first, row = np.full(count, NEVER), np.full(count, NOBODY)
    np.minimum.at(first, number, ends)
    at = ends == first[number]
    row[number[at]] = rows[at]
    return first, row


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """When values were certainly replaced.

    Per write (in the order of `Registers.write`): since when it has certainly taken effect (`done`,
    NEVER), and by which row that is known (`proof`). Per number: when it was certainly replaced
    (NEVER), by which write (`by`), and the first write that begins after it was known (`after`).
    """

    done: Ints
    proof: Ints
    replaced: Ints
    by: Ints
    after: Ints

    def behind(self, numbers: Ints, times: Ints) -> Ints:
        """How many values certainly came after each of these and were there by these times."""
        return np.maximum(_count_below(self.done, self.after[numbers], times), 1)


def replacements(history: History, registers: Registers) -> Replacements:
    """When each value was certainly replaced. Values that several operations may have written never
    are, and neither are those that were seen before they can have been written.
    """
    clock, write, written = registers.clock, registers.write, registers.written
    ok = history.type[write] == OK
    done, proof = np.where(ok, clock.end(write), NEVER), np.where(ok, write, NOBODY)
    only = (registers.writers[written] == 1) & ~registers.initial[written]
    earlier = only & (registers.shown[written] < done)
    done = np.where(earlier, registers.shown[written], done)
    proof = np.where(earlier, registers.shower[written], proof)
    start, count = clock.start(write), len(registers.known)
    after = np.searchsorted(start, registers.since, side="right").astype(np.int64)
    # Times of later keys are later: that they are among the rest of the writes changes nothing.
    reverse = np.append(NEVER, done[::-1])
    least = np.minimum.accumulate(reverse)
    record = np.maximum.accumulate(np.where(reverse == least, np.arange(len(reverse)), 0))
    at = len(write) - after
    replaced, by = least[at], len(write) - record[at]
    by[replaced == NEVER] = NOBODY
    swaps = np.flatnonzero((registers.expected >= 0) & (registers.expected != written))
    swaps = swaps[np.argsort(-done[swaps], kind="stable")]
    swapped = np.full(count, NOBODY)
    swapped[registers.expected[swaps]] = swaps  # the one that was done first stays
    sooner = np.flatnonzero(swapped >= 0)
    sooner = sooner[done[swapped[sooner]] < replaced[sooner]]
    replaced[sooner], by[sooner] = done[swapped[sooner]], swapped[sooner]
    unsure = registers.writers > np.where(registers.initial, 0, 1)
    writer = np.full(count, NOBODY)
    writer[written] = np.arange(len(write))
    unsure |= (writer >= after) & ~registers.initial
    replaced[unsure], by[unsure] = NEVER, NOBODY
    return Replacements(done=done, proof=proof, replaced=replaced, by=by, after=after)


def _count_below(values: Ints, begins: Ints, limits: Ints) -> Ints:
    """Per (begin, limit): how many of `values` from that place on are less than the limit.

    A wavelet matrix (Claude & Navarro 2012): the values' ranks
    are sorted by one bit after the other, and each query follows the bits of its limit.
    """
    ordered = np.sort(values)
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(len(values))
    limit = np.searchsorted(ordered, limits)
    low, high = begins, np.full(len(begins), len(values))
    found = np.zeros(len(begins), np.int64)
    for bit in range(len(values).bit_length() - 1, -1, -1):
        ones = (rank >> bit & 1).astype(np.bool_)
        zeros = np.append(0, np.cumsum(~ones))
        low_zeros, high_zeros = zeros[low], zeros[high]
        up = (limit >> bit & 1).astype(np.bool_)
        found += np.where(up, high_zeros - low_zeros, 0)
        low = np.where(up, zeros[-1] + low - low_zeros, low_zeros)
        high = np.where(up, zeros[-1] + high - high_zeros, high_zeros)
        rank = np.append(rank[~ones], rank[ones])
    return found
