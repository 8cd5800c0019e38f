"""Real time against what texts spell: which reads and appends of a key contradict it.

A *line* is a write with all that reads show behind it; nothing else can come between its
operations, so it is a block as swaps make one for registers (Gibbons & Korach 1997), and its inner
order is what the longest read spells. A write or append that no read shows is a block of its own:
it fits between any two others. Block A must precede B if first_end(A) < last_start(B), and there is
an order exactly if no two blocks must precede each other and no inner order contradicts time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.checkers.spelling import INITIAL, Line

FOREVER = 1 << 80


@dataclass(frozen=True, slots=True)
class Finding:
    """One instance of an anomaly: its row, and the rows that prove it in the order of telling."""

    name: str
    row: int
    others: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Block:
    """A line, or one operation that no read shows. Ends and starts with the row that has them."""

    line: Line | None
    begun: int  # start of its write
    first_end: tuple[int, int]
    last_start: tuple[int, int]

    @property
    def place(self) -> int:
        """Where it stands: if A must precede B and B not A, A's place is before B's."""
        return self.first_end[0] + self.last_start[0]


class Times:
    """Start and end of rows: what was never answered never ended."""

    def __init__(self, starts: Sequence[int], ends: Sequence[int], known: Sequence[bool]) -> None:
        self._starts, self._ends, self._known = starts, ends, known

    def start(self, row: int) -> tuple[int, int]:
        """(when, row)."""
        return (-FOREVER, row) if row == INITIAL else (self._starts[row], row)

    def end(self, row: int) -> tuple[int, int]:
        """(when, row)."""
        if row == INITIAL:
            return (-FOREVER, row)
        return (self._ends[row], row) if self._known[row] else (FOREVER, row)


def inner(line: Line, times: Times) -> list[Finding]:
    """Where the inner order of a line contradicts time."""
    found: list[Finding] = []
    shows = _shows(line, times)
    places = {op: place for place, op in enumerate(line.ops)}
    places |= {read: place for place, reads in enumerate(line.reads) for read in reads}
    begun, latest = [], (-FOREVER, INITIAL)  # of each position, the last start up to it
    for row in line.ops:
        latest = max(latest, times.start(row))
        begun.append(latest)
    future = set()
    for place, reads in enumerate(line.reads):
        for read in reads:
            if times.end(read)[0] < begun[place][0]:
                found.append(Finding("future-read", read, (begun[place][1],)))
                future.add(read)
    later = later_op = (FOREVER, INITIAL)  # the first end of what comes after a position
    for place in range(len(line.ops) - 1, -1, -1):
        op = line.ops[place]
        for read in line.reads[place]:
            if times.start(read)[0] > later[0]:
                new = later[1]
                evidence = shows[places[new]]
                found.append(Finding("stale-read", read, (new, evidence)))
        if times.start(op)[0] > later_op[0]:
            evidence = shows[places[later_op[1]]]
            found.append(Finding("misordered-append", op, (later_op[1], evidence)))
        ends = [times.end(read) for read in line.reads[place] if read not in future]
        later_op = min(later_op, times.end(op))
        later = min([later, later_op, *ends])
    return found


def _shows(line: Line, times: Times) -> list[int]:
    """Of each position the read that first ended and shows it."""
    shows, first = [], (FOREVER, INITIAL)
    for reads in reversed(line.reads):
        first = min([first, *map(times.end, reads)])
        shows.append(first[1])
    return shows[::-1]


def between(
    lines: Sequence[Line], alone: Sequence[tuple[int, bool]], times: Times
) -> list[Finding]:
    """Where blocks contradict one another. `alone`: (row, is it an append) that no read shows."""
    blocks = [_block_of(line, times) for line in lines]
    singles = [_single(row, times) for row, _ in alone]
    conflict = _Conflicts([*blocks, *singles])
    found = []
    for (row, is_append), single in zip(alone, singles, strict=True):
        rival = conflict.of(single) if is_append else None
        if rival is not None:
            found.append(Finding("lost-append", row, _proof(rival, times)))
    rivals = [*blocks, *(b for b, (_, append) in zip(singles, alone, strict=True) if not append)]
    replaced = _Replaced(rivals)
    stale: set[_Block] = set()
    for block in blocks:
        by = replaced.by(block)
        if by is None:
            continue
        assert block.line is not None
        late = [
            Finding("stale-read", read, (*_proof(by, times), *_proof(block, times)))
            for reads in block.line.reads
            for read in reads
            if times.start(read)[0] > by.first_end[0]
        ]
        found += late
        if late:
            stale.add(block)
    conflict = _Conflicts(rivals)
    for block in blocks:
        rival = conflict.of(block)
        if rival is None or block.first_end > rival.first_end:
            continue  # of two blocks the one established first came back
        if block not in stale and rival not in stale:
            others = (*_proof(block, times), *_proof(rival, times))
            found.append(Finding("non-linearizable", block.last_start[1], others))
    return found


def order(lines: Sequence[Line], alone: Sequence[int], times: Times) -> list[int]:
    """All rows in an order that keeps to time; only if nothing was found."""
    blocks = [*(_block_of(line, times) for line in lines), *(_single(row, times) for row in alone)]
    rows: list[int] = []
    for block in sorted(blocks, key=lambda block: block.place):
        if block.line is None:
            rows.append(block.first_end[1])
            continue
        for op, reads in zip(block.line.ops, block.line.reads, strict=True):
            rows += [op] if op != INITIAL else []
            rows += sorted(reads, key=times.start)
    return rows


def _block_of(line: Line, times: Times) -> _Block:
    rows = [*line.ops, *(read for reads in line.reads for read in reads)]
    return _Block(
        line=line,
        begun=times.start(line.ops[0])[0],
        first_end=min(map(times.end, rows)),
        last_start=max(map(times.start, rows)),
    )


def _single(row: int, times: Times) -> _Block:
    start = times.start(row)
    return _Block(line=None, begun=start[0], first_end=times.end(row), last_start=start)


def _proof(block: _Block, times: Times) -> tuple[int, ...]:
    """The rows of a block that ended first and began last, and a read that shows both."""
    rows = [block.first_end[1], block.last_start[1]]
    if block.line is not None:
        rows.append(min(map(times.end, block.line.reads[-1]))[1])
    return tuple(dict.fromkeys(row for row in rows if row != INITIAL))


class _Conflicts:
    """Finds to a block another one such that each must precede the other."""

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self._blocks = sorted(blocks, key=lambda block: block.first_end)
        self._ends = [block.first_end[0] for block in self._blocks]
        self._best: list[tuple[int, int]] = []  # up to each: the two that begin last
        first = second = -1
        for at in range(len(self._blocks)):
            if first < 0 or self._starts(at) > self._starts(first):
                first, second = at, first
            elif second < 0 or self._starts(at) > self._starts(second):
                second = at
            self._best.append((first, second))

    def _starts(self, at: int) -> int:
        return self._blocks[at].last_start[0]

    def of(self, block: _Block) -> _Block | None:
        """The rival that began something last; None: there is none."""
        count = bisect_right(self._ends, block.last_start[0] - 1)
        for at in self._best[count - 1] if count else ():
            if at >= 0 and self._blocks[at] is not block:
                return self._blocks[at] if self._starts(at) > block.first_end[0] else None
        return None


class _Replaced:
    """Finds to a block the one that replaced it first: begun after the block was established."""

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self._blocks = sorted(blocks, key=lambda block: block.begun)
        self._begun = [block.begun for block in self._blocks]
        self._first: list[_Block] = []
        for block in reversed(self._blocks):
            best = self._first[-1] if self._first else block
            self._first.append(min(best, block, key=lambda one: one.first_end))
        self._first.reverse()

    def by(self, block: _Block) -> _Block | None:
        """Of the blocks begun after the first end of this one, the one established first."""
        at = bisect_right(self._begun, block.first_end[0])
        return self._first[at] if at < len(self._first) else None
