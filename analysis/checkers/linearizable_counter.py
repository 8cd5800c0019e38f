"""`linearizable-counter`: every key behaves like one counter on one machine.

A read outside the bounds of `counter` needs no search. Where all adds are of one amount the search
has no choice, for the one that returns first goes first, so it takes O(n log n).
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from analysis.checkers import counter
from analysis.checkers.base import CheckResult, Context, Verdict
from analysis.checkers.keys import rows_of
from analysis.checkers.kinds import HERLIHY_WING, Kind
from analysis.checkers.models import Counter
from analysis.checkers.searched import Question
from analysis.history import OK, History

PROPERTY = "linearizable-counter"
KINDS = (
    *(replace(kind, property=PROPERTY) for kind in counter.KINDS),
    Kind(
        property=PROPERTY,
        name="non-linearizable",
        counts="counters of which every read is within bounds, and that have no order yet",
        rules_out="linearizability",
        reference=HERLIHY_WING,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of counters (f: add, read), key by key."""
    rows = rows_of(history, ("add", "read"))
    ask = Question(
        property=PROPERTY,
        model="counter",
        history=history,
        context=context,
        rows=rows,
        nameless="the counter",
    )
    initial = 0 if context.initial is None else context.initial
    if type(initial) is not int:
        why = f"a counter begins with an integer, not {json.dumps(initial)}"
        return ask.told(Verdict.UNKNOWN, why)
    bounded = counter.check(history, context)
    found = [ask.claimed(anomaly) for anomaly in bounded.anomalies]
    ok = history.type == OK
    unseen = "" if np.any(ok & history.f.equals("read")) else "no count was read"
    return ask.answer(Counter(initial), found, unseen)
