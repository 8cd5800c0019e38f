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

MIN_ACKNOWLEDGED = 10  # fewer ok operations than this mean nothing in a run
DEFAULT_BUDGET = 5_000_000  # search steps for one property
MAX_INSTANCES = 500  # of an anomaly's operations, in results.json: spread over all of them


Claim = Mapping[str, Any]
"""What a certificate claims, in the shapes of docs/certificates.md; rows may be numpy arrays."""


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
    `edges`: of a cycle, (operation, operation that comes after it, why), in words.
    """

    name: str
    count: int
    first_ns: int
    operations: tuple[int, ...]
    argument: str
    claim: Claim | None = field(default=None, compare=False, repr=False)
    instances: Ints = field(default_factory=_none, compare=False, repr=False)
    faults: tuple[str, ...] = ()
    edges: tuple[tuple[int, int, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The anomaly as results.json holds it (docs/interfaces.md)."""
        edges = {"edges": [list(edge) for edge in self.edges]} if self.edges else {}
        return {
            "name": self.name,
            "count": self.count,
            "first_ns": self.first_ns,
            "operations": list(self.operations),
            "instances": [int(row) for row in self._spread()],
            "argument": self.argument,
            "faults": list(self.faults),
            **edges,
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
    claim: Claim | None = field(default=None, compare=False, repr=False)  # of a valid verdict
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
            "proof": None,  # the certificate's path, filled in by whoever writes it
            "operations": self.operations,
            "seconds": round(self.seconds, 6),
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a checker may know besides the history. Times in ns since the run's start."""

    final_ns: tuple[int, int] | None = None  # the final phase; None: the run has no phases
    initial: Any = None  # a register's initial value, as JSON
    enough: int = MIN_ACKNOWLEDGED  # acknowledged operations that a valid verdict needs
    linearizable: bool = False  # set-full: whether a stale read is an anomaly
    models: str = "adya"  # of transactions, "adya" or "axiomatic": docs/transactions.md
    meter: Meter = field(default_factory=lambda: Meter())


class Exhausted(Exception):
    """A search ran out of what it was given; `args[0]` names the budget in words."""


class Meter:
    """Counts search steps, and stops a search at its budget. One for each property checked.

    A step is a constant amount of work that a checker defines, so that a verdict does not depend
    on the machine. `limit_s` seconds from now is the one exception, if the user asks for it.
    """

    EVERY = 1024  # steps between two looks at the clock

    def __init__(self, budget: int = DEFAULT_BUDGET, limit_s: float | None = None) -> None:
        self.budget = budget
        self.limit_s = limit_s
        self.steps = 0
        self._deadline = None if limit_s is None else time.monotonic() + limit_s
        self._look = 0

    def spend(self, steps: int = 1) -> None:
        """Count `steps`; raises Exhausted when they are more than is left."""
        self.steps += steps
        if self.steps > self.budget:
            self.steps = self.budget
            raise Exhausted(f"the budget of {self.budget:,} steps ran out")
        if self._deadline is not None and self.steps >= self._look:
            self._look = self.steps + self.EVERY
            self.in_time()

    def in_time(self) -> None:
        """Raises Exhausted when the time limit has passed; for work that counts no steps."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise Exhausted(f"the time limit of {self.limit_s:g} s ran out")

    def left(self) -> int:
        """Steps that may still be spent."""
        return self.budget - self.steps


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
    except Exhausted as error:
        why = f"not decided: {error}"
        result = CheckResult(property=name, verdict=Verdict.UNKNOWN, why=why)
    except Exception as error:  # a checker's defect must not lose the run
        why = f"the checker failed: {type(error).__name__}: {error}"
        result = CheckResult(property=name, verdict=Verdict.UNKNOWN, why=why)
    seconds = time.perf_counter() - began
    return replace(result, seconds=seconds, steps=context.meter.steps)


def too_little(history: History, context: Context) -> str:
    """Why this history is too small to mean anything, or ""."""
    acknowledged = int(np.count_nonzero(history.type == OK))
    if acknowledged >= context.enough:
        return ""
    return (
        f"too little traffic: {acknowledged} of {len(history)} operations were acknowledged, "
        f"at least {context.enough} are needed"
    )
