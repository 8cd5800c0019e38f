"""What is known of single transactions: who wrote what, who read whose version."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

from analysis.proof.orders import moments
from analysis.proof.rows import Refused, plain
from analysis.proof.transactions.micros import Transactions
from analysis.proof.transactions.payloads import START

INITIAL = -1  # the row that stands for the initial versions


class Read(NamedTuple):
    """A read of an acknowledged transaction. `outer` is its external part, None: it has none."""

    micro: int
    shown: list[int]
    own: list[int]  # what the transaction itself had written of the key before
    outer: list[int] | None

    @property
    def version(self) -> int:
        """The value of the version it read, START: the initial one."""
        assert self.outer is not None
        return self.outer[-1] if self.outer else START


class Key:
    """The micro-operations of one key."""

    def __init__(self, t: Transactions, code: int) -> None:
        self.lists = t.lists
        self.wrote: dict[int, list[int]] = defaultdict(list)  # row → values
        self.reads: dict[int, list[Read]] = defaultdict(list)  # row → reads, if it is ok
        self.writers: dict[int, list[int]] = defaultdict(list)  # value → rows that did not fail
        self.failed: dict[int, list[int]] = defaultdict(list)  # value → rows that did
        micros = t.of_key(code).tolist()
        later: dict[int, set[int]] = defaultdict(set)  # row → all that it writes
        for micro in micros:
            if t.write[micro]:
                later[int(t.row[micro])].add(int(t.value[micro]))
        for micro in micros:
            row, value = int(t.row[micro]), int(t.value[micro])
            own = self.wrote[row]
            if t.write[micro]:
                own.append(value)
                (self.failed if t.failed[micro] else self.writers)[value].append(row)
            elif t.read[micro]:
                shown = t.shown(micro)
                outer: list[int] | None = None if own else shown
                if t.lists:
                    mine = (n for n, value in enumerate(shown) if value in later[row])
                    outer = shown[: next(mine, len(shown))]
                self.reads[row].append(Read(micro, shown, list(own), outer))
        self.seen = {v for reads in self.reads.values() for read in reads for v in read.shown}

    def sole(self, value: int) -> int | None:
        """The only transaction that wrote a value, of those that did not fail."""
        writers = self.writers.get(value, ())
        return writers[0] if len(writers) == 1 and value != START else None

    def source(self, value: int) -> int | None:
        """The same, INITIAL for the initial version; None: it may be that of several."""
        return INITIAL if value == START and START not in self.writers else self.sole(value)

    def outer(self, row: int) -> list[Read]:
        """External reads of a transaction."""
        return [read for read in self.reads.get(row, ()) if read.outer is not None]


class Known:
    """The same of all keys, read as they are asked for."""

    def __init__(self, t: Transactions) -> None:
        self.t = t
        self._codes: dict[Any, int] = {}
        self._keys: dict[int, Key] = {}
        self._committed: dict[int, bool] = {}
        self._start, self._end = moments(t.rows, t.rows.ok)

    def key(self, name: Any) -> Key:
        """A key by its name; refused if the history does not have it, or it says nothing."""
        return self._coded(self.key_code(name))

    def key_code(self, name: Any) -> int:
        """The place of a key, or FOREIGN."""
        known = plain(name)
        if known not in self._codes:
            self._codes[known] = self.t.key_code(name)
        return self._codes[known]

    def _coded(self, code: int) -> Key:
        if code < 0 or self.t.silent[code]:
            raise Refused("there is no such key, or it says nothing: its values are ambiguous")
        if code not in self._keys:
            self._keys[code] = Key(self.t, code)
        return self._keys[code]

    def _written(self, row: int) -> set[int]:
        """Keys that it wrote, but for those that say nothing."""
        mine = slice(*self.t.first[row : row + 2])
        keys = self.t.key[mine][self.t.write[mine]]
        return set(keys[~self.t.silent[keys]].tolist())

    def committed(self, row: int) -> bool:
        """Whether it is ok, or seen by one that is: that read what only it wrote."""
        t = self.t
        if row not in self._committed:
            seen = (
                value in key.seen and key.sole(value) == row
                for key in map(self._coded, self._written(row))
                for value in key.wrote[row]
            )
            alive = bool(t.mine[row]) and not t.rows.failed[row]
            self._committed[row] = alive and (bool(t.rows.ok[row]) or any(seen))
        return self._committed[row]

    def session(self, a: int, b: int) -> bool:
        """Whether a comes before b in their session."""
        same = self.t.rows.process[a] == self.t.rows.process[b]
        return bool(same and self._end[a] < self._start[b])

    def realtime(self, a: int, b: int) -> bool:
        """Whether a was acknowledged before b began."""
        rows = self.t.rows
        return bool(rows.ok[a] and rows.end[a] < rows.start[b])

    def wr(self, a: int, b: int, name: Any) -> bool:
        """Whether b read, externally, a version of the key that a wrote; a may be INITIAL."""
        key = self.key(name)
        return a != b and any(key.source(read.version) == a for read in key.outer(b))

    def wr_of(self, a: int, b: int, name: Any, value: Any) -> bool:
        """The same, and which value it was."""
        key, code = self.key(name), self.t.code(value)
        return key.sole(code) == a != b and any(code == read.version for read in key.outer(b))

    def ww(self, a: int, b: int, name: Any, va: Any, vb: Any, r: int) -> bool:
        """Whether r read a list with a's va and, behind it, b's vb; or without vb."""
        key, first, second = self.key(name), self.t.code(va), self.t.code(vb)
        if not self.t.lists or a == b or key.sole(first) != a:
            return False
        lists = [read.shown for read in key.reads.get(r, ()) if first in read.shown]
        behind = any(second in shown[shown.index(first) + 1 :] for shown in lists)
        lacking = any(second not in shown for shown in lists)
        unseen = lacking and self.committed(b) and second in key.wrote.get(b, ())
        return unseen or (behind and key.sole(second) == b)

    def rw(self, a: int, b: int, name: Any, vb: Any) -> bool:
        """Whether b wrote vb, a version later than one that a read."""
        key, value = self.key(name), self.t.code(vb)
        if a == b or not self.committed(b) or value not in key.wrote.get(b, ()):
            return False
        if self.t.lists:
            return any(value not in (read.outer or ()) for read in key.outer(a))
        return any(key.source(read.version) == INITIAL for read in key.outer(a))

    def writes(self, row: int, name: Any) -> bool:
        """Whether it wrote the key."""
        return bool(self.key(name).wrote.get(row))

    def rivals(self, a: int, b: int) -> bool:
        """Whether both wrote one key."""
        return a != b and not self._written(a).isdisjoint(self._written(b))

    def read_before(self, first: tuple[int, int, int], then: tuple[int, int, int]) -> bool:
        """Of (w, o, key): whether o read the first from its w before it read the other from its."""
        at = []
        for w, o, code in (first, then):
            key = self._coded(code)
            at.append([read.micro for read in key.outer(o) if key.source(read.version) == w])
        return min(at[0]) < max(at[1])
