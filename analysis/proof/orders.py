"""Claims of an order: nothing stands after what it precedes, and every step is possible."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.proof.models import MODELS, Model
from analysis.proof.rows import NEVER, Ints, Mask, Refused, Rows


def worth(rows: Rows, name: str, model: Model) -> tuple[Mask, Mask]:
    """Which operations of a model happened, and which others may have."""
    mine = rows.named((*model.acts, *model.tells))
    happened = mine & (rows.ok | (rows.mismatch & (name == "cas-register")))
    return happened, mine & ~happened & ~rows.failed


def order(rows: Rows, claim: Any, model: Model, initial: Any, *, serial: bool) -> None:
    """Accept an `order`, or a `serial` one: each process's own order, and all keys together."""
    must, may = worth(rows, claim["model"], model)
    listed = rows.listed(claim["order"], "the order")
    there = np.zeros(rows.count, np.bool_)
    there[listed] = True
    if not (must & rows.named(model.tells)).any():
        raise Refused("no operation of this property was acknowledged that tells anything")
    if (must & ~there).any():
        raise Refused(f"operation {np.argmax(must & ~there)} happened and is not in the order")
    if (there & ~must & ~may).any():
        raise Refused(f"operation {np.argmax(there & ~must & ~may)} did not happen")
    if serial:
        in_time(listed, rows.process, *moments(rows, must))
    else:
        in_time(listed, rows.key, rows.start, np.where(must, rows.end, NEVER))
    wrong = _impossible(rows, listed, model, initial)
    if wrong is not None:
        raise Refused(f"operation {wrong} is not possible where it stands")


def together(listed: Ints, group: Ints) -> Ints:
    """The same rows, those of each group together and otherwise as they were."""
    group = group[listed]
    few = len(group) and group.min() >= -1 and group.max() < 2**16 - 1  # small numbers sort faster
    return listed[np.argsort((group + 1).astype(np.uint16) if few else group, kind="stable")]


def in_time(listed: Ints, group: Ints, start: Ints, end: Ints) -> None:
    """Refused if an operation stands after one of its group that begins after it has ended."""
    listed = together(listed, group)
    by_start = np.argsort(start[listed], kind="stable")
    rank = np.empty(len(listed), np.int64)
    rank[by_start] = np.arange(len(listed))
    # The greatest start so far within the group: each group outranks those before it.
    latest = np.maximum.accumulate(rank + (group[listed] + 1) * len(listed)) % len(listed)
    late = end[listed] < start[listed[by_start[latest]]]
    if late.any():
        last, first = (rows[np.argmax(late)] for rows in (listed, listed[by_start[latest]]))
        raise Refused(f"operation {last} stands after {first}, which began when it had ended")


def moments(rows: Rows, must: Mask) -> tuple[Ints, Ints]:
    """Starts and ends as numbers such that `end < start` exactly in the order of a process: at
    each moment first come ends, then what takes no time at all, by row, then starts.
    """
    _, moment = np.unique(np.append(rows.start, rows.over), return_inverse=True)
    begin, end = np.split(moment * (rows.count + 2), 2)
    instant = begin + np.arange(1, rows.count + 1)
    start = np.where(begin == end, instant, begin + rows.count + 1)
    return start, np.where(must, np.where(begin == end, instant, end), NEVER)


def _impossible(rows: Rows, listed: Ints, model: Model, initial: Any) -> int | None:
    """The first operation found that its model does not allow where it stands."""
    told = (rows.given("payload") & ~rows.given("value"))[listed]
    if model is MODELS["register"] and not told.any() and type(initial) in (int, type(None)):
        return _impossible_in_registers(rows, listed, initial)
    states: dict[int, Any] = {}
    for key, op in zip(rows.key[listed].tolist(), rows.ops(listed), strict=True):
        if key not in states:
            states[key] = model.first(initial)
        if not model.step(states[key], op):
            return op.row
    return None


def _impossible_in_registers(rows: Rows, listed: Ints, initial: int | None) -> int | None:
    """The same for integers, all registers at once: what is there is what was written last."""
    listed = together(listed, rows.key)
    value, expected = ([c[listed] for c in rows.integers(name)] for name in ("value", "expected"))
    read, swap = rows.named(["read"])[listed], rows.named(["cas"])[listed]
    found = rows.mismatch[listed]
    key, place = rows.key[listed], np.arange(len(listed))
    first = np.maximum.accumulate(np.where(np.append(True, key[1:] != key[:-1]), place, 0))
    last = np.append(-1, np.maximum.accumulate(np.where(read | found, -1, place))[:-1])
    old = last < first
    there = [np.where(old, first_one, column[last]) for first_one, column in
             zip((initial or 0, initial is not None), value, strict=True)]  # fmt: skip
    shown, met = (((c[0] == there[0]) & (c[1] == there[1])) for c in (value, expected))
    wrong = (read & rows.ok[listed] & ~shown) | (swap & (met == found))
    return int(listed[np.argmax(wrong)]) if wrong.any() else None
