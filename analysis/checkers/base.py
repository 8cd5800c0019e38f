"""What a checker is, and what it returns: data, never print, three verdicts.

A checker is a function `(History, Context) -> CheckResult`. It may raise: `run_checker` turns that
into `unknown`, because a crashing checker must never lose a run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

import numpy as np

from analysis.history import OK, History, Ints

MIN_ACKNOWLEDGED = 10  # fewer ok operations than this mean nothing
MAX_INSTANCES = 500  # of an anomaly's operations, in results.json: spread over all of them


class Verdict(StrEnum):
    """What a checker can say; `UNKNOWN` whenever nothing could be inferred."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


def _none() -> Ints:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One kind of broken promise in a history.

    `count` is what `analysis.anomalies` says it counts; `instances` are the operations counted
    (indices, in order of completion); `operations` are the few that prove the first of them.
    `first_ns` is when the client of the first instance had its answer. `faults` are fault ids.
    """

    name: str
    count: int
    first_ns: int
    operations: tuple[int, ...]
    argument: str
    instances: Ints = field(default_factory=_none, compare=False, repr=False)
    faults: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The anomaly as results.json holds it (docs/interfaces.md)."""
        return {
            "name": self.name,
            "count": self.count,
            "first_ns": self.first_ns,
            "operations": list(self.operations),
            "instances": [int(row) for row in self._spread()],
            "argument": self.argument,
            "faults": list(self.faults),
        }

    def _spread(self) -> Ints:
        """At most MAX_INSTANCES of the instances, evenly chosen, the first among them."""
        step = -(-len(self.instances) // MAX_INSTANCES) or 1
        return self.instances[::step]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one checker found; anomalies stand weakest first."""

    property: str
    verdict: Verdict
    why: str
    anomalies: tuple[Anomaly, ...] = ()
    operations: int = 0  # how many operations were looked at
    seconds: float = 0.0
    steps: int = 0  # search steps spent; 0 for checkers that do not search

    def to_json(self) -> dict[str, Any]:
        """The check as results.json holds it (docs/interfaces.md)."""
        return {
            "property": self.property,
            "verdict": str(self.verdict),
            "why": self.why,
            "anomalies": [anomaly.to_json() for anomaly in self.anomalies],
            "proof": None,
            "operations": self.operations,
            "seconds": round(self.seconds, 6),
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a checker may know besides the history. Times in ns since the run's start."""

    final_ns: tuple[int, int] | None = None  # the final phase; None: the run has no phases
    budget: int | None = None  # search steps; None: the checker's own default


class Checker(Protocol):
    """Decides one property of a history."""

    def __call__(self, history: History, context: Context) -> CheckResult:
        """Look at every operation once; the result's `property` is the registered name."""


def run_checker(
    name: str, checkers: Mapping[str, Checker], history: History, context: Context
) -> CheckResult:
    """The named checker's result with its time; `unknown` when it is missing or raises."""
    if name not in checkers:
        known = ", ".join(sorted(checkers))
        why = f"no checker decides {name!r}; there are: {known}"
        return CheckResult(property=name, verdict=Verdict.UNKNOWN, why=why)
    began = time.perf_counter()
    try:
        result = checkers[name](history, context)
    except Exception as error:  # a checker's defect must not lose the run
        why = f"the checker failed: {type(error).__name__}: {error}"
        result = CheckResult(property=name, verdict=Verdict.UNKNOWN, why=why)
    return replace(result, seconds=time.perf_counter() - began)


def too_little(history: History) -> str:
    """Why this history is too small to mean anything, or ""."""
    acknowledged = int(np.count_nonzero(history.type == OK))
    if acknowledged >= MIN_ACKNOWLEDGED:
        return ""
    return (
        f"too little traffic: {acknowledged} of {len(history)} operations were acknowledged, "
        f"at least {MIN_ACKNOWLEDGED} are needed"
    )
