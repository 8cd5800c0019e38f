"""`sequential`: one order explains all registers at once, and keeps the order of each process.

Real time does not count (Lamport 1979), so keys cannot be judged one by one. Named anomalies,
weakest first; docs/checkers.md defines each. First an order that real time suggests is replayed; if
it fails, what must come before what is saturated (`saturation.py`); what is left is searched.
"""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import (
    Anomaly,
    CheckResult,
    Claim,
    Context,
    Exhausted,
    Meter,
    Verdict,
    too_little,
)
from analysis.checkers.keys import by_key, rows_of, search_keys
from analysis.checkers.kinds import ADYA, GIBBONS_KORACH, HERLIHY_WING, Kind
from analysis.checkers.models import Register, literal
from analysis.checkers.precedence import blocks_of
from analysis.checkers.programs import prepare
from analysis.checkers.prose import number
from analysis.checkers.saturation import NODES_A_STEP, saturate
from analysis.checkers.sequential_story import Storyteller
from analysis.checkers.serial_guesses import guesses
from analysis.checkers.serial_orders import as_one, in_time, is_serial
from analysis.checkers.serial_search import search
from analysis.history import History, Ints

PROPERTY = "sequential"
MODEL = "register"  # in claims
LAMPORT = "Lamport 1979, doi:10.1109/TC.1979.1675439"
BOUAJJANI = "Bouajjani, Enea, Guerraoui & Hamza 2017, doi:10.1145/3009837.3009888"
KINDS = (
    Kind(
        property=PROPERTY,
        name="thin-air-read",
        counts="observations (ok reads, swaps that happened) of a value nobody tried to write",
        rules_out="any memory at all",
        reference=GIBBONS_KORACH,
    ),
    Kind(
        property=PROPERTY,
        name="aborted-read",
        counts="observations of a value whose writers were all told that they failed",
        rules_out="read committed, and all above it",
        reference=ADYA,
    ),
    Kind(
        property=PROPERTY,
        name="future-read",
        counts="observations that come before the write they rest on, in causal order",
        rules_out="causality, and all above it",
        reference=BOUAJJANI,
    ),
    Kind(
        property=PROPERTY,
        name="lost-update",
        counts="swaps that replaced a value which another swap had replaced: all but the first",
        rules_out="atomic compare-and-set",
        reference=HERLIHY_WING,
    ),
    Kind(
        property=PROPERTY,
        name="stale-read",
        counts="observations of a value that another write had replaced, in causal order",
        rules_out="causal consistency, and all above it",
        reference=BOUAJJANI,
    ),
    Kind(
        property=PROPERTY,
        name="non-sequential",
        counts="1: that no order explains all operations, where none of the above is seen",
        rules_out="sequential consistency",
        reference=LAMPORT,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether registers (f: read, write, cas) have one order that keeps process order."""
    return _Judge(history, context).result()


class _Judge:
    def __init__(self, history: History, context: Context) -> None:
        self._history, self._context = history, context
        self._programs = prepare(history, context.initial)
        self._blocks = blocks_of(self._programs)
        self._story = Storyteller(history, self._programs)

    def result(self) -> CheckResult:
        """The cheapest ways first: an order by time, contradictions, then the search."""
        story, programs = self._story, self._programs
        anomalies = [*story.unexplained(), *story.lost_updates(self._blocks.lost)]
        order, moment = in_time(programs, self._blocks)
        if anomalies or not is_serial(programs, order):
            order, anomalies = self._decided(moment, anomalies)
        if anomalies:
            return self._told(Verdict.INVALID, story.why(anomalies), anomalies=tuple(anomalies))
        if not bool((programs.definite & (programs.seen >= 0)).any()):
            return self._told(Verdict.UNKNOWN, "no read was acknowledged: nothing was observed")
        if why := too_little(self._history, self._context):
            return self._told(Verdict.UNKNOWN, why)
        count = number(len(self._history), "operation")
        keys = number(len(np.unique(programs.key)), "key")
        why = f"{count} on {keys} have an order that keeps the order of each process"
        claim = {"kind": "serial", "model": MODEL, "order": programs.row[order]}
        return self._told(Verdict.VALID, why, claim=claim)

    def _decided(self, moment: Ints, found: list[Anomaly]) -> tuple[Ints, list[Anomaly]]:
        """A serial order, or what is wrong; `found` is wrong already. Exhausted if nothing is."""
        none, meter = np.empty(0, np.int64), self._context.meter
        if not found and self._programs.vague and (order := self._linear()) is not None:
            return order, []
        try:
            saturated = saturate(self._programs, self._blocks, meter)
        except Exhausted:
            if found:
                return none, found
            raise
        found = self._story.in_order([*found, *self._story.causal(saturated)])
        if found:
            return none, found
        if saturated.cyclic:
            return none, [self._story.contradiction(saturated, self._blocks)]
        edges = saturated.graph(self._programs, self._blocks)
        for order in guesses(self._programs, self._blocks, edges):
            meter.spend(len(order) // NODES_A_STEP)
            if is_serial(self._programs, order):
                return order, []
        before = saturated.before
        searched = search(self._programs, self._blocks, edges, before, moment, meter)
        return (none, [self._story.no_order()]) if searched is None else (searched, [])

    def _linear(self) -> Ints | None:
        """A serial order from orders of the keys alone, which are searched: if there are any."""
        meter = Meter(self._context.meter.left() // 2, self._context.meter.limit_s)
        history, programs = self._history, self._programs
        parts = by_key(history, rows_of(history, ("read", "write", "cas")))
        model = Register(literal(self._context.initial))
        searched = search_keys(history, parts, model, meter)
        self._context.meter.spend(meter.steps)
        if searched.untils or searched.exhausted is not None:
            return None
        node = np.full(len(history), -1, np.int64)
        node[programs.row] = np.arange(len(programs))
        order = node[np.concatenate([np.empty(0, np.int64), *searched.orders])]
        # An operation that may have happened and does not matter here is no node.
        order = as_one(programs, order[order >= 0])
        return order if is_serial(programs, order) else None

    def _told(
        self,
        verdict: Verdict,
        why: str,
        anomalies: tuple[Anomaly, ...] = (),
        claim: Claim | None = None,
    ) -> CheckResult:
        return CheckResult(
            property=PROPERTY,
            verdict=verdict,
            why=why,
            anomalies=anomalies,
            claim=claim,
            operations=len(self._history),
        )
