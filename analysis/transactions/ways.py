"""Between blocks of versions: who belongs to one, and short ways from one to another."""

from __future__ import annotations

import numpy as np

from analysis.checkers.compiled import Marks
from analysis.transactions.saturation import SNAPSHOT, Saturation

Way = list[int]  # edges, each beginning where the one before it ends


class Ways:
    """Ways in one saturated graph."""

    def __init__(self, saturation: Saturation) -> None:
        self._s = saturation
        self._snapshot = saturation.mode == SNAPSHOT
        self.everywhere: Marks = np.ones(saturation.nodes, np.int32)
        self._members: dict[int, tuple[list[int], list[int]]] = {}

    def between(self, a: int, b: int, stage: int) -> Way:
        """A short way from a write of block A to anything of block B, by edges before `stage`."""
        s = self._s
        writers, _ = self._inside(a)
        heads, readers = self._inside(b)
        starts = np.array(writers)
        if not self._snapshot:
            goals = np.array([*heads, *readers])
            way = s.graph.way(starts, goals, stage, self.everywhere)
        else:
            way = s.graph.way(2 * starts, 2 * np.array(heads) + 1, stage, self.everywhere)
            if readers:
                seen = s.graph.way(2 * starts + 1, 2 * np.array(readers), stage, self.everywhere)
                if way is None or (seen is not None and len(seen) < len(way)):
                    way = seen
        assert way is not None, f"pair {s.forced} was forced"
        return way

    def _inside(self, block: int) -> tuple[list[int], list[int]]:
        """(writers, those who read only) of a block's versions: transactions; initial: none."""
        if block not in self._members:
            s = self._s
            entry = int(s.versions.head[block])
            entries = []
            while entry >= 0:
                entries.append(entry)
                entry = int(s.versions.child[entry])
            writers = [int(s.problem.writer[e]) for e in entries if e < s.versions.writes]
            mine = s.last_reads[s.versions.block[s.versions.read[s.last_reads]] == block]
            readers = np.unique(s.problem.reader[mine]).tolist()
            if len(writers) < len(entries) and not self._snapshot:
                writers.append(int(s.source_of[s.versions.key[block]]))
            self._members[block] = (writers, readers)
        return self._members[block]

    def entry(self, node: int, block: int) -> int | None:
        """The version of this block that a node's transaction wrote, if any."""
        s = self._s
        if node >= s.events:
            return int(s.versions.head[block])
        transaction = node // 2 if self._snapshot else node
        low, high = np.searchsorted(s.problem.writer, [transaction, transaction + 1])
        for entry in range(low, high):
            if s.versions.block[entry] == block:
                return int(entry)
        return None

    def read_of(self, node: int, block: int) -> tuple[int, int]:
        """The read by which a transaction saw a version of this block, and that version."""
        s = self._s
        transaction = node // 2 if self._snapshot else node
        mine = s.last_reads[s.problem.reader[s.last_reads] == transaction]
        read = int(mine[s.versions.block[s.versions.read[mine]] == block][0])
        return read, int(s.versions.read[read])
