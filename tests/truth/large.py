"""Histories of thousands of operations: no oracle orders them, but what was simulated is known.

Of an object that works every history is valid. The same history with one fault that breaks the
property, whatever the indeterminate operations did, is invalid.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from tests.truth.counted import Bag, GrowSet, Guarded, Ids, Tally
from tests.truth.objects import (
    Counter,
    Lock,
    PlainRegister,
    Queue,
    Register,
    Request,
    Set,
    Stack,
    Text,
    Thing,
    Values,
)
from tests.truth.rows import Row
from tests.truth.simulate import Style, simulate

CLIENTS = 8
TAKES = ("total-queue", "at-least-once")  # what a take without an answer took is not known
ONE_KEY = ("convergence", *TAKES)  # else final operations are too few for each
Fault = Callable[[Random, list[Row]], list[Row] | None]


class FewReads(GrowSet):
    """A set that is read but now and then, for each read is as long as the set."""

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        return Request("read") if rng.random() < 0.002 else Request("add", values.new())


class Questions(Set):
    """A set that is not read as a whole; an element is asked about and removed while it is new."""

    asks = ("add", "add", "remove", "contains", "contains")

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        f = self.asks[int(rng.random() * len(self.asks))]
        return Request(f, values.new() if f == "add" else values.recent(8))


class Appended(Text):
    """A text that is seldom written anew."""

    def ask(self, rng: Random, values: Values, process: int, asked: int) -> Request:
        draw = rng.random()
        if draw < 0.3:
            return Request("read")
        return Request("append" if draw < 0.995 else "write", f"{values.new()} ")


THINGS: dict[str, Thing] = {
    "linearizable-register": PlainRegister(),
    "linearizable-cas-register": Register(),
    "linearizable-kv-append": Appended(),
    "linearizable-set": Questions(),
    "linearizable-queue": Queue(),
    "linearizable-stack": Stack(),
    "linearizable-counter": Counter(),
    "linearizable-lock": Lock(tokens=True),
    "sequential": PlainRegister(),
    "staleness": PlainRegister(),
    "set": FewReads(),
    "set-full": FewReads(),
    "total-queue": Bag(),
    "at-least-once": Bag(),
    "unique-ids": Ids(),
    "counter": Tally(),
    "lock": Guarded(tokens=True),
    "convergence": FewReads(),
}


def history(
    rng: Random, name: str, operations: int, *, keys: tuple[str | None, ...], info: float
) -> list[Row]:
    """What clients see of an object that works."""
    if name in ONE_KEY:
        keys = (None,)
    if name in TAKES:
        info = 0.0
    how = Style(
        operations=operations,
        processes=CLIENTS,
        gap=6,
        length=12,
        info=info,
        fail=0.02,
        unread=0.0,
        values="unique",
        keys=keys,
        fault=None,
        finals=CLIENTS if hasattr(THINGS[name], "last") else 0,
    )
    made = simulate(rng, THINGS[name], how, None)
    if name != "convergence":
        return made
    return [row._replace(node=f"n{row.process % 3}") for row in made]


def broken(rng: Random, name: str, rows: list[Row]) -> list[Row] | None:
    """The rows with one fault; None if there is no place for it."""
    spoiled = FAULTS[name](rng, rows)
    return None if spoiled is None else sorted(spoiled, key=lambda row: row.end)


def _ok(rows: list[Row], *functions: str) -> list[int]:
    return [at for at, row in enumerate(rows) if row.type == "ok" and row.f in functions]


def _replaced(rows: list[Row], at: int, **changed: Any) -> list[Row]:
    return [*rows[:at], rows[at]._replace(**changed), *rows[at + 1 :]]


def stale_read(rng: Random, rows: list[Row]) -> list[Row] | None:
    """A read of a value that was overwritten, in time and for good, before the read began.

    Of one process's own, so that it is stale in the order of processes too.
    """
    reads = _ok(rows, "read")
    rng.shuffle(reads)
    for at in reads:
        mine = [
            row for row in rows
            if (row.process, row.key, row.f, row.type) == (*_who(rows[at]), "write", "ok")
            and row.end < rows[at].start
        ]  # fmt: skip
        apart = [(a, b) for a, b in pairwise(mine) if a.end < b.start]
        if apart:
            return _replaced(rows, at, value=apart[-1][0].value)
    return None


def _who(row: Row) -> tuple[int, str | None]:
    return row.process, row.key


def wild_value(rng: Random, rows: list[Row], *functions: str) -> list[Row] | None:
    """An answer that nobody ever gave cause for."""
    chosen = [at for at in _ok(rows, *functions) if rows[at].value is not None]
    return _replaced(rows, rng.choice(chosen), value=-(10**9)) if chosen else None


def lost_element(rng: Random, rows: list[Row]) -> list[Row] | None:
    """All final reads lack what a client was told is there."""
    adds = _ok(rows, "add")
    finals = [at for at in _ok(rows, "read") if rows[at].start > max(rows[a].end for a in adds)]
    if not adds or not finals:
        return None
    element = rows[rng.choice(adds)].value
    spoiled = list(rows)
    for at in _ok(rows, "read"):
        shown = [value for value in rows[at].value if value != element]
        spoiled[at] = rows[at]._replace(value=shown)
    return spoiled


def one_node_lacks(rng: Random, rows: list[Row]) -> list[Row] | None:
    """The reads of one node lack an element that the others show."""
    shown = [at for at in _ok(rows, "read") if rows[at].value]
    element = rows[shown[-1]].value[0]
    spoiled = list(rows)
    for at in shown:
        if rows[at].node == rows[shown[-1]].node:
            spoiled[at] = rows[at]._replace(value=[v for v in rows[at].value if v != element])
    return spoiled


def given_twice(rng: Random, rows: list[Row], *functions: str) -> list[Row] | None:
    """Two operations are answered the same, which only one can be."""
    chosen = [at for at in _ok(rows, *functions) if type(rows[at].value) is int]
    if len(chosen) < 2:
        return None
    one, two = rng.sample(chosen, 2)
    return _replaced(rows, one, value=rows[two].value)


def not_contained(rng: Random, rows: list[Row]) -> list[Row] | None:
    """An element that was added, and never removed, is not there long after."""
    removed = {row.value[0] if isinstance(row.value, list) else row.value
               for row in rows if row.f == "remove"}  # fmt: skip
    for at in _ok(rows, "add"):
        element = rows[at].value
        if isinstance(element, list) or element in removed:
            continue
        last = max(row.end for row in rows)
        asked = Row("contains", [element, False], last + 1, last + 2, key=rows[at].key)
        return [*rows, asked._replace(process=10**6)]
    return None


def other_order(rng: Random, rows: list[Row]) -> list[Row] | None:
    """A read text in which two pieces, one appended long after the other, have changed places."""
    for at in reversed(_ok(rows, "read")):
        pieces = (rows[at].value or "").split()
        if len(pieces) > 3 * CLIENTS:
            pieces[0], pieces[-1] = pieces[-1], pieces[0]
            return _replaced(rows, at, value="".join(f"{piece} " for piece in pieces))
    return None


def two_holders(rng: Random, rows: list[Row]) -> list[Row] | None:
    """A lock is granted to a stranger while its holder has it, certainly."""
    for at in _ok(rows, "acquire"):
        row = rows[at]
        mine = (r for r in rows if r.process == row.process and r.key == row.key)
        later = min((r.start for r in mine if r.f == "release" and r.end > row.end), default=0)
        if later > row.end + 2:
            return [
                *rows,
                Row("acquire", None, row.end + 1, row.end + 1, process=10**6, key=row.key),
            ]
    return None


FAULTS: dict[str, Fault] = {
    "linearizable-register": stale_read,
    "linearizable-cas-register": lambda rng, rows: wild_value(rng, rows, "read"),
    "linearizable-kv-append": other_order,
    "linearizable-set": not_contained,
    "linearizable-queue": lambda rng, rows: given_twice(rng, rows, "dequeue"),
    "linearizable-stack": lambda rng, rows: given_twice(rng, rows, "pop"),
    "linearizable-counter": lambda rng, rows: wild_value(rng, rows, "read"),
    "linearizable-lock": two_holders,
    "sequential": stale_read,
    "staleness": stale_read,
    "set": lost_element,
    "set-full": lost_element,
    "total-queue": lambda rng, rows: given_twice(rng, rows, "dequeue"),
    "at-least-once": lambda rng, rows: wild_value(rng, rows, "dequeue"),
    "unique-ids": lambda rng, rows: given_twice(rng, rows, "generate"),
    "counter": lambda rng, rows: wild_value(rng, rows, "read"),
    "lock": two_holders,
    "convergence": one_node_lacks,
}
