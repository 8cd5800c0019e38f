"""`unique-ids`: no id is given twice."""

from __future__ import annotations

import numpy as np

from analysis.checkers.base import CheckResult, Context
from analysis.checkers.clock import Clock
from analysis.checkers.counting import Case, rank_in_run, runs
from analysis.checkers.kinds import JEPSEN_IDS, Kind
from analysis.checkers.prose import number
from analysis.history import FAIL, OK, History, Ints
from analysis.values import Values, coded

PROPERTY = "unique-ids"
KINDS = (
    Kind(
        property="unique-ids",
        name="duplicate-id",
        counts="generates that were given an id which one that ended before was given too",
        rules_out="unique ids",
        reference=JEPSEN_IDS,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether every id is given once (f: generate)."""
    case = Case(property=PROPERTY, history=history, context=context)
    generates = history.f.equals("generate")
    rows = np.flatnonzero(generates & (history.type == OK))
    values = coded(history, rows)
    rows = rows[values.value.valid[rows]]
    codes, key = values.value.values[rows], Clock(history).key[rows]
    again = _again(history, rows, key, codes)
    if len(again[0]):
        return _invalid(case, values, rows, *again)
    if not len(rows):
        return case.unknown("no id was given")
    unsure = int(np.count_nonzero(generates & (history.type != OK) & (history.type != FAIL)))
    why = f"{number(len(rows), 'id')}, all different{_extent(values, codes)}"
    if unsure:
        why += f"; {number(unsure, 'generate')} had no answer"
    return case.valid(why, {"ids": len(rows), "distinct": len(rows)})


def _again(history: History, rows: Ints, key: Ints, codes: Ints) -> tuple[Ints, Ints]:
    """(rows, for each the row that was given the same id first); none: all ids differ."""
    none = np.empty(0, np.int64)
    ordered = np.sort(codes)
    if not bool((ordered[1:] == ordered[:-1]).any()):
        return none, none
    order = np.lexsort((rows, history.end_ns[rows], codes, key))
    starts = runs(key[order], codes[order])
    later = rank_in_run(starts) > 0
    first = np.repeat(order[starts[:-1]], np.diff(starts))
    return rows[order[later]], rows[first[later]]


def _invalid(case: Case, values: Values, rows: Ints, again: Ints, first: Ints) -> CheckResult:
    history = case.history
    at = int(np.argmin(history.end_ns[again]))
    a, b = int(first[at]), int(again[at])
    tell = case.tell(a, b)
    argument = (
        f"{tell.who(a)} was given {tell.value(a)} at {tell.at(int(history.end_ns[a]))}, "
        f"and {tell.who(b)} the same at {tell.at(int(history.end_ns[b]))}"
    )
    anomaly = case.anomaly("duplicate-id", again, [a, b], argument)
    extent = _extent(values, values.value.values[rows])
    why = f"{len(again):,} of {number(len(rows), 'id')} had been given before{extent}"
    return case.invalid(why, [anomaly])


def _extent(values: Values, codes: Ints) -> str:
    """Between which ids they all are: integers by number, texts by letter; "" for others."""
    if not values.names:
        return f", from {int(codes.min()):,} to {int(codes.max()):,}"
    given = [values.content(int(code)) for code in np.unique(codes)]
    if all(isinstance(content, str) for content in given):
        return f", from {min(given)!r} to {max(given)!r}"
    return ""
