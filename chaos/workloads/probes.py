"""Probes of software that we do not know: each client asks each probe again and again.

A probe that fails is an operation that fails, with the reason: what users had of a service, and
nothing about its data. Each client asks one thing at a time: a probe that is waited for delays the
next, by no more than its `within`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from chaos.record.op import Invocation, Result
from chaos.workloads.base import Dialogue, Generator, LoadShape, Plain, Script


class Asking:
    """One client's operations: whichever probe is due first, each in its own rhythm."""

    def __init__(self, shape: LoadShape, rng: random.Random) -> None:
        self._every_s = {name: probe["every_s"] for name, probe in shape.probes.items()}
        # Each begins at its own moment, so that clients and probes do not come all at once.
        self._in_s = {name: rng.random() * every_s for name, every_s in self._every_s.items()}
        self._due_s: dict[str, float] = {}

    def next(self) -> Invocation:
        """The probe that is due first, and how long until it is."""
        now_s = time.monotonic()
        due_s = self._due_s = self._due_s or {n: now_s + s for n, s in self._in_s.items()}
        name = min(due_s, key=lambda each: due_s[each])
        pause_s = max(0.0, due_s[name] - now_s)
        due_s[name] = max(due_s[name], now_s) + self._every_s[name]
        return Invocation("probe", name, pause_s=pause_s)

    def outcome(self, operation: Invocation, result: Result | None) -> None:
        """Nothing depends on it."""


def once(shape: LoadShape) -> Script:
    """Each probe, once."""
    for name in shape.probes:
        yield Invocation("probe", name)


class Probes(Plain):
    """See `chaos.workloads.base.Workload`."""

    name = "probes"
    about = "Questions to software that we do not know, with what must be answered in which time."
    operations: Mapping[str, str] = {"probe": "ask what a probe of the topology says, once"}
    default_mix: Mapping[str, float] = {"probe": 1}
    properties: Sequence[str] = ("probes",)

    def initial(self, shape: LoadShape) -> Any:
        """The share of each probe that must be answered."""
        return {name: probe["objective"] for name, probe in shape.probes.items()}

    def generator(self, shape: LoadShape, client: int, clients: int, rng: random.Random) -> Asking:
        """The endless operations of client number `client` of `clients`."""
        return Asking(shape, rng)

    def final(
        self, shape: LoadShape, client: int, clients: int, last: Generator | None = None
    ) -> Dialogue:
        """Each probe once more, whatever it is answered."""
        return Dialogue(once(shape))


WORKLOAD = Probes()
