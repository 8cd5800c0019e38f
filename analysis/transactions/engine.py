"""Decides one model of a problem: an order that explains it, a contradiction, or neither in time.

What the models mean is in docs/transactions.md. Whether sessions count in a model that does not
name them depends on whose definitions are asked (`models`: "adya" or "axiomatic").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.checkers.base import Exhausted, Meter
from analysis.history import Ints
from analysis.transactions.acceptance import accept, in_line, timeless
from analysis.transactions.axioms import ATOMIC, CAUSAL, COMMITTED, Visible
from analysis.transactions.direct import Base, Teller, lost_update, torn_read
from analysis.transactions.explanation import Explanation, events_in
from analysis.transactions.problem import Problem
from analysis.transactions.saturation import PARALLEL, SERIAL, SNAPSHOT, Saturation
from analysis.transactions.search import Search
from analysis.transactions.split import snapshots_in_line
from analysis.transactions.steps import Step, Steps
from analysis.transactions.versions import Versions, versions_of

ADYA, AXIOMATIC = "adya", "axiomatic"
UNCOMMITTED, PARALLEL_SI, SI = (
    "read-uncommitted",
    "parallel-snapshot-isolation",
    "snapshot-isolation",
)
SESSION_SI, SERIALIZABLE = "strong-session-snapshot-isolation", "serializable"
STRICT = "strict-serializable"
MODELS = (UNCOMMITTED, COMMITTED, ATOMIC, CAUSAL, PARALLEL_SI, SI, SESSION_SI, SERIALIZABLE, STRICT)
NAMES = {SERIAL: "serialization", SNAPSHOT: "snapshots", PARALLEL: "commit-order"}
_MODES = {PARALLEL_SI: PARALLEL, SI: SNAPSHOT, SESSION_SI: SNAPSHOT, SERIALIZABLE: SERIAL}
_MODES[STRICT] = SERIAL
_SMALL = 2_000  # transactions of a contradiction that is made again from them alone, to be shorter
_TRIED = 40  # transactions of one from which single ones are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An order that the model allows. `kind`: as claims call it; `order`: history rows."""

    kind: str  # "serialization" | "snapshots" | "commit-order"
    order: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuted:
    """Steps to a contradiction under the rules of `model`."""

    model: str
    steps: Sequence[Step]
    sessions: bool  # whether any step rests on a session
    realtime: bool

    def rows(self) -> list[int]:
        """The history rows in it."""
        return events_in(self.steps, _MODES.get(self.model) == SNAPSHOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """Neither. `why` names the budget."""

    why: str


Decision = Accepted | Refuted | Undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A model, and what counts in it."""

    model: str
    sessions: bool
    realtime: bool


def rules_of(model: str, models: str) -> Rules:
    """What counts in a model, after Adya or in axiomatic form."""
    named = model in (CAUSAL, SESSION_SI, STRICT)
    return Rules(model=model, sessions=named or models == AXIOMATIC, realtime=model == STRICT)


def decide(problem: Problem, rules: Rules, meter: Meter) -> Decision:
    """Whether a problem keeps a model. Flaws of single reads are not its business."""
    try:
        found = _solve(problem, rules, meter)
        if isinstance(found, Accepted):
            return found
        steps = _shortened(problem, rules, found)
    except Exhausted as error:
        return Undecided(why=str(error))
    names = {step.rule for step in steps}
    return Refuted(
        model=rules.model, steps=steps, sessions="session" in names, realtime="real-time" in names
    )


def _solve(problem: Problem, rules: Rules, meter: Meter) -> Accepted | list[Step]:
    if rules.model != COMMITTED or not rules.sessions:  # all others look at sets of reads
        problem = problem.once()
    if rules.model in _MODES:
        return _ordered(problem, rules, meter)
    if rules.model == UNCOMMITTED:
        problem = _versions_only(problem)
    axiom: str | None = rules.model if rules.model in (ATOMIC, CAUSAL) else None
    if rules.model == COMMITTED and rules.sessions:
        axiom = COMMITTED
    visible = Visible(problem, axiom, sessions=rules.sessions, meter=meter)
    order = visible.order()
    if order is None and rules.model == UNCOMMITTED and rules.sessions:
        visible = Visible(problem, axiom, sessions=False, meter=meter)
        order = visible.order()
    if order is None:
        return visible.contradiction()
    return Accepted(kind=NAMES[PARALLEL], order=problem.rows[order])


def _versions_only(problem: Problem) -> Problem:
    """Without its reads: read uncommitted asks for nothing but the order of versions."""
    none = np.empty(0, np.int64)
    return replace(problem, reader=none, read_key=none, source=none, again=None)


def _ordered(problem: Problem, rules: Rules, meter: Meter) -> Accepted | list[Step]:
    """Serializable, snapshot isolation, parallel snapshot isolation."""
    mode = _MODES[rules.model]
    base = Base(problem, sessions=rules.sessions, realtime=rules.realtime, known=True)
    meter.spend(1)
    if base.cyclic:
        tell = Teller(problem, Steps(), snapshot=mode == SNAPSHOT)
        return tell.steps.needed(tell.way(base.cycle(), round_about=True))
    if (torn := problem.torn()) is not None:
        return torn_read(problem, torn, snapshot=mode == SNAPSHOT)
    versions = versions_of(problem)
    lost = versions.lost()
    if lost is not None:
        rule = "exclusive" if mode == PARALLEL else "overwrite"
        return lost_update(problem, lost, rule=rule, snapshot=mode == SNAPSHOT)
    if not rules.sessions and (kept := _in_sessions(versions, rules, meter)) is not None:
        return kept
    for stronger in (SERIAL, SNAPSHOT):  # what explains a stronger model explains this one
        first = _saturation(versions, stronger, rules, meter)
        if first.sort() and (order := accept(first, at_once=True)) is not None:
            return _accepted(problem, stronger, order)
        if stronger == mode:
            break
        if not first.close():
            split = rules.sessions and timeless(problem)
            if split and (kept := _apart(problem, meter)) is not None:
                return kept
        elif (order := accept(first)) is not None:
            return _accepted(problem, stronger, order)
    saturation = _saturation(versions, mode, rules, meter)
    if not saturation.close():
        steps = Steps()
        return steps.needed(Explanation(saturation, steps).contradiction())
    order = accept(saturation)
    if order is None:
        search = Search(saturation)
        found = search.run()
        if isinstance(found, int):
            return search.steps.needed(found)
        order = found
    return _accepted(problem, mode, order)


def _in_sessions(versions: Versions, rules: Rules, meter: Meter) -> Accepted | None:
    """An order that keeps sessions, though they do not count: there may be one, and it is cheaper
    to find, for sessions are few.
    """
    stricter = replace(rules, sessions=True)
    mode = _MODES[rules.model]
    if Base(versions.problem, sessions=True, realtime=False, known=True).cyclic:
        return None
    for stronger in dict.fromkeys((SERIAL, mode)):
        first = _saturation(versions, stronger, stricter, meter)
        if (
            stronger == SERIAL
            and first.sort()
            and (order := in_line(first, at_once=True)) is not None
        ):
            return _accepted(versions.problem, stronger, order)
        if not first.close():
            apart = stronger == SERIAL and mode != SERIAL and timeless(versions.problem)
            if apart and (found := _apart(versions.problem, meter)) is not None:
                return found
        elif (order := accept(first)) is not None:
            return _accepted(versions.problem, stronger, order)
    return None


def _apart(problem: Problem, meter: Meter) -> Accepted | None:
    order = snapshots_in_line(problem, meter)
    return None if order is None else _accepted(problem, SNAPSHOT, order)


def _saturation(versions: Versions, mode: int, rules: Rules, meter: Meter) -> Saturation:
    return Saturation(
        versions.problem,
        mode,
        sessions=rules.sessions,
        realtime=rules.realtime,
        meter=meter,
        versions=versions,
    )


def _accepted(problem: Problem, mode: int, order: Ints) -> Accepted:
    transactions = order // 2 if mode == SNAPSHOT else order
    return Accepted(kind=NAMES[mode], order=problem.rows[transactions])


def _shortened(problem: Problem, rules: Rules, steps: list[Step]) -> list[Step]:
    """The same contradiction from the transactions in it alone, or fewer if that is enough."""
    snapshot = _MODES.get(rules.model) == SNAPSHOT
    while True:
        chosen = np.searchsorted(problem.rows, events_in(steps, snapshot))
        if len(chosen) > _SMALL or (len(chosen) == len(problem) and len(problem) > _TRIED):
            return steps
        again = _again(problem, chosen, rules)
        if again is None or len(again) >= len(steps):
            break
        steps = again
    left = chosen if len(chosen) <= _TRIED else chosen[:0]
    for transaction in left.tolist():
        fewer = chosen[chosen != transaction]
        if len(fewer) < len(chosen) and (again := _again(problem, fewer, rules)) is not None:
            steps = again
            chosen = np.searchsorted(problem.rows, events_in(steps, snapshot))
    return steps


def _again(problem: Problem, chosen: Ints, rules: Rules) -> list[Step] | None:
    """Steps to a contradiction of these transactions alone, if there is one."""
    try:
        found = _solve(problem.part(chosen), rules, Meter(100_000))
    except Exhausted:
        return None
    return found if isinstance(found, list) else None
