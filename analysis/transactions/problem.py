"""What a model of isolation is asked about: who read from whom, who wrote what, who came first.

A problem has the committed transactions only, numbered in the order of their rows. It knows no
values: a read is the transaction that wrote what was read, or INITIAL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from analysis.history import Ints, Mask

INITIAL = -1
NEVER = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """n transactions, r external reads, w final writes; keys are numbered from 0.

    `known`: (p, 3) rows (a, b, key): a's version of the key is known to come before b's. `evidence`
    says of such a row why: (value of a, value of b, history row that shows it), as claims have it.
    """

    rows: Ints  # (n) ascending: the history's row
    session: Ints  # (n)
    start: Ints  # (n) ns
    end: Ints  # (n) ns; NEVER where there is no definite answer
    reader: Ints  # (r) in the order of the micro-operations
    read_key: Ints  # (r)
    source: Ints  # (r) the writer, or INITIAL
    writer: Ints  # (w) each writer and key once, ordered by writer
    write_key: Ints  # (w)
    keys: int
    again: Mask | None = None  # (r) reads of what the reader had read before; None: there is none
    known: Ints = field(default_factory=lambda: np.empty((0, 3), np.int64))
    raw_end: Ints | None = None  # (n) ns: the end even where there is no answer; None: as `end`
    key_names: Mapping[int, Any] = field(default_factory=dict)  # key → JSON value; itself if absent
    evidence: Mapping[tuple[int, int, int], tuple[Any, Any, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def in_sessions(self) -> Ints:
        """The transactions, session by session, in the order in which they may follow there."""
        until = self.end if self.raw_end is None else self.raw_end
        order: Ints = np.lexsort((self.rows, until, self.start, self.session)).astype(np.int64)
        return order

    def key_name(self, key: int) -> Any:
        """The key as JSON."""
        return self.key_names.get(int(key), int(key))

    def once(self) -> Problem:
        """Without reads of what the reader had read before."""
        if self.again is None:
            return self
        new = ~self.again
        return replace(
            self,
            reader=self.reader[new],
            read_key=self.read_key[new],
            source=self.source[new],
            again=None,
        )

    def torn(self) -> tuple[int, int] | None:
        """Two reads of one key by one transaction that show two versions; None: there are none."""
        by = np.lexsort((self.read_key, self.reader))
        reader, key, source = self.reader[by], self.read_key[by], self.source[by]
        same = (reader[1:] == reader[:-1]) & (key[1:] == key[:-1])
        found = np.flatnonzero(same & (source[1:] != source[:-1]))
        return (int(by[found[0]]), int(by[found[0] + 1])) if len(found) else None

    def part(self, chosen: Ints) -> Problem:
        """The same with these transactions only (ascending), and with reads from among them.

        What holds among some transactions of a history holds among all of them, so a contradiction
        in the part is one in the whole; an order of the part says nothing about the whole.
        """
        place = np.full(len(self) + 1, INITIAL - 1)
        place[chosen] = np.arange(len(chosen))
        place[INITIAL] = INITIAL
        reads = (place[self.reader] >= 0) & (place[self.source] >= INITIAL)
        writes = place[self.writer] >= 0
        known = self.known[(place[self.known[:, :2]] >= 0).all(axis=1)]
        shown = {
            (int(place[a]), int(place[b]), key): self.evidence[a, b, key]
            for a, b, key in map(tuple, known.tolist())
            if (a, b, key) in self.evidence
        }
        known = np.column_stack([place[known[:, 0]], place[known[:, 1]], known[:, 2]])
        return replace(
            self,
            rows=self.rows[chosen],
            session=self.session[chosen],
            start=self.start[chosen],
            end=self.end[chosen],
            raw_end=None if self.raw_end is None else self.raw_end[chosen],
            reader=place[self.reader[reads]],
            read_key=self.read_key[reads],
            source=place[self.source[reads]],
            again=None if self.again is None else self.again[reads],
            writer=place[self.writer[writes]],
            write_key=self.write_key[writes],
            known=known.astype(np.int64),
            evidence=shown,
        )


def new_reads(reader: Ints, key: Ints, source: Ints) -> tuple[Ints, Mask | None]:
    """Places of reads but for those that repeat the one right before them; and which of these show
    what their reader had read before that, if any do.
    """
    columns = np.column_stack([reader, key, source])
    kept = np.flatnonzero(np.append(True, (columns[1:] != columns[:-1]).any(axis=1))[: len(reader)])
    _, first = np.unique(columns[kept], axis=0, return_index=True)
    if len(first) == len(kept):
        return kept, None
    again = np.ones(len(kept), np.bool_)
    again[first] = False
    return kept, again


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A partial order of transactions as edges, partly over extra nodes from n on.

    Where each of a group precedes the next, the edges join neighbours; elsewhere each transaction
    has a *gate* that it passes, and gates are a chain: x leads to the first gate behind it.
    """

    edges: Ints  # (m, 2)
    gates: int


def session_order(problem: Problem, first_gate: int) -> Order:
    """x before y of one session: x has an answer, and x.end <= y.start, or all four times are equal
    and x is the upper row.
    """
    order = problem.in_sessions()
    return _order(problem, order, problem.session[order], first_gate, strict=False)


def real_time_order(problem: Problem, first_gate: int) -> Order:
    """x has an answer, and x.end < y.start."""
    order = np.argsort(problem.start, kind="stable")
    group = np.zeros(len(problem), np.int64)
    if bool((problem.end >= problem.start.max(initial=0)).all()):
        return Order(edges=np.empty((0, 2), np.int64), gates=0)
    return _order(problem, order, group, first_gate, strict=True)


def _order(problem: Problem, order: Ints, group: Ints, first_gate: int, *, strict: bool) -> Order:
    start, end = problem.start[order], problem.end[order]
    joined = group[1:] == group[:-1]
    meets = (end[:-1] < start[1:]) if strict else (end[:-1] <= start[1:])
    loose = np.unique(group[1:][joined & ~meets])  # groups that are no chain
    gated = np.isin(group, loose) if len(loose) else np.zeros(len(order), np.bool_)
    direct = np.flatnonzero(joined & ~gated[1:])
    edges = [np.column_stack([order[direct], order[direct + 1]])]
    places = np.flatnonzero(gated)
    if len(places):
        gate = np.full(len(order), -1)
        gate[places] = first_gate + np.arange(len(places))
        edges.append(np.column_stack([gate[places], order[places]]))
        chained = places[1:][group[places[1:]] == group[places[:-1]]]
        edges.append(np.column_stack([gate[chained - 1], gate[chained]]))
        behind = _first_behind(group, start, end, places, strict=strict)
        there = behind < len(order)
        there[there] &= group[behind[there]] == group[places[there]]
        edges.append(np.column_stack([order[places[there]], gate[behind[there]]]))
    return Order(edges=np.concatenate(edges).astype(np.int64), gates=len(places))


def _first_behind(group: Ints, start: Ints, end: Ints, places: Ints, *, strict: bool) -> Ints:
    """The first place of the same group, behind each of `places`, that starts late enough."""
    found = np.empty(len(places), np.int64)
    bounds = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    bounds = np.append(bounds, len(group))
    which = np.searchsorted(bounds, places, "right") - 1
    for number in np.unique(which).tolist():
        low, high = int(bounds[number]), int(bounds[number + 1])
        mine = which == number
        ends = end[places[mine]]
        late = low + np.searchsorted(start[low:high], ends, "right" if strict else "left")
        found[mine] = np.maximum(late, places[mine] + 1)
    return found


def lanes(problem: Problem) -> tuple[Ints, Ints]:
    """(lane, place in it) of each transaction: each lane is a chain of its session."""
    order = problem.in_sessions()
    start, end, session = problem.start[order], problem.end[order], problem.session[order]
    follows = np.append(False, (session[1:] == session[:-1]) & (end[:-1] <= start[1:]))
    lane, place = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    begins = np.append(True, session[1:] != session[:-1])[: len(order)]
    if bool((follows | begins).all()):
        number = np.cumsum(begins) - 1
        first = np.flatnonzero(begins)
        lane[order] = number
        place[order] = np.arange(len(order)) - first[number] if len(order) else 0
        return lane, place
    tails: dict[int, list[int]] = {}  # session → lanes
    until: list[int] = []
    length: list[int] = []
    for at in range(len(order)):
        mine = tails.setdefault(int(session[at]), [])
        free = next((n for n in mine if until[n] <= start[at]), len(until))
        if free == len(until):
            mine.append(free)
            until.append(0)
            length.append(0)
        lane[order[at]], place[order[at]] = free, length[free]
        until[free] = int(end[at])
        length[free] += 1
    return lane, place
