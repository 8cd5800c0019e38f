"""An anomaly on its way: what it counts, and the words and the claim of its first instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.checkers.base import Anomaly, Claim
from analysis.history import History, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An anomaly: the operations that prove its first instance, in words and as a claim."""

    name: str = ""
    count: int = 0
    instances: Ints
    operations: tuple[int, ...]
    argument: str
    claim: Claim
    edges: tuple[tuple[int, int, str], ...] = ()  # of a cycle, as `Anomaly` has them

    def named(self, name: str, instances: Ints) -> Story:
        """The same under a name, with all that it counts."""
        instances = np.unique(instances)
        return replace(self, name=name, count=len(instances), instances=instances)

    def anomaly(self, history: History) -> Anomaly:
        """As a result holds it."""
        instances = np.unique(self.instances[self.instances >= 0])
        if not len(instances):
            instances = np.array(self.operations[:1], np.int64)
        return Anomaly(
            name=self.name,
            count=self.count,
            first_ns=int(history.end_ns[instances].min()),
            operations=self.operations,
            argument=self.argument,
            claim={"anomaly": self.name, "operations": list(self.operations), **self.claim},
            instances=instances,
            edges=self.edges,
        )


def joined(stories: Sequence[Story]) -> list[Story]:
    """One story for each name: the first that has it, with what all of them count."""
    names: dict[str, list[Story]] = {}
    for story in stories:
        names.setdefault(story.name, []).append(story)
    return [
        replace(
            same[0],
            count=sum(story.count for story in same),
            instances=np.concatenate([story.instances for story in same]),
        )
        for same in names.values()
    ]
