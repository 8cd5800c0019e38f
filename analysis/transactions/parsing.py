"""Payloads of transactions as arrays: JSON lists of micro-operations, coded.

An integer from 0 up to `HIGHEST` is its own code; what other values there are get the codes after
the greatest of these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from analysis.history import Ints, Mask
from analysis.values import canonical
from chaos.errors import RecordError

READ, WRITE, APPEND = 0, 1, 2  # codes of kinds
NIL, UNREAD = -1, -2
HIGHEST = 2**62  # integers above have codes like any other value
KINDS = {"r": READ, "w": WRITE, "append": APPEND}
EXPECTED = 'a list of micro-operations ["r", key, value], ["w", key, value], ["append", key, value]'
_LONG = re.compile(r"\d{19}|\d\.|\d[eE]")  # numbers that orjson may not read as json does


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The columns of `Transactions` that payloads hold."""

    first: Ints
    kind: npt.NDArray[np.int8]
    key: Ints
    value: Ints
    list_first: Ints
    element: Ints
    lists: bool
    mixed: bool
    names: Mapping[int, Any]
    keys: Ints
    key_names: Mapping[int, Any]


@dataclass(slots=True)
class _Names:
    """Values that are no small integers, numbered downwards from -10 as they come."""

    numbers: dict[Any, int] = field(default_factory=dict)
    contents: list[Any] = field(default_factory=list)

    def number(self, content: Any) -> int:
        """The value's own code, or a number below -9."""
        if type(content) is int and 0 <= content <= HIGHEST:
            return content
        same = content if type(content) is str else (canonical(content),)
        found = self.numbers.get(same)
        if found is None:
            found = self.numbers[same] = -10 - len(self.contents)
            self.contents.append(content)
        return found

    def coded(self, *columns: Ints) -> dict[int, Any]:
        """Put codes in the place of numbers, in these columns; code → value."""
        if not self.contents:
            return {}
        base = 1 + max(int(column.max(initial=-1)) for column in columns)
        for column in columns:
            column[column <= -10] = base - 10 - column[column <= -10]
        return {base + place: content for place, content in enumerate(self.contents)}


def parse(payload: pa.Array, rows: Ints, ok: Mask) -> Parsed:
    """The micro-operations of some rows; `ok` says of each whether its reads mean something."""
    return _Plain(payload, rows, ok).parsed()


class _Plain:
    """One payload at a time."""

    def __init__(self, payload: pa.Array, rows: Ints, ok: Mask) -> None:
        self.first = [0]
        self.kind: list[int] = []
        self.key: list[int] = []
        self.value: list[int] = []
        self.list_first = [0]
        self.element: list[int] = []
        self.names, self.key_names = _Names(), _Names()
        texts = [payload[int(row)].as_py() for row in rows]
        contents = [read(text, int(row)) for text, row in zip(texts, rows, strict=True)]
        self.lists = any(mop[0] == "append" for content in contents for mop in content)
        self.mixed = self.lists and any(m[0] == "w" for content in contents for m in content)
        for content, row, known in zip(contents, rows.tolist(), ok.tolist(), strict=True):
            for mop in content:
                self._add(mop, row, known)
            self.first.append(len(self.kind))

    def _add(self, mop: list[Any], row: int, known: bool) -> None:
        kind, shown = KINDS[mop[0]], mop[2]
        self.kind.append(kind)
        self.key.append(self.key_names.number(mop[1]))
        if kind != READ:
            if kind == WRITE and shown is None:
                raise RecordError(f"operation {row}: expected a value to write, got {mop!r}")
            self.value.append(self.names.number(shown))
        elif not known:
            self.value.append(UNREAD)
        elif not self.lists:
            self.value.append(NIL if shown is None else self.names.number(shown))
        else:
            if shown is not None and not isinstance(shown, list):
                raise RecordError(f"operation {row}: expected a list or null as read, got {mop!r}")
            self.value.append(NIL)
            self.element += map(self.names.number, shown or ())
        self.list_first.append(len(self.element))

    def parsed(self) -> Parsed:
        """All of it as arrays."""
        value, element = np.array(self.value, np.int64), np.array(self.element, np.int64)
        names = self.names.coded(value, element)
        keys, key = _dense(np.array(self.key, np.int64))
        called = {
            code: self.key_names.contents[-10 - number]
            for code, number in enumerate(keys.tolist())
            if number <= -10
        }
        return Parsed(
            first=np.array(self.first, np.int64),
            kind=np.array(self.kind, np.int8),
            key=key,
            value=value,
            list_first=np.array(self.list_first, np.int64),
            element=element,
            lists=self.lists,
            mixed=self.mixed,
            names=names,
            keys=keys,
            key_names=called,
        )


def _dense(numbers: Ints) -> tuple[Ints, Ints]:
    """(numbers in the order of first mention, the place of each among them)."""
    found, where, place = np.unique(numbers, return_index=True, return_inverse=True)
    order = np.argsort(where)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return found[order], rank[place.reshape(-1)]


def read(text: str | None, row: int) -> list[list[Any]]:
    """One payload; RecordError if it is no list of micro-operations."""
    try:
        content: Any = None if text is None else _json(text)
    except ValueError as error:
        raise RecordError(f"operation {row}: the payload is no JSON: {error}") from None
    right = isinstance(content, list) and all(map(_is_micro_operation, content))
    if not right:
        got = "no payload" if text is None else text if len(text) < 200 else f"{text[:200]} …"
        raise RecordError(f"operation {row}: expected {EXPECTED}, got {got}")
    found: list[list[Any]] = content
    return found


def _json(text: str) -> Any:
    return json.loads(text) if _LONG.search(text) else orjson.loads(text)


def _is_micro_operation(mop: Any) -> bool:
    return isinstance(mop, list) and len(mop) == 3 and isinstance(mop[0], str) and mop[0] in KINDS
