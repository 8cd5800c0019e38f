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
from typing import Any, NamedTuple

import numpy as np

from analysis.checkers.base import Meter
from analysis.checkers.calls import Calls, hints_of, read_calls
from analysis.checkers.models import ANY, Hints, Model, Op
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


NOTHING, ANYTHING, UNKNOWN = -1, -2, -3  # tokens beside those that a model names


class _Plan:
    """Operations sorted for the search.

    Those that happened stand in the order of their returns; `begun[i]` has bit k if operation
    i + k has begun when operation i returns, `looks[i]` and `blind[i]` only if it also
    changes nothing, or overwrites whatever was there. What two operations of one *kind* do is
    the same; `gives` and `takes` are tokens by kind (`Hints.provides`).
    """

    def __init__(self, calls: Calls, hints: Hints) -> None:
        known = [n for n, happened in enumerate(calls.known) if happened]
        known.sort(key=lambda n: (calls.ends[n], calls.starts[n], n))
        self.rows = [calls.rows[n] for n in known]
        self.count = len(known)
        self.ops: list[Op] = []  # one of each kind
        self.overwrites: list[bool] = []
        self.gives: list[int] = []
        self.takes: list[int] = []
        self._hints = hints
        self._numbers: dict[Hashable, int] = {}
        self._tokens: dict[Hashable, int] = {}
        self.kinds = [self._kind(calls.ops[n]) for n in known]
        ends = [calls.ends[n] for n in known]
        order = sorted((calls.starts[n], place) for place, n in enumerate(known))
        self.begun = _begun(order, ends)
        look = [hints.observes(calls.ops[n]) for n in known]
        self.looks = _begun([each for each in order if look[each[1]]], ends)
        blind = [self.overwrites[kind] for kind in self.kinds]
        self.blind = _begun([each for each in order if blind[each[1]]], ends)
        self.spare = self._spare(calls, np.array(ends, np.int64))
        self.tells = any(token != UNKNOWN for token in self.gives)

    def _spare(self, calls: Calls, ends: Ints) -> list[_Spare]:
        """Operations without an answer, but for those that change nothing."""
        kinds: dict[int, list[int]] = {}
        for n in sorted(range(len(calls.rows)), key=lambda n: (calls.starts[n], n)):
            if not calls.known[n] and not self._hints.observes(calls.ops[n]):
                kinds.setdefault(self._kind(calls.ops[n]), []).append(n)
        found, shift = [], 0
        for kind, chosen in kinds.items():
            starts = np.array([calls.starts[n] for n in chosen])
            begun = np.searchsorted(starts, ends, side="right").tolist()
            rows = [calls.rows[n] for n in chosen]
            found.append(_Spare(kind, rows, begun, shift, (1 << len(rows).bit_length()) - 1))
            shift += len(rows).bit_length() + 1
        return found

    def _kind(self, op: Op) -> int:
        hints = self._hints
        number = self._numbers.setdefault(hints.likeness(op), len(self.ops))
        if number == len(self.ops):
            self.ops.append(op)
            self.overwrites.append(hints.overwrites(op))
            self.gives.append(self._token(hints.provides(op), UNKNOWN))
            self.takes.append(self._token(hints.requires(op), NOTHING))
        return number

    def _token(self, token: Hashable, absent: int) -> int:
        if token is None:
            return absent
        if token is ANY:
            return ANYTHING
        return self._tokens.setdefault(token, len(self._tokens))


class _Spare(NamedTuple):
    """The operations of one kind without an answer, and where their count is packed."""

    kind: int
    rows: list[int]  # in the order of their starts
    begun: list[int]  # how many have begun at each return
    shift: int
    mask: int


def _begun(order: list[tuple[int, int]], ends: list[int]) -> list[int]:
    """For each return a window of bits: which of some operations (start, place) have begun."""
    begun, window, following = [], 0, 0
    for place, end in enumerate(ends):
        while following < len(order) and order[following][0] <= end:
            window |= 1 << (order[following][1] - place)
            following += 1
        begun.append(window)
        window >>= 1
    return begun


class _Place(NamedTuple):
    """Where a walk is. Bits are of the operations from `at` on.

    `free` has those that overwrite, began before another one was put into the order, and are not
    in it themselves: when they return they may as well have been just before that one.
    """

    at: int  # the return to come
    done: int  # bits: which are in the order
    free: int
    state: int  # its number
    used: int  # how many of each spare kind, packed with a guard bit above each count
    path: Any  # (path before, row, how), None at first
    begun: bool  # something was put into the order for the sake of the return to come


_PLAIN, _OVER, _FREED = range(3)  # how an operation came into the order


class _Walk:
    """One depth-first walk."""

    def __init__(self, plan: _Plan, model: Model, meter: Meter, state: Hashable) -> None:
        self._plan = plan
        self._model = model
        self._meter = meter
        self._states: list[Hashable] = [state]
        self._numbers: dict[Hashable, int] = {state: 0}
        self._after: list[dict[int, int]] = [{} for _ in plan.ops]  # of a kind: state → state
        self._been: list[dict[tuple[int, bool, int], list[tuple[int, int, int]]]] = [
            {} for _ in range(plan.count)
        ]
        self._furthest = 0
        self._guards = sum((spare.mask + 1) << spare.shift for spare in plan.spare)

    def run(self) -> list[int] | int:
        """An order of rows, or the row whose return nobody passes."""
        plan = self._plan
        stack: list[_Place] = []
        self._push(stack, _Place(0, 0, 0, 0, 0, None, False))
        while stack:
            here = stack.pop()
            if here.at == plan.count:
                return _rows(here.path)
            children: list[_Place] = []
            self._expand(children, here)
            stack.extend(reversed(children))
        return plan.rows[self._furthest]

    def _expand(self, children: list[_Place], here: _Place) -> None:
        """All places one operation further."""
        plan = self._plan
        at, done, free, state, used, path, begun = here
        if free & 1 and not begun:
            step = (path, plan.rows[at], _FREED)
            self._push(children, _Place(at + 1, done >> 1, free >> 1, state, used, step, False))
        wanted, spares = self._wanted(here)
        todo = plan.begun[at] & ~plan.looks[at] & ~done
        blind = plan.blind[at] & ~done
        tried = set()
        while todo:
            bit = todo & -todo
            todo ^= bit
            number = at + bit.bit_length() - 1
            kind = plan.kinds[number]
            if kind in tried:
                continue
            over = plan.overwrites[kind]
            if over and bit > 1 and wanted is not None and plan.gives[kind] not in wanted:
                continue
            tried.add(kind)
            after = self._step(state, kind)
            if after >= 0:
                left = (blind if over else free) & ~bit
                step = (path, plan.rows[number], _OVER if over else _PLAIN)
                self._push(children, _Place(at, done | bit, left, after, used, step, True))
        for spare in spares:
            kind = spare.kind
            after = self._step(state, kind)
            if kind in tried or after < 0 or after == state:
                continue
            over = plan.overwrites[kind]
            step = (path, spare.rows[used >> spare.shift & spare.mask], _OVER if over else _PLAIN)
            left = blind if over else free
            self._push(
                children, _Place(at, done, left, after, used + (1 << spare.shift), step, True)
            )
        self._meter.spend(len(tried) + len(spares) + 1)

    def _wanted(self, here: _Place) -> tuple[set[int] | None, list[_Spare]]:
        """Tokens that an operation open here takes, and the spare ones that may give them.

        An operation that gives something else would be of no use to whatever comes next. None:
        anything may be of use.
        """
        plan, at, used = self._plan, here.at, here.used
        left = [s for s in plan.spare if used >> s.shift & s.mask < s.begun[at]]
        if not plan.tells or not (left or (plan.blind[at] & ~here.done) > 1):
            return None, left  # of what nothing is known, or nothing could be left out
        wanted = {UNKNOWN}
        todo = plan.begun[at] & ~here.done
        while todo:
            bit = todo & -todo
            todo ^= bit
            wanted.add(plan.takes[plan.kinds[at + bit.bit_length() - 1]])
        if ANYTHING in wanted:
            return None, left
        wanted.discard(NOTHING)
        spares: list[_Spare] = []
        more = left
        while more:
            more = [spare for spare in left if plan.gives[spare.kind] in wanted]
            left = [spare for spare in left if plan.gives[spare.kind] not in wanted]
            spares += more
            takes = {plan.takes[spare.kind] for spare in more}
            if ANYTHING in takes:
                return None, spares + left
            wanted |= takes - {NOTHING}
        return wanted, spares

    def _push(self, children: list[_Place], there: _Place) -> None:
        """Go on to the next return that is not in the order yet; remember to have been there."""
        plan = self._plan
        at, done, free, state, used, path, begun = there
        first = at
        while at < plan.count:
            todo = plan.looks[at] & ~done
            while todo:
                bit = todo & -todo
                todo ^= bit
                number = at + bit.bit_length() - 1
                if self._step(state, plan.kinds[number]) >= 0:
                    done |= bit
                    path = (path, plan.rows[number], _PLAIN)
            if done & 1 == 0:
                break
            done >>= 1
            free >>= 1
            at += 1
            begun = False
        self._meter.spend(at - first + 1)
        if at < plan.count:
            self._furthest = max(self._furthest, at)
            if self._known(at, done, free, state, used, begun):
                return
        children.append(_Place(at, done, free, state, used, path, begun))

    def _known(self, at: int, done: int, free: int, state: int, used: int, begun: bool) -> bool:
        """Whether a place as good as this was seen; else it is remembered.

        As good: no more of the spare ones used, and what is not in the order here and is in it
        there, or the other way round, can be freed.
        """
        been = self._been[at].setdefault((state, begun, done & ~self._plan.blind[at]), [])
        guards, more = self._guards, used | self._guards
        for b, d, f in been:
            fits = not free & ~f and not d & ~done and not done & ~(d | f)
            if fits and (more - b) & guards == guards:
                return True
        been[:] = [
            (b, d, f)
            for b, d, f in been
            if ((b | guards) - used) & guards != guards
            or f & ~free
            or done & ~d
            or d & ~(done | free)
        ]
        been.append((used, done, free))
        return False

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
    """The rows of a path in their order; a freed one is just before the last that overwrote."""
    steps = []
    while path is not None:
        path, *step = path
        steps.append(step)
    groups: list[list[int]] = [[]]
    freed: list[list[int]] = [[]]
    for row, how in reversed(steps):
        if how == _FREED:
            freed[-1].append(row)
            continue
        if how == _OVER:
            groups.append([])
            freed.append([])
        groups[-1].append(row)
    return [row for some, late in zip(freed, groups, strict=True) for row in (*some, *late)]
