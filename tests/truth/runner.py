"""Judges many small histories with a checker and with the oracle, and keeps what differs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from analysis.checkers import CHECKERS
from analysis.checkers.base import CheckResult, Context, Meter, run_checker
from analysis.history import History
from tests.truth import change, proofs, rows
from tests.truth.properties import Property, Setting
from tests.truth.routes import machine_code
from tests.truth.rows import Row

STEPS = 10**9  # enough for hundreds of small histories at once
PROVED = 2  # of so many of those, the certificate of one is checked (fewer where all are alone)
COMPILED = 0.25  # share of batches that compiled kernels judge
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
    doubted: list[Wrong] = field(default_factory=list)  # certificates judged as they should not be

    def keep(self, got: str, about: Property, history: list[Row], where: Setting, why: str) -> None:
        """Remember a certificate that was not judged as it should be."""
        expected = "accepted" if got == "refused" else "refused"
        self.doubted.append(Wrong(about.name, history, where, expected, got, why))

    def add(self, other: Tally) -> None:
        """Count the other's too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def checked(about: Property, history: History, where: Setting) -> CheckResult:
    """The checker's result; one acknowledged operation is enough."""
    meter = Meter(STEPS)
    context = Context(final_ns=where.final_ns, initial=where.initial, enough=1, meter=meter)
    return run_checker(about.name, CHECKERS, history, context)


def judge(about: Property, seed: str, count: int, proved: int = PROVED) -> Tally:
    """`count` histories drawn from `seed`; the certificate of one in `proved` judged alone."""
    began = time.perf_counter()
    rng = Random(seed)
    where = about.setting(rng)
    drawn = [about.make(rng, where) for _ in range(count)]
    drawn = [history for history in drawn if history]
    truths = [about.truth(history, where) for history in drawn]
    tally = Tally(histories=len(drawn))
    for verdict in truths:
        setattr(tally, verdict, getattr(tally, verdict) + 1)
    with machine_code(always=rng.random() < COMPILED):
        alone = range(len(drawn))
        if about.by_key:
            _together(about, where, drawn, truths, tally)
            alone = range(0, len(drawn), ALONE)
        _alone(about, where, [(drawn[n], truths[n]) for n in alone], rng, tally, proved)
    tally.seconds = time.perf_counter() - began
    return tally


def _alone(
    about: Property,
    where: Setting,
    drawn: Sequence[tuple[list[Row], str]],
    rng: Random,
    tally: Tally,
    proved: int,
) -> None:
    """Each history for itself, after changes that change no verdict; and some certificates."""
    changed = [change.harmless(rng, history, where, about) for history, _ in drawn]
    judged: list[proofs.Judged] = []
    for history, (_, truth), given in zip(changed, drawn, rows.histories(changed), strict=True):
        result = checked(about, given, where)
        if not agrees(result, truth):
            tally.wrong.append(_wrong(about, history, where, truth, result))
        judged.append((history, truth, result))
    proofs.judge(about, where, judged[:: proved if about.by_key else proved * ALONE], rng, tally)


def agrees(result: CheckResult, truth: str) -> bool:
    """Whether the verdict is so."""
    return str(result.verdict) == truth


def _wrong(
    about: Property, history: list[Row], where: Setting, truth: str, result: CheckResult
) -> Wrong:
    return Wrong(about.name, history, where, truth, str(result.verdict), result.why)


def _together(
    about: Property, where: Setting, drawn: list[list[Row]], truths: list[str], tally: Tally
) -> None:
    """Histories of one verdict as keys of one history; of bad ones each must be blamed."""
    for truth in ("valid", "unknown"):
        _halved(
            about,
            where,
            [h for h, t in zip(drawn, truths, strict=True) if t == truth],
            truth,
            tally,
        )
    bad = [history for history, truth in zip(drawn, truths, strict=True) if truth == "invalid"]
    if not bad:
        return
    keyed, owner = as_keys(bad)
    result = checked(about, rows.history(keyed), where)
    instances = [anomaly.instances for anomaly in result.anomalies]
    blamed = {owner[int(row)] for row in np.concatenate([*instances, np.empty(0, np.int64)])}
    rest = [history for at, history in enumerate(bad) if at not in blamed]
    for history, given in zip(rest, rows.histories(rest), strict=True):
        result = checked(about, given, where)
        if not agrees(result, "invalid"):
            tally.wrong.append(_wrong(about, history, where, "invalid", result))


def _halved(
    about: Property, where: Setting, drawn: list[list[Row]], truth: str, tally: Tally
) -> None:
    """The verdict on all as keys of one; halves of them if it is not so, down to the culprit."""
    if not drawn:
        return
    keyed = as_keys(drawn)[0] if len(drawn) > 1 else drawn[0]
    result = checked(about, rows.history(keyed), where)
    if agrees(result, truth):
        return
    before = len(tally.wrong)
    half = len(drawn) // 2
    for part in (drawn[:half], drawn[half:]) if half else ():
        _halved(about, where, part, truth, tally)
    summed = truth == "unknown" and str(result.verdict) == "valid"  # each alone saw too little
    if len(tally.wrong) == before and not (half and summed):
        tally.wrong.append(_wrong(about, keyed, where, truth, result))


def as_keys(drawn: Sequence[list[Row]]) -> tuple[list[Row], list[int]]:
    """The histories as one whose keys they are, by completion; and which each row is from."""
    joined = [
        (row._replace(key=f"{n}/{row.key}", process=1000 * n + row.process), n)
        for n, history in enumerate(drawn)
        for row in history
    ]
    joined.sort(key=lambda pair: pair[0].end)
    return [row for row, _ in joined], [n for _, n in joined]
