"""The shortest way through what must come before what: the fewest steps of an argument.

Going on along one process costs nothing, since its order is transitive; what was forced later takes
more steps to explain, so it costs more.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable
from typing import TypeAlias

from analysis.checkers.precedence import Blocks, block_edges, process_edges, reads_from
from analysis.checkers.programs import Programs
from analysis.history import Ints

CERTAIN = -1  # the round of edges that were not forced
_STEP, _FORCED = 2, 6

_State: TypeAlias = tuple[int, bool, bool]  # node, going on along a process, past `via`


class Routes:
    """Edges among operations 0 … n-1 and ends of blocks n, n+1, …"""

    def __init__(self, programs: Programs, blocks: Blocks | None, forced: Ints | None) -> None:
        count = len(programs)
        self._after: list[list[tuple[int, int, int, bool]]] = [
            [] for _ in range(count + (0 if blocks is None else len(blocks)))
        ]
        for x, y in process_edges(programs).tolist():
            self._after[x].append((y, _STEP, CERTAIN, True))
        for x, y in reads_from(programs).tolist():
            self._after[x].append((y, _STEP, CERTAIN, False))
        if blocks is None or forced is None:
            return
        for x, y in block_edges(programs, blocks).tolist():
            cost = 0 if y >= count else _FORCED // 2
            self._after[x].append((y, cost, CERTAIN, False))
        for a, b, stage in forced.tolist():
            edge = (int(blocks.head[b]), _FORCED + stage, stage, False)
            self._after[count + a].append(edge)

    def shortest(
        self,
        starts: Iterable[int],
        goals: Container[int],
        before_round: int,
        via: Container[int] | None = None,
    ) -> list[int] | None:
        """Nodes from one of `starts` to one of `goals`, past one of `via` if that is given, by
        edges forced before that round. At least one edge: a start that is a goal means a way
        round. None: there is no way.
        """
        came: dict[_State, _State] = {}
        nothing = (0, False, False)
        heap = [
            (0, number, (~start, False, via is None or start in via), nothing)
            for number, start in enumerate(starts)
        ]
        pushed = len(heap)  # of equal cost, what was pushed first
        while heap:
            cost, _, state, origin = heapq.heappop(heap)
            node, riding, past = state
            if node >= 0:
                if state in came:
                    continue
                came[state] = origin
                if past and node in goals:
                    return self._back(came, state)
            for after, step, stage, process in self._after[node if node >= 0 else ~node]:
                then = (after, process, past or (via is not None and after in via))
                if stage < before_round and then not in came:
                    extra = 0 if process and riding else step
                    heapq.heappush(heap, (cost + extra, pushed, then, state))
                    pushed += 1
        return None

    @staticmethod
    def _back(came: dict[_State, _State], state: _State) -> list[int]:
        """The way that led here; starts are written as ~node."""
        route = []
        while state[0] >= 0:
            route.append(state[0])
            state = came[state]
        return [~state[0], *reversed(route)]
