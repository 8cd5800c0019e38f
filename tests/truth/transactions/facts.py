"""What was read, transaction by transaction, and who read from whom (docs/transactions.md)."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.truth.transactions.told import LISTS, Step, Told, Txn, shows

INITIAL = -1  # the writer of the initial versions


class Read(NamedTuple):
    """An external read: which committed transaction wrote the version, and how far it goes."""

    at: int  # which micro-operation of the reader
    key: Any
    writer: int  # place among the committed, or INITIAL
    length: int = 0  # of a list: how many elements are external


class Facts:
    """Of committed transactions, by their places: reads, writes, what is known of versions.

    `also`: rows of transactions that are taken for committed, too, seen or not.
    """

    def __init__(self, told: Told, also: frozenset[int] = frozenset()) -> None:
        self.told = told
        self.flaws: set[str] = set()  # names of docs/transactions.md that need one transaction
        self._written: dict[tuple[Any, Any], tuple[Txn, int]] = {}
        self._failed: set[tuple[Any, Any]] = set()
        for txn in told.txns:
            for at, step in enumerate(txn.steps):
                if step.f == "r":
                    continue
                if txn.type == "fail":
                    self._failed.add((step.key, step.value))
                else:
                    self._written[step.key, step.value] = txn, at
        seen = also | {
            self._written[step.key, value][0].row
            for txn in told.txns
            for step in txn.steps
            if step.f == "r"
            for value in shows(step)
            if (step.key, value) in self._written
        }
        self.txns = [t for t in told.txns if t.type == "ok" or (t.type == "info" and t.row in seen)]
        self.place = {txn.row: place for place, txn in enumerate(self.txns)}
        self.reads = [self._read(txn) for txn in self.txns]
        self.writers: dict[Any, list[int]] = {}
        for place, txn in enumerate(self.txns):
            for key in dict.fromkeys(step.key for step in txn.writes()):
                self.writers.setdefault(key, []).append(place)
        self.fixed: dict[int, int] | None = None  # of each its place in a given order of commits
        self.order = [0] * len(self.txns)  # the same as a relation
        self.shown = self._longest() if told.kind == LISTS else {}

    def _read(self, txn: Txn) -> list[Read]:
        """The external reads of one transaction; its flaws are noted."""
        found: list[Read] = []
        if txn.type != "ok":
            return found
        own: dict[Any, list[Any]] = {}
        held: dict[Any, Any] = {}  # of each key what the transaction must see
        later = {(step.key, step.value): at for at, step in enumerate(txn.steps) if step.f != "r"}
        for at, step in enumerate(txn.steps):
            if step.f != "r":
                own.setdefault(step.key, []).append(step.value)
                if self.told.kind != LISTS:
                    held[step.key] = step.value
                elif step.key in held:
                    held[step.key] = (*held[step.key], step.value)
                continue
            self._values(step, at, later)
            mine = own.get(step.key, [])
            whole = held.get(step.key, step.value)
            if whole != step.value or (self.told.kind == LISTS and not _ends(step.value, mine)):
                self.flaws.add("internal")
            held[step.key] = step.value
            if self.told.kind == LISTS:
                found.append(self._list(txn, at, step))
            elif not mine:
                found.append(self._register(txn, at, step))
            else:
                self._intermediate(txn, step.key, step.value)
        return found

    def _values(self, step: Step, at: int, later: dict[Any, int]) -> None:
        """What a read shows that cannot be, or that was aborted."""
        values = shows(step)
        if len(set(values)) < len(values):
            self.flaws.add("duplicate-elements")
        for place, value in enumerate(values):
            which = (step.key, value)
            if later.get(which, at) > at:
                self.flaws.add("future-read")
            if which in self._written:
                if self.told.kind == LISTS and not self._in_order(step, values[: place + 1]):
                    self.flaws.add("incompatible-order")
            elif self.told.kind == LISTS or value != self.told.initial:
                self.flaws.add("G1a" if which in self._failed else "thin-air-read")

    def _in_order(self, step: Step, values: tuple[Any, ...]) -> bool:
        """Whether in front of the last value stand those that its writer appended before it."""
        writer, at = self._written[step.key, values[-1]]
        before = [s.value for s in writer.steps[:at] if s.f != "r" and s.key == step.key]
        return [value for value in values[:-1] if value in before] == before

    def _register(self, txn: Txn, at: int, step: Step) -> Read:
        self._intermediate(txn, step.key, step.value)
        writer = self._written.get((step.key, step.value))
        return Read(at, step.key, self.place[writer[0].row] if writer else INITIAL)

    def _list(self, txn: Txn, at: int, step: Step) -> Read:
        own = {s.value for s in txn.writes() if s.key == step.key}
        length = next((n for n, v in enumerate(step.value) if v in own), len(step.value))
        if not length:
            return Read(at, step.key, INITIAL)
        last = step.value[length - 1]
        self._intermediate(txn, step.key, last)
        writer = self._written.get((step.key, last))
        return Read(at, step.key, self.place[writer[0].row] if writer else INITIAL, length)

    def _intermediate(self, txn: Txn, key: Any, value: Any) -> None:
        """Note a read of what its writer wrote over."""
        writer, at = self._written.get((key, value), (txn, 0))
        if writer is not txn and any(
            step.f != "r" and step.key == key for step in writer.steps[at + 1 :]
        ):
            self.flaws.add("G1b")

    def _longest(self) -> dict[Any, list[int]]:
        """The committed writers of the elements of each list, as the longest read shows them."""
        longest: dict[Any, tuple[Any, ...]] = {}
        for txn in self.txns:
            for step in txn.steps:
                if step.f != "r":
                    continue
                one, other = sorted((step.value, longest.get(step.key, ())), key=len)
                if other[: len(one)] != one:
                    self.flaws.add("incompatible-order")
                longest[step.key] = other
        return {
            key: [
                self.place[self._written[key, value][0].row] if (key, value) in self._written
                else INITIAL  # an aborted one, which is no version
                for value in values
            ]
            for key, values in longest.items()
        }  # fmt: skip

    def unshown(self, key: Any) -> list[int]:
        """Committed writers of a list with elements that no read shows."""
        return [
            place
            for place in self.writers.get(key, ())
            if sum(step.key == key for step in self.txns[place].writes())
            > self.shown.get(key, []).count(place)
        ]


def _ends(values: tuple[Any, ...], own: list[Any]) -> bool:
    """Whether a list ends with these."""
    return not own or list(values[-len(own) :]) == own
