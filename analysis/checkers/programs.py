"""A history of registers as programs: what each process did in which order, and who read from whom.

Nodes are the operations that certainly happened, and those that may have and could explain a value
which several operations wrote (`optional`). Sequential consistency asks for one order of all nodes
(of the optional ones: some) that keeps each process's own, and in which every observation sees the
last value written (Lamport 1979).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.checkers.chains import chains
from analysis.history import FAIL, OK, Codes, History, Ints, Mask, Words
from analysis.values import coded

INITIAL = -1  # a source: the value that was there at first; as a row in `derivation.py`
NOBODY = -2  # no source is known: nothing is observed, or several may have written it


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Nodes 0 … n-1 in the order of their rows. Most arrays have n cells.

    `written` and `seen` are numbers of (key, value) pairs, -1 where nothing is written or seen.
    """

    row: Ints
    process: Ints
    key: Ints  # 0 … keys-1
    start: Ints
    end: Ints
    definite: Mask  # without a definite answer the effect may come at any time after the start
    written: Ints
    seen: Ints
    source: Ints  # the node that wrote what this one observes, INITIAL or NOBODY
    optional: Mask
    lane: Ints  # a chain of process order; nearly always one for each process
    place: Ints  # the position in its lane
    before: Ints  # (m, 2): x comes before y in process order, though not in one lane
    initial: Ints  # per key: the number of its initial value
    thin_air: Ints  # rows that observed a value nobody tried to write
    aborted: Ints  # rows that observed a value whose writers were all told that they failed
    vague: bool  # is there an observation whose value several operations may have written?

    def __len__(self) -> int:
        return len(self.row)

    def part(self, nodes: Ints) -> Programs:
        """Some of the nodes (ascending) alone, each with its source if that is among them."""
        number = np.full(len(self) + 2, NOBODY, np.int64)
        number[nodes], number[INITIAL] = np.arange(len(nodes)), INITIAL
        start, end, definite = self.start[nodes], self.end[nodes], self.definite[nodes]
        lane, place, before = chains(self.process[nodes], start, end, definite)
        return replace(
            self,
            row=self.row[nodes],
            process=self.process[nodes],
            key=self.key[nodes],
            start=start,
            end=end,
            definite=definite,
            written=self.written[nodes],
            seen=self.seen[nodes],
            source=number[self.source[nodes]],
            optional=self.optional[nodes],
            lane=lane,
            place=place,
            before=before,
        )


def keys_of(words: Words) -> tuple[Codes, int]:
    """Keys as 0 … k-1, equal exactly if their names are; a null key is a key."""
    number: dict[str, int] = {}
    table = [number.setdefault(name, len(number)) for name in words.names]
    codes = np.array([*table, len(number)], np.int32)[words.codes]  # -1 is the last one
    return codes, len(number) + 1


def prepare(history: History, initial: Any = None) -> Programs:
    """The programs of a register history (f: read, write, cas).

    RecordError for a payload that is not what docs/histories.md says.
    """
    key, keys = keys_of(history.key)
    written, seen, first = _numbers(history, key, keys, initial)
    failed = written[(history.type == FAIL) & (written >= 0)]
    written[history.type == FAIL] = -1
    count = max(int(numbers.max(initial=0)) for numbers in (written, seen, first, failed))
    writers = np.bincount(written[written >= 0], minlength=count + 1)
    holder = np.full(count + 1, NOBODY, np.int64)
    writer = np.flatnonzero(written >= 0)
    holder[written[writer]] = writer
    holder[first], writers[first] = INITIAL, writers[first] + 1
    holder[writers != 1] = NOBODY
    source = np.where(seen >= 0, holder[seen], NOBODY)
    live = (history.type == OK) & ((written >= 0) | (seen >= 0))
    _spread(live, source)
    odd = np.flatnonzero(live & (seen >= 0) & (writers[seen] == 0))
    aborted = np.isin(seen[odd], failed)
    optional = _optional(live, written, seen, writers)
    row = np.flatnonzero(live | optional)
    node = np.full(len(history) + 2, NOBODY, np.int64)
    node[row], node[INITIAL] = np.arange(len(row)), INITIAL
    start, end, definite = history.start_ns[row], history.end_ns[row], history.type[row] == OK
    lane, place, before = chains(history.process[row], start, end, definite)
    known = np.where(optional[row], NOBODY, source[row])
    return Programs(
        row=row,
        process=history.process[row],
        key=key[row].astype(np.int64),
        start=start,
        end=end,
        definite=definite,
        written=written[row],
        seen=seen[row],
        source=node[known],
        optional=optional[row],
        lane=lane,
        place=place,
        before=before,
        initial=first,
        thin_air=odd[~aborted],
        aborted=odd[aborted],
        vague=bool((live & (seen >= 0) & (writers[seen] > 1)).any()),
    )


def _numbers(history: History, key: Codes, keys: int, initial: Any) -> tuple[Ints, Ints, Ints]:
    """What each row writes and sees as numbers of (key, value), -1: nothing; and, per key, the
    initial value's. An operation without a definite answer sees nothing, unless it is a cas.
    """
    is_cas = history.f.equals("cas")
    writer = np.flatnonzero(history.f.equals("write") | is_cas)
    reads = history.f.equals("read") & (history.type == OK)
    observer = np.flatnonzero(reads | (is_cas & (history.type != FAIL)))
    values = coded(history, np.union1d(writer, observer), initial)
    swap = is_cas[observer]

    def column(old: Any, new: Any, at_first: Any) -> Any:
        return np.concatenate(
            [new[writer], np.where(swap, old[observer], new[observer]), np.full(keys, at_first)]
        )

    value = column(values.expected.values, values.value.values, values.initial or 0)
    valid = column(values.expected.valid, values.value.valid, values.initial is not None)
    code = np.zeros(len(value), np.int64)
    names, code[valid] = np.unique(value[valid], return_inverse=True)
    code[valid] += 1
    place = np.concatenate([key[writer], key[observer], np.arange(keys)]).astype(np.int64)
    number = np.unique(place * (len(names) + 1) + code, return_inverse=True)[1].astype(np.int64)
    written, seen = np.full((2, len(history)), -1, np.int64)
    both = len(writer) + len(observer)
    written[writer], seen[observer] = number[: len(writer)], number[len(writer) : both]
    return written, seen, number[both:]


def _spread(live: Mask, source: Ints) -> None:
    """What an operation that happened observed was written, so that has happened too."""
    front = np.flatnonzero(live)
    while len(front):
        front = np.unique(source[front])
        front = front[front >= 0]
        front = front[~live[front]]
        live[front] = True


def _optional(live: Mask, written: Ints, seen: Ints, writers: Ints) -> Mask:
    """Operations that need not have happened, but may be what an ambiguous observation saw."""
    optional = np.zeros(len(live), np.bool_)
    saw = np.flatnonzero(live & (seen >= 0))
    wanted = np.unique(seen[saw][writers[seen[saw]] > 1])
    while len(wanted):
        more = np.isin(written, wanted) & ~live & ~optional
        optional |= more
        wanted = np.unique(seen[more & (seen >= 0)])
    return optional
