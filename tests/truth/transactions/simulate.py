"""Small histories of transactions: an engine, clients, and perhaps a fault."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.truth.rows import Row
from tests.truth.transactions import faults
from tests.truth.transactions.engines import ENGINES, Engine, Sites, run
from tests.truth.transactions.plans import Plan, Style, plans, style

FAULTS = (0, 1, 1, 1, 1, 2, 3, 6)  # planted in a history
BROKEN = 0.75
FORK = (["w0"], ["w1"])  # a pattern that few engines show otherwise


def simulate(
    rng: Random,
    kind: str,
    initial: Any,
    how: Style | None = None,
    engines: tuple[type[Engine], ...] = ENGINES,
    broken: float = BROKEN,
) -> list[Row]:
    """A history, ordered by completion."""
    how = how or style(rng, kind)
    asked = plans(rng, how)
    if engines is ENGINES and how.pattern[:2] == FORK and rng.random() < 0.6:
        engines, broken = (Sites,), broken / 3
    engine = engines[int(rng.random() * len(engines))](rng, kind, initial, how.processes)
    bad = rng.random() < broken
    if bad and rng.random() < 0.2:
        faults.careless(engine, rng)
    if bad and rng.random() < 0.2:
        faults.shifted(rng, asked)
    run(rng, engine, asked)
    for _ in range(FAULTS[int(rng.random() * len(FAULTS))] if bad else 0):
        faults.FAULTS[int(rng.random() * len(faults.FAULTS))](rng, asked, engine)
    return rows(rng, asked, how, initial)


def rows(rng: Random, asked: list[Plan], how: Style, initial: Any) -> list[Row]:
    """What the clients know."""
    if how.clock == "none":
        for plan in asked:
            plan.start = plan.end = 0
    made = [
        Row(
            "txn",
            [_told(rng, step, plan, initial) for step in plan.steps],
            plan.start,
            plan.end,
            plan.outcome,
            plan.process,
            error=None if plan.outcome == "ok" else "timeout",
        )
        for plan in asked
    ]
    made.sort(key=lambda row: row.end)
    return made


def _told(rng: Random, step: list[Any], plan: Plan, initial: Any) -> list[Any]:
    f, key, value = step
    if f != "r":
        return [f, key, value]
    if plan.outcome != "ok":
        return [f, key, None]
    if isinstance(value, tuple):
        return [f, key, list(value) if value or rng.random() < 0.5 else None]
    if value == initial and rng.random() < 0.3:
        value = None
    return [f, key, value]
