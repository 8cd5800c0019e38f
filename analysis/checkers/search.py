"""The general search: is there an order of these operations that a model allows?

Just-in-time linearization (Lowe 2017, doi:10.1002/cpe.3928), depth first, with a memory of where
it has been. Returns are taken in the order of time. At each, if the operation that returns is not
in the order yet, operations that have begun are put into it, until this one can be. So the first
return that nobody passes is the smallest prefix of the history that has no order.

What keeps it small:
- Operations that change nothing are put into the order as soon as they fit.
- Of operations that do the same, the one that returns first goes first. Operations without an
  answer never return: how many of a kind have been used says all about them, and to have
  used fewer is never worse.
- Nothing is put into the order after the last return.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.calls import Calls, hints_of, read_calls
from analysis.checkers.models import Hints, Model, Op
from analysis.history import History, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the search found. Rows are those of the history.

    `order`: all operations that happened and those that may have and did, in an order that the
    model allows. `until`: if there is none, the row of the earliest completion such that what
    began before it ended already has no order, whatever is still unfinished then.
    """

    order: Ints | None = None
    until: int | None = None


def decide(
    history: History, rows: Ints, model: Model, meter: Meter, initial: Hashable | None = None
) -> Outcome:
    """Search an order of the operations `rows` of one object.

    Failed operations among them are left out, but for a cas's mismatch if the model wants it.
    `initial`: the state at first, if it is not the model's. Exhausted when the meter runs out;
    whatever the model raises.
    """
    hints = hints_of(model)
    calls = read_calls(history, rows, hints)
    state = model.initial if initial is None else initial
    outcome = _search(calls, model, hints, meter, state)
    if outcome.until is None:
        return outcome
    return Outcome(until=_smallest(calls, outcome.until, model, hints, meter, state))


def order_until(
    history: History, rows: Ints, model: Model, meter: Meter, end_ns: int
) -> Ints | None:
    """An order of those of `rows` that began by `end_ns`, what ended later being unfinished.

    None: there is none. Otherwise as `decide`.
    """
    hints = hints_of(model)
    calls = read_calls(history, rows, hints).until(end_ns, hints)
    return _search(calls, model, hints, meter, model.initial).order


def _smallest(
    calls: Calls, least: int, model: Model, hints: Hints, meter: Meter, state: Hashable
) -> int:
    """The completion with which the prefix that has no order ends; it is not before `least`.

    The search knows answers before they are given. Where an answer says what an operation did, a
    prefix in which it is not yet given may have an order after all; the more is answered, the
    less may have one, so the least prefix is found by halving.
    """
    place = {row: number for number, row in enumerate(calls.rows)}
    ends = sorted((calls.ends[number], row) for row, number in place.items() if calls.known[number])
    low = ends.index((calls.ends[place[least]], least))
    high = len(ends) - 1
    probe = low
    while low < high:
        prefix = calls.until(ends[probe][0], hints)
        if _search(prefix, model, hints, meter, state).until is not None:
            high = probe
        else:
            low = probe + 1
        probe = (low + high) // 2
    return ends[low][1]


def _search(calls: Calls, model: Model, hints: Hints, meter: Meter, state: Hashable) -> Outcome:
    """An order, or the first return that none passes."""
    plan = _Plan(calls, hints)
    found = _Walk(plan, model, meter, state).run()
    if isinstance(found, int):
        return Outcome(until=found)
    return Outcome(order=np.array(found, np.int64))


class _Plan:
    """Operations sorted for the search.

    Those that happened stand in the order of their returns; `begun[i]` has bit k if operation
    i + k has begun when operation i returns. `spare` are the kinds of the others: (kind, their
    rows in order of their start, how many of them have begun at each return).
    """

    def __init__(self, calls: Calls, hints: Hints) -> None:
        known = [n for n, happened in enumerate(calls.known) if happened]
        known.sort(key=lambda n: (calls.ends[n], calls.starts[n], n))
        self.rows = [calls.rows[n] for n in known]
        self.count = len(known)
        ends = [calls.ends[n] for n in known]
        kinds: dict[Hashable, int] = {}
        self.ops: list[Op] = []  # one of each kind
        self.kinds = [self._kind(calls.ops[n], hints, kinds) for n in known]
        self.looks = [hints.observes(calls.ops[n]) for n in known]
        self.begun = _begun([calls.starts[n] for n in known], ends)
        others: dict[int, list[int]] = {}
        for n in sorted(range(len(calls.rows)), key=lambda n: (calls.starts[n], n)):
            if not calls.known[n] and not hints.observes(calls.ops[n]):
                others.setdefault(self._kind(calls.ops[n], hints, kinds), []).append(n)
        self.spare = []
        for kind, chosen in others.items():
            starts = np.array([calls.starts[n] for n in chosen])
            open_at = np.searchsorted(starts, np.array(ends, np.int64), side="right").tolist()
            self.spare.append((kind, [calls.rows[n] for n in chosen], open_at))

    def _kind(self, op: Op, hints: Hints, kinds: dict[Hashable, int]) -> int:
        number = kinds.setdefault(hints.likeness(op), len(kinds))
        if number == len(self.ops):
            self.ops.append(op)
        return number


def _begun(starts: list[int], ends: list[int]) -> list[int]:
    order = sorted(range(len(starts)), key=starts.__getitem__)
    begun, window, following = [], 0, 0
    for place, end in enumerate(ends):
        while following < len(order) and starts[order[following]] <= end:
            window |= 1 << (order[following] - place)
            following += 1
        begun.append(window)
        window >>= 1
    return begun


class _Walk:
    """One depth-first walk.

    A place is (i, done, state, used): the return to come; which of the operations from i on are
    in the order already, as bits; the number of the state; how many of each spare kind are
    used, packed into one integer with a guard bit above each count.
    """

    def __init__(self, plan: _Plan, model: Model, meter: Meter, state: Hashable) -> None:
        self._plan = plan
        self._model = model
        self._meter = meter
        self._states: list[Hashable] = [state]
        self._numbers: dict[Hashable, int] = {state: 0}
        self._after: list[dict[int, int]] = [{} for _ in plan.ops]  # of a kind: state → state
        self._been: list[dict[tuple[int, int], list[int]]] = [{} for _ in range(plan.count)]
        self._furthest = 0
        self._shifts, self._guards, shift = [], 0, 0
        for _, rows, _ in plan.spare:
            self._shifts.append(shift)
            shift += len(rows).bit_length() + 1
            self._guards |= 1 << (shift - 1)

    def run(self) -> list[int] | int:
        """An order of rows, or the row whose return nobody passes."""
        plan = self._plan
        stack: list[Any] = []
        self._push(stack, 0, 0, 0, 0, None)
        while stack:
            place, done, state, used, path = stack.pop()
            if place == plan.count:
                return _rows(path)
            children: list[Any] = []
            self._expand(children, place, done, state, used, path)
            stack.extend(reversed(children))
        return plan.rows[self._furthest]

    def _expand(
        self, children: list[Any], place: int, done: int, state: int, used: int, path: Any
    ) -> None:
        """All places one operation further."""
        plan = self._plan
        todo = plan.begun[place] & ~done
        tried = set()
        while todo:
            bit = todo & -todo
            todo ^= bit
            number = place + bit.bit_length() - 1
            kind = plan.kinds[number]
            if kind in tried:
                continue
            tried.add(kind)
            after = self._step(state, kind)
            if after >= 0:
                row = plan.rows[number]
                self._push(children, place, done | bit, after, used, (path, row))
        for shift, (kind, rows, open_at) in zip(self._shifts, plan.spare, strict=True):
            count = (used >> shift) & ((1 << len(rows).bit_length()) - 1)
            if kind in tried or count >= open_at[place]:
                continue
            after = self._step(state, kind)
            if after >= 0 and after != state:
                self._push(children, place, done, after, used + (1 << shift), (path, rows[count]))
        self._meter.spend(len(tried) + len(plan.spare) + 1)

    def _push(
        self, children: list[Any], place: int, done: int, state: int, used: int, path: Any
    ) -> None:
        """Go on to the next return that is not in the order yet; remember to have been there."""
        plan = self._plan
        begun, looks, kinds = plan.begun, plan.looks, plan.kinds
        first = place
        while place < plan.count:
            todo = begun[place] & ~done
            while todo:
                bit = todo & -todo
                todo ^= bit
                number = place + bit.bit_length() - 1
                if looks[number] and self._step(state, kinds[number]) >= 0:
                    done |= bit
                    path = (path, plan.rows[number])
            if not done & 1:
                break
            done >>= 1
            place += 1
        self._meter.spend(place - first + 1)
        if place == plan.count:
            children.append((place, 0, state, used, path))
            return
        self._furthest = max(self._furthest, place)
        been = self._been[place].setdefault((done, state), [])
        guards = self._guards
        if any(((used | guards) - before) & guards == guards for before in been):
            return
        been[:] = [b for b in been if ((b | guards) - used) & guards != guards]
        been.append(used)
        children.append((place, done, state, used, path))

    def _step(self, state: int, kind: int) -> int:
        """The number of the state after an operation of this kind, -1 when it is impossible."""
        known = self._after[kind]
        after = known.get(state)
        if after is None:
            reached = self._model.step(self._states[state], self._plan.ops[kind])
            if reached is None:
                after = -1
            else:
                after = self._numbers.setdefault(reached, len(self._states))
                if after == len(self._states):
                    self._states.append(reached)
            known[state] = after
        return after


def _rows(path: Any) -> list[int]:
    found = []
    while path is not None:
        path, row = path
        found.append(row)
    return found[::-1]
