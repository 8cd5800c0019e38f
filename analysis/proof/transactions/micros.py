"""The transactions of a history: micro-operations as columns, lists as the text they were read as.

Keys and values are integers; where others occur, all are numbered.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.proof.rows import Ints, Mask, Refused, Rows, plain
from analysis.proof.transactions.payloads import START, Numbered, joined, read

FOREIGN = -2  # a value, or a key, that the history does not have


class Transactions:
    """m micro-operations by row; those of row r are first[r] … first[r + 1]."""

    def __init__(self, rows: Rows, initial: Any) -> None:
        self.rows, self._initial = rows, plain(initial)
        self._codes: dict[Any, int] | None = None
        self.mine = rows.named(["txn"])
        payload = rows.text("payload")
        if not self.mine.all():
            payload = payload.filter(pa.array(self.mine))
        if payload.null_count or not len(payload):
            raise Refused("a transaction has no payload, or there is none")
        self.text, bounds = joined(payload)
        columns = read(self.text, bounds)
        if columns is None:
            numbered = Numbered(payload.to_pylist(), rows.ok[self.mine].tolist(), self._initial)
            self.text, bounds, self._codes = numbered.text, numbered.bounds, numbered.codes
            columns = read(self.text, bounds)
        if columns is None:
            raise Refused("a payload is no list of micro-operations")
        count, name, key, self.value, self.at, self.size = columns
        self.first = np.zeros(rows.count + 1, np.int64)
        self.first[1:][self.mine] = count
        np.cumsum(self.first, out=self.first)
        self.row = np.repeat(np.arange(rows.count), np.diff(self.first))
        self.write = name != ord("r")
        self.lists = bool((name == ord("a")).any())
        if not self.write.any() or (self.lists and (name == ord("w")).any()):
            raise Refused("nothing is written, or lists and registers are mixed")
        if self._codes is None and not self.lists and type(initial) is int:
            self.value[self.value == initial] = START
        self.key_names, self.key = _dense(key)
        self.keys = len(self.key_names)
        self.failed, self.read = rows.failed[self.row], ~self.write & rows.ok[self.row]
        if not self.read.any():
            raise Refused("no acknowledged transaction read anything")
        values, value = _dense(self.value)
        self.pair = self.key * len(values) + value  # equal if key and value are
        self.silent = self._silent()

    def code(self, value: Any) -> int:
        """The number of a value, or FOREIGN."""
        if not self.lists and plain(value) in (None, self._initial):
            return START
        if self._codes is not None:
            return self._codes.get(plain(value), FOREIGN)
        return value if type(value) is int and value >= 0 else FOREIGN

    def key_code(self, key: Any) -> int:
        """The place of a key, or FOREIGN."""
        code = self._codes.get(plain(key), FOREIGN) if self._codes is not None else key
        place = int(np.searchsorted(self.key_names, code)) if type(code) is int else self.keys
        known = place < self.keys and int(self.key_names[place]) == code
        return place if known else FOREIGN

    def shown(self, micro: int) -> list[int]:
        """What a read shows: a list, or the one value of a register."""
        if not self.lists:
            return [int(self.value[micro])]
        begin = int(self.at[micro])
        listed: list[int] = json.loads(b"[%b]" % self.text[begin : begin + int(self.size[micro])])
        return listed

    @cached_property
    def _by_key(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.key, kind="stable")
        return order, np.append(0, np.cumsum(np.bincount(self.key, minlength=self.keys)))

    def of_key(self, code: int) -> Ints:
        """The micro-operations of one key."""
        order, first = self._by_key
        return order[first[code] : first[code + 1]]

    def _silent(self) -> Mask:
        """Keys that say nothing: an ambiguous value of theirs was read."""
        written = self.write & ~self.failed
        pairs = np.sort(self.pair[written])
        doubled = np.unique(pairs[1:][pairs[1:] == pairs[:-1]])
        first = written & (self.value == START) & (not self.lists)
        doubled = np.union1d(doubled, self.pair[first])
        silent = np.zeros(self.keys, np.bool_)
        if len(doubled):
            unsure = written & np.isin(self.pair, doubled)
            values: dict[int, set[int]] = {}
            for key, value in zip(self.key[unsure].tolist(), self.value[unsure].tolist(),
                                  strict=True):  # fmt: skip
                values.setdefault(key, set()).add(value)
            for micro in np.flatnonzero(self.read & np.isin(self.key, list(values))).tolist():
                key = int(self.key[micro])
                silent[key] |= not values[key].isdisjoint(self.shown(micro))
        return silent


def _dense(numbers: Ints) -> tuple[Ints, Ints]:
    """(different numbers, ascending; the place of each), or all numbers if these are few."""
    low, high = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if high - low < 4 * len(numbers) + 1000:
        return np.arange(low, high + 1), numbers - low
    names, places = np.unique(numbers, return_inverse=True)
    return names, places.reshape(-1)
