"""A history as numpy columns: what every checker reads.

A row's position is the operation's index in every witness, exactly as in `history.parquet`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chaos.errors import RecordError

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

OK, FAIL, INFO = 0, 1, 2  # codes in `History.type`; an "open" operation is an INFO
UNREAD = "unread"  # error code of an ok read whose value was not recorded: it tells nothing
MISMATCH = "cas-mismatch"  # error code of a failed cas that found another value than it expected
_NARROW_BYTES = 2**31 - 1  # as much text as offsets of 32 bits can point into
_TYPES = {"ok": OK, "fail": FAIL, "info": INFO, "open": INFO}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A text column: `codes[i]` is a position in `names`, or -1 where the text is null."""

    codes: Codes
    names: tuple[str, ...]

    def at(self, index: int) -> str | None:
        """The text of one row, None where it is null."""
        code = int(self.codes[index])
        return None if code < 0 else self.names[code]

    def equals(self, name: str) -> Mask:
        """Which rows hold `name`; names may repeat when batches were joined."""
        found = np.zeros(len(self.codes), np.bool_)
        for code, known in enumerate(self.names):
            if known == name:
                found |= self.codes == code
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Integers:
    """An integer column; `values` is 0 wherever `valid` is false."""

    values: Ints
    valid: Mask

    def at(self, index: int) -> int | None:
        """The number of one row, None where it is null."""
        return int(self.values[index]) if self.valid[index] else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Columns of one history; all arrays have `len(history)` rows, times are ns since the start."""

    process: Ints
    node: Words
    zone: Words
    f: Words
    key: Words
    value: Integers
    expected: Integers
    type: npt.NDArray[np.int8]  # OK | FAIL | INFO; an ok read that is UNREAD counts as INFO
    error: Words
    start_ns: Ints
    end_ns: Ints
    payload: pa.Array  # text, null where the result is one integer

    def __len__(self) -> int:
        return len(self.start_ns)

    def errors(self, code: str) -> Mask:
        """Which rows have the error `code` (the text before the first colon)."""
        found = np.zeros(len(self), np.bool_)
        for place, text in enumerate(self.error.names):
            if text.partition(":")[0] == code:
                found |= self.error.codes == place
        return found

    def content(self, row: int) -> Any:
        """What the row carries: its value, else its payload read as JSON, else None. Of a `send`
        the payload first: it has the offset and the value."""
        if self.value.valid[row] and self.f.at(row) != "send":
            return int(self.value.values[row])
        text = self.payload[int(row)].as_py()
        return self.value.at(row) if text is None else json.loads(text)

    def payloads(self, rows: Ints) -> Iterator[str | None]:
        """The payload text of some rows, one at a time."""
        for row in rows:
            yield self.payload[int(row)].as_py()


def read_history(table: pa.Table) -> History:
    """Columns of a table with the schema `chaos.record.schema.HISTORY`.

    Raises RecordError for a missing column, an unknown type word, or an operation that ends
    before it starts.
    """
    start = _integers(table, "start_ns")
    end = _integers(table, "end_ns")
    types = _types(_words(table, "type"))
    error = _words(table, "error")
    if not start.valid.all():
        raise RecordError(f"operation {int(np.argmin(start.valid))} has no start time")
    completed = types != INFO
    if bool((completed & ~end.valid).any()):
        row = int(np.argmax(completed & ~end.valid))
        raise RecordError(f"operation {row} has an answer but no time of it")
    end_ns = end.values if end.valid.all() else np.where(end.valid, end.values, start.values)
    backwards = end_ns < start.values
    if bool(backwards.any()):
        row = int(np.argmax(backwards))
        raise RecordError(
            f"operation {row} ends at {int(end_ns[row])} ns, before it starts "
            f"at {int(start.values[row])} ns"
        )
    history = History(
        process=_integers(table, "process").values,
        node=_words(table, "node"),
        zone=_words(table, "zone"),
        f=_words(table, "f"),
        key=_words(table, "key"),
        value=_integers(table, "value"),
        expected=_integers(table, "expected"),
        type=types,
        error=error,
        start_ns=start.values,
        end_ns=end_ns,
        payload=_texts(table, "payload"),
    )
    if any(text.partition(":")[0] == UNREAD for text in error.names):
        types[history.errors(UNREAD) & (types == OK)] = INFO
    return history


def _column(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        raise RecordError(f"expected a column {name} in the history, found {table.column_names}")
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _texts(table: pa.Table, name: str) -> pa.Array:
    """A column of texts, with wide offsets where they are more than 2 GiB together."""
    if name in table.column_names and table.column(name).nbytes >= _NARROW_BYTES:
        column = table.column(name).cast(pa.large_string())
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return _column(table, name)


def _words(table: pa.Table, name: str) -> Words:
    array = _column(table, name)
    if not pa.types.is_dictionary(array.type):
        array = pc.dictionary_encode(array.cast(pa.string()))
    codes = pc.fill_null(array.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False)
    names = array.dictionary.to_pylist()
    if None in names:  # a null may hide in the dictionary instead of in the indices
        codes = np.where(codes == names.index(None), np.int32(-1), codes)
    return Words(codes=codes, names=tuple("" if word is None else word for word in names))


def _integers(table: pa.Table, name: str) -> Integers:
    array = _column(table, name)
    if array.null_count == 0:
        values = array.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
        return Integers(values=values, valid=np.ones(len(values), np.bool_))
    valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
    values = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    return Integers(values=values, valid=valid)


def _types(words: Words) -> npt.NDArray[np.int8]:
    unknown = [name for name in words.names if name not in _TYPES and words.equals(name).any()]
    if unknown or bool((words.codes < 0).any()):
        got = repr(unknown[0]) if unknown else "nothing"
        raise RecordError(f"expected the type of an operation to be {', '.join(_TYPES)}, got {got}")
    table = np.array([_TYPES.get(name, INFO) for name in words.names] or [INFO], np.int8)
    return table[words.codes]
