"""Serial orders of transactions without times: the heads of sessions, one after another.

Of each session only its head may come next. The head that wishes to be first comes, or else who it
waits for: whom it has read from, and who still has to read what it writes over. If that goes round
in a circle, someone came too early: "W came before H, which writes over what W wrote while R still
has to read it". The last such W on the circle is taken back, and it is noted that it comes after H
as long as the others stand. An order made in this way is right; a circle that rests on nothing is a
contradiction, and `Stuck` says where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.checkers.compiled import Scratch, compiled
from analysis.history import Ints
from analysis.transactions.versions import NONE, Versions

LANES_MAX = 1024  # sessions, each of which is looked at for each transaction
RESTS = (
    6  # of what a note rests on, so much is kept: without the rest it asks for more than it must
)
NOTE = 2 + 2 * RESTS  # (whom it waits for, the next note of the same, pairs that it rests on)
CIRCLES = 32  # without going on, after which others are wished for first, and more taken back
FURTHER = 8  # so much more for each
WORK = 64  # how much there is to do for a read, about, as `compiled` counts it


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """No order was made. `came`: those that had come, in order; `heads`: of each session the next;
    `sure`: whether what they wait for is a contradiction by itself.
    """

    came: Ints
    heads: Ints
    sure: bool


def line_up(
    versions: Versions, lane: Ints, place: Ints, wishes: Ints, pairs: Ints, tries: int
) -> Ints | Stuck:
    """Transactions in a serial order that keeps each lane (a chain of all of a session). `pairs`:
    rows (a, b): a comes before b in any; `wishes`: (w, n) one after another, as it gets stuck;
    `tries`: how often, about, each may be looked at.
    """
    problem = versions.problem
    count, keys, writes = len(problem), problem.keys, versions.writes
    by = np.lexsort((place, lane))
    lanes = int(lane.max(initial=-1)) + 1
    lane_first = np.searchsorted(lane[by], np.arange(lanes + 1)).astype(np.int64)
    known = np.concatenate([problem.known[:, :2], pairs])
    real = np.flatnonzero(problem.source >= 0)
    before = np.concatenate([problem.source[real], known[:, 0]])
    back_first, back = table(count, np.concatenate([problem.reader[real], known[:, 1]]), before)
    makes_first = np.searchsorted(problem.writer, np.arange(count + 1)).astype(np.int64)
    reads_first, reads = table(count, problem.reader, versions.read)
    seen_first, seen = table(writes + keys, versions.read, problem.reader)
    size = count + len(problem.reader)
    run: Any = compiled(lines, WORK * size) or lines
    order = np.empty(count, np.int64)
    head = np.zeros(lanes + 1, np.int64)
    done = run(
        lane_first, by, lane, wishes.reshape(-1), back_first, back, makes_first,
        np.ascontiguousarray(problem.write_key), np.ascontiguousarray(problem.writer), reads_first,
        reads, seen_first, seen, seen_first[:-1].copy(),
        np.bincount(versions.read, minlength=writes + keys).astype(np.int64),
        writes + np.arange(keys), *np.full((1, writes), NONE), *np.full((2, count), NONE),
        np.empty(NOTE * (2 * count + 64), np.int64), *np.full((4, lanes), NONE), head,
        tries * count, order,
    )  # fmt: skip
    sure = done < 0
    done = -done - 1 if sure else done
    if done == count:
        return order
    left = lane_first[:-1] + head[:-1]
    heads = by[left[left < lane_first[1:]]]
    return Stuck(came=order[:done], heads=heads, sure=sure)


def table(nodes: int, node: Ints, value: Ints) -> tuple[Ints, Ints]:
    """(first, values) by node."""
    by = np.argsort(node, kind="stable")
    first = np.searchsorted(node[by], np.arange(nodes + 1)).astype(np.int64)
    return first, np.ascontiguousarray(value[by])


def lines(
    lane_first: Ints, by: Ints, lane: Ints, wish: Ints, back_first: Ints, back: Ints,
    makes_first: Ints, makes_key: Ints, maker: Ints, reads_first: Ints, reads: Ints,
    seen_first: Ints, seen: Ints, seen_at: Scratch, pending: Scratch, current: Scratch,
    former: Scratch, came: Scratch, noted: Scratch, notes: Scratch, mark: Scratch, reason: Scratch,
    early: Scratch, following: Scratch, head: Scratch, most: int, order: Scratch,
) -> int:  # fmt: skip
    """Kernel: how many came, in `order`; at a contradiction -1 - so many; fewer than all after
    `most` looks, which the last cell of `head` counts.

    `by`: transactions by lane. `pending` counts, by version, who still has to read it; `seen` lists
    all who read it, those before `seen_at` have come; `current`: by key; `former`: what a version
    replaced. `came`: places in `order`. Notes of NOTE cells are chained from `noted`. By lane:
    `mark`, the last look at its head; what it waits for then: `following` (a lane), if `reason` (a
    note, or -1) holds and because `early` (a transaction, or -1) came before it.
    """
    done, looks, size, best, circles, shift = 0, 0, 0, 0, 0, 0
    while done < len(order) and head[len(head) - 1] < most:
        here = first_wish(lane_first, by, wish, shift, head)
        looks += 1
        there = here
        while there >= 0 and mark[there] != looks:
            here = there
            mark[here] = looks
            there = waits(
                here, by[lane_first[here] + head[here]], lane, back_first, back, makes_first,
                makes_key, maker, seen_first, seen, seen_at, pending, current, came, noted, notes,
                reason, early, head,
            )  # fmt: skip
            following[here] = there
        if there < 0:
            node = by[lane_first[here] + head[here]]
            order[done], came[node] = node, done
            done, head[here] = done + 1, head[here] + 1
            if done > best:
                best, circles = done, 0
            for at in range(reads_first[node], reads_first[node + 1]):
                pending[reads[at]] -= 1
            for at in range(makes_first[node], makes_first[node + 1]):
                former[at], current[makes_key[at]] = current[makes_key[at]], at
            continue
        if (size + 1) * NOTE > len(notes):
            break
        note = size * NOTE
        size += 1
        last = resolve(there, lane_first, by, came, notes, reason, early, following, head, note)
        if last < 0:
            return -1 - done
        notes[note + 1], noted[last] = noted[last], note
        circles += 1
        until = came[last]
        if circles % CIRCLES == 0:
            shift = (shift + len(order)) % len(wish)
            until = max(0, min(until, best - circles * FURTHER))
        done = take_back(
            done, until, order, came, head, lane, reads_first, reads, pending, seen_first, seen_at,
            makes_first, makes_key, current, former,
        )  # fmt: skip
    return done


def take_back(
    done: int, until: int, order: Scratch, came: Scratch, head: Scratch, lane: Ints,
    reads_first: Ints, reads: Ints, pending: Scratch, seen_first: Ints, seen_at: Scratch,
    makes_first: Ints, makes_key: Ints, current: Scratch, former: Scratch,
) -> int:  # fmt: skip
    """As if those from place `until` on had not come."""
    while done > until:
        done -= 1
        node = order[done]
        came[node] = -1
        head[lane[node]] -= 1
        for at in range(reads_first[node], reads_first[node + 1]):
            pending[reads[at]] += 1
            seen_at[reads[at]] = seen_first[reads[at]]
        for at in range(makes_first[node], makes_first[node + 1]):
            current[makes_key[at]] = former[at]
    return done


def first_wish(lane_first: Ints, by: Ints, wish: Ints, shift: int, head: Scratch) -> int:
    """The lane whose head wishes to be first."""
    best, least = -1, 0
    for number in range(len(lane_first) - 1):
        at = lane_first[number] + head[number]
        if at < lane_first[number + 1] and (best < 0 or wish[shift + by[at]] < least):
            best, least = number, wish[shift + by[at]]
    return best


def waits(
    here: int, node: int, lane: Ints, back_first: Ints, back: Ints, makes_first: Ints,
    makes_key: Ints, maker: Ints, seen_first: Ints, seen: Ints, seen_at: Scratch, pending: Scratch,
    current: Scratch, came: Scratch, noted: Scratch, notes: Scratch, reason: Scratch,
    early: Scratch, head: Scratch,
) -> int:  # fmt: skip
    """The lane that the head of a lane has to wait for, or -1."""
    reason[here], early[here] = -1, -1
    head[len(head) - 1] += 1
    for at in range(back_first[node], back_first[node + 1]):
        if came[back[at]] < 0:
            return int(lane[back[at]])
    note = noted[node]
    while note >= 0:
        head[len(head) - 1] += 1
        if came[notes[note]] < 0 and holds(note, came, notes):
            reason[here] = note
            return int(lane[notes[note]])
        note = notes[note + 1]
    for made in range(makes_first[node], makes_first[node + 1]):
        version = current[makes_key[made]]
        if pending[version] == 0:
            continue
        at = seen_at[version]
        while came[seen[at]] >= 0:
            at += 1
        seen_at[version] = at
        while at < seen_first[version + 1] and (came[seen[at]] >= 0 or seen[at] == node):
            at += 1
        if at < seen_first[version + 1]:
            if version < len(maker) and lane[maker[version]] != here:
                early[here] = maker[version]
            for known in range(back_first[node], back_first[node + 1]):
                if back[known] == early[here]:
                    early[here] = -1
            return int(lane[seen[at]])
    return -1


def holds(note: int, came: Scratch, notes: Scratch) -> bool:
    """Whether all that a note rests on is so."""
    for at in range(note + 2, note + NOTE, 2):
        first, second = notes[at], notes[at + 1]
        if first < 0:
            break
        if came[first] < 0 or (came[second] >= 0 and came[second] < came[first]):
            return False
    return True


def resolve(
    start: int, lane_first: Ints, by: Ints, came: Scratch, notes: Scratch, reason: Scratch,
    early: Scratch, following: Scratch, head: Scratch, note: int,
) -> int:  # fmt: skip
    """Who came too early, of all that a circle through this lane rests on the one that came last;
    -1: it rests on nothing. Who has to come before, and what that rests on, is written into `note`.
    """
    last, before = -1, -1
    size = note + 2
    for at in range(note + 2, note + NOTE):
        notes[at] = -1
    here = start
    while True:
        at, end = reason[here] + 2, reason[here] + NOTE
        if reason[here] < 0:
            at, end = 0, 2
        while at < end:
            first, second = early[here], by[lane_first[here] + head[here]]
            if reason[here] >= 0:
                first, second = notes[at], notes[at + 1]
            at += 2
            if first < 0:
                break
            if first == last and second == before:
                continue
            if last < 0 or came[first] > came[last]:
                first, second, last, before = last, before, first, second
            if first < 0 or size >= note + NOTE:
                continue
            twice = False
            for other in range(note + 2, size, 2):
                twice = twice or (notes[other] == first and notes[other + 1] == second)
            if not twice:
                notes[size], notes[size + 1] = first, second
                size += 2
        here = following[here]
        if here == start:
            break
    notes[note] = before
    return int(last)
