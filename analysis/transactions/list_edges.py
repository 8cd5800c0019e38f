"""What depends on what in a history of lists: wr, ww, rw, each with its reason.

Appends that no read shows come after all that are shown. If many transactions have such appends of
one key, those who read the key last come before them by way of nodes that stand for several.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from analysis.history import Codes, Ints
from analysis.transactions import list_kernels as kernels
from analysis.transactions.columns import READ
from analysis.transactions.list_versions import Versions, quick

WW, WR, RW, SESSION, REALTIME, ON = range(6)  # ON: goes on as what came before it
FEW = 8  # unseen appends of one key that are pointed at one by one


def _none() -> Codes:
    return np.empty(0, np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Some edges of one kind. `one` and `other` are the micro-operations that are the reason (of
    ww: the two appends; wr: append and read; rw: read and append), -1 where there is none.
    """

    source: Codes = field(default_factory=_none)
    target: Codes = field(default_factory=_none)
    one: Codes = field(default_factory=_none)
    other: Codes = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.source)

    def where(self, chosen: Ints) -> Edges:
        """Some of them."""
        return Edges(
            source=self.source[chosen],
            target=self.target[chosen],
            one=self.one[chosen],
            other=self.other[chosen],
        )


Numbers: TypeAlias = Ints | Codes


def edges(
    source: Numbers, target: Numbers, one: Numbers | None = None, other: Numbers | None = None
) -> Edges:
    """Edges from arrays of any integers."""
    blank = np.full(len(source), -1)
    arrays = (source, target, blank if one is None else one, blank if other is None else other)
    cells = [np.ascontiguousarray(array, np.int32) for array in arrays]
    return Edges(source=cells[0], target=cells[1], one=cells[2], other=cells[3])


def joined(*parts: Edges) -> Edges:
    """All of some edges."""
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else Edges()
    return Edges(
        source=np.concatenate([part.source for part in filled]),
        target=np.concatenate([part.target for part in filled]),
        one=np.concatenate([part.one for part in filled]),
        other=np.concatenate([part.other for part in filled]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Edges among transactions, and `more` nodes numbered after them."""

    ww: Edges
    wr: Edges
    rw: Edges
    on: Edges
    more: int
    unseen: Ints  # the first append of each transaction and key that no read shows, by key
    newest: Ints  # reads that no version shown is later than, by key


def dependencies(versions: Versions) -> Dependencies:
    """What depends on what among committed transactions."""
    told = versions.transactions
    work = len(told.kind) + len(versions.write)
    after, before = quick(kernels.succession, work)(versions.begin, versions.writer)
    ww = quick(kernels.write_edges, work)(versions.begin, versions.writer, before, versions.write)
    final = ~versions.rewritten[versions.write]
    reads = int(np.count_nonzero(versions.ext >= 0))
    wr, rw, newest = quick(kernels.read_edges, work)(
        told.first, told.key, versions.ext, versions.good, versions.begin, versions.writer,
        versions.write, after, final, reads,
    )  # fmt: skip
    unseen = _unseen(versions)
    last = np.isin(told.key[newest], told.key[unseen]) if len(unseen) else newest < 0
    tail: Ints = newest[last].astype(np.int64)
    tail = tail[np.argsort(told.key[tail], kind="stable")]
    beyond = _Beyond(versions, unseen, tail)
    return Dependencies(
        ww=joined(_edges(ww), beyond.written(before)),
        wr=_edges(wr),
        rw=joined(_edges(rw), *beyond.overwritten()),
        on=beyond.on,
        more=beyond.more,
        unseen=unseen,
        newest=tail,
    )


def _edges(columns: tuple[Codes, ...]) -> Edges:
    source, target, one, other = columns
    return Edges(source=source, target=target, one=one, other=other)


def _unseen(versions: Versions) -> Ints:
    """Of committed appends that no read shows the first of each transaction and key, by key."""
    told = versions.transactions
    lost = np.flatnonzero((told.kind != READ) & (versions.place < 0))
    lost = lost[versions.committed[versions.owner[lost]]]
    lost = lost[np.argsort(told.key[lost], kind="stable")]
    first = np.ones(len(lost), np.bool_)
    first[1:] = (np.diff(told.key[lost]) != 0) | (np.diff(versions.owner[lost]) != 0)
    return lost[first]


class _Beyond:
    """Edges to appends that no read shows."""

    def __init__(self, versions: Versions, unseen: Ints, newest: Ints) -> None:
        self.versions, self.unseen, self.newest = versions, unseen, newest
        told = versions.transactions
        self.more, self.on = 0, Edges()
        self.key = told.key[unseen]
        self.count = np.bincount(self.key, minlength=len(told.keys))
        self.start = np.cumsum(self.count) - self.count

    def written(self, before: Codes) -> Edges:
        """ww from the last version that is shown."""
        versions = self.versions
        last = before[versions.begin[self.key + 1] - 1]
        writer = np.where(last >= 0, versions.writer[last], -1)
        target = versions.owner[self.unseen]
        kept = (writer >= 0) & (writer != target)
        one = versions.write[last[kept]]
        return edges(writer[kept], target[kept], one, self.unseen[kept])

    def overwritten(self) -> list[Edges]:
        """rw from those who read the last version."""
        key = self.versions.transactions.key[self.newest]
        few = self.count[key] <= FEW
        return [self._few(self.newest[few], key[few]), self._many(self.newest[~few], key[~few])]

    def _few(self, reads: Ints, key: Ints) -> Edges:
        count = self.count[key]
        place = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        write = self.unseen[np.repeat(self.start[key], count) + place]
        read = np.repeat(reads, count)
        owner = self.versions.owner
        other = owner[read] != owner[write]
        read, write = read[other], write[other]
        return edges(owner[read], owner[write], read, write)

    def _many(self, reads: Ints, key: Ints) -> Edges:
        """A node `up` for each append and those before it, one `down` for it and those after."""
        if not len(reads):
            return Edges()
        owner = self.versions.owner
        chosen = np.flatnonzero(self.count[self.key] > FEW)
        size, base = len(chosen), len(self.versions.committed)
        self.more = 2 * size
        up, down = base + np.arange(size), base + size + np.arange(size)
        same = np.flatnonzero(np.diff(self.key[chosen]) == 0)
        write = self.unseen[chosen]
        self.on = joined(
            edges(up, owner[write], None, write),
            edges(down, owner[write], None, write),
            edges(up[same + 1], up[same]),
            edges(down[same], down[same + 1]),
        )
        begin = np.searchsorted(self.key[chosen], key)
        end = begin + self.count[key]
        cell = self.key[chosen] * base + owner[write]  # by key, and within it by transaction
        at = np.searchsorted(cell, key * base + owner[reads])
        own = (at < size) & (cell[np.minimum(at, size - 1)] == key * base + owner[reads])
        upper = np.where(own, at - 1, end - 1)
        lower = np.where(own, at + 1, end)
        left, right = upper >= begin, lower < end
        return joined(
            edges(owner[reads[left]], up[upper[left]], reads[left]),
            edges(owner[reads[right]], down[lower[right]], reads[right]),
        )
