"""Read committed, read atomic, causal consistency: what has to be visible, and one total order.

Each says: where T3 reads k from T1, and T2, which T3 knows of, wrote k too, T2 comes before T1.
What T3 knows of does not depend on that order, so one pass decides (Biswas & Enea 2019): read
committed and read atomic by looking at the smaller of T2's writes and T3's reads, causal with a
clock for each transaction, one number for each session.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.compiled import compiled
from analysis.history import Ints
from analysis.transactions import axiom_kernels as kernels
from analysis.transactions.direct import KNOWN, READS, SESSION, Base, Teller
from analysis.transactions.graphs import Edges, Graph
from analysis.transactions.problem import INITIAL, Problem, lanes
from analysis.transactions.steps import Step, Steps

COMMITTED, ATOMIC, CAUSAL = "read-committed", "read-atomic", "causal"
CELLS = 1 << 26  # of clocks, at a time
NODES_A_STEP = 16
_FACTS = 4  # edges of this kind and above were forced
_TRIED = 64  # nodes from which a short cycle is looked for


class Visible:
    """The total order of commits that one of these models asks for, as a graph.

    `rule`: which; None: nothing has to be visible (read committed after Adya: wr and ww only).
    """

    def __init__(self, problem: Problem, rule: str | None, *, sessions: bool, meter: Meter) -> None:
        self.problem, self.rule, self.sessions = problem, rule, sessions
        self.base = Base(problem, sessions=sessions, realtime=False, known=False)
        meter.spend(1 + self.base.nodes // NODES_A_STEP)
        if self.base.cyclic:
            return
        pairs = self._forced(meter) if rule is not None else np.empty((0, 3), np.int64)
        self.first_bad = pairs[pairs[:, 1] < 0]  # something comes before an initial version
        self._graph(pairs[pairs[:, 1] >= 0])

    def order(self) -> Ints | None:
        """Transactions in an order of commits; None: there is none."""
        if self.base.cyclic or len(self.first_bad) or len(self.sorted) < self.base.nodes:
            return None
        return self.sorted[self.sorted < len(self.problem)]

    def _forced(self, meter: Meter) -> Ints:
        """Rows (T2, T1, the read of T3): T2 comes before T1."""
        if self.rule == CAUSAL:
            return self._causal(meter)
        p, size = self.problem, self.base.size
        count, bounds = len(p), np.arange(len(p) + 1)
        first_read = np.searchsorted(p.reader, bounds).astype(np.int64)
        first_write = np.searchsorted(p.writer, bounds).astype(np.int64)
        kernel = compiled(kernels.seen, size) or kernels.seen
        room = 4 * len(p.reader) + 1024
        while True:
            found = np.empty(3 * room, np.int64)
            got = kernel(
                int(self.rule == ATOMIC), first_read, p.read_key, p.source, first_write,
                p.write_key, np.full(p.keys, -1), np.full(p.keys, -1),
                np.empty(len(p.reader), np.int64), np.full(count, -1), found,
            )  # fmt: skip
            if got >= 0:
                break
            room *= 4
        pairs = found[: 3 * got].reshape(-1, 3)
        if self.rule == ATOMIC and self.sessions:
            pairs = np.concatenate([pairs, self._in_session()])
        meter.spend(1 + len(pairs) // NODES_A_STEP)
        return pairs

    def _in_session(self) -> Ints:
        """What earlier transactions of the session wrote has to be visible."""
        p = self.problem
        order = p.in_sessions()
        session, start, end = p.session[order], p.start[order], p.end[order]
        joined = session[1:] == session[:-1]
        loose = np.unique(session[1:][joined & (end[:-1] > start[1:])])
        bounds = np.arange(len(p) + 1)
        first_read = np.searchsorted(p.reader, bounds).astype(np.int64)
        first_write = np.searchsorted(p.writer, bounds).astype(np.int64)
        found = np.empty(3 * len(p.reader) + 3, np.int64)
        kernel = compiled(kernels.in_session, self.base.size) or kernels.in_session
        chained = order[~np.isin(session, loose)] if len(loose) else order
        got = kernel(
            chained, p.session, first_read, p.read_key, p.source, first_write, p.write_key,
            np.full(p.keys, -1), np.full(p.keys, -1), found,
        )  # fmt: skip
        pairs = [found[: 3 * got].reshape(-1, 3)]
        wrote = set(zip(p.writer.tolist(), p.write_key.tolist(), strict=True)) if len(loose) else ()
        for group in loose.tolist():
            mine = order[session == group]
            for place, behind in enumerate(mine.tolist()):
                before = mine[:place][p.end[mine[:place]] <= p.start[behind]].tolist()
                for read in range(first_read[behind], first_read[behind + 1]):
                    key, source = int(p.read_key[read]), int(p.source[read])
                    told = [(x, source, read) for x in before if (x, key) in wrote and x != source]
                    pairs.append(np.array(told, np.int64).reshape(-1, 3))
        return np.concatenate(pairs)

    def _causal(self, meter: Meter) -> Ints:
        p, base = self.problem, self.base
        lane, place = lanes(p)
        count = int(lane.max(initial=-1)) + 1
        width = max(1, min(count, CELLS // max(1, base.nodes)))
        node_lane, node_place = np.full(base.nodes, -1), np.zeros(base.nodes, np.int64)
        node_lane[: len(p)], node_place[: len(p)] = lane, place
        along = np.empty(len(p), np.int64)  # lane by lane, in the order of places
        along[np.lexsort((place, lane))] = np.arange(len(p))
        write = np.argsort(p.write_key * len(p) + along[p.writer], kind="stable")
        read = np.argsort(p.read_key * len(p) + along[p.reader], kind="stable")
        key, mine = p.write_key[write], lane[p.writer[write]]
        begins = np.append(True, (key[1:] != key[:-1]) | (mine[1:] != mine[:-1]))[: len(write)]
        starts = np.flatnonzero(begins)
        bounds = np.arange(p.keys + 1)
        key_group = np.searchsorted(key[starts], bounds).astype(np.int64)
        key_read = np.searchsorted(p.read_key[read], bounds).astype(np.int64)
        group_first = np.append(starts, len(write)).astype(np.int64)
        rank = np.empty(base.nodes, np.int64)
        rank[base.order] = np.arange(base.nodes)
        scratch = int(np.diff(key_group).max(initial=0)) + 1
        kernel = compiled(kernels.caused, base.size) or kernels.caused
        room = 2 * len(p.reader) + 1024
        pairs = []
        for low in range(0, count, width):
            clock = base.graph.spread(base.order, width, low, node_lane, node_place)
            meter.spend(1 + base.nodes * width // 4096)
            while True:
                found = np.empty(3 * room, np.int64)
                got = kernel(
                    width, low, key_group, key_read, group_first, mine[starts], p.writer[write],
                    read, p.reader, p.source, node_lane, node_place, rank, clock,
                    np.empty(scratch, np.int64), np.empty(scratch, np.int64), found,
                )  # fmt: skip
                if got >= 0:
                    break
                room *= 4
            pairs.append(found[: 3 * got].reshape(-1, 3).copy())
        return np.concatenate(pairs) if pairs else np.empty((0, 3), np.int64)

    def _graph(self, pairs: Ints) -> None:
        p, base = self.problem, self.base.edges
        known = p.known
        self.pairs = pairs
        self.edges = Edges(
            source=np.concatenate([base.source, known[:, 0], pairs[:, 0]]),
            target=np.concatenate([base.target, known[:, 1], pairs[:, 1]]),
            kind=np.concatenate([base.kind, np.full(len(known), 3), np.full(len(pairs), _FACTS)]),
            stage=np.zeros(len(base.source) + len(known) + len(pairs), np.int64),
            note=np.concatenate([base.note, np.arange(len(known)), np.arange(len(pairs))]),
        )
        self.graph = Graph(self.base.nodes, self.edges, self.base.size)
        self.sorted = self.graph.sorted()

    # -- contradictions

    def contradiction(self) -> list[Step]:
        """Steps to a transaction before itself, when there is no order."""
        steps = Steps()
        tell = Teller(self.problem, steps, snapshot=False)
        if self.base.cyclic:
            return steps.needed(tell.way(self.base.cycle(), round_about=True))
        if len(self.first_bad):
            tries = [self._early(pair) for pair in self.first_bad[:_TRIED].tolist()]
            return min(tries, key=len)
        ways = self.graph.cycles(self.sorted, len(self.problem), _TRIED)
        return min((self._cycle(way) for way in ways[:8]), key=len)

    def _early(self, pair: list[int]) -> list[Step]:
        """T2 before the initial version, so before itself."""
        steps = Steps()
        tell = Teller(self.problem, steps, snapshot=False)
        fact = self._visible(tell, pair)
        first = steps.add(Step(INITIAL, tell.commit(pair[0]), "initial"))
        return steps.needed(steps.chain([fact, first]))

    def _cycle(self, way: list[int]) -> list[Step]:
        steps = Steps()
        tell = Teller(self.problem, steps, snapshot=False)
        edges, facts = self.edges, []
        while int(edges.source[way[0]]) >= len(self.problem):
            way = [*way[1:], way[0]]
        plain: list[int] = []
        for edge in [*way, -1]:
            kind = int(edges.kind[edge]) if edge >= 0 else _FACTS
            if kind < 3:
                plain.append(edge)
                continue
            if plain:
                facts += [tell.hop(hop) for hop in self.base.hops(plain)]
                plain = []
            if edge >= 0 and kind == 3:
                note = int(edges.note[edge])
                x, y = (int(n) for n in self.problem.known[note, :2])
                facts.append(tell.hop((KNOWN, x, y, note)))
            elif edge >= 0:
                facts.append(self._visible(tell, self.pairs[int(edges.note[edge])].tolist()))
        return steps.needed(steps.chain(facts))

    def _visible(self, tell: Teller, pair: list[int]) -> int:
        """T2 before T1, for T3 knows of T2 and yet reads from T1."""
        p = self.problem
        writer, source, read = pair
        reader = int(p.reader[read])
        if self.rule == CAUSAL:
            known = [tell.hop(hop) for hop in self.base.way(writer, reader)]
        else:
            known = [self._known(tell, writer, reader, read)]
        return tell.steps.add(
            Step(
                tell.commit(writer),
                tell.commit(source),
                "visible",
                (tell.reads(read), *known),
                (tell.key(int(p.read_key[read])),),
            )
        )

    def _known(self, tell: Teller, writer: int, reader: int, read: int) -> int:
        p = self.problem
        reads = np.arange(*np.searchsorted(p.reader, [reader, reader + 1]))
        if self.rule == COMMITTED:
            reads = reads[reads < read]
        seen = reads[p.source[reads] == writer]
        if len(seen):
            return tell.hop((READS, writer, reader, int(seen[0])))
        return tell.hop((SESSION, writer, reader, -1))
