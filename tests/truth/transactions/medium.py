"""Histories of hundreds of transactions and more: no oracle orders them, but the engine is known.

What it promises holds of them. Beside a small history, with which it has nothing in common, each
of these promises holds if and only if it holds of the small one.
"""

from __future__ import annotations

from random import Random

from tests.truth.rows import Row
from tests.truth.transactions import change
from tests.truth.transactions.engines import Engine, Old, OldSession, Serial, Sites, run
from tests.truth.transactions.oracle import MODELS, truths
from tests.truth.transactions.plans import Style, plans
from tests.truth.transactions.simulate import rows, simulate

WINDOW = 60  # transactions of one time have their keys in common
SNAPSHOT = MODELS[:3] + MODELS[4:6]
PROMISES: dict[type[Engine], tuple[str, ...]] = {
    Serial: MODELS,
    Engine: MODELS[:7],
    OldSession: MODELS[:7],
    Old: SNAPSHOT,
    Sites: SNAPSHOT[:-1],
}  # by Adya's definitions


def history(rng: Random, engine: type[Engine], kind: str, transactions: int) -> list[Row]:
    """What the clients of an engine that works see."""
    how = Style(
        kind=kind,
        transactions=transactions,
        keys=4,
        processes=8,
        steps=4,
        reads=0.5,
        modify=0.5,
        info=0.02,
        fail=0.02,
        clock="dense",
        shared=False,
    )
    asked = plans(rng, how)
    for at, plan in enumerate(asked):
        for step in plan.steps:
            step[1] += how.keys * max(0, at // WINDOW - (rng.random() < 0.2))
    works = engine(rng, kind, None, how.processes)
    if isinstance(works, Sites):
        works.spread = 0.8
    run(rng, works, asked)
    return rows(rng, asked, how, None)


def broken(rng: Random, whole: list[Row], kind: str, model: str) -> list[Row]:
    """The same beside a small history that breaks a model."""
    while True:
        small = simulate(rng, kind, None)
        if truths(small, None, "adya")[model] == "invalid":
            return change.together([whole, small], apart=False)
