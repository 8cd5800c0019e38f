"""Snapshot isolation where there is no serial order, but nearly: few transactions are taken apart.

Whoever is in a contradiction to serializability becomes two, one that reads and one that writes
(and reads again what it writes over). A serial order of these is an order of snapshots and commits
in which all others do both at once. Blind writes are looked at in the end.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.checkers.base import Meter
from analysis.history import Ints, Mask
from analysis.transactions.acceptance import in_line
from analysis.transactions.explanation import Explanation, events_in
from analysis.transactions.problem import Problem
from analysis.transactions.saturation import SERIAL, SNAPSHOT, Saturation
from analysis.transactions.steps import Steps
from analysis.transactions.versions import versions_of

ROUNDS = 8  # in each of which those of one contradiction are taken apart


def snapshots_in_line(problem: Problem, meter: Meter) -> Ints | None:
    """Snapshots (2 t) and commits (2 t + 1) in an order that keeps sessions; None: none was found.
    No update is lost in the problem, and its facts have no cycle.
    """
    if len(problem.known):
        return None
    apart = np.zeros(len(problem), np.bool_)
    for _ in range(ROUNDS):
        part = taken_apart(problem, apart)
        owner = np.repeat(np.arange(len(problem)), 1 + apart)
        saturation = Saturation(
            part, SERIAL, sessions=True, realtime=False, meter=meter, versions=versions_of(part)
        )
        if saturation.close():
            order = in_line(saturation, at_once=False)
            if order is None:
                return None
            found = _events(owner[order], apart)
            return found if _alone(problem, found, apart) else None
        steps = Steps()
        told = steps.needed(Explanation(saturation, steps).contradiction())
        more = owner[np.searchsorted(part.rows, events_in(told, False))]
        if bool(apart[more].all()):
            return None
        apart[more] = True
        few = problem.part(np.flatnonzero(apart))
        if not Saturation(few, SNAPSHOT, sessions=True, realtime=False, meter=meter).close():
            return None
    return None


def taken_apart(problem: Problem, apart: Mask) -> Problem:
    """The same with two transactions for each of `apart`: its reads; its writes, and again the
    reads of what it writes.
    """
    behind = np.cumsum(1 + apart)
    commit = behind - 1
    snap = commit - apart
    own = versions_of(problem).own >= 0
    again = own & apart[problem.reader]
    reader = np.concatenate([snap[problem.reader], commit[problem.reader[again]]])
    key = np.concatenate([problem.read_key, problem.read_key[again]])
    source = np.concatenate([problem.source, problem.source[again]])
    by = np.argsort(reader, kind="stable")
    each = np.repeat(np.arange(len(problem)), 1 + apart)
    rows = 2 * problem.rows[each]
    rows[commit] += 1
    return replace(
        problem,
        rows=rows,
        session=problem.session[each],
        start=problem.start[each],
        end=problem.end[each],
        raw_end=None if problem.raw_end is None else problem.raw_end[each],
        reader=reader[by],
        read_key=key[by],
        source=np.where(source >= 0, commit[source], source)[by],
        writer=commit[problem.writer],
    )


def _events(order: Ints, apart: Mask) -> Ints:
    """Snapshots and commits, of transactions in order; those of `apart` are there twice."""
    both = np.column_stack([2 * order, 2 * order + 1])
    places = np.flatnonzero(apart[order])
    _, first = np.unique(order[places], return_index=True)
    begins = np.zeros(len(places), np.bool_)
    begins[first] = True
    both[places[begins], 1] = -1
    both[places[~begins], 0] = -1
    found: Ints = both.reshape(-1)
    return found[found >= 0]


def _alone(problem: Problem, order: Ints, apart: Mask) -> bool:
    """Whether nobody commits a key between the snapshot and the commit of another of its writers
    who was taken apart.
    """
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    writer, key = problem.writer, problem.write_key
    by = np.lexsort((place[2 * writer + 1], key))
    writer, key = writer[by], key[by]
    follows = (key[1:] == key[:-1]) & apart[writer[1:]]
    return bool((place[2 * writer[1:]] > place[2 * writer[:-1] + 1])[follows].all())
