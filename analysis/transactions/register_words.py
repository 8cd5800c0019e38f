"""Contradictions, and impossible reads of registers, in sentences and as claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.checkers.base import Claim
from analysis.checkers.prose import Teller, short
from analysis.transactions.columns import APPEND, READ, Transactions
from analysis.transactions.direct import READS
from analysis.transactions.engine import SESSION_SI, SI, Refuted
from analysis.transactions.flaws import Flaw
from analysis.transactions.steps import ASSUME, EITHER, TRANSITIVE, Step

SENTENCES_MAX = 14
_QUIET = (TRANSITIVE, "initial", "own")


class Words:
    """Tells what is wrong with one history of registers."""

    def __init__(self, told: Transactions) -> None:
        self._told = told
        self._codes: dict[str, int] | None = None

    # -- contradictions

    def argument(self, refuted: Refuted) -> str:
        """A contradiction in sentences."""
        snapshot = refuted.model in (SI, SESSION_SI)
        told = [
            self._sentence(step, refuted.steps, snapshot)
            for step in refuted.steps
            if step.rule not in _QUIET and not (step.rule == READS and step.before < 0)
        ]
        told = list(dict.fromkeys(told))
        more = len(told) - SENTENCES_MAX
        if more > 0:
            told = [*told[: SENTENCES_MAX - 1], f"and {more + 1:,} more steps", told[-1]]
        last = self._name(refuted.steps[-1].before, snapshot)
        return f"{'; '.join(told)}; so {last} < itself: a contradiction"

    def claim(self, refuted: Refuted) -> Claim:
        """A contradiction as a claim, but for the anomaly's name."""
        return {
            "kind": "contradiction",
            "model": refuted.model,
            "operations": refuted.rows(),
            "steps": [
                [step.before, step.behind, step.rule, list(step.premises), *step.extra]
                for step in refuted.steps
            ],
        }

    def _name(self, event: int, snapshot: bool) -> str:
        if event < 0:
            return "the initial version"
        if not snapshot:
            return f"T{event}"
        return f"{'commit' if event % 2 else 'snapshot'} of T{event // 2}"

    def _sentence(self, step: Step, steps: Sequence[Step], snapshot: bool) -> str:
        x, y = self._name(step.before, snapshot), self._name(step.behind, snapshot)
        return f"{x} < {y}{self._because(step, steps, snapshot)}"

    def _because(self, step: Step, steps: Sequence[Step], snapshot: bool) -> str:
        a, b = self._row(step.before, snapshot), self._row(step.behind, snapshot)
        if step.rule == "session":
            return f", because process {self._process(a)} did T{a} before T{b}"
        if step.rule == "real-time":
            tell = Teller(self._told.history, (a, b))
            end = tell.at(int(self._told.history.end_ns[a]))
            start = tell.at(int(self._told.history.start_ns[b]))
            return f", because T{a} had ended at {end}, before T{b} began at {start}"
        if step.rule == ASSUME:
            return " or the other way round; suppose the first"
        if step.rule == EITHER:
            return ": so it is, whichever way that is supposed"
        key = short(step.extra[0])
        if step.rule == "versions":
            return f", because T{step.extra[3]} read what T{b} appended to key {key} behind it"
        if step.rule == READS:
            return f", because T{b} read {self._version(a, step.extra[0])}"
        if step.rule == "exclusive" and snapshot:
            return f", because both wrote key {key}, and T{a} had begun before T{b} committed"
        read = steps[step.premises[0]]
        writer, reader = self._row(read.before, snapshot), self._row(read.behind, snapshot)
        seen = self._version(writer, step.extra[0])
        if step.rule == "visible":
            return f", because T{reader}, which knows of T{a}, read {seen}, which T{a} wrote too"
        if step.rule == "overwritten":
            return (
                f", because T{reader} read {seen}, and T{a}, which wrote it too, came before that"
            )
        if step.rule == "exclusive":
            return f", because T{reader} read {seen} and replaced it, and T{b} wrote it later"
        after = "it" if writer < 0 else f"that key after T{writer}"
        return f", because T{reader} read {seen}, and T{b} wrote {after}"

    def _version(self, row: int, key: Any) -> str:
        """ "the 3 that T1 wrote to key 8"."""
        told, name = self._told, short(key)
        if row < 0:
            return f"key {name} before anything was written to it"
        t, code = int(np.searchsorted(told.rows, row)), self._code(key)
        mine = np.arange(told.first[t], told.first[t + 1])
        mine = mine[(told.kind[mine] != READ) & (told.key[mine] == code)]
        verb = "appended" if told.kind[mine[-1]] == APPEND else "wrote"
        return (
            f"the {short(told.content(int(told.value[mine[-1]])))} that T{row} {verb} to key {name}"
        )

    def _code(self, key: Any) -> int:
        if self._codes is None:
            told = self._told
            self._codes = {repr(told.key_name(n)): n for n in range(len(told.keys))}
        return self._codes[repr(key)]

    def _row(self, event: int, snapshot: bool) -> int:
        return event // 2 if snapshot and event >= 0 else event

    def _process(self, row: int) -> int:
        return int(self._told.history.process[row])

    # -- single reads

    def owner(self, micro: int) -> int:
        """The history's row of a micro-operation."""
        told = self._told
        return int(told.rows[int((told.first > micro).argmax()) - 1])

    def flaw_claim(self, flaw: Flaw, n: int) -> Claim:
        """An impossible read as a claim, but for the anomaly's name."""
        micros = [int(flaw.read[n])]
        if flaw.name in ("G1a", "G1b"):
            micros.append(int(flaw.other[n]))
        claim: dict[str, Any] = {
            "kind": "observed",
            "operations": list(dict.fromkeys(self.owner(micro) for micro in micros)),
            "key": self._told.key_name(int(self._told.key[micros[0]])),
        }
        if flaw.name != "internal":
            claim["value"] = self._told.content(int(flaw.value[n]))
        return claim

    def flaw(self, flaw: Flaw, n: int) -> str:
        """An impossible read in words."""
        told, read, other = self._told, int(flaw.read[n]), int(flaw.other[n])
        key = short(told.key_name(int(told.key[read])))
        saw = f"T{self.owner(read)} read {short(told.content(int(flaw.value[n])))} from key {key}"
        if flaw.name == "thin-air-read":
            return f"{saw}, but nobody wrote that"
        if flaw.name == "future-read":
            return f"{saw}, and wrote it only after that"
        writer = self.owner(other)
        if flaw.name == "G1a":
            return f"{saw}, but T{writer}, which wrote it, failed"
        if flaw.name == "G1b":
            return f"{saw}, but T{writer}, which wrote it, wrote that key again"
        deed = "read" if told.kind[other] == READ else "wrote"
        return f"{saw}, though it had just {deed} {short(told.content(int(told.value[other])))}"
