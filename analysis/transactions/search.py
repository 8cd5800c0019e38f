"""Search for what saturation leaves open: of two blocks of a key, which comes first?

Either answer is supposed, what follows from it is saturated, and whatever then explains the history
is right. A contradiction names the suppositions that it rests on; the search goes back to the last
of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from analysis.history import Ints, Mask
from analysis.transactions.acceptance import BACK, Builder, height, in_version_order, successions
from analysis.transactions.explanation import Explanation
from analysis.transactions.problem import NEVER
from analysis.transactions.saturation import PARALLEL, SNAPSHOT, Mark, Saturation
from analysis.transactions.steps import ASSUME, EITHER, Step, Steps

GUESSES = 2  # after each supposition


@dataclass(slots=True)
class _Choice:
    """One supposition, and once it is refuted its contradiction and the opposite."""

    mark: Mark
    nodes: tuple[int, int]
    step: int
    refuted: tuple[int, int] | None = None  # (step of the first, its contradiction)


class Search:
    """Decides what one saturation leaves open. After `run`, `steps` hold a contradiction."""

    def __init__(self, saturation: Saturation) -> None:
        self._s = saturation
        self.steps = Steps()
        self._choices: list[_Choice] = []

    def run(self) -> Ints | int:
        """Events in order as `accept` gives them, or the step of a contradiction. Exhausted may be
        raised, when the meter runs out.
        """
        while True:
            if self._s.close():
                order, pairs = self._accepted()
                if order is not None:
                    return order
                for pair in pairs:
                    self._suppose(pair)
                continue
            assumptions = [choice.step for choice in self._choices]
            step = Explanation(self._s, self.steps, assumptions).contradiction()
            if not self._back(step):
                return self._last

    def _accepted(self) -> tuple[Ints | None, list[tuple[int, int]]]:
        """An order, or pairs of nodes of which it is not known which comes first."""
        s = self._s
        builder = Builder(s)
        pairs: list[tuple[int, int]] = []
        for wish, most in self._guesses():
            order = builder.build(wish, most)
            if order is None:
                pairs = pairs or self._stuck(builder.came)
            elif s.mode != PARALLEL:
                return order, []
            elif (found := in_version_order(s, order)) is not None:
                return found, []
            else:
                pairs = pairs or self._disputed(order)
            if pairs and most in (0, BACK[GUESSES - 1]):
                break
        return None, pairs

    def _guesses(self) -> Iterator[tuple[Ints, int]]:
        """When each event may take place, and how far to look back. What does not look back stops
        for a reason.
        """
        problem = self._s.problem
        if self._s.mode == PARALLEL and int(problem.start.min()) < int(problem.start.max()):
            yield problem.end, 0
        wish = height(self._s)
        for most in (*BACK[:GUESSES], 0):
            yield wish, most

    def _stuck(self, came: Ints) -> list[tuple[int, int]]:
        """Where a greedy order stopped: (the version that would come, the one that stands). None
        if it looked back, and each waits for another; of an order that does not, there is one.
        """
        s, versions = self._s, self._s.versions
        done = np.zeros(s.nodes, np.bool_)
        done[came] = True
        edges = s.edges()
        free = ~done
        free[edges.target[~done[edges.source]]] = False
        place = np.full(s.nodes, -1)
        place[came] = np.arange(len(came))
        makers = s.commit(s.problem.writer)
        current = s.versions.writes + np.arange(s.problem.keys)
        made = np.flatnonzero(done[makers])
        made = made[np.argsort(place[makers[made]], kind="stable")]
        current[s.problem.write_key[made]] = made
        waiting = np.flatnonzero(free[makers])
        for entry in waiting.tolist():
            other = int(current[s.problem.write_key[entry]])
            if self._pending(other, entry, done) and versions.parent[entry] != other:
                return [self._nodes(entry, other)]
        takers = np.flatnonzero(free[s.snap(s.problem.writer)])
        held = done[s.snap(s.problem.writer)] & ~done[makers]
        for entry in takers.tolist():
            same = np.flatnonzero(held & (s.problem.write_key == s.problem.write_key[entry]))
            if len(same) and s.mode == SNAPSHOT:
                return [self._nodes(entry, int(same[0]))]
        return []

    def _pending(self, version: int, entry: int, done: Mask) -> bool:
        s = self._s
        seen = s.versions.read == version
        if s.mode == PARALLEL:  # only who wrote over it has to come first
            seen &= s.versions.own >= 0
        readers = s.problem.reader[seen]
        readers = readers[readers != s.problem.writer[entry]]
        return bool((~done[s.snap(readers)]).any())

    def _nodes(self, entry: int, other: int) -> tuple[int, int]:
        s, versions = self._s, self._s.versions
        heads = versions.head[versions.block[np.array([entry, other])]]
        first, second = s.commit(s.writer(heads)).tolist()
        return first, second

    def _disputed(self, order: Ints) -> list[tuple[int, int]]:
        """Versions that cannot stand as in this order, though nothing yet forbids it: the other way
        round, of each contradiction two.
        """
        s = self._s
        mark = s.mark()
        s.force(successions(s, order))
        stage = s.stage
        assert not s.close(), "it was refused before"
        explanation = Explanation(s, Steps())
        ways = [
            [s.forced[p, :2].tolist() for p in explanation.supposed_in(way, stage)]
            for way in explanation.cycles()
        ]
        s.retract(mark)
        found: dict[tuple[int, int], None] = {}
        for way in ways:
            open_ = (self._open(a, b) for a, b in way)
            found |= dict.fromkeys(list(islice(filter(None, open_), 1)))
        return list(found)

    def _open(self, a: int, b: int) -> tuple[int, int] | None:
        """The nodes of two blocks, the second one's first; None: the first is known to be first."""
        s, versions = self._s, self._s.versions
        everywhere = np.ones(s.nodes, np.int32)
        end, head = s.commit(s.writer(np.array([versions.end[a], versions.head[b]]))).tolist()
        if s.graph.way(np.array([end]), np.array([head]), NEVER, everywhere) is not None:
            return None
        first, second = s.commit(s.writer(versions.head[np.array([b, a])])).tolist()
        return first, second

    def _suppose(self, nodes: tuple[int, int]) -> None:
        mark = self._s.mark()
        step = self._assume(nodes)
        self._choices.append(_Choice(mark=mark, nodes=nodes, step=step))

    def _assume(self, nodes: tuple[int, int]) -> int:
        s = self._s
        s.assume(*nodes)
        before, behind = (self._named(node) for node in nodes)
        return self.steps.add(Step(before, behind, ASSUME))

    def _named(self, node: int) -> int:
        rows = self._s.problem.rows
        return 2 * int(rows[node // 2]) + node % 2 if self._s.mode == SNAPSHOT else int(rows[node])

    def _back(self, step: int) -> bool:
        """Leave what this contradiction refutes, for its opposite; False: nothing is left."""
        while self._choices:
            choice = self._choices[-1]
            self._s.retract(choice.mark)
            if choice.step not in self.steps.rests_on(step):
                self._choices.pop()
            elif choice.refuted is None:
                choice.refuted = (choice.step, step)
                choice.step = self._assume((choice.nodes[1], choice.nodes[0]))
                return True
            else:
                event = self.steps.steps[step].before
                premises = (*choice.refuted, choice.step, step)
                step = self.steps.add(Step(event, event, EITHER, premises))
                self._choices.pop()
        self._last = step
        return False
