"""Models as what a database does: transactions are run again, in every order that there is.

What is read is compared with what is there; nothing is inferred from it. Transactions without an
answer are run or left out, whatever was seen of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.truth.transactions.told import LISTS, Told, Txn

State = tuple[Any, ...]  # of each key what is there
FULL = 7  # transactions whose orders are all tried, at most


class Runs:
    """The transactions of a history that may have happened, ready to be run."""

    def __init__(self, told: Told) -> None:
        self.txns = [txn for txn in told.txns if txn.type != "fail"]
        keys = list(dict.fromkeys(step.key for txn in self.txns for step in txn.steps))
        self.number = {key: at for at, key in enumerate(keys)}
        self.start: State = (told.initial,) * len(keys)
        self.lists = told.kind == LISTS
        self.must = sum(1 << at for at, txn in enumerate(self.txns) if txn.type == "ok")
        self.steps = [
            [(step.f == "r", self.number[step.key], step.value) for step in txn.steps]
            for txn in self.txns
        ]
        self.written = [{key for read, key, _ in steps if not read} for steps in self.steps]

    def run(self, at: int, state: State) -> State | None:
        """The state after a transaction; None if it could not have read that."""
        there = list(state)
        for read, key, value in self.steps[at]:
            if not read:
                there[key] = (*there[key], value) if self.lists else value
            elif there[key] != value:
                return None
        return tuple(there)

    def before(self, precedes: Sequence[Any]) -> list[int]:
        """For each transaction those that must come before it, by any of these relations."""
        return [
            sum(1 << at for at, x in enumerate(self.txns) if any(p(x, y) for p in precedes))
            for y in self.txns
        ]


def serial(runs: Runs, precedes: Sequence[Any] = ()) -> bool:
    """Whether one after another explains what was read."""
    before = runs.before(precedes)
    open_, seen = [(0, runs.start)], {(0, runs.start)}
    while open_:
        done, state = open_.pop()
        if done & runs.must == runs.must:
            return True
        for at in range(len(runs.txns)):
            if done >> at & 1 or before[at] & ~done:
                continue
            after = runs.run(at, state)
            node = (done | 1 << at, after)
            if after is not None and node not in seen:
                seen.add(node)
                open_.append(node)
    return False


def snapshots(runs: Runs, precedes: Sequence[Any] = ()) -> bool:
    """Whether some order of snapshots and commits explains it; of two that write one key and are
    there at once only the first commits.
    """
    before = runs.before(precedes)
    rivals = [
        sum(1 << b for b, other in enumerate(runs.written) if a != b and mine & other)
        for a, mine in enumerate(runs.written)
    ]
    first = (0, 0, runs.start)  # begun, committed, what is there
    open_, seen = [first], {first}
    while open_:
        begun, done, state = open_.pop()
        if done & runs.must == runs.must:
            return True
        for at in range(len(runs.txns)):
            if done >> at & 1:
                continue
            if not begun >> at & 1:
                if before[at] & ~done or runs.run(at, state) is None:
                    continue
                node = (begun | 1 << at, done, state)
            elif rivals[at] & begun & ~done:
                continue
            else:
                node = (begun, done | 1 << at, commit(runs, at, state))
            if node not in seen:
                seen.add(node)
                open_.append(node)
    return False


def commit(runs: Runs, at: int, state: State) -> State:
    """The state with what a transaction wrote, whatever it had read."""
    there = list(state)
    for read, key, value in runs.steps[at]:
        if not read:
            there[key] = (*there[key], value) if runs.lists else value
    return tuple(there)


def happened(told: Told, committed: Sequence[Txn]) -> Told:
    """The history of these alone."""
    return told._replace(txns=tuple(committed))
