"""Contradictions in steps, each by one rule of docs/certificates.md: why programs have no order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import islice

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.derivation import INITIAL, Derivation
from analysis.checkers.precedence import Blocks, blocks_of
from analysis.checkers.programs import Programs
from analysis.checkers.routes import CERTAIN, Routes
from analysis.checkers.saturation import Saturated, saturate
from analysis.history import Ints

EVER = np.iinfo(np.int64).max  # after every round
TRIES_MAX = 400  # to do without an operation
CYCLES_MAX = 24  # looked at for the shortest argument


class Argument(Derivation):
    """Steps about nodes of programs, written as rows of the history."""

    def __init__(self, programs: Programs) -> None:
        super().__init__()
        self._programs = programs
        self._row = np.append(programs.row, INITIAL).tolist()

    def in_process(self, x: int, y: int) -> int:
        """x before y, in the order of their process."""
        return self._add(self._row[x], self._row[y], "process")

    def after_initial(self, y: int) -> int:
        """The initial value before y."""
        return self.initial(self._row[y])

    def reads(self, observer: int) -> int:
        """Its source before the observer."""
        source = int(self._programs.source[observer])
        return self.reads_from(self._row[source], self._row[observer])

    def chain(self, *facts: int) -> int:
        """x before z, from x before y, y before z, …"""
        return reduce(self.transitive, facts)

    def overwrites(self, observer: int, fact: int) -> int:
        """observer before u, from: its source before u (the fact)."""
        return self.overwrite(self.reads(observer), fact)

    def was_overwritten(self, observer: int, fact: int) -> int:
        """u before the observer's source, from: u before the observer (the fact)."""
        return self.overwritten(self.reads(observer), fact)


def of_lost_update(programs: Programs, one: int, other: int) -> Argument:
    """Two cas that replaced one value: each must come before the other."""
    argument = Argument(programs)
    first, second = argument.reads(one), argument.reads(other)
    there, back = argument.overwrites(one, second), argument.overwrites(other, first)
    argument.chain(there, back)
    return argument


def of_loop(programs: Programs, observers: Sequence[int]) -> Argument:
    """An operation that comes, in causal order, before what it observes."""
    routes = Routes(programs, None, None)
    ways = []
    for observer in observers[:CYCLES_MAX]:
        way = routes.shortest([observer], {observer}, EVER)
        if way is not None:
            ways.append(_causal(programs, way))
    return min(ways, key=lambda way: len(way.steps))


def _causal(programs: Programs, way: list[int]) -> Argument:
    argument = Argument(programs)
    _along(argument, programs, way)
    return argument


def _along(argument: Argument, programs: Programs, way: list[int]) -> int:
    """The first before the last, along causal order."""
    facts: list[int] = []
    at = 0
    while at + 1 < len(way):
        until = at + 1
        if _in_process(programs, way[at], way[until]):
            while until + 1 < len(way) and _in_process(programs, way[until], way[until + 1]):
                until += 1
            facts.append(argument.in_process(way[at], way[until]))
        else:
            facts.append(argument.reads(way[until]))
        at = until
    return argument.chain(*facts)


def _in_process(programs: Programs, x: int, y: int) -> bool:
    """Whether x comes before y in the order of one process."""
    if programs.process[x] != programs.process[y] or not programs.definite[x]:
        return False
    at_once = programs.start[x] == programs.end[y]  # given x.end <= y.start, all four are equal
    return bool(programs.end[x] <= programs.start[y]) and (not at_once or x < y)


def of_stale(programs: Programs, observer: int) -> Argument:
    """A write comes after what is observed and before the observer, in causal order."""
    source = int(programs.source[observer])
    same = (programs.written >= 0) & (programs.key == programs.key[observer])
    writes = set(np.flatnonzero(same).tolist()) - {source, observer}
    starts = writes if source == INITIAL else {source}
    way = Routes(programs, None, None).shortest(sorted(starts), {observer}, EVER, writes)
    assert way is not None, "the saturation found one"
    argument = Argument(programs)
    at = next(place for place, node in enumerate(way) if node in writes)
    seen = _along(argument, programs, way[at:])
    gone = argument.was_overwritten(observer, seen)
    if source == INITIAL:
        argument.chain(gone, argument.after_initial(way[at]))
    else:
        argument.chain(_along(argument, programs, way[: at + 1]), gone)
    return argument


def of_forced(programs: Programs, saturated: Saturated, blocks: Blocks) -> Argument:
    """A cycle with forced edges, of as few operations as dropping one after another leaves."""
    nodes = _Forced(programs, blocks, saturated).support()
    nodes = _fewest(programs, nodes)
    part = programs.part(nodes)
    around = blocks_of(part)
    return _Forced(part, around, saturate(part, around, Meter(EVER))).shortest()


def _fewest(programs: Programs, nodes: Ints) -> Ints:
    """Drop whatever a contradiction does not need."""
    tries = 0
    size = max(1, len(nodes) // 4)
    while True:
        at = 0
        while at < len(nodes) and tries < TRIES_MAX:
            tries += 1
            fewer = np.delete(nodes, slice(at, at + size))
            part = programs.part(fewer)
            if len(fewer) and saturate(part, blocks_of(part), Meter(EVER)).cyclic:
                nodes = fewer
            else:
                at += size
        if size == 1 or tries >= TRIES_MAX:
            return nodes
        size //= 2


class _Forced:
    """Explains cycles of one saturated graph."""

    def __init__(self, programs: Programs, blocks: Blocks, saturated: Saturated) -> None:
        self._programs, self._blocks = programs, blocks
        self._count = len(programs)
        self._routes = Routes(programs, blocks, saturated.forced)
        self._stage: dict[tuple[int, int], int] = {}
        for a, b, stage in reversed(saturated.forced.tolist()):
            self._stage[a, b] = stage
        self._members: dict[int, list[int]] = {}
        for node, block in enumerate(blocks.of.tolist()):
            self._members.setdefault(block, []).append(node)
        self._ways: dict[tuple[int, int], list[int]] = {}

    def support(self) -> Ints:
        """Nodes that are enough for the contradiction, ascending."""
        needed: set[int] = set()
        asked: set[tuple[int, int]] = set()
        todo = [next(self._cycles())]
        while todo:
            way = todo.pop()
            for place, node in enumerate(way):
                if node < self._count:
                    needed.update(self._back_to_head(node))
                    continue
                crossing = (node - self._count, int(self._blocks.of[way[place + 1]]))
                if self._blocks.head[crossing[0]] != INITIAL and crossing not in asked:
                    asked.add(crossing)
                    todo.append(self._way(*crossing))
        return np.array(sorted(needed), np.int64)

    def shortest(self) -> Argument:
        """The contradiction with the fewest steps, of some cycles."""
        found = []
        for cycle in islice(self._cycles(), CYCLES_MAX):
            argument = Argument(self._programs)
            self._told(argument, cycle)
            found.append(argument)
        return min(found, key=lambda argument: len(argument.steps))

    def _cycles(self) -> Iterator[list[int]]:
        """Ways round, from an operation to itself: through what was forced last, if anything."""
        last = max(self._stage.values(), default=CERTAIN)
        heads = [
            int(self._blocks.head[b]) for (_, b), stage in self._stage.items() if stage == last
        ]
        for head in dict.fromkeys(heads or range(self._count)):
            way = self._routes.shortest([head], {head}, EVER)
            if way is not None:
                yield way

    def _way(self, a: int, b: int) -> list[int]:
        """From an operation of block A to one of block B, by what stood before that was forced."""
        if (a, b) not in self._ways:
            starts, goals = self._members[a], set(self._members[b])
            way = self._routes.shortest(starts, goals, self._stage[a, b])
            assert way is not None, "it was forced by one"
            self._ways[a, b] = way
        return self._ways[a, b]

    def _version(self, node: int) -> int:
        """The operation that wrote the version this one belongs to, or INITIAL."""
        writes = self._programs.written[node] >= 0
        return node if writes else int(self._programs.source[node])

    def _back_to_head(self, node: int) -> Iterator[int]:
        """The node, and the versions from its own to the head of its block."""
        yield node
        if self._blocks.of[node] < 0:
            return
        version, head = self._version(node), int(self._blocks.head[self._blocks.of[node]])
        while version not in (INITIAL, head):
            yield version
            version = int(self._programs.source[version])
        if version != INITIAL:
            yield version

    def _told(self, argument: Argument, way: list[int]) -> int:
        """The first of the way before the last."""
        facts: list[int] = []
        at = 0
        while at + 1 < len(way):
            x, y = way[at], way[at + 1]
            if y >= self._count:
                facts.append(self._crossed(argument, x, y - self._count, way[at + 2]))
                at += 2
            elif _in_process(self._programs, x, y):
                until = at + 1
                while until + 1 < len(way) and _follows(self._programs, way, until, self._count):
                    until += 1
                facts.append(argument.in_process(x, way[until]))
                at = until
            elif self._programs.source[y] == x:
                facts.append(argument.reads(y))
                at += 1
            else:  # y is the cas that replaced what x read
                facts.append(argument.overwrites(x, argument.reads(y)))
                at += 1
        return argument.chain(*facts)

    def _crossed(self, argument: Argument, x: int, a: int, head: int) -> int:
        """x of block A before the head of another block of its key."""
        first = int(self._blocks.head[a])
        if first == INITIAL:
            version, fact = INITIAL, argument.after_initial(head)
        else:
            version, fact = self._raised(argument, self._way(a, int(self._blocks.of[head])), head)
        return self._lowered(argument, version, x, fact)

    def _raised(self, argument: Argument, way: list[int], head: int) -> tuple[int, int]:
        """From p before q: the version of p, before the head of q's block."""
        p, q = way[0], way[-1]
        fact, version = self._told(argument, way), self._version(p)
        if version != p:
            fact = argument.chain(argument.reads(p), fact)
        while q != head:
            fact = argument.was_overwritten(q, fact)
            q = int(self._programs.source[q])
        return version, fact

    def _lowered(self, argument: Argument, version: int, x: int, fact: int) -> int:
        """From a version before the head of another block: x of the version's block before it."""
        mine = self._version(x)
        later = list(self._between(version, mine))
        if later or mine == version:
            for swap in later:
                fact = argument.overwrites(swap, fact)
        else:
            earlier = [argument.reads(swap) for swap in self._between(mine, version)]
            fact = argument.chain(*earlier, fact)
        return fact if mine == x else argument.overwrites(x, fact)

    def _between(self, version: int, later: int) -> list[int]:
        """The cas by which `version` became `later`, in order; none if it did not."""
        found: list[int] = []
        while later != version:
            if later == INITIAL or self._blocks.depth[later] == 0:
                return []
            found.append(later)
            later = int(self._programs.source[later])
        return found[::-1]


def _follows(programs: Programs, way: list[int], at: int, count: int) -> bool:
    return way[at + 1] < count and _in_process(programs, way[at], way[at + 1])
