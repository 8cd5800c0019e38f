"""Messages of logs in the order of their offsets, and of each process's polls and sends.

A place in a log is one integer, made of log and offset (or its rank, where offsets are huge).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.elements import numbered
from analysis.checkers.log_columns import UNTOLD, Log, Messages, log_name
from analysis.history import FAIL, OK, History, Ints, Mask

NEVER = np.iinfo(np.int64).max
CELLS_MAX = 100_000_000  # assignments × logs
PLACES_MAX = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What ok operations tell of (log, offset, value): rows, places, numbers of (log, value).

    The first `told` of them are from sends. Per number: `senders` that may have happened, `begun`
    when the first of them began, `sender` one of them (-1), and whether one `failed`.
    """

    row: Ints
    place: Ints
    number: Ints
    told: int
    sent: Ints  # number of each message in Log.sent
    polled: Ints  # the same of Log.polled
    senders: Ints
    begun: Ints
    sender: Ints
    failed: Mask
    width: int  # places of one log

    def committed(self) -> Places:
        """Of messages that somebody sent who was not told that it failed."""
        return Places(self.place[self.senders[self.number] > 0])


class Places:
    """Different places, to be counted between others."""

    def __init__(self, place: Ints) -> None:
        highest = int(place.max(initial=0)) + 2
        self._upto: Ints | None = None
        if highest <= 4 * len(place) + 1_000_000:
            there = np.zeros(highest + 1, np.int64)
            there[place + 1] = 1
            self.count = int(there.sum())
            self._upto = np.cumsum(there)  # how many are below each place
        else:
            self._sorted = np.unique(place)
            self.count = len(self._sorted)

    def between(self, one: Ints, two: Ints) -> Ints:
        """How many lie strictly between; `two` is not before `one`."""
        if self._upto is not None:
            last = len(self._upto) - 1
            return self._upto[np.minimum(two, last)] - self._upto[np.minimum(one + 1, last)]
        below = np.searchsorted(self._sorted, two, "left")
        return below - np.searchsorted(self._sorted, one, "right")


def known(history: History, log: Log) -> Known:
    """Who tells of which message, and who may have sent it."""
    sent, polled = log.sent, log.polled
    told = np.flatnonzero(sent.offset != UNTOLD)
    offsets = np.append(sent.offset[told], polled.offset)
    width, ranked = int(offsets.max(initial=0)) + 2, None
    if width * (len(log.names) + 1) > PLACES_MAX:
        ranked = np.unique(offsets)
        width = len(ranked) + 1
    numbers, count = numbered(
        np.append(sent.log, polled.log), np.append(sent.value, polled.value)
    )  # fmt: skip
    mine, seen = np.split(numbers, [len(sent)])
    kind = history.type[sent.row]
    may = np.flatnonzero(kind != FAIL)
    begun, sender = np.full(count, NEVER), np.full(count, -1)
    np.minimum.at(begun, mine[may], history.start_ns[sent.row[may]])
    sender[mine[may]] = sent.row[may]
    failed = np.zeros(count, np.bool_)
    failed[mine[kind == FAIL]] = True

    def place(messages: Messages, chosen: Ints) -> Ints:
        rank = messages.offset[chosen]
        rank = rank if ranked is None else np.searchsorted(ranked, rank)
        places: Ints = messages.log[chosen] * width + rank
        return places

    return Known(
        row=np.append(sent.row[told], polled.row),
        place=np.append(place(sent, told), place(polled, np.arange(len(polled)))),
        number=np.append(mine[told], seen),
        told=len(told),
        sent=mine,
        polled=seen,
        senders=np.bincount(mine[may], minlength=count),
        begun=begun,
        sender=sender,
        failed=failed,
        width=width,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """One message after another of the same log and process: places in some messages.

    `inside`: both are of one operation. Otherwise the first is the last of its operation, which had
    ended when that of the second began.
    """

    first: Ints
    second: Ints
    inside: Mask


def steps(history: History, messages: Messages, chosen: Ints) -> Steps:
    """The steps between `chosen` messages."""
    chosen = _by_process(history, messages, chosen)
    row = messages.row[chosen]
    log, process = messages.log[chosen], history.process[row]
    same = (log[1:] == log[:-1]) & (process[1:] == process[:-1])
    inside = row[1:] == row[:-1]
    after = history.end_ns[row[:-1]] <= history.start_ns[row[1:]]
    at = np.flatnonzero(same & (inside | after))
    return Steps(first=chosen[at], second=chosen[at + 1], inside=inside[at])


def _by_process(history: History, messages: Messages, chosen: Ints) -> Ints:
    """The same by process, log, start, row and order."""
    row, log = messages.row[chosen], messages.log[chosen]
    process, start = history.process[row], history.start_ns[row]
    low, logs = int(process.min(initial=0)), int(log.max(initial=0)) + 1
    if (int(process.max(initial=0)) - low + 1) * logs < 2**16:
        groups = (process - low) * logs + log
        # As they come they are nearly always in order within a log, and few bits are sorted fast.
        order = np.argsort(groups.astype(np.uint16), kind="stable")
        columns = [column[order] for column in (groups, start, row, messages.order[chosen])]
        after = np.zeros(max(len(order) - 1, 0), np.bool_)
        for column in reversed(columns):
            after = (column[1:] > column[:-1]) | ((column[1:] == column[:-1]) & after)
        if bool(after.all()):
            return chosen[order]
    order = np.lexsort((messages.order[chosen], row, start, log, process))
    return chosen[order]


class Positions:
    """Whether a process's position in a log is certain, from one poll to the next.

    It is not if an operation of the process that may have moved it began at the start of the first
    poll or later, and at the start of the second or before: one that may have polled and was not
    ok, a `subscribe`, an `assign` without this log. It is `free` to move if the last `assign` or
    `subscribe` that had begun by then is the latter.
    """

    def __init__(self, history: History, log: Log, meter: Meter) -> None:
        self._history = history
        assigned, subscribed = (history.f.equals(f) for f in ("assign", "subscribe"))
        mark = (assigned | subscribed) & (history.type != FAIL)
        mark[log.polls[history.type[log.polls] != OK]] = True
        rows = np.flatnonzero(mark)
        self._times = np.empty(0, np.int64)
        if not len(rows):
            return
        self._clock = np.unique(history.start_ns)
        self._processes = np.unique(history.process)
        rows = rows[np.argsort(self._at(rows), kind="stable")]
        self._times = self._at(rows)
        process = history.process[rows]
        self._first = np.searchsorted(process, self._processes)
        choice = assigned[rows] | subscribed[rows]
        self._last = np.maximum.accumulate(np.where(choice, np.arange(len(rows)), -1))
        self._subscribe = subscribed[rows]
        moves = np.flatnonzero(assigned[rows])
        if len(rows) * (len(log.names) + 1) > CELLS_MAX:
            meter.spend(meter.left() + 1)
        lost = np.ones((len(rows) + 1, len(log.names) + 1), np.int32)
        lost[0] = 0
        place = {name: at for at, name in enumerate(log.names)}
        for at in moves.tolist():
            lost[at + 1, [place[name] for name in _listed(history, rows[at]) if name in place]] = 0
        self._lost = np.cumsum(lost, axis=0, dtype=np.int32)

    def _at(self, rows: Ints) -> Ints:
        """Process and start as one integer."""
        history = self._history
        process = np.searchsorted(self._processes, history.process[rows])
        rank = np.searchsorted(self._clock, history.start_ns[rows])
        times: Ints = process * (len(self._clock) + 1) + rank
        return times

    def judge(self, messages: Messages, found: Steps) -> tuple[Mask, Mask]:
        """(steps over which the position is certain, those that are free to move it)."""
        sure, free = np.ones(len(found.first), np.bool_), np.zeros(len(found.first), np.bool_)
        if not len(self._times):
            return sure, free
        at = np.flatnonzero(~found.inside)
        one, two = messages.row[found.first[at]], messages.row[found.second[at]]
        begin = np.searchsorted(self._times, self._at(one), "left")
        until = np.searchsorted(self._times, self._at(two), "right")
        log = messages.log[found.first[at]]
        sure[at] = self._lost[until, log] == self._lost[begin, log]
        process = np.searchsorted(self._processes, self._history.process[two])
        last = np.append(self._last, -1)[until - 1]
        free[at] = (last >= self._first[process]) & np.append(self._subscribe, False)[last]
        return sure, free


def _listed(history: History, row: int) -> list[str]:
    """The logs that an `assign` names."""
    content = history.content(int(row))
    return [log_name(each) for each in content] if isinstance(content, list) else []
