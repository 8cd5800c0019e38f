"""Whether what a certificate claims of a valid history is so: replayed, and by the graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.truth.rows import Row
from tests.truth.transactions.facts import Facts
from tests.truth.transactions.graphs import acyclic
from tests.truth.transactions.oracle import ALWAYS, FLAWS, KINDS, STRONG, by_graph
from tests.truth.transactions.schedules import Runs, commit
from tests.truth.transactions.told import Told, Txn, earlier, precedes, told

BOTH = tuple(KINDS)
COMMITS = (
    *("read-uncommitted", "read-committed", "read-atomic", "causal"),
    "parallel-snapshot-isolation",
)
SNAPSHOTS = (*COMMITS, "snapshot-isolation", "strong-session-snapshot-isolation")


def holds(name: str, rows: Sequence[Row], initial: Any, dialect: str, claim: Any) -> bool:
    """Whether the claim shows that the property holds."""
    history = told(rows, initial)
    listed = claim.get("order")
    if history is None or history.left_out or not isinstance(listed, list):
        return False
    if KINDS.get(name, history.kind) != history.kind:
        return False
    kept = {row for row in listed if type(row) is int}
    txns = tuple(txn for txn in history.txns if txn.row in kept)
    needed = {txn.row for txn in history.txns if txn.type == "ok"}
    if len(kept) != len(set(map(str, listed))) or not needed <= kept:
        return False
    if kept != {txn.row for txn in txns if txn.type != "fail"}:
        return False
    sessions = dialect == "axiomatic" or name in (*STRONG, *BOTH)
    kind, part = claim.get("kind"), history._replace(txns=txns)
    if kind == "serialization":
        realtime = name in ("strict-serializable", *BOTH)
        return _serial(part, listed, [precedes] * sessions + [earlier] * realtime)
    if kind == "snapshots":
        return name in SNAPSHOTS and _snapshots(part, listed, [precedes] * sessions)
    failed = tuple(txn for txn in history.txns if txn.type == "fail")
    whole = history._replace(txns=txns + failed)
    return kind == "commit-order" and name in COMMITS and _commits(name, whole, listed, sessions)


def _ordered(txns: Sequence[Txn], places: dict[int, tuple[int, int]], kinds: Sequence[Any]) -> bool:
    """Whether who must come first has committed before the other takes its snapshot."""
    return all(
        places[x.row][1] <= places[y.row][0]
        for before in kinds
        for x in txns
        for y in txns
        if before(x, y)
    )


def _serial(part: Told, listed: list[int], kinds: Sequence[Any]) -> bool:
    if len(set(listed)) != len(listed):
        return False
    places = {row: (at, at) for at, row in enumerate(listed)}
    runs = Runs(part)
    at_row = {txn.row: at for at, txn in enumerate(runs.txns)}
    state = runs.start
    for row in listed:
        after = runs.run(at_row[row], state)
        if after is None:
            return False
        state = after
    return _ordered(part.txns, places, kinds)


def _snapshots(part: Told, listed: list[int], kinds: Sequence[Any]) -> bool:
    places = {row: (listed.index(row), len(listed) - 1 - listed[::-1].index(row)) for row in listed}
    if len(listed) != 2 * len(places) or any(one == two for one, two in places.values()):
        return False
    runs = Runs(part)
    at_row = {txn.row: at for at, txn in enumerate(runs.txns)}
    state, running = runs.start, set()
    for row in listed:
        at = at_row[row]
        if at in running:
            running.remove(at)
            if any(runs.written[at] & runs.written[other] for other in running):
                return False
            state = commit(runs, at, state)
        elif runs.run(at, state) is None:
            return False
        else:
            running.add(at)
    return _ordered(part.txns, places, kinds)


def _commits(name: str, whole: Told, listed: list[int], sessions: bool) -> bool:
    if len(set(listed)) != len(listed):
        return False
    place = {row: at for at, row in enumerate(listed)}
    facts = Facts(whole, frozenset(listed))
    if facts.flaws & FLAWS.get(name, ALWAYS | {"G1a", "G1b", "internal"}):
        return False
    facts.fixed = {at: place[txn.row] for at, txn in enumerate(facts.txns)}
    facts.order = [
        sum(1 << b for b, other in facts.fixed.items() if other > mine)
        for mine in facts.fixed.values()
    ]
    return acyclic(facts.order) and by_graph(facts, name, sessions)
