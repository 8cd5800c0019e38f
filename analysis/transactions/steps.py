"""Contradictions about transactions, step by step: x comes before y, because …; so x before itself.

The rules are those of docs/certificates.md; `analysis.proof` re-checks every step against the raw
history. x and y are history rows (of snapshots and commits: 2 * row and 2 * row + 1), -1 is what
was there first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ASSUME, EITHER, TRANSITIVE = "assume", "either", "transitive"


@dataclass(frozen=True, slots=True)
class Step:
    """One of them. `extra`: the key, and what else the rule names."""

    before: int
    behind: int
    rule: str
    premises: tuple[int, ...] = ()
    extra: tuple[Any, ...] = ()


class Steps:
    """Steps that each follow from the history or from earlier ones; `add` returns its number."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._rests: list[frozenset[int]] = []
        self._known: dict[tuple[int, int, str, Any], int] = {}

    def add(self, step: Step) -> int:
        """The number of this step, or of one that says the same for the same reason."""
        loose = step.rule in (ASSUME, EITHER)
        why: Any = len(self.steps) if loose else step.premises or repr(step.extra)
        same = (step.before, step.behind, step.rule, why)
        known = self._known.setdefault(same, len(self.steps))
        if known == len(self.steps):
            self.steps.append(step)
            self._rests.append(self._resting(step, known))
        return known

    def _resting(self, step: Step, number: int) -> frozenset[int]:
        if step.rule == ASSUME:
            return frozenset({number})
        if step.rule == EITHER:
            i, p, j, q = step.premises
            return (self._rests[p] - {i}) | (self._rests[q] - {j})
        return frozenset().union(*(self._rests[premise] for premise in step.premises))

    def rests_on(self, number: int) -> frozenset[int]:
        """The assumptions that a step rests on."""
        return self._rests[number]

    def chain(self, facts: Iterable[int]) -> int:
        """From the first of the first fact to the last of the last: each begins where one ends."""
        at = -1
        for fact in facts:
            if at < 0:
                at = fact
                continue
            before, behind = self.steps[at].before, self.steps[fact].behind
            at = self.add(Step(before, behind, TRANSITIVE, (at, fact)))
        return at

    def needed(self, last: int) -> list[Step]:
        """The steps that this one follows from, and it, numbered anew."""
        wanted, todo = {last}, [last]
        while todo:
            for premise in self.steps[todo.pop()].premises:
                if premise not in wanted:
                    wanted.add(premise)
                    todo.append(premise)
        number = {old: new for new, old in enumerate(sorted(wanted))}
        return [
            Step(
                step.before,
                step.behind,
                step.rule,
                tuple(number[premise] for premise in step.premises),
                step.extra,
            )
            for step in (self.steps[old] for old in sorted(wanted))
        ]
