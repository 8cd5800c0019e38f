"""Claims of a contradiction: step by step, until an operation comes before itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from analysis.proof.rows import Ints, Op, Refused, plain
from analysis.recount.counted import Key

INITIAL = -1  # the row that stands for the initial value of every key
Told = Sequence[tuple[int, int]]


class Known:
    """What is known of the registers of a few keys: who happened, and who reads from whom."""

    def __init__(self, keys: list[Key], start: Ints, end: Ints, *, serial: bool) -> None:
        self.start, self.end, self.serial = start, end, serial
        self.ops: dict[int, Op] = {}
        self.key: dict[int, Key] = {}
        self.source: dict[int, int] = {}
        for key in keys:
            self.ops |= {op.row: op for op in key.ops if op.ok}
            self.key |= {op.row: key for op in key.ops}
            new = [op for op in key.ops if key.shows(op)]
            while new:  # what alone writes an observed value has happened, and observed in turn
                observer = new.pop()
                value = _saw(observer)
                writers = [op.row for op in key.puts[value]]
                writers += [INITIAL] * (value == plain(key.initial))
                if len(writers) == 1:
                    self.source[observer.row] = writers[0]
                    if writers[0] != INITIAL and writers[0] not in self.ops:
                        self.ops[writers[0]] = writer = key.puts[value][0]
                        new += [writer] * (writer.f == "cas")

    def overwrites(self, u: int, w: int, o: int) -> bool:
        """Whether o reads from w, and u is not between them: it writes the same key, or found
        that it did not hold what o observes.
        """
        if self.source.get(o) != w or u in (w, o, INITIAL) or self.key[u] is not self.key[o]:
            return False
        refused = self.ops[u].f == "cas-mismatch" and plain(self.ops[u].expected) == _saw(
            self.ops[o]
        )
        return refused or self.ops[u].f in ("write", "cas")

    def follows(self, x: int, y: int, rule: str, told: Told) -> bool:
        """Whether x comes before y by the rule; `told` are its premises."""
        if rule in ("real-time", "process"):
            timely = min(x, y) >= 0 and bool(self.end[x] < self.start[y]) and not told
            same = timely and self.ops[x].process == self.ops[y].process
            return same and self.serial if rule == "process" else timely and not self.serial
        if rule in ("initial", "reads-from"):
            first = x == INITIAL != y and rule == "initial"
            return not told and (first or (rule == "reads-from" and self.source.get(y) == x))
        (a, b), (c, d) = told
        if rule == "transitive":
            return (a, b, d) == (x, c, y)
        if rule == "overwrite":  # a reads-from x, a before y
            return (b, c, d) == (x, a, y) and self.overwrites(y, a, x)
        # y reads-from b, x before b
        return (a, c, d, rule) == (y, x, b, "overwritten") and self.overwrites(x, y, b)


def unwritten(known: Known, name: str, key: Key, listed: list[int]) -> None:
    """Accept a `thin-air-read` or an `aborted-read`: nobody, or only who failed, writes what an
    operation observes; it is followed by those that show that it happened.
    """
    if name == "aborted-read":
        failed, *listed = listed
    ops = {op.row: op for op in key.ops}
    value = _saw(known.ops[listed[0]])
    tried = [op.row for op in key.ops if op.f != "read" and plain(op.value) == value]
    if known.ops[listed[0]].f == "cas-mismatch" or key.puts[value] or value == plain(key.initial):
        raise Refused("it observes nothing, or somebody may have written that")
    if (failed not in tried) if name == "aborted-read" else tried:
        raise Refused("who failed to write it is not named, or somebody did")
    shown = all(known.source.get(later) == row for row, later in pairwise(listed))
    if not shown or not ops[listed[-1]].ok:
        raise Refused("that it happened is not shown")


def _saw(observer: Op) -> Any:
    return plain(observer.expected if observer.f == "cas" else observer.value)


def contradiction(claim: Any, known: Known) -> None:
    """Accept steps that end in an operation before itself, each of which follows by its rule."""
    told: list[tuple[int, int]] = []
    for number, (x, y, rule, premises) in enumerate(claim["steps"]):
        if {type(x), type(y), *map(type, premises)} != {int}:
            raise Refused(f"step {number} is not about rows and steps")
        if not all(0 <= premise < number for premise in premises):
            raise Refused(f"step {number} rests on one that does not come before it")
        if not all(row == INITIAL or row in known.ops for row in (x, y)):
            raise Refused(f"step {number} is about an operation not known to have happened")
        if not known.follows(x, y, rule, [told[premise] for premise in premises]):
            raise Refused(f"step {number}: that {x} is before {y} does not follow by {rule}")
        told.append((x, y))
    if not told or told[-1][0] != told[-1][1]:
        raise Refused("the last step does not say that an operation comes before itself")
    if {row for step in told for row in step} - {INITIAL} != set(claim["operations"]):
        raise Refused("the operations of the witness are not those of its steps")
