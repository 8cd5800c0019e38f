"""`lock`: two processes never hold a lock at once, and tokens tell the newer holder.

A process certainly holds a lock from the end of an acknowledged acquire until it begins the next
release that did not fail. Between, nothing can have set the lock free, so two such holdings that
overlap are a violation whatever the rest of the history is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.clock import Clock
from analysis.checkers.counting import Case, rank_in_run, runs
from analysis.checkers.kinds import BURROWS, DIJKSTRA, Kind
from analysis.checkers.prose import counted, number
from analysis.history import FAIL, INFO, OK, History, Ints
from analysis.values import coded

PROPERTY = "lock"
KINDS = (
    Kind(
        property="lock",
        name="stale-token",
        counts="guarded writes accepted with a lower token than one that had ended before they "
        "began",
        rules_out="fencing: stores that refuse older holders",
        reference=BURROWS,
    ),
    Kind(
        property="lock",
        name="token-reused",
        counts="acquires that were given a token which one that ended before was given too",
        rules_out="fencing tokens that tell holders apart",
        reference=BURROWS,
    ),
    Kind(
        property="lock",
        name="token-backwards",
        counts="acquires that were given a lower token than one that had ended before they began",
        rules_out="fencing tokens that grow",
        reference=BURROWS,
    ),
    Kind(
        property="lock",
        name="two-holders",
        counts="acquires that ended while another process certainly held the lock",
        rules_out="mutual exclusion",
        reference=DIJKSTRA,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide mutual exclusion and fencing (f: acquire, release, guarded)."""
    case = Case(property=PROPERTY, history=history, context=context)
    clock = Clock(history)
    ok = history.type == OK
    acquires = np.flatnonzero(history.f.equals("acquire") & ok)
    acquires = acquires[np.argsort(clock.start(acquires), kind="stable")]  # searched faster so
    guarded = _integers(history, np.flatnonzero(history.f.equals("guarded") & ok))
    holdings = _holdings(history, clock, acquires)
    found = (
        _older(case, clock, guarded, "stale-token"),
        _reused(case, clock, acquires),
        _older(case, clock, _integers(history, acquires), "token-backwards"),
        _two_holders(case, holdings),
    )
    anomalies = [anomaly for anomaly in found if anomaly is not None]
    told = number(len(acquires), "acquire")
    if anomalies:
        counts = counted(anomalies)
        return case.invalid(f"{counts} among {told}", anomalies)
    rivals = _rivals(history, clock, acquires, guarded.row)
    if not rivals:
        return case.unknown(f"nobody competed: no two processes acquired one lock ({told})")
    why = f"{told}: never two at once in {number(len(holdings.row), 'certain holding')}"
    if len(guarded.row):
        why += f"; {number(len(guarded.row), 'guarded write')} in the order of their tokens"
    return case.valid(why, {"rivals": rivals, "overlaps": 0, "tokens": 0, "stale": 0})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """Operations that carry integers, and ranks that compare as these do, below `ranks`."""

    row: Ints
    rank: Ints
    ranks: int


def _integers(history: History, rows: Ints) -> _Tokens:
    """Those of the rows that carry an integer of any size."""
    values = coded(history, rows)
    rows = rows[values.value.valid[rows]]
    codes, rank = np.unique(values.value.values[rows], return_inverse=True)
    if values.names:
        contents = [values.content(int(code)) for code in codes]
        order = sorted(number for number in contents if type(number) is int)
        place = {number: rank for rank, number in enumerate(order)}
        ranks = [place[c] if type(c) is int else -1 for c in contents]
        rank = np.array(ranks or [0], np.int64)[rank]
        rows, rank = rows[rank >= 0], rank[rank >= 0]
    return _Tokens(row=rows, rank=rank.astype(np.int64), ranks=len(codes))


def _rivals(history: History, clock: Clock, acquires: Ints, guarded: Ints) -> int:
    """Locks that two processes acquired, or that guarded two writes."""
    key, process = clock.key[acquires], history.process[acquires].astype(np.int64)
    order = np.lexsort((process, key))
    pairs = runs(key[order], process[order])[:-1]
    holders = np.bincount(key[order][pairs], minlength=clock.keys)
    writes = np.bincount(clock.key[guarded], minlength=clock.keys)
    return int(np.count_nonzero((holders > 1) | (writes > 1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holdings:
    """Times when a lock was certainly held, by their begin: no two of one process overlap."""

    row: Ints  # of the acquire
    begin: Ints
    end: Ints  # the begin of the release; after all else if there is none


def _holdings(history: History, clock: Clock, acquires: Ints) -> _Holdings:
    releases = np.flatnonzero(history.f.equals("release") & (history.type != FAIL))
    answered = releases[history.type[releases] == OK]
    pending = releases[history.type[releases] == INFO]
    process = np.unique(history.process, return_inverse=True)[1].astype(np.int64)
    begin = clock.end(acquires)
    moments = np.concatenate([clock.start(acquires), clock.start(answered), clock.end(answered)])
    names, rank = np.unique(moments, return_inverse=True)
    rank = rank.astype(np.int64)

    def of_process(rows: Ints, ranks: Ints) -> Ints:
        """Numbers that compare as the times do, those of each process in a stretch of its own."""
        stretched: Ints = process[rows] * (len(names) + 1) + ranks
        return stretched

    asked, started, ended = np.split(rank, [len(acquires), len(acquires) + len(answered)])
    order = np.lexsort((started, process[answered]))
    answered, started, ended = answered[order], started[order], ended[order]
    since, starts = of_process(acquires, asked), of_process(answered, started)
    latest = np.maximum.accumulate(of_process(answered, ended))
    place = np.searchsorted(starts, since)  # the first release that began then or later
    until = clock.last[clock.key[acquires]]
    if len(answered):
        at = np.minimum(place, len(answered) - 1)
        same = (place < len(answered)) & (process[answered[at]] == process[acquires])
        same &= clock.key[answered[at]] == clock.key[acquires]
        until = np.where(same, clock.start(answered[at]), until)
        # A release of the same process that runs beside the acquire may be the later of both.
        until = np.where((place > 0) & (latest[np.maximum(place, 1) - 1] > since), begin, until)
    until = np.minimum(until, _pending(history, clock, acquires, pending))
    certain = np.flatnonzero(begin < until)
    certain = certain[np.lexsort((until[certain], begin[certain]))]
    # A process that acquires again what it holds is one holder: one holding until one release.
    again = np.lexsort((begin[certain], until[certain], process[acquires[certain]]))
    heads = runs(process[acquires[certain]][again], until[certain][again])[:-1]
    kept = certain[np.sort(again[heads])]
    return _Holdings(row=acquires[kept], begin=begin[kept], end=until[kept])


def _pending(history: History, clock: Clock, acquires: Ints, pending: Ints) -> Ints:
    """Per acquire the first start of a release of its process and lock that has no answer."""
    first: dict[tuple[int, int], int] = {}
    for row, start in zip(pending.tolist(), clock.start(pending).tolist(), strict=True):
        name = (int(history.process[row]), int(clock.key[row]))
        first[name] = min(start, first.get(name, start))
    until = clock.last[clock.key[acquires]].copy()
    if first:
        suspects = np.isin(history.process[acquires], history.process[pending])
        for place in np.flatnonzero(suspects).tolist():
            row = acquires[place]
            name = (int(history.process[row]), int(clock.key[row]))
            until[place] = first.get(name, until[place])
    return until


def _two_holders(case: Case, holdings: _Holdings) -> Anomaly | None:
    """Holdings that begin before one of another process has ended."""
    if not len(holdings.row):
        return None
    latest = np.maximum.accumulate(holdings.end)
    late = 1 + np.flatnonzero(latest[:-1] > holdings.begin[1:])
    if not len(late):
        return None
    history = case.history
    second = int(late[0])
    first = int(np.argmax(holdings.end[:second]))
    a, b = int(holdings.row[first]), int(holdings.row[second])
    tell = case.tell(a, b)
    argument = (
        f"{tell.who(a)} had acquired {tell.key(a)} at {tell.at(int(history.end_ns[a]))}, and "
        f"{tell.who(b)} at {tell.at(int(history.end_ns[b]))}, when neither had begun to release it"
    )
    return case.anomaly("two-holders", holdings.row[late], [a, b], argument)


def _reused(case: Case, clock: Clock, acquires: Ints) -> Anomaly | None:
    """Acquires with a token that was given before."""
    history = case.history
    tokens = coded(history, acquires).value
    rows = acquires[tokens.valid[acquires]]
    order = np.lexsort((rows, history.end_ns[rows], tokens.values[rows], clock.key[rows]))
    starts = runs(clock.key[rows][order], tokens.values[rows][order])
    later = rank_in_run(starts) > 0
    if not later.any():
        return None
    again = rows[order[later]]
    first = rows[np.repeat(order[starts[:-1]], np.diff(starts))[later]]
    at = int(np.argmin(history.end_ns[again]))
    a, b = int(first[at]), int(again[at])
    tell = case.tell(a, b)
    argument = (
        f"{tell.who(a)} was given token {tell.value(a)} of {tell.key(a)} at "
        f"{tell.at(int(history.end_ns[a]))}, and {tell.who(b)} the same at "
        f"{tell.at(int(history.end_ns[b]))}"
    )
    return case.anomaly("token-reused", again, [a, b], argument)


def _older(case: Case, clock: Clock, tokens: _Tokens, name: str) -> Anomaly | None:
    """Operations with a lower token than one that had ended before they began."""
    history, rows = case.history, tokens.row
    if len(rows) < 2:
        return None
    rank = tokens.rank + clock.key[rows] * tokens.ranks  # any of a later key is more
    ends = clock.end(rows)
    order = np.argsort(ends, kind="stable")
    highest = np.maximum.accumulate(rank[order])
    before = np.searchsorted(ends[order], clock.start(rows)) - 1
    wrong = np.flatnonzero((before >= 0) & (highest[np.maximum(before, 0)] > rank))
    if not len(wrong):
        return None
    at = int(wrong[np.argmin(history.end_ns[rows[wrong]])])
    newer = int(order[np.argmax(rank[order[: int(before[at]) + 1]])])
    a, b = int(rows[newer]), int(rows[at])
    tell = case.tell(a, b)
    verb = "accepted" if name == "stale-token" else "granted"
    argument = (
        f"{tell.who(b)}'s {history.f.at(b)} of {tell.key(b)}, which began at "
        f"{tell.at(int(history.start_ns[b]))}, has token {tell.value(b)}, although "
        f"{tell.who(a)}'s with token {tell.value(a)} had been {verb} at "
        f"{tell.at(int(history.end_ns[a]))}"
    )
    return case.anomaly(name, rows[wrong], [a, b], argument)
