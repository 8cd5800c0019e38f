"""Which models a problem keeps: each is decided once, and says something about others.

An order that a model allows is allowed by every weaker one; a contradiction under a model is one
under every stronger one.
"""

from __future__ import annotations

from collections.abc import Collection

from analysis.checkers.base import Meter
from analysis.checkers.prose import number
from analysis.transactions import engine
from analysis.transactions.axioms import ATOMIC, CAUSAL, COMMITTED
from analysis.transactions.engine import (
    PARALLEL_SI,
    SERIALIZABLE,
    SESSION_SI,
    SI,
    STRICT,
    UNCOMMITTED,
    Accepted,
    Decision,
    Refuted,
    Rules,
    Undecided,
)
from analysis.transactions.flaws import ALWAYS
from analysis.transactions.problem import Problem

LEVEL = {  # how much a model asks for, but for sessions and real time
    UNCOMMITTED: 0, COMMITTED: 1, ATOMIC: 2, CAUSAL: 3, PARALLEL_SI: 4, SI: 5, SESSION_SI: 5,
    SERIALIZABLE: 6, STRICT: 6,
}  # fmt: skip
_SHARE = 3  # each model may have so much of the steps that are left, one part of so many


class Share(Meter):
    """A part of what another meter has left, counted there too."""

    def __init__(self, meter: Meter) -> None:
        super().__init__(max(1, meter.left() // _SHARE))
        self._whole = meter

    def spend(self, steps: int = 1) -> None:
        """Count here and there."""
        self._whole.spend(steps)
        super().spend(steps)

    def in_time(self) -> None:
        """As the whole."""
        self._whole.in_time()


def breaks(flaw: str, model: str) -> bool:
    """Whether a read with this flaw rules out a model."""
    if flaw in ALWAYS:
        return True
    return LEVEL[model] >= (2 if flaw == "internal" else 1)


class Judge:
    """Decides models of one problem. `flaws`: names of those that its reads have."""

    def __init__(self, problem: Problem, flaws: Collection[str], meter: Meter, models: str) -> None:
        self.problem, self.flaws, self.models = problem, flaws, models
        self._meter = meter
        self._known: dict[tuple[int, bool, bool], Decision] = {}

    def rules(self, model: str) -> Rules:
        """What counts in a model."""
        return engine.rules_of(model, self.models)

    def weaker(self, model: str, other: str) -> bool:
        """Whether whatever rules out `model` rules out the other."""
        one, two = self.rules(model), self.rules(other)
        counts = one.sessions <= two.sessions and one.realtime <= two.realtime
        return LEVEL[model] <= LEVEL[other] and counts

    def flawed(self, model: str) -> bool:
        """Whether single reads rule the model out."""
        return any(breaks(flaw, model) for flaw in self.flaws)

    def decide(self, model: str) -> Decision:
        """What is known of a model; flaws of single reads are not looked at."""
        return self.decided(self.rules(model))

    def decided(self, rules: Rules) -> Decision:
        """The same by rules: by what is known of others, if that is enough."""
        wanted = (LEVEL[rules.model], rules.sessions, rules.realtime)
        for known, decision in self._known.items():
            weaker = all(mine <= theirs for mine, theirs in zip(wanted, known, strict=True))
            stronger = all(mine >= theirs for mine, theirs in zip(wanted, known, strict=True))
            if (isinstance(decision, Accepted) and weaker) or (
                isinstance(decision, Refuted) and stronger
            ):
                return decision
        if wanted not in self._known:
            self._known[wanted] = engine.decide(self.problem, rules, Share(self._meter))
        return self._known[wanted]

    def holds(self, model: str) -> bool | None:
        """Whether the history keeps a model; None: not decided."""
        if self.flawed(model):
            return False
        found = self.decide(model)
        return None if isinstance(found, Undecided) else isinstance(found, Accepted)


def judged(holds: dict[str, bool | None]) -> str:
    """Which models a history rules out, and which it is consistent with, the weakest first."""
    named = {model: model.replace("-", " ") for model in holds}
    out = [named[model] for model, held in holds.items() if held is False]
    consistent = [named[model] for model, held in holds.items() if held]
    open_ = [named[model] for model, held in holds.items() if held is None]
    parts = [f"rules out {', '.join(out) or 'no model'}"]
    parts.append(f"consistent with {', '.join(consistent) or 'none'}")
    parts += [f"undecided: {', '.join(open_)}"] if open_ else []
    return "; ".join(parts)


def left_out(keys: int) -> str:
    """What was not looked at, of so many keys."""
    if not keys:
        return ""
    named = number(keys, "key")
    return f"; left out {named} with a value that was written more than once, and read"
