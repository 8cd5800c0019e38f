"""Claims of an order in which all that was read is what had been written until then."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.proof.orders import in_time, moments
from analysis.proof.rows import NEVER, Ints, Mask, Refused
from analysis.proof.transactions.micros import Transactions
from analysis.proof.transactions.payloads import START


class Versions:
    """All that is written in an order, by key; a state of a key is the number of versions, of it
    and of the keys before, that come before it.
    """

    def __init__(self, t: Transactions, micros: Ints) -> None:
        self._t, self.micros = t, micros
        self.value, self.row = t.value[micros], t.row[micros]
        counted = np.bincount(t.key[micros], minlength=t.keys)
        self.low = np.append(0, np.cumsum(counted))  # (keys + 1) the first state of each
        self.bytes = np.append(0, np.cumsum(t.size[micros] + 1))
        if not t.lists:
            return
        at = t.at[micros]
        shown = np.frombuffer(t.text, np.uint8)[spread(at, at + t.size[micros] + 1)]
        shown[self.bytes[1:] - 1] = ord(",")  # there the text has the end of a micro-operation
        self._text = shown.tobytes()

    def shown(self, reads: Ints, state: Ints) -> Mask:
        """Whether each read shows its key in this state."""
        t, low = self._t, self.low[self._t.key[reads]]
        if not t.lists:
            last = np.append(self.value, START)[state - 1]
            return np.asarray(np.where(state == low, START, last) == t.value[reads])
        begin, at, size = self.bytes[low], t.at[reads], t.size[reads]
        same = size == np.maximum(self.bytes[state] - begin - 1, 0)
        where = np.flatnonzero(same & (size > 0))
        text, own = t.text, self._text
        parts = zip(at[where].tolist(), begin[where].tolist(), size[where].tolist(), strict=True)
        right = [text[a : a + n] == own[b : b + n] for a, b, n in parts]
        same[where] = right
        return np.asarray(same)


def spread(first: Ints, last: Ints) -> Ints:
    """All of first[0] … last[0] - 1, then of first[1] … last[1] - 1, and so on."""
    count = last - first
    return np.repeat(first - np.append(0, np.cumsum(count)[:-1]), count) + np.arange(count.sum())


def grouped(numbers: Ints) -> Ints:
    """A stable order by these."""
    small = len(numbers) and numbers.max() < 2**16  # small numbers sort faster
    return np.argsort(numbers.astype(np.uint16) if small else numbers, kind="stable")


def complete(t: Transactions, listed: Ints) -> None:
    """Refused if an acknowledged transaction is missing, or one is there that is none or failed."""
    there = np.zeros(t.rows.count, np.bool_)
    there[listed] = True
    missing, wrong = t.mine & t.rows.ok & ~there, there & (~t.mine | t.rows.failed)
    if missing.any() or wrong.any():
        first = np.argmax(missing) if missing.any() else np.argmax(wrong)
        raise Refused(f"transaction {first} is missing, or should be")


def timely(t: Transactions, listed: Ints, *, sessions: bool, realtime: bool) -> None:
    """Refused if the order breaks that of a session, or real time, where they count."""
    if sessions:
        in_time(listed, t.rows.process, *moments(t.rows, t.rows.ok))
    if realtime:
        ends = np.where(t.rows.ok, t.rows.end, NEVER)
        in_time(listed, np.zeros(t.rows.count, np.int64), t.rows.start, ends)


def serialization(t: Transactions, claim: Any, *, sessions: bool, realtime: bool) -> None:
    """Accept transactions one after another, each of which read what there was."""
    listed = t.rows.listed(claim["order"], "the order")
    complete(t, listed)
    timely(t, listed, sessions=sessions, realtime=realtime)
    micros = spread(t.first[listed], t.first[listed + 1])
    micros = micros[grouped(t.key[micros])]
    write, read = t.write[micros], t.read[micros]
    state = np.cumsum(write) - write
    _right(t, Versions(t, micros[write]), micros[read], state[read])


def _right(t: Transactions, versions: Versions, reads: Ints, state: Ints) -> None:
    wrong = ~versions.shown(reads, state)
    if wrong.any():
        row = t.row[reads[np.argmax(wrong)]]
        raise Refused(f"transaction {row} did not read what there was where it stands")


def snapshots(t: Transactions, claim: Any, *, sessions: bool) -> None:
    """Accept snapshots and commits in one order: what was read is what was committed before the
    snapshot, and nobody else commits a write of the same key between the two.
    """
    listed = t.rows.listed(claim["order"], "the order", twice=True)
    complete(t, listed)
    late = np.ones(len(listed), np.int64)
    late[np.unique(listed, return_index=True)[1]] = 0  # the first time is the snapshot
    events = 2 * listed + late
    if sessions:  # a snapshot only begins, a commit only ends
        start, end = moments(t.rows, t.rows.ok)
        begins = np.column_stack([start, np.full_like(start, -1)]).reshape(-1)
        ends = np.column_stack([np.full_like(end, NEVER), end]).reshape(-1)
        in_time(events, np.repeat(t.rows.process, 2), begins, ends)
    micros = spread(t.first[listed], t.first[listed + 1])
    commit = np.repeat(late, np.diff(t.first)[listed])
    keep = (commit == 0) | t.write[micros]
    micros, commit = micros[keep], commit[keep]
    by_key = grouped(t.key[micros])
    micros, commit = micros[by_key], commit[by_key]
    state = np.cumsum(commit) - commit
    own = t.write[micros] * (1 - commit)  # what is written, as the snapshot will see it
    own = np.cumsum(own) - own
    event = np.stack([t.key[micros], t.row[micros], commit])
    begun = np.append(True, (event[:, 1:] != event[:, :-1]).any(axis=0))
    place = np.maximum.accumulate(np.where(begun, np.arange(len(micros)), 0))
    state += own - own[place]
    versions = micros[commit == 1]
    read, write = (mask[micros] & (commit == 0) for mask in (t.read, t.write))
    stands = np.zeros(len(t.row), np.int64)
    stands[versions] = np.arange(len(versions))
    other = stands[micros[write]] != state[write]
    if other.any():
        row = t.row[micros[write][np.argmax(other)]]
        raise Refused(f"between snapshot and commit of {row} another wrote the same key")
    _right(t, Versions(t, versions), micros[read], state[read])
