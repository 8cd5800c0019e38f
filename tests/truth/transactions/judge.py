"""Judges histories of transactions with the checkers of all models and with the oracle.

One history is drawn, and what is true of it found, for all properties at once. Those of which a
property is valid are judged as one history, which is valid too; others each alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from analysis.checkers import CHECKERS
from analysis.checkers.base import CheckResult, Context, Meter, run_checker
from analysis.history import History
from tests.truth import rows
from tests.truth.properties import Setting
from tests.truth.routes import machine_code
from tests.truth.rows import Row
from tests.truth.runner import COMPILED, STEPS, Tally, Wrong
from tests.truth.transactions import change, oracle, proofs
from tests.truth.transactions.oracle import KINDS, truths
from tests.truth.transactions.simulate import simulate
from tests.truth.transactions.told import LISTS, REGISTERS

NAMES = tuple(name for name in oracle.NAMES if name in CHECKERS)
FAMILY = "transactions"
NAMED = "names that fit"  # of anomalies
PART = 100  # histories of one setting: initial value, kind, definitions
ALONE = 16  # of so many valid histories one is also judged for itself
CLEAR = 4  # of so many that break a weaker model, too, one is judged
PROVED = 16  # of so many judged alone the certificate of one is checked, and of fewer on demand
OTHERS = 20  # of so many histories of the other kind one is shown to a checker
INITIALS = (None, None, None, 0, "", [0], 1)  # a 1 is written, too: that is ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class Where(Setting):
    """What is the same for all histories of a batch."""

    kind: str = LISTS
    models: str = "adya"  # | axiomatic


def setting(rng: Random) -> Where:
    """A setting at random."""
    kind = LISTS if rng.random() < 0.5 else REGISTERS
    initial = None if kind == LISTS else INITIALS[int(rng.random() * len(INITIALS))]
    dialect = "adya" if rng.random() < 0.6 else "axiomatic"
    return Where(kind=kind, initial=initial, models=dialect)


def checked(name: str, history: History, where: Where) -> CheckResult:
    """The checker's result; one acknowledged transaction is enough."""
    meter = Meter(STEPS)
    context = Context(initial=where.initial, enough=1, meter=meter, models=where.models)
    return run_checker(name, CHECKERS, history, context)


class Drawn:
    """A history as it was drawn, told otherwise, and what is true of it."""

    def __init__(self, rng: Random, where: Where) -> None:
        history = simulate(rng, where.kind, where.initial)
        self.truths = truths(history, where.initial, where.models)
        self.rows = change.harmless(rng, history, where.initial)


def judge(
    seed: str, count: int, proved: int, names: Sequence[str] = NAMES
) -> dict[str, Tally]:  # fmt: skip
    """`count` histories drawn from `seed`, by property."""
    rng = Random(seed)
    tallies = {name: Tally() for name in names}
    for begin in range(0, count, PART):
        for name, tally in _part(rng, min(PART, count - begin), proved, names).items():
            tallies[name].add(tally)
    return tallies


def _part(rng: Random, count: int, proved: int, names: Sequence[str]) -> dict[str, Tally]:
    """Some of one setting."""
    began = time.perf_counter()
    where = setting(rng)
    drawn = [Drawn(rng, where) for _ in range(count)]
    given = rows.histories([one.rows for one in drawn])
    spent = (time.perf_counter() - began) / len(names)
    tallies = {}
    with machine_code(always=rng.random() < COMPILED):
        for name in names:
            tallies[name] = _one(name, where, drawn, given, rng, proved)
            tallies[name].seconds += spent
    return tallies


def _one(
    name: str, where: Where, drawn: list[Drawn], given: list[History], rng: Random, proved: int
) -> Tally:
    """What comes of all of them with one property."""
    began = time.perf_counter()
    tally = Tally()
    good = [one.rows for one in drawn if one.truths[name] == "valid"]
    _halved(name, where, good, tally, apart=rng.random() < 0.5)
    alone = []
    for at, one in enumerate(drawn):
        truth, often = one.truths[name], _one_in(name, where, one.truths)
        if truth == "valid" or at % often == 0:
            tally.histories += 1
            setattr(tally, truth, getattr(tally, truth) + 1)
        if at % often == 0:
            alone.append((one, checked(name, given[at], where)))
    for one, result in alone:
        if found := differs(name, one.rows, where, one.truths[name], result):
            tally.wrong.append(found)
    judged = [(one.rows, one.truths[name], result) for one, result in alone]
    proofs.judge(name, where, judged[:: proved * PROVED], rng, tally)
    tally.seconds = time.perf_counter() - began
    return tally


def _one_in(name: str, where: Where, truth: dict[str, str]) -> int:
    """Of how many such histories one is judged alone: all where the model is the first broken."""
    if KINDS.get(name, where.kind) != where.kind:
        return OTHERS
    if truth[name] == "valid":
        return ALONE
    clear = any(truth[weaker] == "invalid" for weaker in oracle.WEAKER.get(name, ()))
    return CLEAR if clear else 1


def differs(
    name: str, history: list[Row], where: Where, truth: str, result: CheckResult
) -> Wrong | None:
    """What is not so about a result: its verdict, or what it calls the violations."""
    if str(result.verdict) != truth:
        return Wrong(name, history, where, truth, str(result.verdict), result.why)
    if name not in KINDS or truth != "invalid" or where.models != "adya":
        return None
    names = [anomaly.name for anomaly in result.anomalies]
    why = oracle.misnamed(names, history, where.initial)
    return Wrong(name, history, where, NAMED, str(names), why) if why else None


def _halved(
    name: str, where: Where, good: list[list[Row]], tally: Tally, *, apart: bool, whole: bool = True
) -> None:
    """The verdict on all as one; halves of them if it is not valid, down to the culprit."""
    if not good:
        return
    joined = change.together(good, apart=apart) if len(good) > 1 else good[0]
    result = checked(name, rows.history(joined), where)
    if str(result.verdict) == "valid":
        if whole:
            proofs.accept(name, where, joined, result, tally)
        return
    before, half = len(tally.wrong), len(good) // 2
    for part in (good[:half], good[half:]) if half else ():
        _halved(name, where, part, tally, apart=apart, whole=False)
    if len(tally.wrong) == before:
        tally.wrong.append(Wrong(name, joined, where, "valid", str(result.verdict), result.why))


def smallest(found: Wrong) -> Wrong:
    """Without the transactions and micro-operations that it is wrong without."""
    where: Any = found.setting
    smaller = len(found.history) <= 60
    while smaller:
        smaller = False
        for part in _parts(found.history):
            truth = truths(part, where.initial, where.models)[found.property]
            result = checked(found.property, rows.history(part), where)
            other = differs(found.property, part, where, truth, result)
            if other is not None and other.expected == found.expected:
                found, smaller = other, True
                break
    return found


def _parts(history: list[Row]) -> Any:
    for at in range(len(history) if len(history) > 1 else 0):
        yield history[:at] + history[at + 1 :]
    for at, row in enumerate(history):
        for n in range(len(row.value) if isinstance(row.value, list) else 0):
            yield [
                *history[:at],
                row._replace(value=row.value[:n] + row.value[n + 1 :]),
                *history[at + 1 :],
            ]
