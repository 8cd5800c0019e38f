"""The register checker's definitions in plain Python: slow, readable, and what zones.py must equal.

One key at a time. `judge_key` returns the operations counted under each anomaly's name; none means
that the key is linearizable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

INFINITE = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation on one register. `type`: ok | fail | info."""

    row: int
    f: str  # read | write | cas
    type: str
    start: float
    end: float
    value: int | None = None
    expected: int | None = None

    @property
    def sees(self) -> int | None:
        """The value it found in the register (reads and cas)."""
        return self.value if self.f == "read" else self.expected


@dataclass(slots=True, kw_only=True)
class _Version:
    """A value, the operations that show it, and its place in a block of swaps."""

    writer: Operation | None  # None: the initial value
    start: float
    end: float
    parent: int | str | None = "none"  # a value, or "none" (None is the initial value)
    reads: list[Operation] = field(default_factory=list)

    def first_end(self) -> float:
        return min([self.end, *(read.end for read in self.reads)])

    def last_start(self) -> float:
        return max([self.start, *(read.start for read in self.reads)])


Note = Callable[[str, Operation], None]


def judge_key(operations: list[Operation]) -> dict[str, set[int]]:
    """Rows by anomaly name; ValueError when a value is written twice."""
    found: dict[str, set[int]] = {}

    def note(name: str, operation: Operation) -> None:
        found.setdefault(name, set()).add(operation.row)

    versions = _versions(operations)
    failed = {o.value for o in operations if o.f != "read" and o.type == "fail"}
    for operation in operations:
        swapped = operation.f == "cas" and operation.value in versions and operation.type != "fail"
        read = operation.f == "read" and operation.type == "ok"
        if not (read or swapped):
            continue
        if operation.sees not in versions:
            note("aborted-read" if operation.sees in failed else "thin-air-read", operation)
        elif read:
            versions[operation.sees].reads.append(operation)
        else:
            versions[operation.value].parent = operation.sees
    for loser in _losers(versions):
        note("lost-update", loser)
    blocks = _blocks(versions, note)
    blocks.sort(key=lambda block: block[0].writer.row if block[0].writer else INFINITE)
    for block in blocks:
        _judge_block(block, note)
    _judge_blocks(blocks, note)
    return found


def _versions(operations: list[Operation]) -> dict[int | None, _Version]:
    """The versions that certainly existed: written for sure, or seen."""
    writers = [o for o in operations if o.f != "read" and o.type != "fail"]
    if any(n > 1 for n in Counter(o.value for o in writers).values()) or any(
        o.value is None for o in writers
    ):
        raise ValueError("a value is written twice")
    by_value = {o.value: o for o in writers}
    seen = [o.sees for o in operations if o.f != "write" and o.type == "ok"]
    live = {o.value for o in writers if o.type == "ok"}
    while seen:
        value = seen.pop()
        if value in by_value and value not in live:
            live.add(value)
            if by_value[value].f == "cas":
                seen.append(by_value[value].expected)
    versions: dict[int | None, _Version] = {
        None: _Version(writer=None, start=-INFINITE, end=-INFINITE)
    }
    for value in sorted(live, key=lambda v: by_value[v].row):
        writer = by_value[value]
        end = INFINITE if writer.type == "info" else writer.end
        versions[value] = _Version(writer=writer, start=writer.start, end=end)
    return versions


def _losers(versions: dict[int | None, _Version]) -> list[Operation]:
    """All but the first cas from each version; they then count as plain writes."""
    losers = []
    taken: set[int | str | None] = set()
    swaps = [v for v in versions.values() if v.parent != "none" and v.writer is not None]
    for version in sorted(swaps, key=lambda v: (v.end, v.writer.row if v.writer else -1)):
        if version.parent in taken:
            version.parent = "none"
            if version.writer is not None:
                losers.append(version.writer)
        else:
            taken.add(version.parent)
    return losers


def _blocks(versions: dict[int | None, _Version], note: Note) -> list[list[_Version]]:
    """Versions linked by cas, each block in order; circles are reported and taken apart."""
    child = {v.parent: value for value, v in versions.items() if v.parent != "none"}
    blocks = []
    done: set[int | None] = set()
    for value, version in versions.items():
        if version.parent == "none":
            block = [value]
            while block[-1] in child:
                block.append(child[block[-1]])
            done.update(block)
            blocks.append([versions[v] for v in block])
    for value, version in versions.items():
        if value not in done and version.writer is not None:
            note("non-linearizable", version.writer)
            blocks.append([version])
    return blocks


def _judge_block(block: list[_Version], note: Note) -> None:
    """Inside a block: the order is fixed, real time must agree with it."""
    for place, version in enumerate(block):
        begun = max(v.start for v in block[: place + 1])
        if version.writer is not None and version.end < begun:
            note("future-read", version.writer)
        for read in [r for r in version.reads if r.end < begun]:
            note("future-read", read)
            version.reads.remove(read)
    for place, version in enumerate(block):
        replaced = min((v.first_end() for v in block[place + 1 :]), default=INFINITE)
        for read in version.reads:
            if read.start > replaced:
                note("stale-read", read)


def _judge_blocks(blocks: list[list[_Version]], note: Note) -> None:
    """Between blocks: stale if a value that is certainly newer was seen first, else contested."""
    spans = [(min(v.first_end() for v in b), max(v.last_start() for v in b)) for b in blocks]
    for number, block in enumerate(blocks):
        established = spans[number][0]
        others = [(b, *spans[i], i) for i, b in enumerate(blocks) if i != number]
        since = max(established, block[0].start)
        gone = min((end for b, end, _, _ in others if b[0].start > since), default=INFINITE)
        mixed = min(
            (
                end
                for _, end, last, i in others
                if last > established and (end, i) > (established, number)
            ),
            default=INFINITE,
        )
        for place, version in enumerate(block):
            before = max((v.start for v in block[:place]), default=-INFINITE)
            begun = max(before, version.start)
            replaced = min((v.first_end() for v in block[place + 1 :]), default=INFINITE)
            seen = [(read, begun) for read in version.reads if read.start <= replaced]
            if place and version.writer is not None and version.end >= begun:
                seen.append((version.writer, before))
            for operation, began in seen:
                if operation.start > gone >= began:
                    note("stale-read", operation)
                elif operation.start > mixed >= began:
                    note("non-linearizable", operation)
