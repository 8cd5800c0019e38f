"""`linearizable-lock`: one process at a time holds a lock, and only its holder releases it.

Two that certainly hold it at once, and tokens that do not grow, are found as for `lock`; the rest
is searched, which has hardly a choice: while a lock is held only its holder can do anything.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.checkers import lock
from analysis.checkers.base import Anomaly, CheckResult, Context, Verdict
from analysis.checkers.keys import rows_of
from analysis.checkers.kinds import DIJKSTRA, HERLIHY_WING, Kind
from analysis.checkers.models import Lock
from analysis.checkers.programs import keys_of
from analysis.checkers.prose import Teller, short
from analysis.checkers.searched import Question
from analysis.history import FAIL, OK, History, Ints

PROPERTY = "linearizable-lock"
KINDS = (
    *(replace(kind, property=PROPERTY) for kind in lock.KINDS if kind.name != "stale-token"),
    Kind(
        property=PROPERTY,
        name="not-held",
        counts="acknowledged releases of which a process had more than acquires it had tried",
        rules_out="locks that only their holder releases",
        reference=DIJKSTRA,
    ),
    Kind(
        property=PROPERTY,
        name="non-linearizable",
        counts="locks that none of the above is found of, and that have no order yet",
        rules_out="linearizability",
        reference=HERLIHY_WING,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide linearizability of locks (f: acquire, release), key by key."""
    rows = rows_of(history, ("acquire", "release"))
    ask = Question(
        property=PROPERTY,
        model="lock",
        history=history,
        context=context,
        rows=rows,
        nameless="the lock",
    )
    if why := _odd_token(history, rows):
        return ask.told(Verdict.UNKNOWN, why)
    counted = lock.check(_apart(history), context)
    known = [a for a in counted.anomalies if a.name != "stale-token"]
    found = [ask.claimed(anomaly) for anomaly in known]
    if unheld := _not_held(ask):
        found.append(unheld)
    granted = np.any(history.f.equals("acquire") & (history.type == OK))
    return ask.answer(Lock(), found, "" if granted else "no acquire was acknowledged")


def _odd_token(history: History, rows: Ints) -> str:
    """Why tokens cannot be compared, or ""."""
    for row in rows[~history.value.valid[rows]].tolist():
        token = history.content(row)
        if token is not None and type(token) is not int:
            return f"expected integers as tokens, but operation {row} carries {short(token)}"
    return ""


def _apart(history: History) -> History:
    """The history without the locks that a process acquires at the moment a release of it ends.

    To `lock` the release was before; here operations that touch have no order.
    """
    ok = history.type == OK
    releases = np.flatnonzero(history.f.equals("release") & ok)
    acquires = np.flatnonzero(history.f.equals("acquire") & ok)
    owner = _owners(history)
    moments = np.concatenate([history.end_ns[releases], history.start_ns[acquires]])
    rank = np.unique(moments, return_inverse=True)[1] + np.append(
        owner[releases], owner[acquires]
    ) * (len(moments) + 1)
    touching = acquires[np.isin(rank[len(releases) :], rank[: len(releases)])]
    if not len(touching):
        return history
    key = keys_of(history.key)[0]
    left_out = np.isin(key, key[touching])
    return replace(history, type=np.where(left_out, FAIL, history.type).astype(np.int8))


def _not_held(ask: Question) -> Anomaly | None:
    """The n-th release of a process that is acknowledged needs n acquires begun before it ended."""
    history = ask.history
    acquires = np.flatnonzero(history.f.equals("acquire") & (history.type != FAIL))
    releases = np.flatnonzero(history.f.equals("release") & (history.type == OK))
    if not len(releases):
        return None
    owner = _owners(history)
    begun = acquires[np.lexsort((history.start_ns[acquires], owner[acquires]))]
    ended = releases[np.lexsort((history.end_ns[releases], owner[releases]))]
    head = np.searchsorted(owner[begun], owner[ended])
    rank = np.arange(len(ended)) - np.searchsorted(owner[ended], owner[ended])
    match = head + rank  # the acquire that as many stand before
    there = match < len(begun)
    there[there] = owner[begun[match[there]]] == owner[ended[there]]
    there[there] = history.start_ns[begun[match[there]]] <= history.end_ns[ended[there]]
    rows = ended[~there]
    if not len(rows):
        return None
    first = int(rows[np.argmin(history.end_ns[rows])])
    tell = Teller(history, [first])
    return Anomaly(
        name="not-held",
        count=len(rows),
        first_ns=int(history.end_ns[first]),
        operations=(first,),
        argument=(
            f"{tell.who(first)} released {tell.key(first)} between "
            f"{tell.at(int(history.start_ns[first]))} and {tell.at(int(history.end_ns[first]))}, "
            "and was told that it had held it, but had begun no acquire that another release "
            "does not belong to"
        ),
        claim=ask.claim("not-held", (first,)),
        instances=np.sort(rows),
    )


def _owners(history: History) -> Ints:
    """A number for each pair of a key and a process."""
    key = keys_of(history.key)[0].astype(np.int64)
    process = np.unique(history.process, return_inverse=True)[1]
    return key * (int(process.max(initial=0)) + 1) + process
