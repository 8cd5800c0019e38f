"""All anomalies of a history of registers, the weakest first: counted, told, claimed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.checkers.base import Exhausted, Meter
from analysis.checkers.prose import short
from analysis.checkers.stories import Story, joined
from analysis.transactions import engine
from analysis.transactions.axioms import ATOMIC, CAUSAL, COMMITTED
from analysis.transactions.columns import Transactions
from analysis.transactions.direct import READS, lost_updates
from analysis.transactions.engine import PARALLEL_SI, SERIALIZABLE, SI, UNCOMMITTED, Refuted, Rules
from analysis.transactions.flaws import Flaw
from analysis.transactions.judge import LEVEL, Judge, breaks
from analysis.transactions.register_words import Words

_BELOW = (PARALLEL_SI, SI)  # models that a cycle in time is held against, to name it
_STEPS = 20_000  # for that


class Stories:
    """What there is to tell of one history."""

    def __init__(self, told: Transactions, flaws: Sequence[Flaw], judge: Judge) -> None:
        self._told, self._flaws, self._judge = told, flaws, judge
        self._problem = judge.problem
        self._words = Words(told)

    def all(self) -> list[Story]:
        """Every anomaly, the weakest first."""
        return [*self.flaws(), *self.lost(), *self.contradictions(engine.MODELS)]

    def of(self, model: str) -> list[Story]:
        """Anomalies that rule a model out."""
        rules = self._judge.rules(model)
        told = [story for story in self.flaws() if breaks(story.name, model)]
        if told:
            return told
        if LEVEL[model] >= LEVEL[PARALLEL_SI] and (lost := self.lost()):
            return lost
        found = self._judge.decided(rules)
        return [self.contradiction(found)] if isinstance(found, Refuted) else []

    def flaws(self) -> list[Story]:
        """Impossible reads, one story for each kind."""
        told, found = self._told, []
        owner = told.owner()
        for flaw in self._flaws:
            claim = self._words.flaw_claim(flaw, 0)
            found.append(
                Story(
                    name=flaw.name,
                    count=len(flaw),
                    instances=told.rows[np.unique(owner[flaw.read])],
                    operations=tuple(claim["operations"]),
                    argument=self._words.flaw(flaw, 0),
                    claim=claim,
                )
            )
        return found

    def lost(self) -> list[Story]:
        """Updates that were lost, as one story."""
        problem = self._problem
        pairs = lost_updates(problem)
        if not pairs:
            return []
        rows = problem.rows[problem.reader[np.array(pairs)]]
        a, b = int(rows[0, 0]), int(rows[0, 1])
        key = problem.key_name(int(problem.read_key[pairs[0][0]]))
        source = int(problem.source[pairs[0][0]])
        seen = (
            f"what T{int(problem.rows[source])} wrote to" if source >= 0 else "the first value of"
        )
        every = np.unique(rows)
        return [
            Story(
                name="lost-update",
                count=len(every),
                instances=every,
                operations=(a, b),
                argument=f"T{a} and T{b} both read {seen} key {short(key)}, and both wrote it: "
                "neither saw what the other did",
                claim={"kind": "observed", "operations": [a, b], "key": key},
            )
        ]

    def contradictions(self, models: tuple[str, ...]) -> list[Story]:
        """One story for each model that is refuted though no weaker one is."""
        found: list[Refuted] = []
        lost = bool(lost_updates(self._problem))
        for model in models:
            if self._judge.flawed(model) and model != UNCOMMITTED:
                continue
            decision = self._judge.decide(model)
            if isinstance(decision, Refuted) and not self._covered(decision, model, found):
                found.append(decision)
        told = [
            self.contradiction(one)
            for one in found
            if not (lost and LEVEL[one.model] >= LEVEL[PARALLEL_SI] and _is_lost(one))
        ]
        return joined(sorted(told, key=lambda story: story.name.endswith("-realtime")))

    def _covered(self, decision: Refuted, model: str, found: list[Refuted]) -> bool:
        """Whether a weaker model was refuted, and this contradiction says nothing new."""
        weaker = (one for one in found if self._judge.weaker(one.model, model))
        return any(one is decision or not decision.realtime for one in weaker)

    def contradiction(self, refuted: Refuted) -> Story:
        """A contradiction, under the name of what it is."""
        rows = np.array(refuted.rows(), np.int64)
        return Story(
            name=self._name(refuted),
            count=1,
            instances=rows,
            operations=tuple(rows.tolist()),
            argument=self._words.argument(refuted),
            claim=self._words.claim(refuted),
        )

    def _name(self, refuted: Refuted) -> str:
        suffix = "-realtime" if refuted.realtime else "-process" if refuted.sessions else ""
        rules = {step.rule for step in refuted.steps}
        if rules <= {READS, "session", "real-time", "transitive", "own"}:
            return f"G1c{suffix}"
        if refuted.model in (COMMITTED, ATOMIC, CAUSAL):
            return f"G-single{suffix}" if suffix or refuted.model != ATOMIC else "fractured-read"
        level = LEVEL[refuted.model]
        if suffix:
            level = self._level(refuted)
        rows = refuted.rows()
        if level <= LEVEL[PARALLEL_SI]:
            return f"G-single{suffix}"
        if level == LEVEL[SI]:
            forked = len(rows) == 4 and not suffix and self._forked(rows)
            return "long-fork" if forked else f"G-nonadjacent{suffix}"
        return "write-skew" if len(rows) == 2 and not suffix else f"G2-item{suffix}"

    def _forked(self, rows: list[int]) -> bool:
        """Whether two of four transactions read, and two wrote what both of those read of."""
        problem = self._problem
        mine = np.searchsorted(problem.rows, rows)
        part = problem.part(mine)
        readers = [t for t in range(4) if t in part.reader and t not in part.writer]
        writers = [t for t in range(4) if t in part.writer and t not in part.reader]
        return len(readers) == len(writers) == 2

    def _level(self, refuted: Refuted) -> int:
        """The weakest level at which the transactions of a contradiction are one, in time."""
        problem = self._problem
        part = problem.part(np.searchsorted(problem.rows, refuted.rows()))
        for model in _BELOW:
            rules = Rules(model=model, sessions=True, realtime=refuted.realtime)
            try:
                found = engine.decide(part, rules, Meter(_STEPS))
            except Exhausted:
                break
            if isinstance(found, Refuted):
                return LEVEL[model]
        return LEVEL[SERIALIZABLE]


def _is_lost(refuted: Refuted) -> bool:
    """Whether a contradiction is a lost update and nothing else."""
    return len(refuted.rows()) <= 3 and not refuted.sessions and not refuted.realtime
