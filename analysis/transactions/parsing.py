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

from analysis.checkers.compiled import Bytes, compiled
from analysis.history import Ints, Mask
from analysis.transactions import parse_kernel
from analysis.values import canonical
from chaos.errors import RecordError

READ, WRITE, APPEND = 0, 1, 2  # codes of kinds
NIL, UNREAD = -1, -2
BYTES_A_STEP = 10  # the plain way reads a micro-operation in the time of so many bytes otherwise
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
    """The micro-operations of some rows; `ok` says of each whether its reads mean something.

    RecordError, naming the operation, for a payload that is no list of micro-operations.
    """
    text, offset = _buffers(payload)
    kernel = compiled(parse_kernel.parse, int(offset[-1] - offset[0]) // BYTES_A_STEP)
    if kernel is None:
        columns = _nothing(len(rows))
        odd = np.arange(len(rows))
    else:
        commas = _commas(text, int(offset[0]), int(offset[-1]))
        columns = kernel(
            text, offset, rows, ok, parse_kernel.transitions(), parse_kernel.classes(),
            commas // 2 + 1, commas + 1,
        )  # fmt: skip
        odd = np.flatnonzero(columns[6] & parse_kernel.PLAIN)
    form = columns[6]
    contents = [read(payload[int(row)].as_py(), int(row)) for row in rows[odd].tolist()]
    used = {mop[0] for content in contents for mop in content}
    lists = bool((form & parse_kernel.APPENDS).any()) or "append" in used
    mixed = lists and (bool((form & parse_kernel.WRITES).any()) or "w" in used)
    wrong = parse_kernel.SHOWS_VALUE if lists else parse_kernel.SHOWS_LIST
    other = np.flatnonzero(form & wrong) if (form & wrong).any() else odd[:0]
    if len(other):  # what was taken for a list is a value, or the other way round
        odd = np.concatenate([odd, other])
        contents += [read(payload[int(row)].as_py(), int(row)) for row in rows[other].tolist()]
    plain = _Plain(lists)
    for content, place in zip(contents, odd.tolist(), strict=True):
        plain.add(content, int(rows[place]), known=bool(ok[place]))
    return _finished(columns, plain, odd, mixed=mixed)


def _buffers(payload: pa.Array) -> tuple[Bytes, Ints]:
    """(text, offset of each row) of a column of texts; nulls are empty."""
    if not (pa.types.is_string(payload.type) or pa.types.is_large_string(payload.type)):
        payload = payload.cast(pa.large_string())
    _, offsets, data = payload.buffers()
    cell = np.int64 if pa.types.is_large_string(payload.type) else np.int32
    size = len(payload) + 1
    if offsets is None or not len(payload):
        return np.zeros(1, np.int8), np.zeros(size, np.int64)
    begin = np.frombuffer(offsets, cell)[payload.offset : payload.offset + size]
    text = np.zeros(1, np.int8) if data is None else np.frombuffer(data, np.int8)
    return text, begin.astype(np.int64)


def _commas(text: Bytes, begin: int, end: int) -> int:
    """How many there are, without a copy of the text."""
    step = 1 << 20
    return sum(
        int(np.count_nonzero(text[at : min(at + step, end)] == 44))
        for at in range(begin, end, step)
    )


def _nothing(rows: int) -> tuple[Ints, Bytes, Ints, Ints, Ints, Ints, Bytes]:
    """Columns of rows without micro-operations."""
    first, one, none = np.zeros(rows + 1, np.int64), np.zeros(1, np.int64), np.empty(0, np.int64)
    return first, none.astype(np.int8), none, none, one, none, np.zeros(rows, np.int8)


class _Plain:
    """One payload at a time."""

    def __init__(self, lists: bool) -> None:
        self.lists = lists
        self.count: list[int] = []
        self.kind: list[int] = []
        self.key: list[int] = []
        self.value: list[int] = []
        self.length: list[int] = []
        self.element: list[int] = []
        self.names, self.key_names = _Names(), _Names()

    def add(self, content: list[list[Any]], row: int, *, known: bool) -> None:
        """The next row."""
        for word, key, shown in content:
            before = len(self.element)
            self.kind.append(KINDS[word])
            self.key.append(self.key_names.number(key))
            if word == "w" and shown is None:
                self.value.append(NIL)
            elif word != "r":
                self.value.append(self.names.number(shown))
            elif not known:
                self.value.append(UNREAD)
            elif not self.lists:
                self.value.append(NIL if shown is None else self.names.number(shown))
            else:
                if shown is not None and not isinstance(shown, list):
                    raise RecordError(
                        f"operation {row}: expected a list or null as read, got {shown!r}"
                    )
                self.value.append(NIL)
                self.element += map(self.names.number, shown or ())
            self.length.append(len(self.element) - before)
        self.count.append(len(content))


def _finished(columns: Any, plain: _Plain, odd: Ints, *, mixed: bool) -> Parsed:
    """The kernel's columns with what was read the plain way in the place of these rows."""
    first, kind, key, value, list_first, element, _ = columns
    if len(odd):
        first, kind, key, value, list_first, element = _merged(columns, plain, odd)
    names = plain.names.coded(value, element)
    keys, key = _dense(key)
    called = {
        code: plain.key_names.contents[-10 - number]
        for code, number in enumerate(keys.tolist() if plain.key_names.contents else [])
        if number <= -10
    }
    return Parsed(
        first=first,
        kind=kind,
        key=key,
        value=value,
        list_first=list_first,
        element=element,
        lists=plain.lists,
        mixed=mixed,
        names=names,
        keys=keys,
        key_names=called,
    )


def _merged(columns: Any, plain: _Plain, odd: Ints) -> tuple[Ints, Bytes, Ints, Ints, Ints, Ints]:
    """Rows of two sources put together; `odd` rows are the plain ones."""
    first, kind, key, value, list_first, element, _ = columns
    if len(odd) == len(first) - 1 and not len(kind) and bool((np.diff(odd) == 1).all()):
        return (
            _offsets(plain.count), np.array(plain.kind, np.int8), np.array(plain.key, np.int64),
            np.array(plain.value, np.int64), _offsets(plain.length),
            np.array(plain.element, np.int64),
        )  # fmt: skip
    row = np.repeat(np.arange(len(first) - 1), np.diff(first))
    stays = np.ones(len(first) - 1, np.bool_)
    stays[odd] = False
    kept = stays[row]
    length = np.diff(list_first)
    inner = element[np.repeat(kept, length)]
    rows = np.concatenate([row[kept], np.repeat(odd, plain.count)])
    order = np.argsort(rows, kind="stable")
    lengths = np.concatenate([length[kept], np.array(plain.length, np.int64)])
    elements = np.concatenate([inner, np.array(plain.element, np.int64)])
    begin = np.cumsum(lengths) - lengths
    sizes = lengths[order]
    after = _offsets(sizes)
    where = np.arange(int(after[-1])) + np.repeat(begin[order] - after[:-1], sizes)

    def both(one: Any, other: list[int]) -> Any:
        return np.concatenate([one[kept], np.array(other, one.dtype)])[order]

    return (
        _offsets(np.bincount(rows, minlength=len(first) - 1)),
        both(kind, plain.kind), both(key, plain.key), both(value, plain.value),
        after, elements[where],
    )  # fmt: skip


def _offsets(sizes: Any) -> Ints:
    found = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(np.asarray(sizes, np.int64), out=found[1:])
    return found


def _dense(numbers: Ints) -> tuple[Ints, Ints]:
    """(numbers in the order of first mention, the place of each among them)."""
    low = int(numbers.min(initial=0))
    width = int(numbers.max(initial=0)) - low + 1
    if width < 4 * len(numbers) + 1000:
        if kernel := compiled(parse_kernel.mentions, len(numbers)):
            return kernel(np.ascontiguousarray(numbers), low, width)
        mention = np.full(width, -1, np.int64)
        mention[(numbers - low)[::-1]] = np.arange(len(numbers))[::-1]
        there = np.flatnonzero(mention >= 0)
        there = there[np.argsort(mention[there], kind="stable")]
        mention[there] = np.arange(len(there))
        return there + low, mention[numbers - low]
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
