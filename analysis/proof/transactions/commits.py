"""Claims of an order of commits: each read goes as far as its model lets it be behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.proof.rows import Ints, Mask, Refused
from analysis.proof.transactions.micros import Transactions
from analysis.proof.transactions.payloads import START
from analysis.proof.transactions.replay import Versions, complete, grouped, spread, timely
from analysis.proof.transactions.sees import STEPS, Sees


class _Reads:
    """Reads of acknowledged transactions, by key and order; versions are in the order of commits.

    `own` writes of the key come before it, `begin` and `end` are the states before and after all
    those of its transaction; `state` is what it shows, -1: none.
    """

    def __init__(self, t: Transactions, listed: Ints) -> None:
        micros = spread(t.first[listed], t.first[listed + 1])
        micros = micros[grouped(t.key[micros])]
        write, read = t.write[micros], t.read[micros]
        self.versions = Versions(t, micros[write])
        before = np.append(0, np.cumsum(write))
        place = np.arange(len(micros))
        row, key = t.row[micros], t.key[micros]
        fresh = np.append(True, (row[1:] != row[:-1]) | (key[1:] != key[:-1]))
        first = np.maximum.accumulate(np.where(fresh, place, 0))
        last = np.append(np.flatnonzero(fresh)[1:], len(micros))[np.cumsum(fresh) - 1]
        self.micro, self.row, self.key = micros[read], row[read], key[read]
        self.begin, self.end = before[first][read], before[last][read]
        self.own = before[:-1][read] - self.begin
        self.low, self.high = self.versions.low[self.key], self.versions.low[self.key + 1]
        self.state = self._found(t)
        # What it saw of others: of a register only before its own writes.
        mine = self.end > self.begin
        seen = np.minimum(self.state, np.where(mine, self.begin, self.high))
        self.outer = (self.state >= 0) & (t.lists | (self.own == 0))
        self.seen = np.where(self.outer, seen if t.lists else self.state, self.state)

    def _found(self, t: Transactions) -> Ints:
        if t.lists:
            ends = self.versions.bytes
            until = ends[self.low] + t.size[self.micro] + (t.size[self.micro] > 0)
            state = np.minimum(np.searchsorted(ends, until), self.high)
        else:
            pairs = t.pair[self.versions.micros]
            order = np.argsort(pairs, kind="stable")
            at = np.searchsorted(pairs[order], t.pair[self.micro])
            known = np.append(order + 1, 0)[np.minimum(at, len(order))]
            known = np.clip(known, self.low, self.high)
            state = np.where(t.value[self.micro] == START, self.low, known)
        return np.where(self.versions.shown(self.micro, state), state, -1)

    def by(self, state: Ints) -> Ints:
        """Whose version is the last before each state; -1: that is the initial one."""
        last = np.append(self.versions.row, -1)[state - 1]
        return np.asarray(np.where(state == self.low, -1, last))


def commit_order(t: Transactions, claim: Any, model: str, *, sessions: bool) -> None:
    """Accept an order of commits, of which the order of versions is a part."""
    listed = t.rows.listed(claim["order"], "the order")
    complete(t, listed)
    timely(t, listed, sessions=sessions, realtime=False)
    place = np.full(t.rows.count, -1)
    place[listed] = np.arange(len(listed))
    r = _Reads(t, listed)
    later = (r.state > r.begin + r.own) & (r.own < r.end - r.begin)
    _refuse(r, later & (t.lists | (r.state <= r.end)), "read what it wrote only later")
    if model == "read-uncommitted":
        _unread(t, r)
        return
    _refuse(r, r.state < 0, "read what nobody committed, or not a beginning of the versions")
    source, following = r.by(r.seen), np.append(r.versions.row, -1)[r.seen]
    between = (source >= 0) & (r.seen < r.high) & (source == following) & (source != r.row)
    _refuse(r, between, "read what its writer wrote over (G1b)")
    _refuse(r, r.outer & (source >= 0) & (place[source] >= place[r.row]), "read what comes later")
    if model != "read-committed":
        _refuse(r, _internal(t, r), "contradicts itself")
    if model != "read-committed" or sessions:
        which, writer = _unshown(t, r, place, only_next=model == "parallel-snapshot-isolation")
        known = r.outer & (source >= 0)
        sees = Sees(t, place, source[known], r.row[known], r.micro[known], sessions=sessions)
        seen = sees.of(model, writer, r.row[which], r.micro[which], r.versions)
        if seen.any():
            first = np.argmax(seen)
            reader = r.row[which][first]
            raise Refused(f"transaction {reader} saw {writer[first]}, but not what it wrote")


def _refuse(r: _Reads, wrong: Mask, why: str) -> None:
    if wrong.any():
        raise Refused(f"transaction {r.row[np.argmax(wrong)]} {why}")


def _internal(t: Transactions, r: _Reads) -> Mask:
    """Which reads are not what the transaction had read or written of the key before."""
    wrong = (r.own > 0) & (r.state != r.begin + r.own)
    again = np.append(False, (r.row[1:] == r.row[:-1]) & (r.key[1:] == r.key[:-1]))
    before = np.append(-1, r.state[:-1])
    plain = again & (np.append(0, r.own[:-1]) == 0)  # the one before shows nothing of its own
    wrong |= plain & (r.own == 0) & (r.state != before)
    return np.asarray(wrong | (plain & (r.own > 0) & (before != r.begin) & t.lists))


def _unread(t: Transactions, r: _Reads) -> None:
    """Accept what is no state of an order: aborted values, and lists with such."""
    bad = r.state < 0
    written = t.write & ~t.failed
    aborted = np.isin(t.pair, t.pair[t.write & t.failed]) & ~np.isin(t.pair, t.pair[written])
    failures = aborted & t.write
    if not t.lists:
        _refuse(r, bad & ~aborted[r.micro], "read what nobody wrote")
        return
    for key in np.unique(r.key[bad]).tolist():
        mine = slice(*np.searchsorted(r.key, [key, key + 1]).tolist())
        reads = {micro: t.shown(micro) for micro in r.micro[mine].tolist()}
        longest = max(reads.values(), key=len)
        micros = t.of_key(key)
        failed = set(t.value[micros[failures[micros]]].tolist())
        kept = [value for value in longest if value not in failed]
        order = r.versions.value[r.versions.low[key] : r.versions.low[key + 1]].tolist()
        right = kept == order[: len(kept)] and len(set(longest)) == len(longest)
        for micro, shown in reads.items():
            rest = slice(micro, t.first[t.row[micro] + 1])
            later = set(t.value[rest][t.write[rest] & (t.key[rest] == key)].tolist())
            right &= shown == longest[: len(shown)] and later.isdisjoint(shown)
        if not right:
            raise Refused(f"lists read of key {t.key_names[key]} are no beginnings of one")


def _unshown(t: Transactions, r: _Reads, place: Ints, *, only_next: bool) -> tuple[Ints, Ints]:
    """(which read, who wrote a version after the one it shows and committed before the reader)."""
    v, width = r.versions, len(place) + 1
    ranks = t.key[v.micros] * width + place[v.row]
    committed = np.searchsorted(ranks, r.key * width + place[r.row])
    first = np.where(r.outer, r.seen, 0)
    last = np.where(r.outer, np.maximum(committed, first), 0)
    if only_next:  # the others follow from it
        last = np.minimum(last, first + 1)
    if (last - first).sum() > STEPS:
        raise Refused(f"it could not be re-checked within {STEPS:,} steps")
    return np.repeat(np.arange(len(r.row)), last - first), v.row[spread(first, last)]
