"""Operations as plain tuples, and the columns that checkers read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import pyarrow as pa

from analysis.history import History, Integers, Words, read_history
from chaos.record.schema import HISTORY

FOREIGN = "ping"  # an operation of no property
PAYLOADS = 3  # processes, modulo 8, whose integers stand in payloads, as anything may
INT64 = range(-(2**63), 2**63)


class Row(NamedTuple):
    """One operation. `value` is what it carries (docs/histories.md), any JSON."""

    f: str
    value: Any
    start: int
    end: int
    type: str = "ok"
    process: int = 0
    key: str | None = None
    expected: Any = None
    error: str | None = None
    node: str = "n1"


def carried(value: Any) -> Any:
    """`value` so that Python finds equal what is equal JSON: 1, 1.0, true and "1" all differ."""
    if value is None or type(value) is int:
        return value
    return json.dumps(value, sort_keys=True)


def columns(row: Row) -> tuple[int | None, int | None, str | None]:
    """(value, expected, payload) of a row."""
    told = row.process % 8 == PAYLOADS
    if row.f == "cas":
        if _single(row.value) and _single(row.expected) and not told:
            return row.value, row.expected, None
        return None, None, json.dumps([row.expected, row.value])
    if _single(row.value) and not told:
        return row.value, None, None
    return None, None, None if row.value is None else json.dumps(row.value)


def _single(value: Any) -> bool:
    return type(value) is int and value in INT64


def table(rows: Sequence[Row]) -> pa.Table:
    """The rows as `history.parquet` has them, in the order given."""
    carried = [columns(row) for row in rows]
    data = {
        "process": [row.process for row in rows],
        "node": [row.node for row in rows],
        "zone": ["a"] * len(rows),
        "f": [row.f for row in rows],
        "key": [row.key for row in rows],
        "value": [value for value, _, _ in carried],
        "expected": [expected for _, expected, _ in carried],
        "payload": [payload for _, _, payload in carried],
        "type": [row.type for row in rows],
        "error": [row.error for row in rows],
        "start_ns": [row.start for row in rows],
        "end_ns": [row.end for row in rows],
    }
    arrays = [_array(data[field.name], field.type) for field in HISTORY]
    return pa.Table.from_arrays(arrays, schema=HISTORY)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind)


def history(rows: Sequence[Row]) -> History:
    """What a checker reads."""
    return read_history(table(rows))


def histories(parts: Sequence[Sequence[Row]]) -> list[History]:
    """The same for many at once: each is a slice of one table, which is much faster."""
    whole = history([row for part in parts for row in part])
    ends = list(accumulate(len(part) for part in parts))
    return [_slice(whole, end - len(part), end) for part, end in zip(parts, ends, strict=True)]


def _slice(whole: History, begin: int, end: int) -> History:
    def words(column: Words) -> Words:
        return Words(codes=column.codes[begin:end], names=column.names)

    def integers(column: Integers) -> Integers:
        return Integers(values=column.values[begin:end], valid=column.valid[begin:end])

    return History(
        process=whole.process[begin:end],
        node=words(whole.node),
        zone=words(whole.zone),
        f=words(whole.f),
        key=words(whole.key),
        value=integers(whole.value),
        expected=integers(whole.expected),
        type=whole.type[begin:end],
        error=words(whole.error),
        start_ns=whole.start_ns[begin:end],
        end_ns=whole.end_ns[begin:end],
        payload=whole.payload.slice(begin, end - begin),
    )


def told(rows: Sequence[Row]) -> str:
    """The rows as Python, ready to stand in a test."""
    return "[\n" + "".join(f"    {_told(row)},\n" for row in rows) + "]"


def _told(row: Row) -> str:
    named = [
        f"{name}={getattr(row, name)!r}"
        for name, usual in Row._field_defaults.items()
        if getattr(row, name) != usual
    ]
    return f"Row({', '.join([repr(part) for part in row[:4]] + named)})"
