"""What needs no inference: the graph of reads, sessions and real time, and lost updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.checkers.compiled import Marks
from analysis.transactions.graphs import Edges, Graph
from analysis.transactions.problem import INITIAL, NEVER, Problem, real_time_order, session_order
from analysis.transactions.steps import Step, Steps

READS, SESSION, REALTIME, KNOWN = "reads-from", "session", "real-time", "versions"
_KINDS = (READS, SESSION, REALTIME, KNOWN)
Hop = tuple[str, int, int, int]  # kind, transaction, transaction, the read (or known pair), or -1
CYCLES_MAX = 64
WORK = 16  # how much there is to do for a read, about, as `compiled` counts it


class Base:
    """Transactions, with edges that are facts; `gates` from n on carry sessions and real time."""

    def __init__(self, problem: Problem, *, sessions: bool, realtime: bool, known: bool) -> None:
        self.problem = problem
        self.count = len(problem)
        self.size = WORK * (self.count + len(problem.reader))
        parts = []
        real = np.flatnonzero(problem.source >= 0)
        parts.append((problem.source[real], problem.reader[real], 0, real))
        gate = self.count
        for wanted, kind, make in ((sessions, 1, session_order), (realtime, 2, real_time_order)):
            if wanted:
                order = make(problem, gate)
                gate += order.gates
                none = np.full(len(order.edges), INITIAL)
                parts.append((order.edges[:, 0], order.edges[:, 1], kind, none))
        if known:
            pairs = problem.known
            parts.append((pairs[:, 0], pairs[:, 1], 3, np.arange(len(pairs))))
        self.nodes = gate
        self.edges = Edges(
            source=np.concatenate([part[0] for part in parts]).astype(np.int64),
            target=np.concatenate([part[1] for part in parts]).astype(np.int64),
            kind=np.concatenate([np.full(len(part[0]), part[2]) for part in parts]),
            stage=np.zeros(sum(len(part[0]) for part in parts), np.int64),
            note=np.concatenate([part[3] for part in parts]).astype(np.int64),
        )
        self.graph = Graph(self.nodes, self.edges, self.size)
        self.order = self.graph.sorted()

    @property
    def cyclic(self) -> bool:
        """Whether facts alone contradict each other."""
        return len(self.order) < self.nodes

    def cycle(self) -> list[Hop]:
        """A short cycle, if there is one."""
        return self.hops(self.graph.cycles(self.order, self.count, CYCLES_MAX)[0])

    def way(self, before: int, behind: int) -> list[Hop]:
        """A shortest way from one transaction to another that it reaches."""
        within: Marks = np.ones(self.nodes, np.int32)
        way = self.graph.way(np.array([before]), np.array([behind]), NEVER, within)
        assert way is not None, (before, behind)
        return self.hops(way)

    def hops(self, way: list[int]) -> list[Hop]:
        """A way as steps from transaction to transaction; sessions, real time as far as they go."""
        edges = self.edges
        while int(edges.source[way[0]]) >= self.count:
            way = [*way[1:], way[0]]
        hops: list[Hop] = []
        start = kind = note = -1
        for edge in way:
            if start < 0:
                start = int(edges.source[edge])
                kind, note = int(edges.kind[edge]), int(edges.note[edge])
            target = int(edges.target[edge])
            if target < self.count:
                last = hops[-1] if hops else None
                joined = last is not None and last[0] == _KINDS[kind] and kind in (1, 2)
                if joined and last is not None and last[1] != target:
                    hops[-1] = (last[0], last[1], target, note)
                else:
                    hops.append((_KINDS[kind], start, target, note))
                start = -1
        return hops


class Teller:
    """Facts as steps, under the rules for transactions or for snapshots and commits."""

    def __init__(self, problem: Problem, steps: Steps, *, snapshot: bool) -> None:
        self._problem, self.steps, self._snapshot = problem, steps, snapshot

    def snap(self, transaction: int) -> int:
        """Its snapshot as steps name it; INITIAL is -1."""
        if transaction < 0:
            return INITIAL
        row = int(self._problem.rows[transaction])
        return 2 * row if self._snapshot else row

    def commit(self, transaction: int) -> int:
        """Its commit as steps name it."""
        return self.snap(transaction) + int(self._snapshot and transaction >= 0)

    def key(self, key: int) -> Any:
        """A key as claims have it."""
        return self._problem.key_name(key)

    def reads(self, read: int) -> int:
        """The writer before the reader."""
        p = self._problem
        source, reader = int(p.source[read]), int(p.reader[read])
        key = (self.key(int(p.read_key[read])),)
        return self.steps.add(Step(self.commit(source), self.snap(reader), READS, (), key))

    def own(self, transaction: int) -> int:
        """A snapshot before its commit."""
        return self.steps.add(Step(self.snap(transaction), self.commit(transaction), "own"))

    def hop(self, hop: Hop) -> int:
        """One of a way."""
        kind, x, y, note = hop
        if kind == READS:
            return self.reads(note)
        if kind == KNOWN:
            p = self._problem
            a, b, key = (int(n) for n in p.known[note])
            extra = (self.key(key), *p.evidence.get((a, b, key), ()))
            return self.steps.add(Step(self.commit(x), self.commit(y), KNOWN, (), extra))
        return self.steps.add(Step(self.commit(x), self.snap(y), kind))

    def way(self, hops: list[Hop], *, round_about: bool = False) -> int:
        """One transaction before another; `round_about`: from its commit to its commit again."""
        facts = []
        for number, hop in enumerate(hops):
            facts.append(self.hop(hop))
            last = number == len(hops) - 1 and not round_about
            if self._snapshot and hop[0] != KNOWN and not last:
                facts.append(self.own(hop[2]))
        return self.steps.chain(facts)


def lost_updates(problem: Problem) -> list[tuple[int, int]]:
    """Pairs of reads: two transactions read one version of a key, and both wrote the key."""
    code = problem.writer * problem.keys + problem.write_key
    mine = problem.reader * problem.keys + problem.read_key
    swaps = np.flatnonzero(np.isin(mine, code))
    seen = problem.source[swaps] * problem.keys + problem.read_key[swaps]
    seen = np.where(problem.source[swaps] < 0, -1 - problem.read_key[swaps], seen)
    by = np.argsort(seen, kind="stable")
    same = np.flatnonzero(seen[by][1:] == seen[by][:-1])
    pairs = np.column_stack([swaps[by[same]], swaps[by[same + 1]]])
    differ = problem.reader[pairs[:, 0]] != problem.reader[pairs[:, 1]]
    return [(int(a), int(b)) for a, b in pairs[differ]]


def lost_update(
    problem: Problem, pair: tuple[int, int], *, rule: str, snapshot: bool
) -> list[Step]:
    """Why two reads of a lost update contradict each other; `rule`: by which it does."""
    steps = Steps()
    tell = Teller(problem, steps, snapshot=snapshot)
    one, two = pair
    key = (tell.key(int(problem.read_key[one])),)
    facts = []
    for first, second in ((one, two), (two, one)):
        x, y = int(problem.reader[first]), int(problem.reader[second])
        premises = (tell.reads(first), _before(tell, problem, second))
        fact = steps.add(Step(tell.snap(x), tell.commit(y), rule, premises, key))
        if snapshot:
            fact = steps.add(Step(tell.commit(x), tell.snap(y), "exclusive", (fact,), key))
            facts += [fact, tell.own(y)]
        else:
            facts.append(fact)
    return steps.needed(steps.chain(facts))


def torn_read(problem: Problem, pair: tuple[int, int], *, snapshot: bool) -> list[Step]:
    """Why no transaction can read two versions of a key: each would come before the other."""
    steps = Steps()
    tell = Teller(problem, steps, snapshot=snapshot)
    key = (tell.key(int(problem.read_key[pair[0]])),)
    facts = []
    for one, other in (pair, pair[::-1]):
        source, seen = int(problem.source[one]), int(problem.source[other])
        if seen == INITIAL:
            facts.append(steps.add(Step(INITIAL, tell.commit(source), "initial")))
            continue
        before, behind = tell.commit(seen), tell.commit(source)
        premises = (tell.reads(one), tell.reads(other))
        facts.append(steps.add(Step(before, behind, "overwritten", premises, key)))
    return steps.needed(steps.chain(facts))


def _before(tell: Teller, problem: Problem, read: int) -> int:
    """What was read before the commit of the reader."""
    reader = int(problem.reader[read])
    if tell.commit(reader) == tell.snap(reader):
        return tell.reads(read)
    if int(problem.source[read]) == INITIAL:
        return tell.steps.add(Step(INITIAL, tell.commit(reader), "initial"))
    return tell.steps.chain([tell.reads(read), tell.own(reader)])
