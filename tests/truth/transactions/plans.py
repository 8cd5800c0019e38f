"""What clients of a simulated database ask for, and when: the same for every engine."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

LATER = 12.0  # how long after it was given up a transaction may still take effect, at most
PATTERNS = tuple(
    tuple(transaction.split() for transaction in pattern.split(" / "))
    for pattern in (
        "r0 r1 w0 / r0 r1 w1",  # write skew
        "r0 w1 / r1 w0 / r0 r1",
        "r0 w1 / r1 w2 / r2 w0",
        "w0 / w1 / r0 r1 / r1 r0",  # long fork
        "w0 / w1 / r0 r1 / r1 r0",
        "w0 / w1 / r0 r1 / r0 r1 / r1 r0",
        "w0 r1 / w1 r0 / r0 r1",
        "w0 / r0 r1 / w1 / r1 r0",
        "w0 w1 / w0 / w1 / r0 r1 / r1 r0",
        "r0 w0 / r0 w0 / r0",  # lost update
        "r0 w0 w1 / r0 w0 w1",
        "w0 w1 / r0 r1 / r1 r0",  # fractured
        "w0 w1 / w0 w1 / r0 r1",
        "w0 / r0 w1 / r1 r0",  # causality
        "w0 / w0 r0 w1 / r1 r0 w0 / r0",
        "r0 w0 / r0 r1 w1 / r0 r1",  # a reader alone sees that it is not serial
        "w0 / w0 / r0 / r0",
        "w0 w0 / r0 / r0 r0",  # intermediate
        "r0 w0 r1 / r1 w1 r0 / w0 w1",
    )
)
SIZES = (2, 3, 4, 5, 5, 6, 6, 7, 7, 7)
CLOCKS = ("spread", "spread", "spread", "dense", "dense", "touching", "none")


class Style(NamedTuple):
    """How the clients of one history behave."""

    kind: str  # LISTS | REGISTERS
    transactions: int
    keys: int
    processes: int
    steps: int  # micro-operations of a transaction, at most
    reads: float  # share of them that are reads
    modify: float  # share of transactions that read a key before they write it
    info: float
    fail: float
    clock: str  # how times lie; "none": all at one moment
    shared: bool  # whether values of two keys may be equal
    twice: float = 0.0  # share of writes that write a value again
    wait: int = 6  # ticks between two transactions, at most
    pattern: tuple[list[str], ...] = ()  # the steps of the first transactions


class Plan:
    """One transaction while it is simulated; `steps` are [f, key, value], reads not yet answered.

    It takes its snapshot at `begin` and commits at `commit`; `outcome` is what the client hears.
    """

    __slots__ = ("begin", "commit", "end", "happens", "outcome", "process", "start", "steps")

    def __init__(self, process: int, start: int, end: int, steps: list[list[Any]]) -> None:
        self.process, self.start, self.end, self.steps = process, start, end, steps
        self.outcome, self.happens = "ok", True
        self.begin = self.commit = float(start)

    def writes(self) -> set[Any]:
        """The keys that it writes."""
        return {key for f, key, _ in self.steps if f != "r"}


def style(rng: Random, kind: str) -> Style:
    """A style at random."""
    draw = rng.random
    doubtful = draw() < 0.4
    pattern = PATTERNS[int(draw() * len(PATTERNS))] if draw() < 0.4 else ()
    more = (0, 0, 1, 2)[int(draw() * 4)]
    return Style(
        kind=kind,
        transactions=len(pattern) + more if pattern else SIZES[int(draw() * len(SIZES))],
        pattern=pattern,
        keys=(1, 2, 2, 2, 3)[int(draw() * 5)],
        processes=2 + int(draw() * 2),
        steps=(1, 2, 3, 4, 4)[int(draw() * 5)],
        reads=(0.3, 0.5, 0.5, 0.6, 0.7)[int(draw() * 5)],
        modify=(0.0, 0.3, 0.8)[int(draw() * 3)],
        info=0.1 + 0.3 * draw() if doubtful else 0.0,
        fail=0.25 * draw() if draw() < 0.3 else 0.0,
        clock=CLOCKS[int(draw() * len(CLOCKS))],
        shared=draw() < 0.5,
        twice=0.3 if draw() < 0.04 else 0.0,
        wait=(0, 0, 1, 3, 6)[int(draw() * 5)],
    )


class _Values:
    """Values to write: each once, of its key or of all."""

    def __init__(self, how: Style, rng: Random) -> None:
        self._how, self._rng = how, rng
        self._last: dict[Any, int] = {}

    def new(self, key: int) -> int:
        whose = key if self._how.shared else None
        last = self._last.get(whose, 0)
        if last and self._how.twice and self._rng.random() < self._how.twice:
            return 1 + int(self._rng.random() * last)
        self._last[whose] = last + 1
        return last + 1


def plans(rng: Random, how: Style) -> list[Plan]:
    """Every transaction with its interval and its outcome."""
    draw = rng.random
    values = _Values(how, rng)
    free, now = [0] * how.processes, 0
    name = list(range(how.processes))
    made = []
    first = [how.pattern[at] for at in rng.sample(range(len(how.pattern)), len(how.pattern))]
    orderly = draw() < 0.5
    if orderly:
        first = list(how.pattern)
    for at in range(how.transactions):
        client = at % 2 if orderly and first else int(draw() * how.processes)
        now += int(draw() * (how.wait + 1))
        start = max(now, free[client]) + (how.clock == "spread")
        length = {"spread": 9, "dense": 14, "touching": 3}.get(how.clock, 9)
        end = start + int(draw() * length)
        free[client] = end
        steps = _patterned(first[at], how, values) if at < len(first) else _steps(rng, how, values)
        plan = Plan(name[client], start, end, steps)
        chance = draw()
        if chance < how.info:
            plan.outcome, plan.happens = "info", draw() < 0.75
            if draw() < 0.6:
                name[client] = how.processes + at  # a process is not used again
        elif chance > 1 - how.fail:
            plan.outcome, plan.happens = "fail", False
        _moments(rng, plan)
        made.append(plan)
    return made


def _moments(rng: Random, plan: Plan) -> None:
    one, other = sorted(plan.start + rng.random() * (plan.end - plan.start) for _ in range(2))
    plan.begin, plan.commit = one, other
    if plan.outcome == "info" and rng.random() < 0.5:
        plan.commit = plan.end + rng.random() * LATER
        plan.begin = min(plan.begin, plan.commit)


def _patterned(pattern: list[str], how: Style, values: _Values) -> list[list[Any]]:
    return [
        ["r", int(key), None] if f == "r" else [how.kind, int(key), values.new(int(key))]
        for f, key in pattern
    ]


def _steps(rng: Random, how: Style, values: _Values) -> list[list[Any]]:
    draw = rng.random
    steps: list[list[Any]] = []
    count = 1 + int(draw() * how.steps)
    while len(steps) < count:
        key = int(draw() * how.keys)
        if draw() < how.reads:
            steps.append(["r", key, None])
            continue
        if draw() < how.modify:
            steps.append(["r", key, None])
        steps.append([how.kind, key, values.new(key)])
        if draw() < 0.15:
            steps.append(["r", key, None])
    return steps
