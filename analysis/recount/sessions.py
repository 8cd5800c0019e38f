"""Claims about session guarantees: docs/certificates.md has each in words.

All registers count together here: `Key` has the operations of every key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from analysis.proof.rows import NEVER, Op, plain

if TYPE_CHECKING:
    from analysis.recount.counted import Key

Cell = tuple[int, Any]  # a key and a value
Event = tuple[Op, bool, bool]  # whether it begins, whether it counts from now on


def puts(op: Op) -> list[Cell]:
    """What it may have written."""
    return [(op.key, plain(op.value))] if op.f in ("write", "cas") and not op.failed else []


def shows(op: Op) -> list[Cell]:
    """What it found."""
    if not op.ok or op.f not in ("read", "cas"):
        return []
    return [(op.key, plain(op.value if op.f == "read" else op.expected))]


def tells(op: Op) -> list[Cell]:
    """What was certainly there at some moment of it."""
    return shows(op) + (puts(op) if op.ok else [])


def before(x: Op, y: Op) -> bool:
    """Whether x comes before y in their session."""
    if x.process != y.process or x.over > y.start:
        return False
    return y.over > x.start or x.row < y.row


class Registers:
    """Who may have written each value, and who tried."""

    def __init__(self, ops: Sequence[Op], initial: Any) -> None:
        self.initial = plain(initial)
        self.ops = [op for op in ops if op.f in ("read", "write", "cas")]
        self.writers: dict[Cell, list[Op]] = defaultdict(list)
        self.refused: set[Cell] = set()
        self.known: dict[Cell, int] = {}
        for op in self.ops:
            for cell in puts(op):
                self.writers[cell].append(op)
            if op.failed and op.f in ("write", "cas"):
                self.refused.add((op.key, plain(op.value)))
            for cell in tells(op):
                self.known[cell] = min(op.end, self.known.get(cell, NEVER))

    def first(self, cell: Cell) -> bool:
        """Whether this is the initial value."""
        return bool(cell[1] == self.initial)

    def source(self, o: Op) -> Op | None:
        """The only operation that may have written what o found."""
        return next((self.sole(cell) for cell in shows(o)), None)

    def sole(self, cell: Cell) -> Op | None:
        """The only operation that may have written it."""
        writers = self.writers.get(cell, [])
        return writers[0] if len(writers) == 1 and not self.first(cell) else None

    def one(self, cell: Cell) -> bool:
        """Whether the value tells one version."""
        return len(self.writers.get(cell, [])) == (0 if self.first(cell) else 1)

    def unfounded(self, cell: Cell, r: Op) -> bool:
        """Whether nothing had begun to write it when r ended."""
        begun = min((op.start for op in self.writers.get(cell, [])), default=NEVER)
        return not self.first(cell) and begun > r.end

    def swapped(self, u: Op, v: Cell) -> bool:
        """Whether u is a swap of v for something else."""
        return u.f == "cas" and (u.key, plain(u.expected)) == v and v not in puts(u)

    def replaced(self, e: Op | None, u: Op, r: Op) -> bool:
        """Whether u certainly replaced what r found, as e knew."""
        v = next(iter(shows(r)), None)
        if v is None or u.key != r.key or not puts(u) or v in puts(u) or not self.one(v):
            return False
        if e is None:
            return self.first(v) or self.swapped(u, v)
        return v in tells(e) and e.precedes(u)


Rule = Callable[..., bool]


def _roles(rule: Rule, count: int, key: Key, _: Any, *ops: Op) -> bool:
    """Whether the rule holds of some e (or none) and `count` more roles that these play, each of
    which stands where it is met first.
    """
    there = Registers(key.ops, key.initial)
    if len(ops) > count + 1:
        return False
    return any(rule(there, None, *chosen) for chosen in _chosen(ops, count)) or any(
        rule(there, *chosen) for chosen in _chosen(ops, count + 1)
    )


def _chosen(ops: Sequence[Op], count: int) -> Iterator[tuple[Op, ...]]:
    """All ways to play `count` roles."""
    rows = [op.row for op in ops]
    for roles in product(ops, repeat=count):
        if list(dict.fromkeys(op.row for op in roles)) == rows:
            yield roles


def _own_write(there: Registers, e: Op | None, u: Op, r: Op) -> bool:
    return u.ok and before(u, r) and there.replaced(e, u, r)


def _own_read(there: Registers, e: Op | None, u: Op, q: Op, r: Op) -> bool:
    return before(q, r) and there.source(q) == u and there.replaced(e, u, r)


def _link(there: Registers, x: Op, z: Op, q: Op, r: Op) -> bool:
    """x, then z in another session; q saw z before r."""
    return before(x, z) and there.source(q) == z and before(q, r) and z.process != r.process


def _their_write(there: Registers, e: Op | None, u: Op, z: Op, q: Op, r: Op) -> bool:
    return u.ok and _link(there, u, z, q, r) and there.replaced(e, u, r)


def _their_read(there: Registers, e: Op | None, u: Op, p: Op, z: Op, q: Op, r: Op) -> bool:
    return there.source(p) == u and _link(there, p, z, q, r) and there.replaced(e, u, r)


def _unfounded(who: str, key: Key, value: Any, r: Op) -> bool:
    there, cell = Registers(key.ops, key.initial), (r.key, value)
    found = "nobody" if cell not in there.refused else "failed"
    if there.writers.get(cell):
        found = "later"
    return found == who and cell in shows(r) and there.unfounded(cell, r)


def _events(ops: list[Op]) -> list[Event]:
    """One session: operations begin, and count when they have ended if they were ok."""
    if all(x.over <= y.start for x, y in pairwise(ops)):
        return [(op, True, op.ok) for op in ops]
    parts = []
    for op in ops:
        point = op.start == op.over
        parts.append((op.start, 1 if point else 2, op.row if point else 0, 0, op.row, op))
        parts.append((op.over, 1 if point else 0, op.row if point else 0, 1, op.row, op))
    return [(op, not end, bool(end) and op.ok) for *_, end, _, op in sorted(parts)]


class _Session:
    """What one session must see: of each kind and key the latest start, and what was swapped."""

    def __init__(self) -> None:
        self.latest: dict[tuple[str, int], int] = {}
        self.swapped: set[tuple[str, Cell]] = set()
        self.upto: dict[int, int] = {}  # how far other sessions were taken in
        self.met: set[int] = set()

    def take(self, there: Registers, op: Op, written: str, read: str) -> None:
        """An operation that this session must see the writes of."""
        if puts(op):
            self._write(there, op, written)
        for w in shows(op):
            u = there.sole(w)
            if u is not None and there.known[w] >= u.start:
                self._write(there, u, read)

    def _write(self, there: Registers, u: Op, kind: str) -> None:
        cell = (kind, u.key)
        self.latest[cell] = max(u.start, self.latest.get(cell, -NEVER))
        if u.f == "cas":
            v = (u.key, plain(u.expected))
            if there.swapped(u, v):
                self.swapped.add((kind, v))

    def broken(self, there: Registers, r: Op) -> bool:
        """Whether r found what it must not."""
        for v in shows(r):
            known = -NEVER if there.first(v) else there.known[v]
            w = there.sole(v)
            if not there.one(v) or (w is not None and w.start > known):
                continue
            for kind in ("own write", "own read", "their write", "their read"):
                late = self.latest.get((kind, r.key), -NEVER) > known
                if late or (kind, v) in self.swapped:
                    return True
        return False


def figures(key: Key) -> dict[str, int]:
    """Observations that had something to be compared with, and what is wrong."""
    there = Registers(key.ops, key.initial)
    processes: dict[int, list[Op]] = defaultdict(list)
    for op in sorted(there.ops, key=lambda op: op.row):
        if not op.failed:
            processes[op.process].append(op)
    told = {process: _events(ops) for process, ops in processes.items()}
    place = {op.row: (process, at) for process, events in told.items()
             for at, (op, begins, _) in enumerate(events) if begins}  # fmt: skip
    compared = broken = 0
    for process, events in told.items():
        session = _Session()
        for op, begins, counts in events:
            if begins and shows(op):
                compared += op.key in session.met
                broken += session.broken(there, op)
            if not counts:
                continue
            session.met.add(op.key)
            session.take(there, op, "own write", "own read")
            for y in shows(op):
                z = there.sole(y)
                if z is None or z.process == process or there.known[y] < z.start:
                    continue
                other, at = place[z.row]
                for earlier, _, done in told[other][session.upto.get(other, 0) : at]:
                    if done:
                        session.take(there, earlier, "their write", "their read")
                session.upto[other] = max(at, session.upto.get(other, 0))
    shown = [(cell, op) for op in there.ops for cell in shows(op)]
    return {
        "compared": compared,
        "broken": broken,
        "excess": sum(there.unfounded(cell, op) for cell, op in shown),
        "twice": sum(not there.one(cell) for cell in there.writers),
    }


def right(compared: int, **bad: int) -> bool:
    """Whether the figures mean that nothing is wrong."""
    return compared > 0 == sum(bad.values())


OBSERVED: Mapping[str, Rule] = {
    "thin-air-read": partial(_unfounded, "nobody"),
    "aborted-read": partial(_unfounded, "failed"),
    "future-read": partial(_unfounded, "later"),
    "read-your-writes": partial(_roles, _own_write, 2),
    "monotonic-reads": partial(_roles, _own_read, 3),
    "monotonic-writes": partial(_roles, _their_write, 4),
    "writes-follow-reads": partial(_roles, _their_read, 5),
}
