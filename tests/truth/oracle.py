"""Whether a history has an order, by trying every order that there is.

States seen with the same operations done are not tried again; that is all the cleverness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.truth.objects import Request, Thing
from tests.truth.rows import FOREIGN, Row

NEVER = 1 << 80  # an operation that may still take effect has no end
MISMATCH = "cas-mismatch"
UNREAD = "unread"


class Operation:
    """One operation of an order: `must` be in it or may, and answers `answer` if it must."""

    __slots__ = ("answer", "end", "must", "process", "request", "start")

    def __init__(self, row: Row, thing: Thing) -> None:
        self.must = answered(row)
        self.request, self.answer = thing.meant(row)
        self.start, self.process = row.start, row.process
        self.end = row.end if self.must else NEVER


def answered(row: Row) -> bool:
    """Whether what the operation did or saw is known, of one that `counts`."""
    return row.type not in ("info", "open") and not (row.error or "").startswith(UNREAD)


def counts(row: Row, mismatches: bool) -> bool:
    """Whether the row has a place in an order: not if it failed, but for a cas that looked."""
    if row.f == FOREIGN:
        return False
    if row.type != "fail":
        return True
    return mismatches and row.f == "cas" and (row.error or "").startswith(MISMATCH)


def linearizable(rows: Iterable[Row], thing: Thing, initial: Any, mismatches: bool = False) -> bool:
    """Whether the operations of each key have an order that keeps to real time."""
    keys: dict[str | None, list[Operation]] = {}
    for row in rows:
        if counts(row, mismatches):
            keys.setdefault(row.key, []).append(Operation(row, thing))
    return all(
        has_order(part, real_time(part), possible(thing), thing.initial(initial))
        for part in keys.values()
    )


def possible(thing: Thing) -> Callable[[Any, Request], tuple[Any, Any]]:
    """What the oracle runs: `thing.run`, but where an answer cannot be foreseen."""
    return getattr(thing, "possible", thing.run)


def real_time(part: Sequence[Operation]) -> list[int]:
    """For each operation the set of those that must come before it, as bits."""
    return [
        sum(1 << at for at, other in enumerate(part) if other.must and other.end < one.start)
        for one in part
    ]


def has_order(
    part: Sequence[Operation],
    before: Sequence[int],
    run: Callable[[Any, Request], tuple[Any, Any]],
    initial: Any,
) -> bool:
    """Depth first over (what is done, the state it left). Operations that may be left out are."""
    goal = sum(1 << at for at, one in enumerate(part) if one.must)
    choices = [
        (1 << at, need, one.must, one.request, one.answer)
        for at, (one, need) in enumerate(zip(part, before, strict=True))
    ]
    open_, seen = [(0, initial)], {(0, initial)}
    while open_:
        done, state = open_.pop()
        if done & goal == goal:
            return True
        for bit, need, must, request, answer in choices:
            if done & bit or need & ~done:
                continue
            after, answered = run(state, request)
            if must and answered != answer:
                continue
            node = (done | bit, after)
            if node not in seen:
                seen.add(node)
                open_.append(node)
    return False


def is_linear(
    rows: Sequence[Row], listed: Sequence[int], thing: Thing, initial: Any, mismatches: bool
) -> bool:
    """Whether the rows listed are an order as `linearizable` looks for, one key at a time."""
    return _complete(rows, listed, thing, mismatches) and all(
        _possible(part, real_time(part), possible(thing), thing.initial(initial))
        for key in {row.key for row in rows}
        for part in [[Operation(rows[at], thing) for at in listed if rows[at].key == key]]
    )


def is_serial(rows: Sequence[Row], listed: Sequence[int], thing: Thing, initial: Any) -> bool:
    """Whether the rows listed are an order as `sequential` looks for."""
    if not _complete(rows, listed, thing, mismatches=False):
        return False
    place = {at: number for number, at in enumerate(listed)}
    upper_first = [rows[at] for at in sorted(listed)]
    by_row = process_order([Operation(row, thing) for row in upper_first], upper_first)
    before = [
        sum(1 << place[x] for n, x in enumerate(sorted(listed)) if need >> n & 1) for need in by_row
    ]
    before = [before[sorted(listed).index(at)] for at in listed]
    part = [Operation(rows[at], thing) for at in listed]
    keys = sorted({row.key for row in rows}, key=str)
    run = on_one_of(thing, keys, [rows[at].key for at in listed], part)
    return _possible(part, before, run, tuple(thing.initial(initial) for _ in keys))


def _complete(rows: Sequence[Row], listed: Sequence[int], thing: Thing, mismatches: bool) -> bool:
    """Whether each row that happened is listed, none that did not, and none twice."""
    counted = {at for at, row in enumerate(rows) if counts(row, mismatches)}
    needed = {at for at in counted if Operation(rows[at], thing).must}
    return len(set(listed)) == len(listed) and needed <= set(listed) <= counted


def _possible(
    part: Sequence[Operation],
    before: Sequence[int],
    run: Callable[[Any, Request], tuple[Any, Any]],
    state: Any,
) -> bool:
    """Whether each operation of this order has what must come before it there, and its answer."""
    for place, (one, need) in enumerate(zip(part, before, strict=True)):
        if need >> place:
            return False
        state, answer = run(state, one.request)
        if one.must and answer != one.answer:
            return False
    return True


def sequential(rows: Sequence[Row], thing: Thing, initial: Any) -> bool:
    """Whether all operations have one order that keeps to the order of each process."""
    counted = [row for row in rows if counts(row, mismatches=False)]
    keys = sorted({row.key for row in counted}, key=str)
    part = [Operation(row, thing) for row in counted]
    run = on_one_of(thing, keys, [row.key for row in counted], part)
    start = tuple(thing.initial(initial) for _ in keys)
    return has_order(part, process_order(part, counted), run, start)


def on_one_of(
    thing: Thing, keys: Sequence[str | None], key: Sequence[str | None], part: Sequence[Operation]
) -> Callable[[Any, Request], tuple[Any, Any]]:
    """`thing.run` where a state is one of each key's; a request's `process` becomes its key."""
    for one, name in zip(part, key, strict=True):
        one.request = one.request._replace(process=keys.index(name))

    def run(states: Any, request: Request) -> tuple[Any, Any]:
        at = request.process
        after, answer = thing.run(states[at], request)
        return (*states[:at], after, *states[at + 1 :]), answer

    return run


def process_order(part: Sequence[Operation], rows: Sequence[Row]) -> list[int]:
    """For each operation those of its process before it; of two at one moment the upper row's."""
    before = []
    for y, row in enumerate(rows):
        need = 0
        for x, other in enumerate(rows):
            if x == y or other.process != row.process or other.end > row.start:
                continue
            if row.end <= other.start and y < x:
                continue
            if part[x].must:
                need |= 1 << x
        before.append(need)
    return before
