"""What rows tell of transactions, and when they tell nothing (docs/transactions.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.truth.rows import Row, carried

LISTS, REGISTERS = "append", "w"  # the write that a kind of history has


class Step(NamedTuple):
    """A micro-operation. Of lists a read's value is a tuple; null was replaced."""

    f: str
    key: Any
    value: Any


class Txn(NamedTuple):
    """A transaction. `row` is where it stands; reads are there only if it is ok."""

    row: int
    type: str  # ok | fail | info
    process: int
    start: int
    end: int
    steps: tuple[Step, ...]

    def writes(self) -> list[Step]:
        """What it wrote, in order."""
        return [step for step in self.steps if step.f != "r"]


class Told(NamedTuple):
    """Transactions of one kind, without keys of which nothing can be said."""

    kind: str
    txns: tuple[Txn, ...]
    initial: Any
    left_out: bool  # whether there were such keys


def told(rows: Sequence[Row], initial: Any) -> Told | None:
    """None if nothing can be said, whatever else there is."""
    mine = [(at, row) for at, row in enumerate(rows) if row.f == "txn"]
    words = {step[0] for _, row in mine if row.value for step in row.value}
    kinds = words & {LISTS, REGISTERS}
    if len(kinds) != 1 or words - kinds != {"r"}:
        return None
    (kind,) = kinds
    start = () if kind == LISTS else carried(initial)
    txns = [_txn(at, row, kind, start) for at, row in mine]
    if None in txns or not any(step.f == "r" for txn in txns if txn for step in txn.steps):
        return None
    return _unambiguous(Told(kind, tuple(txn for txn in txns if txn), start, False))


def _txn(at: int, row: Row, kind: str, start: Any) -> Txn | None:
    """None if a list was not read as a list."""
    steps = []
    outcome = "info" if row.type == "open" else row.type
    for f, key, value in row.value or ():
        if f == "r" and outcome != "ok":
            continue
        if f != "r" or kind == REGISTERS:
            shown = start if value is None and kind == REGISTERS else carried(value)
        elif value is None or isinstance(value, list):
            shown = tuple(map(carried, value or ()))
        else:
            return None
        steps.append(Step(f, carried(key), shown))
    return Txn(at, outcome, row.process, row.start, row.end, tuple(steps))


def shows(step: Step) -> tuple[Any, ...]:
    """The values that a read shows."""
    return step.value if isinstance(step.value, tuple) else (step.value,)


def _unambiguous(whole: Told) -> Told:
    """Without the keys of which an ambiguous value was read."""
    written = Counter(
        (step.key, step.value) for txn in whole.txns if txn.type != "fail" for step in txn.writes()
    )
    if whole.kind == REGISTERS:
        written.update({key: 1 for key in written if key[1] == whole.initial})
    silent = {
        step.key
        for txn in whole.txns
        for step in txn.steps
        if step.f == "r" and any(written[step.key, value] > 1 for value in shows(step))
    }
    if not silent:
        return whole
    txns = tuple(
        txn._replace(steps=tuple(step for step in txn.steps if step.key not in silent))
        for txn in whole.txns
    )
    return whole._replace(txns=txns, left_out=True)


def precedes(x: Txn, y: Txn) -> bool:
    """Whether x comes before y in the order of their session."""
    if x.type != "ok" or x.process != y.process or x.row == y.row or x.end > y.start:
        return False
    return x.row < y.row or y.end > x.start


def earlier(x: Txn, y: Txn) -> bool:
    """Whether x comes before y in real time."""
    return x.type == "ok" and x.end < y.start
