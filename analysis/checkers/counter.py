"""`counter`: every read is within what the adds make possible.

An add that was acknowledged before the read began counts. One that did not fail and began before
the read ended may count or not: at least the negative ones of these count, at most the positive.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.clock import Clock
from analysis.checkers.counting import Case
from analysis.checkers.kinds import JEPSEN_COUNTER, Kind
from analysis.checkers.prose import counted, number
from analysis.history import FAIL, OK, History, Ints, Mask
from chaos.errors import RecordError

PROPERTY = "counter"
KINDS = (
    Kind(
        property="counter",
        name="too-low",
        counts="ok reads of less than the initial value, what had been added when they began, and "
        "every decrement that may have happened when they ended",
        rules_out="reads of all acknowledged increments",
        reference=JEPSEN_COUNTER,
    ),
    Kind(
        property="counter",
        name="too-high",
        counts="ok reads of more than the initial value, what had been added when they began, and "
        "every increment that may have happened when they ended",
        rules_out="increments that happen once at most",
        reference=JEPSEN_COUNTER,
    ),
)
_MOST = 2.0**62  # sums up to this are done in 64 bits
Numbers = npt.NDArray[np.int64] | npt.NDArray[np.object_]  # integers of any size


def check(history: History, context: Context) -> CheckResult:
    """Decide whether counts read are within bounds (f: add, read)."""
    case = Case(property=PROPERTY, history=history, context=context)
    initial = 0 if context.initial is None else context.initial
    if type(initial) is not int:
        return case.unknown(f"a counter begins with an integer, not {json.dumps(initial)}")
    adds = np.flatnonzero(history.f.equals("add") & (history.type != FAIL))
    reads = np.flatnonzero(history.f.equals("read") & (history.type == OK))
    amounts, told = _integers(history, adds, 1)
    if not told.all():
        row = int(adds[np.argmin(told)])
        raise RecordError(f"operation {row}: expected an integer to add")
    counts, told = _integers(history, reads, None)
    reads, counts = reads[told], counts[told]
    bounds = _bounds(history, adds, amounts, reads, initial)
    anomalies = _anomalies(case, reads, counts, bounds)
    if anomalies:
        few = counted(anomalies)
        return case.invalid(f"{few} of {number(len(reads), 'read')}", anomalies)
    acknowledged = int(np.count_nonzero(history.type[adds] == OK))
    if not len(reads):
        return case.unknown("no count was read")
    if not acknowledged:
        return case.unknown("no add was acknowledged")
    exact = int(np.count_nonzero(bounds.low == bounds.high))
    why = (
        f"{number(len(reads), 'read')} within what {number(acknowledged, 'acknowledged add')} "
        f"make possible; {exact:,} could have been no other"
    )
    return case.valid(why, {"adds": acknowledged, "reads": len(reads), "outside": 0})


def _integers(history: History, rows: Ints, of_null: int | None) -> tuple[Numbers, Mask]:
    """The integers that rows carry (`of_null` for null), and which rows carry one."""
    values, told = history.value.values[rows], history.value.valid[rows]
    if told.all():
        return values, told
    values, told = values.copy(), told.copy()
    large: dict[int, int] = {}
    for place in np.flatnonzero(~told).tolist():
        content = history.content(int(rows[place]))
        if content is None:
            content = of_null
        if type(content) is int:
            told[place] = True
            large[place] = content
    if any(abs(content) > _MOST for content in large.values()):
        wide = values.astype(object)
        wide[list(large)] = list(large.values())
        return wide, told
    values[list(large)] = list(large.values())
    return values, told


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bounds:
    """Per read: the least and the most it may show."""

    low: Numbers
    high: Numbers


def _bounds(history: History, adds: Ints, amounts: Numbers, reads: Ints, initial: int) -> _Bounds:
    """An increment counts in `low` once it was acknowledged, and in `high` once it has begun; a
    decrement the other way round.
    """
    if float(np.abs(amounts.astype(float)).sum()) + abs(initial) > _MOST:
        amounts = amounts.astype(object)
    clock = Clock(history)
    first, start, end = clock.first[clock.key[reads]], clock.start(reads), clock.end(reads)
    ok = history.type[adds] == OK

    def total(chosen: Mask, times: Ints, until: Ints, touching: bool) -> Numbers:
        order = np.argsort(times, kind="stable")
        times, some = times[order], amounts[chosen][order]
        sums = np.concatenate([np.zeros(1, some.dtype), np.cumsum(some)])
        upto = np.searchsorted(times, until, side="right" if touching else "left")
        found: Numbers = sums[upto] - sums[np.searchsorted(times, first)]
        return found

    rises: Mask = (amounts > 0).astype(np.bool_)
    low = high = np.full(len(reads), initial, amounts.dtype if len(amounts) else object)
    for sign in (rises, ~rises):
        if not sign.any():
            continue
        done = total(sign & ok, clock.end(adds[sign & ok]), start, touching=False)
        begun = total(sign, clock.start(adds[sign]), end, touching=True)
        low, high = (low + done, high + begun) if sign is rises else (low + begun, high + done)
    return _Bounds(low=low, high=high)


def _anomalies(case: Case, reads: Ints, counts: Numbers, bounds: _Bounds) -> list[Anomaly]:
    history, found = case.history, []
    for name, wrong, bound, most in (
        ("too-low", counts < bounds.low, bounds.low, "at least"),
        ("too-high", counts > bounds.high, bounds.high, "at most"),
    ):
        places = np.flatnonzero(wrong)
        if not len(places):
            continue
        at = int(places[np.argmin(history.end_ns[reads[places]])])
        row = int(reads[at])
        tell = case.tell(row)
        what = "decrement" if most == "at least" else "increment"
        when = f"what was acknowledged before it began and every {what} begun before it ended"
        key = history.key.at(row)
        argument = (
            f"{tell.who(row)} read {tell.value(row)}{f' from {key}' if key else ''} between "
            f"{tell.at(int(history.start_ns[row]))} and {tell.at(int(history.end_ns[row]))}, "
            f"but {when} make {most} {int(bound[at]):,}"
        )
        found.append(case.anomaly(name, reads[places], [row], argument))
    return found
