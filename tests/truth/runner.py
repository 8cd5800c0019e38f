"""Judges many small histories with a checker and with the oracle, and keeps what differs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from analysis.checkers import CHECKERS
from analysis.checkers.base import CheckResult, Context, run_checker
from analysis.history import History
from tests.truth import change, proofs, rows
from tests.truth.properties import Property, Setting
from tests.truth.rows import Row

ALONE = 8  # of so many histories that may be keys of one, one is also judged for itself


@dataclass(slots=True)
class Wrong:
    """A verdict that is not so."""

    property: str
    history: list[Row]
    setting: Setting
    expected: str
    got: str
    why: str


@dataclass(slots=True)
class Tally:
    """What came of some histories of one property."""

    histories: int = 0
    valid: int = 0
    invalid: int = 0
    unknown: int = 0
    certificates: int = 0
    refused: int = 0  # certificates of right verdicts
    mutants: int = 0
    accepted: int = 0  # certificates of wrong verdicts, or that were altered
    seconds: float = 0.0
    wrong: list[Wrong] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count the other's too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def checked(about: Property, history: History, where: Setting) -> CheckResult:
    """The checker's result; one acknowledged operation is enough."""
    context = Context(final_ns=where.final_ns, initial=where.initial, enough=1)
    return run_checker(about.name, CHECKERS, history, context)


def judge(about: Property, seed: str, count: int) -> Tally:
    """`count` histories drawn from `seed`."""
    began = time.perf_counter()
    rng = Random(seed)
    where = about.setting(rng)
    drawn = [about.make(rng, where) for _ in range(count)]
    drawn = [history for history in drawn if history]
    truths = [about.truth(history, where) for history in drawn]
    tally = Tally(histories=len(drawn))
    for verdict in truths:
        setattr(tally, verdict, getattr(tally, verdict) + 1)
    alone = range(len(drawn))
    if about.by_key:
        _together(about, where, drawn, truths, tally)
        alone = range(0, len(drawn), ALONE)
    _alone(about, where, [(drawn[n], truths[n]) for n in alone], rng, tally)
    tally.seconds = time.perf_counter() - began
    return tally


def _alone(
    about: Property,
    where: Setting,
    drawn: Sequence[tuple[list[Row], str]],
    rng: Random,
    tally: Tally,
) -> None:
    """Each history for itself, after changes that change no verdict; and some certificates."""
    changed = [change.harmless(rng, history, where, about) for history, _ in drawn]
    for history, (_, truth), given in zip(changed, drawn, rows.histories(changed), strict=True):
        result = checked(about, given, where)
        if not agrees(result, truth):
            tally.wrong.append(_wrong(about, history, where, truth, result))
    proofs.judge(about, where, changed, [truth for _, truth in drawn], rng, tally)


def agrees(result: CheckResult, truth: str) -> bool:
    """Whether the verdict is so; "unknown" stands for valid as far as anything was observed."""
    return str(result.verdict) == truth


def _wrong(
    about: Property, history: list[Row], where: Setting, truth: str, result: CheckResult
) -> Wrong:
    return Wrong(about.name, history, where, truth, str(result.verdict), result.why)


def _together(
    about: Property, where: Setting, drawn: list[list[Row]], truths: list[str], tally: Tally
) -> None:
    """All good histories as keys of one; then all bad ones, of which each must be blamed."""
    good = [n for n, truth in enumerate(truths) if truth != "invalid"]
    bad = [n for n, truth in enumerate(truths) if truth == "invalid"]
    told = any(truths[n] == "valid" for n in good)
    _all_good(about, where, [drawn[n] for n in good], "valid" if told else "unknown", tally)
    if not bad:
        return
    keyed, owner = as_keys([drawn[n] for n in bad])
    result = checked(about, rows.history(keyed), where)
    instances = [anomaly.instances for anomaly in result.anomalies]
    blamed = {owner[int(row)] for row in np.concatenate([*instances, np.empty(0, np.int64)])}
    rest = [drawn[n] for at, n in enumerate(bad) if at not in blamed]
    for history, given in zip(rest, rows.histories(rest), strict=True):
        result = checked(about, given, where)
        if str(result.verdict) != "invalid":
            tally.wrong.append(_wrong(about, history, where, "invalid", result))


def _all_good(
    about: Property, where: Setting, drawn: list[list[Row]], truth: str, tally: Tally
) -> None:
    """The verdict on all as keys of one; halves of them if it is not so, down to the culprit."""
    if not drawn:
        return
    result = checked(about, rows.history(as_keys(drawn)[0]), where)
    if str(result.verdict) in (truth, "valid"):
        return
    if len(drawn) == 1:
        truth = about.truth(drawn[0], where)
        if not agrees(result, truth):
            tally.wrong.append(_wrong(about, drawn[0], where, truth, result))
        return
    half = len(drawn) // 2
    before = len(tally.wrong)
    for part in (drawn[:half], drawn[half:]):
        told = any(about.truth(history, where) == "valid" for history in part)
        _all_good(about, where, part, "valid" if told else "unknown", tally)
    if len(tally.wrong) == before and str(result.verdict) == "invalid":
        everything = as_keys(drawn)[0]
        tally.wrong.append(_wrong(about, everything, where, truth, result))


def as_keys(drawn: Sequence[list[Row]]) -> tuple[list[Row], list[int]]:
    """The histories as one whose keys they are, by completion; and which each row is from."""
    joined = [
        (row._replace(key=f"{n}/{row.key}", process=1000 * n + row.process), n)
        for n, history in enumerate(drawn)
        for row in history
    ]
    joined.sort(key=lambda pair: pair[0].end)
    return [row for row, _ in joined], [n for _, n in joined]
