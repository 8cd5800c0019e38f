"""Whom a transaction has seen, as each model means it, in an order of commits."""

from __future__ import annotations

import numpy as np

from analysis.proof.orders import moments
from analysis.proof.rows import NEVER, Ints, Mask, Refused
from analysis.proof.transactions.micros import Transactions
from analysis.proof.transactions.replay import Versions, spread

STEPS = 20_000_000
BATCH = 2048  # sources that are followed together, as bits of an integer


class Sees:
    """`reader` read, with `micro`, an external version that `source` wrote."""

    def __init__(self, t: Transactions, place: Ints, source: Ints, reader: Ints, micro: Ints, *,
                 sessions: bool) -> None:  # fmt: skip
        self._t, self._place, self._sessions = t, place, sessions
        self._source, self._reader, self._micro = source, reader, micro

    def of(self, model: str, writer: Ints, reader: Ints, micro: Ints, versions: Versions) -> Mask:
        """Whether each reader has seen the writer before its micro-operation, or otherwise."""
        if model == "read-committed":
            return np.asarray(self._read(writer, reader) < micro)
        if model == "read-atomic":
            seen = self._read(writer, reader) < NEVER
            if self._sessions:
                start, end = moments(self._t.rows, self._t.rows.ok)
                same = self._t.rows.process[writer] == self._t.rows.process[reader]
                seen |= same & (end[writer] < start[reader])
            return np.asarray(seen)
        edges = [np.stack([self._source, self._reader])]
        if self._sessions:
            edges.append(_sessions(self._t))
        if model == "parallel-snapshot-isolation":
            key = self._t.key[versions.micros]
            edges.append(np.stack([versions.row[:-1], versions.row[1:]])[:, key[:-1] == key[1:]])
        before, after = self._place[np.concatenate(edges, axis=1)]
        there = (before >= 0) & (before < after)
        return _reached(before[there], after[there], self._place[writer], self._place[reader])

    def _read(self, writer: Ints, reader: Ints) -> Ints:
        """With which micro-operation each reader first read from the writer; NEVER: with none."""
        width = len(self._place)
        pair, wanted = self._source * width + self._reader, writer * width + reader
        by = np.lexsort([self._micro, pair])
        at = np.searchsorted(pair[by], wanted)
        same = np.append(pair[by], -1)[at] == wanted
        return np.where(same, np.append(self._micro[by], NEVER)[at], NEVER)


def _sessions(t: Transactions) -> Ints:
    """Pairs of rows from which, with steps between them, the order of all sessions follows."""
    start, end = moments(t.rows, t.rows.ok)
    _, moment = np.unique(np.append(start, end), return_inverse=True)
    lane = np.unique(t.rows.process, return_inverse=True)[1].reshape(-1) * len(moment)
    start, end = (lane + part for part in np.split(moment.reshape(-1), 2))
    over = np.flatnonzero(t.rows.ok & t.mine)
    over = over[np.argsort(end[over], kind="stable")]
    until = np.searchsorted(end[over], start)  # how many are over, with those of lanes before
    base = np.searchsorted(end[over], lane)
    newest = over[np.maximum(until - 1, 0)] if len(over) else until
    since = np.where(until > base, np.maximum(until[newest], base), until)
    return np.stack([over[spread(since, until)], np.repeat(np.arange(len(start)), until - since)])


def _reached(before: Ints, after: Ints, source: Ints, target: Ints) -> Mask:
    """Whether steps lead from each source to its target; a step leads to a greater number."""
    found = np.zeros(len(source), np.bool_)
    by = np.argsort(after, kind="stable")
    size = 1 + int(max(after.max(initial=-1), target.max(initial=-1)))
    first = np.searchsorted(after[by], np.arange(size + 1)).tolist()
    steps_from = before[by].tolist()
    asked = np.argsort(source, kind="stable")
    sources = np.unique(source)
    steps = 0
    for n in range(0, len(sources), BATCH):
        batch = sources[n : n + BATCH]
        low, ends = int(batch[0]), np.searchsorted(source[asked], [batch[0], batch[-1] + 1])
        mine = asked[ends[0] : ends[1]]
        high = int(target[mine].max())
        bits = {place: 1 << bit for bit, place in enumerate(batch.tolist())}
        reached: list[int] = []
        for place in range(low, high + 1):
            mask = bits.get(place, 0)
            for other in steps_from[first[place] : first[place + 1]]:
                if other >= low:
                    mask |= reached[other - low]
            reached.append(mask)
        steps += high - low + first[high + 1] - first[low]
        if steps > STEPS:
            raise Refused(f"it could not be re-checked within {STEPS:,} steps")
        pairs = zip(source[mine].tolist(), target[mine].tolist(), strict=True)
        found[mine] = [bool(reached[y - low] & bits[x]) for x, y in pairs]
    return found
