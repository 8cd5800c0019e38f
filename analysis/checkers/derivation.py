"""Contradictions about registers, step by step: x comes before y, because …; so x before itself.

The rules are those of docs/certificates.md; `analysis.proof` re-checks every step against the raw
history. Operations are history rows, -1 is the initial value.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from analysis.checkers.base import Claim
from analysis.checkers.versions import Versions
from analysis.checkers.zones import Blocks
from analysis.history import OK, History

INITIAL = -1


class Derivation:
    """Steps that each follow from the history or from earlier steps; each rule returns a step."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, str, tuple[int, ...]]] = []
        self._known: dict[tuple[int, int, str], int] = {}

    def _add(self, before: int, after: int, rule: str, *premises: int) -> int:
        known = self._known.setdefault((before, after, rule), len(self.steps))
        if known == len(self.steps):
            self.steps.append((before, after, rule, premises))
        return known

    def real_time(self, before: int, after: int) -> int:
        """`before` ended before `after` started."""
        return self._add(before, after, "real-time")

    def initial(self, after: int) -> int:
        """The initial value was there first."""
        return self._add(INITIAL, after, "initial")

    def reads_from(self, writer: int, observer: int) -> int:
        """`observer` found the value that only `writer` writes."""
        return self._add(writer, observer, "reads-from")

    def transitive(self, first: int, second: int) -> int:
        """x before y and y before z."""
        return self._add(self.steps[first][0], self.steps[second][1], "transitive", first, second)

    def overwrite(self, reads_from: int, before: int) -> int:
        """w reads-from o, w before u: then o before u, for u would have replaced the value."""
        observer, other = self.steps[reads_from][1], self.steps[before][1]
        return self._add(observer, other, "overwrite", reads_from, before)

    def overwritten(self, reads_from: int, before: int) -> int:
        """w reads-from o, u before o: then u before w, for u would have replaced the value."""
        other, writer = self.steps[before][0], self.steps[reads_from][0]
        return self._add(other, writer, "overwritten", reads_from, before)

    def claim(self) -> Claim:
        """The contradiction; its last step must say that an operation comes before itself."""
        assert self.steps[-1][0] == self.steps[-1][1], self.steps
        return {
            "kind": "contradiction",
            "operations": list(self.operations()),
            "steps": [[b, a, rule, list(premises)] for b, a, rule, premises in self.steps],
        }

    def operations(self) -> tuple[int, ...]:
        """The rows in it, in the order of their numbers."""
        rows = {row for before, after, _, _ in self.steps for row in (before, after)}
        return tuple(sorted(rows - {INITIAL}))


Operation = tuple[int, int]
"""(row, version): the writer of that version, or a read of it."""


class Deducer(Derivation):
    """Derives contradictions among versions and the blocks of swaps that link them.

    W(v) is the writer of version v. Each method ends with an operation that comes before itself.
    """

    def __init__(self, history: History, versions: Versions, blocks: Blocks) -> None:
        super().__init__()
        self._history = history
        self._versions = versions
        self._parent = blocks.parent
        self._depth = blocks.depth

    def between(self, a: Operation, late_a: Operation, b: Operation, late_b: Operation) -> None:
        """Two blocks must precede each other: `a` precedes `late_b`, `b` precedes `late_a`."""
        first = self._same(self._writers(a, late_b), late_b[1], b[1])  # W(a) before W(b)
        second = self._same(self._writers(b, late_a), late_a[1], a[1])  # W(b) before W(a)
        if self.steps[first][0] == INITIAL:
            first, second = second, first
        self.transitive(first, second)

    def inside(self, later: Operation, earlier: Operation) -> None:
        """In one block, `later` belongs to the same or a later version, yet precedes `earlier`."""
        (x, version), (y, old) = later, earlier
        writer, old_writer = self._writer(version), self._writer(old)
        if y == old_writer:
            step = self.real_time(x, y)
            if version != old:
                step = self.transitive(step, self._in_turn(old, version))
            if x != writer:
                self.transitive(step, self.reads_from(writer, x))
            return
        step = self._seen_before(later, y)
        step = self.overwritten(self.reads_from(old_writer, y), step)
        self.transitive(step, self._in_turn(old, version))

    def twice_replaced(self, writer: int, swap: int, other: int) -> None:
        """Two swaps replaced the value of one write; one of them may be that write."""
        if writer in (swap, other):
            self.circle([writer])
            return
        one, two = self.reads_from(writer, swap), self.reads_from(writer, other)
        self.transitive(self.overwrite(one, two), self.overwrite(two, one))

    def circle(self, rows: Sequence[int]) -> None:
        """Each of these swaps replaced the value of the one before it, the first of the last."""
        step = self.reads_from(rows[-1], rows[0])
        for before, after in pairwise(rows):
            step = self.transitive(step, self.reads_from(before, after))

    def refused(self, row: int, shown: Operation, again: int) -> None:
        """A refusal between `shown` and `again`, which both show the value that it expected."""
        version = shown[1]
        if self._writer(version) == INITIAL:
            step = self.initial(row)
        else:
            step = self._seen_before(shown, row)
        step = self.overwrite(self.reads_from(self._writer(version), again), step)
        self.transitive(self.real_time(row, again), step)

    def _writer(self, version: int) -> int:
        """The row of W(version), -1 for an initial version."""
        return int(self._versions.row[version])

    def _chain(self, first: int, last: int) -> list[int]:
        """The versions from `first` to `last` of one block, both included."""
        path = [last]
        while path[-1] != first:
            path.append(int(self._parent[path[-1]]))
        return path[::-1]

    def _precedes(self, version: int, row: int) -> bool:
        """Whether W(version) precedes this row in real time."""
        history, writer = self._history, self._writer(version)
        return bool(history.type[writer] == OK and history.end_ns[writer] < history.start_ns[row])

    def _seen_before(self, early: Operation, row: int) -> int:
        """W(early's version) before `row`, which `early` precedes."""
        x, version = early
        writer = self._writer(version)
        if x == writer or self._precedes(version, row):
            return self.real_time(writer, row)
        return self.transitive(self.reads_from(writer, x), self.real_time(x, row))

    def _writers(self, early: Operation, late: Operation) -> int:
        """W(early's version) before W(late's version), of two blocks: `early` precedes `late`."""
        row, version = late
        writer = self._writer(version)
        if self._writer(early[1]) == INITIAL:
            return self.initial(writer)
        step = self._seen_before(early, row)
        if row == writer:
            return step
        return self.overwritten(self.reads_from(writer, row), step)

    def _in_turn(self, first: int, last: int) -> int:
        """W(first) before W(last), an earlier and a later version of one block."""
        target = self._writer(last)
        if self._writer(first) == INITIAL:
            return self.initial(target)
        path = self._chain(first, last)
        step = -1
        for at, following in pairwise(path):
            jump = self._precedes(at, target)
            onward = (
                self.real_time(self._writer(at), target)
                if jump
                else self.reads_from(self._writer(at), self._writer(following))
            )
            step = onward if step < 0 else self.transitive(step, onward)
            if jump:
                break
        return step

    def _same(self, step: int, version: int, wanted: int) -> int:
        """u before W(version), so u before W(wanted), of the same block."""
        if self._depth[wanted] > self._depth[version]:
            return self.transitive(step, self._in_turn(version, wanted))
        path = self._chain(wanted, version)
        for below, above in zip(path[-2::-1], path[:0:-1], strict=True):
            step = self.overwritten(self.reads_from(self._writer(below), self._writer(above)), step)
        return step
