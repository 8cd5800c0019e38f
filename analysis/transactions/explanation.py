"""Why a saturated graph has a cycle, as steps.

Edges that were certain are facts of the history. A forced one is explained by a way from block A to
block B along edges of earlier stages, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from analysis.history import Ints
from analysis.transactions.saturation import (
    ASSUMED,
    FORCED,
    KNOWN,
    OVERWRITES,
    OWN,
    PARALLEL,
    READS,
    SESSION,
    SNAPSHOT,
    STALE,
    Saturation,
)
from analysis.transactions.steps import ASSUME, Step, Steps
from analysis.transactions.ways import Way, Ways

CYCLES_MAX = 24  # from which the shortest is taken
INITIAL = -1


class Explanation:
    """Tells cycles of one saturation. `assumptions`: the step of each that was made."""

    def __init__(
        self, saturation: Saturation, steps: Steps, assumptions: Sequence[int] = ()
    ) -> None:
        self._s, self._steps, self._assumed = saturation, steps, assumptions
        self._edges = saturation.edges()
        self._ways = Ways(saturation)
        self._block_reads: Ints | None = None
        self._facts: dict[int, int] = {}
        versions = saturation.versions
        self._snapshot = saturation.mode == SNAPSHOT
        self._rows = saturation.problem.rows
        self._writes = versions.writes

    # -- cycles

    def contradiction(self) -> int:
        """The step of a cycle that is told in few steps: an event before itself."""
        early = self._before_initial()
        if early is not None:
            return early
        ways = self.cycles()
        if len(ways) == 1:
            return self._told(ways[0])
        best: tuple[int, Way] | None = None
        for way in ways:
            trial = Explanation(self._s, Steps(), ())
            trial._assumed = [
                trial._steps.add(Step(0, n, ASSUME)) for n in range(len(self._assumed))
            ]
            last = trial._told(way)
            size = len(trial._steps.needed(last))
            if best is None or size < best[0]:
                best = (size, way)
        assert best is not None
        return self._told(best[1])

    def _before_initial(self) -> int | None:
        """The step of a version before itself, for it has to stand before the initial one."""
        initial = self._s.versions.initial()
        for pair in range(len(self._s.forced) - 1, -1, -1):
            a, b, stage = self._s.forced[pair].tolist()
            if stage < self._s.stage:
                return None
            if initial[b] and not initial[a]:
                fact = self._raised_to(a, b, stage)[1]
                first = self._initial(self._steps.steps[fact].before)
                return self._steps.chain([fact, first])
        return None

    def cycles(self) -> list[Way]:
        """A few of the shortest cycles, through different events."""
        s = self._s
        return s.graph.cycles(s.order, s.events, CYCLES_MAX)[: CYCLES_MAX // 4]

    def supposed_in(self, way: Way, stage: int) -> list[int]:
        """Pairs of blocks of this stage on which a way rests."""
        s, edges = self._s, self._edges
        found: list[int] = []
        asked: set[int] = set()
        todo = list(way)
        while todo:
            edge = todo.pop()
            pair = int(edges.note[edge])
            if int(edges.kind[edge]) == STALE:
                goal, since = np.array([s.problem.reader[pair]]), int(edges.stage[edge])
                start = edges.source[edge : edge + 1]
                todo += s.graph.way(start, goal, since, self._ways.everywhere) or []
                continue
            if int(edges.kind[edge]) != FORCED or pair in asked:
                continue
            asked.add(pair)
            a, b, since = s.forced[pair].tolist()
            if since == stage:
                found.append(pair)
            elif since > 0 or s.versions.head[a] < self._writes:
                todo += self._ways.between(a, b, since)
        return found

    # -- names

    def _event(self, node: int) -> int:
        """The node as steps name it."""
        if node >= self._s.events:
            return INITIAL
        if self._snapshot:
            return 2 * int(self._rows[node // 2]) + node % 2
        return int(self._rows[node])

    def _snap(self, entry: int) -> int:
        """Where the writer of a version takes its snapshot, as steps name it."""
        return self._of(entry, 0)

    def _commit(self, entry: int) -> int:
        return self._of(entry, 1)

    def _of(self, entry: int, which: int) -> int:
        if entry >= self._writes:
            return INITIAL
        row = int(self._rows[self._s.problem.writer[entry]])
        return 2 * row + which if self._snapshot else row

    def _key(self, entry: int) -> Any:
        return self._s.problem.key_name(self._s.versions.key_of(entry))

    # -- facts

    def _reads(self, read: int) -> int:
        """The writer before the reader."""
        s = self._s
        reader = int(self._rows[s.problem.reader[read]])
        entry = int(s.versions.read[read])
        behind = 2 * reader if self._snapshot else reader
        return self._steps.add(
            Step(self._commit(entry), behind, "reads-from", (), (self._key(entry),))
        )

    def _swap(self, entry: int) -> int:
        """The version before the one that replaced it, which read it."""
        s = self._s
        if self._block_reads is None:
            self._block_reads = np.full(self._writes, INITIAL)
            own = np.flatnonzero(s.versions.own >= 0)
            self._block_reads[s.versions.own[own]] = own
        return self._reads(int(self._block_reads[entry]))

    def _initial(self, behind: int) -> int:
        return self._steps.add(Step(INITIAL, behind, "initial"))

    def _own(self, snap: int) -> int:
        return self._steps.add(Step(snap, snap + 1, "own"))

    def _onward(self, fact: int) -> int:
        """x before a snapshot: so before its commit."""
        behind = self._steps.steps[fact].behind
        return self._steps.chain([fact, self._own(behind)])

    def _rule(self, before: int, behind: int, rule: str, entry: int, *premises: int) -> int:
        return self._steps.add(Step(before, behind, rule, premises, (self._key(entry),)))

    # -- ways

    def _told(self, way: Way) -> int:
        """The first event of a way before its last."""
        edges = self._edges
        while int(edges.source[way[0]]) >= self._s.first_last:  # begin at an event
            way = [*way[1:], way[0]]
        facts: list[int] = []
        at = 0
        while at < len(way):
            until = at + 1
            while int(edges.target[way[until - 1]]) >= self._s.first_last:
                until += 1
            kind = int(edges.kind[way[at]])
            if kind in (SESSION, SESSION + 1):
                at, fact = self._ordered(way, at, kind)
            else:
                fact = self._hop(way[at:until])
                at = until
            facts.append(fact)
        return self._steps.chain(facts)

    def _ordered(self, way: Way, at: int, kind: int) -> tuple[int, int]:
        """As far as sessions, or real time, lead: (where the way goes on, the fact)."""
        edges, s = self._edges, self._s
        until, best = at, at
        while until < len(way):
            edge = way[until]
            own = int(edges.kind[edge]) == OWN
            if int(edges.kind[edge]) != kind and not own:
                break
            until += 1
            if not own and int(edges.target[edge]) < s.first_last:
                best = until
        source, target = int(edges.source[way[at]]), int(edges.target[way[best - 1]])
        if source == target:  # not all the way round at once
            best = at + 1
            while int(edges.target[way[best - 1]]) >= s.first_last:
                best += 1
            target = int(edges.target[way[best - 1]])
        rule = "session" if kind == SESSION else "real-time"
        return best, self._steps.add(Step(self._event(source), self._event(target), rule))

    def _hop(self, hop: Way) -> int:
        """One event before another, by one edge, or by two over the end of a block."""
        edges, s = self._edges, self._s
        edge, last = hop[0], hop[-1]
        kind, note = int(edges.kind[last]), int(edges.note[last])
        source = int(edges.source[edge])
        if kind == READS:
            return self._reads(note)
        if kind == OWN:
            return self._own(self._event(source))
        if kind == OVERWRITES:
            entry = int(s.versions.read[note])
            child = int(s.versions.child[entry])
            replaced = self._swap(child)
            if self._snapshot:
                onward = self._initial(self._commit(child))
                replaced = onward if entry >= self._writes else self._onward(replaced)
            return self._rule(
                self._event(source), self._commit(child), "overwrite", entry,
                self._reads(note), replaced,
            )  # fmt: skip
        if kind == KNOWN:
            a, b, key = (int(n) for n in s.problem.known[note])
            shown = s.problem.evidence.get((a, b, key), ())
            extra = (s.problem.key_name(key), *shown)
            target = int(edges.target[last])
            return self._steps.add(
                Step(self._event(source), self._event(target), "versions", (), extra)
            )
        if kind == STALE:
            return self._stale(last)
        if kind == ASSUMED:
            return int(self._assumed[note])
        assert kind == FORCED, kind
        return self._replaced(note, edge, source)

    def _stale(self, edge: int) -> int:
        """A version before the one that it replaced, for it comes before somebody who read that."""
        s, read = self._s, int(self._edges.note[edge])
        start, goal = int(self._edges.source[edge]), int(s.problem.reader[read])
        stage = int(self._edges.stage[edge])
        way = s.graph.way(np.array([start]), np.array([goal]), stage, self._ways.everywhere)
        assert way is not None, "it was stale"
        fact, entry = self._told(way), int(s.versions.read[read])
        premises = (self._reads(read), fact)
        return self._rule(self._event(start), self._commit(entry), "overwritten", entry, *premises)

    def _replaced(self, pair: int, edge: int, source: int) -> int:
        """The last version of block A, or who read it, before the first of block B."""
        s = self._s
        a, b, _ = s.forced[pair].tolist()
        fact = self._block_before(pair)
        end, head = int(s.versions.end[a]), int(s.versions.head[b])
        commit = int(s.commit(s.writer(np.array([end])))[0])
        if source == commit:
            return fact
        if self._snapshot:
            known = self._steps.steps[fact].behind == self._commit(head)
            fact = fact if known else self._onward(fact)
        reader = source // 2 if self._snapshot else source
        mine = s.last_reads[s.problem.reader[s.last_reads] == reader]
        read = int(mine[s.versions.read[mine] == end][0])
        return self._rule(
            self._event(source), self._commit(head), "overwrite", end, self._reads(read), fact
        )

    def _block_before(self, pair: int) -> int:
        """The last version of block A before (its commit before the snapshot of) the first of B."""
        if pair not in self._facts:
            self._facts[pair] = self._explained(pair)
        return self._facts[pair]

    def _explained(self, pair: int) -> int:
        s = self._s
        a, b, stage = s.forced[pair].tolist()
        head = int(s.versions.head[b])
        first = int(s.versions.head[a])
        if first >= self._writes:
            fact = self._initial(self._commit(head))
            return self._lowered(first, head, fact)
        mine, fact = self._raised_to(a, b, stage)
        return self._lowered(mine, head, fact)

    def _raised_to(self, a: int, b: int, stage: int) -> tuple[int, int]:
        """(some version of block A, that it comes before the first of block B)."""
        way = self._ways.between(a, b, stage)
        fact = self._told(way)
        start, goal = int(self._edges.source[way[0]]), int(self._edges.target[way[-1]])
        mine, theirs = self._ways.entry(start, a), self._ways.entry(goal, b)
        assert mine is not None, "the way begins with a writer"
        if theirs is None or (self._snapshot and goal % 2 == 0):
            read, theirs = self._ways.read_of(goal, b)
            fact = self._rule(
                self._commit(mine), self._commit(theirs), "overwritten", theirs,
                self._reads(read), fact,
            )  # fmt: skip
        return mine, self._raised(mine, theirs, fact)

    def _raised(self, mine: int, theirs: int, fact: int) -> int:
        """W(mine) before W(theirs): so before the first version of that block."""
        s = self._s
        while True:
            if self._snapshot:
                fact = self._exclusive(mine, theirs, fact)
            parent = int(s.versions.parent[theirs])
            if parent < 0:
                return fact
            fact = self._rule(
                self._commit(mine), self._commit(parent), "overwritten", mine,
                self._swap(theirs), fact,
            )  # fmt: skip
            theirs = parent
            if theirs >= self._writes:
                return fact

    def _exclusive(self, mine: int, theirs: int, fact: int) -> int:
        """W(mine) took its snapshot before W(theirs) committed: so it committed before the other
        took its own.
        """
        steps = self._steps
        if steps.steps[fact].behind == self._snap(theirs):
            return fact
        if steps.steps[fact].before == self._commit(mine):
            fact = steps.chain([self._own(self._snap(mine)), fact])
        return self._rule(self._commit(mine), self._snap(theirs), "exclusive", mine, fact)

    def _lowered(self, mine: int, head: int, fact: int) -> int:
        """W(mine) before the first version of another block: so the last of its own before that."""
        s, steps = self._s, self._steps
        while int(s.versions.child[mine]) >= 0:
            child = int(s.versions.child[mine])
            if self._snapshot:
                if steps.steps[fact].behind != self._commit(head):
                    fact = self._onward(fact)
                fact = self._rule(
                    self._snap(child), self._commit(head), "overwrite", mine,
                    self._swap(child), fact,
                )  # fmt: skip
                fact = self._exclusive(child, head, fact)
            else:
                rule = "exclusive" if s.mode == PARALLEL else "overwrite"
                fact = self._rule(
                    self._commit(child), self._commit(head), rule, mine, self._swap(child), fact
                )
            mine = child
        return fact


def events_in(steps: Iterable[Step], snapshot: bool) -> list[int]:
    """The history rows that some steps are about."""
    events = {event for step in steps for event in (step.before, step.behind)} - {INITIAL}
    return sorted({event // 2 if snapshot else event for event in events})
