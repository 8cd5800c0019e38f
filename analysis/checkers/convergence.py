"""`convergence`: in the end every node shows the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.checkers.base import Anomaly, CheckResult, Context
from analysis.checkers.clock import Clock
from analysis.checkers.counting import BEFORE, Case, runs
from analysis.checkers.kinds import VOGELS, Kind
from analysis.checkers.prose import number
from analysis.history import FAIL, OK, History, Ints, Mask
from analysis.values import canonical

PROPERTY = "convergence"
KINDS = (
    Kind(
        property="convergence",
        name="diverged",
        counts="keys of which the last reads of two nodes differ",
        rules_out="eventual consistency",
        reference=VOGELS,
    ),
)


def check(history: History, context: Context) -> CheckResult:
    """Decide whether all nodes agree in the end, key by key (f: read, and whatever writes)."""
    case = Case(property=PROPERTY, history=history, context=context)
    clock = Clock(history)
    is_read = history.f.equals("read")
    rows, node = _final_reads(history, clock, context, is_read)
    key, shown = clock.key[rows], _shown(history, clock, rows)
    starts = runs(key)
    first = np.repeat(starts[:-1], np.diff(starts))
    odd = rows[shown != shown[first]]
    many = np.diff(starts) > 1
    if len(odd):
        split = np.unique(clock.key[odd])
        anomaly = _diverged(case, rows[np.isin(key, split)], shown[np.isin(key, split)])
        keys = number(int(np.count_nonzero(many)), "key")
        return case.invalid(f"{len(split):,} of {keys} differ: {anomaly.argument}", [anomaly])
    nodes = len(np.unique(node))
    if nodes < 2:
        what = f"only {history.node.at(int(rows[0]))}" if nodes else "no node"
        return case.unknown(f"{what} was read after the last write")
    if not many.any():
        return case.unknown("no key was read on two nodes after its last write")
    wrote = np.zeros(clock.keys, np.bool_)
    wrote[clock.key[~is_read & (history.type == OK)]] = True
    compared = int(np.count_nonzero(wrote[key[starts[:-1]][many]]))
    if not compared:
        return case.unknown("nothing was written to what was read")
    why = f"{number(nodes, 'node')} agree about {number(compared, 'key')}"
    seen = {history.node.at(int(row)) for row in rows[np.unique(node, return_index=True)[1]]}
    left = sorted({*history.node.names} - seen - {""})
    if left:
        why += f"; not read in the end: {', '.join(left)}"
    return case.valid(why, {"compared": compared, "differing": 0})


def _final_reads(
    history: History, clock: Clock, context: Context, is_read: Mask
) -> tuple[Ints, Ints]:
    """(rows, node numbers) of the last read of each key by each node, by key, after all writes."""
    over = np.full(clock.keys, BEFORE)
    writes = np.flatnonzero(~is_read & (history.type != FAIL))
    np.maximum.at(over, clock.key[writes], history.end_ns[writes])
    names = {name: place for place, name in enumerate(dict.fromkeys(history.node.names))}
    number_of = np.array([*(names[name] for name in history.node.names), -1], np.int64)
    node = number_of[history.node.codes]
    there = is_read & (history.type == OK) & (node >= 0) & (node != names.get("", -1))
    rows = np.flatnonzero(there & (history.start_ns > over[clock.key]))
    if context.final_ns is not None:
        rows = rows[history.start_ns[rows] >= context.final_ns[0]]
    order = np.lexsort((rows, history.start_ns[rows], node[rows], clock.key[rows]))
    rows = rows[order]
    last = runs(clock.key[rows], node[rows])[1:] - 1 if len(rows) else np.empty(0, np.int64)
    return rows[last], node[rows[last]]


def _shown(history: History, clock: Clock, rows: Ints) -> Ints:
    """A number for what each read shows, the same exactly if that is; sets without order."""
    sets = np.zeros(clock.keys, np.bool_)
    sets[clock.key[history.f.equals("add")]] = True
    plain = history.value.valid[rows]
    found = np.full(len(rows), -1, np.int64)  # null
    found[plain] = np.unique(history.value.values[rows[plain]], return_inverse=True)[1]
    if plain.all():
        return found
    texts: dict[str, int] = {}
    names = {str(value): n for n, value in enumerate(np.unique(history.value.values[rows[plain]]))}
    for place in np.flatnonzero(~plain).tolist():
        row = int(rows[place])
        content = history.content(row)
        if content is None:
            continue
        text = _text(content, bool(sets[clock.key[row]]))
        found[place] = names.get(text, -2 - texts.setdefault(text, len(texts)))
    return found


def _text(content: Any, a_set: bool) -> str:
    if a_set and isinstance(content, list):
        return f"[{','.join(sorted(map(canonical, content)))}]"
    return canonical(content)


def _diverged(case: Case, rows: Ints, shown: Ints) -> Anomaly:
    """`rows`: the last reads of keys whose nodes differ, by key."""
    history = case.history
    clock = Clock(history)
    key = clock.key[rows]
    chosen = np.flatnonzero(key == key[np.argmin(history.end_ns[rows])])
    camps: dict[int, list[int]] = {}
    for place in chosen.tolist():
        camps.setdefault(int(shown[place]), []).append(int(rows[place]))
    ordered = sorted(camps.values(), key=len, reverse=True)
    witness = [camp[0] for camp in ordered[:2]]
    tell = case.tell(*witness)
    name = history.key.at(witness[0])
    told = "; ".join(
        f"{' and '.join(str(history.node.at(row)) for row in camp)} "
        f"{'shows' if len(camp) == 1 else 'show'} {tell.value(camp[0])}"
        for camp in ordered
    )
    argument = f"in the end{f' of {name}' if name else ''} {told}"
    return case.anomaly("diverged", rows, witness, argument, count=len(np.unique(key)))
