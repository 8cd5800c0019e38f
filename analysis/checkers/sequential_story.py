"""What is wrong with the order of several processes, told: operations, argument, claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.checkers.base import Anomaly, Claim
from analysis.checkers.contradictions import Argument, of_forced, of_loop, of_lost_update, of_stale
from analysis.checkers.derivation import INITIAL
from analysis.checkers.precedence import Blocks, process_edges, reads_from
from analysis.checkers.programs import Programs
from analysis.checkers.prose import Teller, number
from analysis.checkers.saturation import Saturated, sorted_nodes
from analysis.history import FAIL, OK, History, Ints

STEPS_TOLD = 16  # of a longer argument only the beginning
ORDER = ("thin-air-read", "aborted-read", "future-read", "lost-update", "stale-read")


class Storyteller:
    """Turns findings about programs into anomalies."""

    def __init__(self, history: History, programs: Programs) -> None:
        self._history, self._programs = history, programs

    def why(self, anomalies: Sequence[Anomaly]) -> str:
        """The sentence of an invalid verdict."""
        history = self._history
        saw = history.f.equals("read") | history.f.equals("cas")
        among = number(
            int(np.count_nonzero(saw & (history.type == OK))), "acknowledged observation"
        )
        if anomalies[0].name == "non-sequential":
            return f"no order of all operations that keeps that of each process explains {among}"
        counts = ", ".join(number(a.count, a.name.replace("-", " ")) for a in anomalies)
        return f"{counts} among {among}"

    def in_order(self, anomalies: Sequence[Anomaly]) -> list[Anomaly]:
        """Weakest first."""
        return sorted(anomalies, key=lambda anomaly: ORDER.index(anomaly.name))

    def unexplained(self) -> list[Anomaly]:
        """Observations of what nobody can have written."""
        found = []
        if len(rows := self._programs.thin_air):
            first = self._first(rows)
            tell = Teller(self._history, [first])
            argument = (
                f"{tell.did(first)}, but no client ever tried to write {tell.seen(first)} "
                f"to {tell.key(first)}"
            )
            found.append(self._observed("thin-air-read", rows, first, [], argument))
        if len(rows := self._programs.aborted):
            first = self._first(rows)
            writer = self._failed_writer(first)
            tell = Teller(self._history, [writer, first])
            ended = tell.at(int(self._history.end_ns[writer]))
            argument = (
                f"{tell.did(first)}, but {tell.seen(first)} must not be there: its only writer, "
                f"{tell.whose(writer)}, was told that it failed at {ended}"
            )
            found.append(self._observed("aborted-read", rows, first, [writer], argument))
        return found

    def lost_updates(self, lost: Ints) -> list[Anomaly]:
        """Swaps that replaced what another swap had replaced."""
        if not len(lost):
            return []
        programs = self._programs
        first = int(lost[np.argmin(self._history.end_ns[programs.row[lost]])])
        rivals = np.flatnonzero((programs.seen == programs.seen[first]) & (programs.written >= 0))
        rivals = rivals[(programs.source[rivals] != rivals) & ~programs.optional[rivals]]
        other = int(np.setdiff1d(rivals, lost)[0])
        rows = programs.row[[other, first]].tolist()
        tell = Teller(self._history, rows)
        argument = (
            f"{tell.did(rows[0])}, and {tell.did(rows[1])}: both replaced the same "
            f"{tell.seen(rows[1])}, so the second did not see the first"
        )
        claim = of_lost_update(programs, other, first).claim()
        return [self._anomaly("lost-update", programs.row[lost], claim, argument)]

    def causal(self, saturated: Saturated) -> list[Anomaly]:
        """What is wrong with causal order alone."""
        programs = self._programs
        if saturated.looping:
            nodes = in_loops(programs)
            derived = of_loop(programs, nodes[np.argsort(programs.end[nodes])].tolist())
            argument = f"{_Prose(self._history, derived).told()}: nothing can come before itself"
            return [self._anomaly("future-read", programs.row[nodes], derived.claim(), argument)]
        if not len(saturated.stale):
            return []
        ends = self._history.end_ns[programs.row[saturated.stale]]
        first = int(saturated.stale[np.argmin(ends)])
        derived = of_stale(programs, first)
        row = int(programs.row[first])
        tell = Teller(self._history, derived.operations())
        argument = (
            f"{tell.did(row)}, although another write had replaced that value: "
            f"{_Prose(self._history, derived).told()}"
        )
        rows = programs.row[saturated.stale]
        return [self._anomaly("stale-read", rows, derived.claim(), argument)]

    def contradiction(self, saturated: Saturated, blocks: Blocks) -> Anomaly:
        """What must come before what goes round in a circle."""
        derived = of_forced(self._programs, saturated, blocks)
        argument = f"no order explains these: {_Prose(self._history, derived).told()}"
        last = max(derived.operations(), key=lambda row: int(self._history.end_ns[row]))
        return self._anomaly("non-sequential", np.array([last]), derived.claim(), argument)

    def no_order(self) -> Anomaly:
        """All orders were tried."""
        rows = self._programs.row[self._programs.definite]
        last = int(rows[np.argmax(self._history.end_ns[rows])])
        claim = {"kind": "no-order", "operations": [last], "model": "register"}
        argument = (
            f"every order of the {number(len(rows), 'operation')} that happened was tried, up to "
            "those that differ in nothing: in none does each observation see the last value written"
        )
        return self._anomaly("non-sequential", np.array([last]), claim, argument)

    def _first(self, rows: Ints) -> int:
        return int(rows[np.argmin(self._history.end_ns[rows])])

    def _failed_writer(self, row: int) -> int:
        history = self._history
        seen = Teller(history, [row]).seen(row)
        wrote = (history.type == FAIL) & ~history.f.equals("read")
        same = history.key.codes == history.key.codes[row]
        rows = [int(w) for w in np.flatnonzero(wrote & same)]
        return next(w for w in rows if Teller(history, [w]).value(w) == seen)

    def _observed(
        self, name: str, rows: Ints, first: int, others: list[int], argument: str
    ) -> Anomaly:
        operations = list(dict.fromkeys([*others, first, *self._witnesses(first)]))
        claim = {"kind": "observed", "operations": operations}
        return self._anomaly(name, rows, claim, argument)

    def _witnesses(self, row: int) -> list[int]:
        """Who saw that an indeterminate swap had happened, up to one that was acknowledged."""
        programs, found = self._programs, []
        node = int(np.searchsorted(programs.row, row))
        while not programs.definite[node]:
            saw = np.flatnonzero((programs.seen == programs.written[node]) & ~programs.optional)
            node = int(saw[np.argmax(programs.definite[saw])])
            found.append(int(programs.row[node]))
        return found

    def _anomaly(self, name: str, rows: Ints, claim: Claim, argument: str) -> Anomaly:
        rows = np.sort(rows)
        return Anomaly(
            name=name,
            count=len(rows),
            first_ns=int(self._history.end_ns[rows].min()),
            operations=tuple(claim["operations"]),
            argument=argument,
            instances=rows,
            claim={"anomaly": name, **claim},
        )


def in_loops(programs: Programs) -> Ints:
    """Nodes that come, in causal order, before the source of what they observe."""
    count = len(programs)
    edges = np.concatenate([process_edges(programs), reads_from(programs)])
    for _ in range(2):  # what is in a cycle, or on a way from one to another
        left = np.ones(count, np.bool_)
        left[sorted_nodes(count, edges)] = False
        edges = edges[left[edges].all(axis=1)][:, ::-1]
    component = components(count, edges)
    observers = np.flatnonzero(programs.source >= 0)
    found: Ints = observers[component[observers] == component[programs.source[observers]]]
    return found


def components(count: int, edges: Ints) -> Ints:
    """Strongly connected components, numbered (Tarjan 1972), without recursion."""
    after: list[list[int]] = [[] for _ in range(count)]
    for x, y in edges.tolist():
        after[x].append(y)
    low, number_of, component = [0] * count, [0] * count, list(range(count))
    open_nodes: list[int] = []
    is_open = [False] * count
    counter = 0
    for root in sorted({int(node) for node in edges.ravel()}):
        work = [(root, 0)] if not number_of[root] else []
        while work:
            node, place = work.pop()
            if not place:
                counter += 1
                number_of[node] = low[node] = counter
                open_nodes.append(node)
                is_open[node] = True
            if place < len(after[node]):
                work.append((node, place + 1))
                follower = after[node][place]
                if not number_of[follower]:
                    work.append((follower, 0))
                elif is_open[follower]:
                    low[node] = min(low[node], number_of[follower])
                continue
            if low[node] == number_of[node]:
                while True:
                    member = open_nodes.pop()
                    is_open[member] = False
                    component[member] = node
                    if member == node:
                        break
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return np.array(component, np.int64)


class _Prose:
    """A contradiction in sentences."""

    def __init__(self, history: History, derived: Argument) -> None:
        self._history, self._steps = history, derived.steps
        rows = derived.operations()
        self._tell = Teller(history, rows)
        self._keys = {history.key.at(row) for row in rows}
        deeds = [self._tell.whose(row) for row in rows]
        self._twice = {deed for deed in deeds if deeds.count(deed) > 1}

    def told(self) -> str:
        """What each step says, in their order."""
        parts = []
        for before, after, rule, _ in self._steps:
            if rule == "process":
                parts.append(f"{self._name(before)} came before {self._name(after)}")
            elif rule == "reads-from" and before != INITIAL:
                parts.append(f"{self._name(after)} saw {self._name(before)}")
            elif rule == "reads-from":
                parts.append(f"{self._name(after)} saw the initial value")
            elif rule == "overwrite":
                parts.append(f"so {self._name(before)} must come before {self._name(after)}")
            elif rule == "overwritten":
                after_text = "the initial value" if after == INITIAL else self._name(after)
                parts.append(f"so {self._name(before)} must come before {after_text}")
        told = parts[:STEPS_TOLD]
        if len(parts) > STEPS_TOLD:
            told.append(f"and so on, {len(parts)} steps in all: the certificate has them")
        last = self._steps[-1][0]
        return "; ".join(told) + f"; so {self._name(last)} would come before itself"

    def _name(self, row: int) -> str:
        deed = self._tell.whose(row)
        if deed in self._twice:
            deed += f" at {self._tell.at(int(self._history.start_ns[row]))}"
        where = f" ({self._tell.key(row)})" if len(self._keys) > 1 else ""
        return deed + where
