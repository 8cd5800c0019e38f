"""What an engine that keeps its promise does not do: planted in one history of it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.truth.transactions.engines import Engine, written
from tests.truth.transactions.plans import Plan

History = list[Plan]
Fault = Callable[[Random, History, Engine], None]


def _reads(plans: History) -> list[list[Any]]:
    """All reads that were answered."""
    return [step for plan in plans if plan.outcome == "ok" for step in plan.steps if step[0] == "r"]


def _one(rng: Random, listed: list[Any]) -> Any:
    return listed[int(rng.random() * len(listed))] if listed else None


def _versions(plans: History, key: Any) -> list[Any]:
    """Every value written to a key, whatever came of it."""
    return [value for plan in plans for value in written(plan, key)]


def other_version(rng: Random, plans: History, engine: Engine) -> None:
    """A read of another version: of the past, of the future, of nothing."""
    step = _one(rng, _reads(plans))
    if step is None:
        return
    if engine.lists:
        whole = engine.there(range(len(engine.commits)), step[1])
        step[2] = whole[: int(rng.random() * (len(whole) + 1))]
    else:
        step[2] = _one(rng, [*_versions(plans, step[1]), engine.nothing])


def whole_other_version(rng: Random, plans: History, engine: Engine) -> None:
    """A transaction that sees another moment, in all its reads (a stale snapshot)."""
    plan = _one(rng, [plan for plan in plans if plan.outcome == "ok"])
    if plan is None:
        return
    seen = range(int(rng.random() * (len(engine.commits) + 1)))
    for at, step in enumerate(plan.steps):
        if step[0] == "r":
            step[2] = engine.own(plan, at, engine.there(seen, step[1]))


def thin_air(rng: Random, plans: History, engine: Engine) -> None:
    """A value that nobody wrote, or an element of that kind."""
    step = _one(rng, _reads(plans))
    if step is not None:
        value = 90 + int(rng.random() * 3)
        step[2] = (*step[2], value) if engine.lists else value


def reordered(rng: Random, plans: History, engine: Engine) -> None:
    """A list with two elements exchanged, one lost or one twice; of registers two reads."""
    if not engine.lists:
        one, other = _one(rng, _reads(plans)), _one(rng, _reads(plans))
        if one is not None and one[1] == other[1]:
            one[2], other[2] = other[2], one[2]
        return
    step = _one(rng, [step for step in _reads(plans) if step[2]])
    if step is None:
        return
    a, b = (int(rng.random() * len(step[2])) for _ in range(2))
    shown = list(step[2])
    draw = rng.random()
    if draw < 0.4:
        shown[a], shown[b] = shown[b], shown[a]
    elif draw < 0.8:
        del shown[a]
    else:
        shown.insert(b, shown[a])
    step[2] = tuple(shown)


def aborted(rng: Random, plans: History, engine: Engine) -> None:
    """A transaction whose writes are seen is said to have failed, or not to be known."""
    plan = _one(rng, [plan for plan in plans if plan.outcome != "fail" and plan.writes()])
    if plan is not None:
        plan.outcome = "fail" if rng.random() < 0.8 else "info"


def intermediate(rng: Random, plans: History, engine: Engine) -> None:
    """A value that its writer wrote over is seen."""
    step = _one(rng, [step for step in _reads(plans) if step[2]])
    if step is None:
        return
    if engine.lists:
        step[2] = step[2][:-1]
        return
    values = [
        value
        for plan in plans
        for value in written(plan, step[1])[:-1]
    ]  # fmt: skip
    step[2] = _one(rng, values or [step[2]])


def sessions(rng: Random, plans: History, engine: Engine) -> None:
    """Two transactions change clients."""
    one, other = _one(rng, plans), _one(rng, plans)
    one.process, other.process = other.process, one.process


def times(rng: Random, plans: History, engine: Engine) -> None:
    """A transaction happened at another time than it is told."""
    plan = _one(rng, plans)
    shift = int(rng.random() * 30) - 15
    plan.start, plan.end = plan.start + shift, plan.end + shift


FAULTS: tuple[Fault, ...] = (
    *(other_version, other_version, whole_other_version, thin_air, reordered, aborted),
    *(intermediate, sessions, times),
)


def careless(engine: Engine, rng: Random) -> None:
    """An engine that does not look for conflicts, or does not lock: updates are lost."""
    engine.conflicts = engine.locks = False


def shifted(rng: Random, plans: History) -> None:
    """Transactions take effect at other moments than they should."""
    for plan in plans:
        if rng.random() < 0.5:
            by = (rng.random() - 0.5) * 20
            plan.begin, plan.commit = plan.begin + by, plan.commit + by
