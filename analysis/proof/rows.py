"""The raw history as plain columns, with what each operation is worth (docs/certificates.md)."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NEVER = 2**63 - 1  # the end of what has no definite answer


class Refused(Exception):
    """The certificate is not accepted; `args[0]` says why."""


class Op(NamedTuple):
    """One operation. `ok`: `value` holds its answer; otherwise its argument, or None."""

    row: int
    key: int  # a code, -1: null
    f: str  # `cas-mismatch`: a cas that found another value than `expected`
    value: Any
    expected: Any
    ok: bool
    failed: bool
    process: int
    node: str | None
    start: int
    end: int  # NEVER: there was no definite answer
    over: int  # when the client had its answer, or gave up

    def precedes(self, other: Op) -> bool:
        """Whether this one had ended before the other began."""
        return self.end < other.start


class Rows:
    """Columns of a history, one cell a row, and the operations made of them."""

    def __init__(self, table: pa.Table) -> None:
        self._table, self.count = table, table.num_rows
        kind, error = self.text("type"), self.text("error")
        (self.f, self.names), (self.key, self.keys) = self._coded("f"), self._coded("key")
        self.ok = _true(pc.equal(kind, "ok")) & ~_true(_begins(error, "unread"))
        self.failed = _true(pc.equal(kind, "fail"))
        self.mismatch = self.failed & self.named(["cas"]) & _true(_begins(error, "cas-mismatch"))
        self.process, self.start = (_filled(self._column(n)) for n in ("process", "start_ns"))
        over = _filled(self._column("end_ns"))
        self.over = np.where(self.given("end_ns"), over, self.start)
        self.end = np.where(self.ok | self.failed, over, NEVER)
        if (self.end < self.start).any():
            raise Refused(f"operation {np.argmax(self.end < self.start)} ends before it starts")

    def named(self, functions: Collection[str]) -> Mask:
        """Which rows have one of these `f`."""
        return np.array([*(name in functions for name in self.names), False])[self.f]

    def of_key(self, key: str | None) -> Mask:
        """Which rows have this key."""
        if key is not None and key not in self.keys:
            raise Refused(f"the history has no key {key!r}")
        code: int = -1 if key is None else self.keys.index(key)
        return np.asarray(self.key == code)

    def integers(self, name: str) -> tuple[Ints, Mask]:
        """A column of integers, 0 where it is null; and where it is not."""
        return _filled(self._column(name)), self.given(name)

    def given(self, name: str) -> Mask:
        """Where a column is not null."""
        return _true(pc.is_valid(self._column(name)))

    @cached_property
    def payloads(self) -> list[Any]:
        """The payloads read as JSON, None where there is none; of one text, one object."""
        texts = pc.dictionary_encode(self.text("payload"))
        read = [*map(json.loads, texts.dictionary.to_pylist()), None]
        return [read[code] for code in pc.fill_null(texts.indices, -1).to_pylist()]

    def ops(self, listed: Ints) -> list[Op]:
        """Some rows as operations."""
        columns = [self._column(name).take(pa.array(listed)).to_pylist()
                   for name in ("f", "value", "expected", "process", "node")]  # fmt: skip
        for place, row in enumerate(listed.tolist()):
            sent = columns[0][place] == "send" and self.payloads[row] is not None
            if columns[1][place] is None or sent:
                columns[1][place] = content = self.payloads[row]
                if columns[0][place] == "cas" and content is not None:
                    columns[2][place], columns[1][place] = content
            if self.mismatch[row]:
                columns[0][place] = "cas-mismatch"
        f, value, expected, process, node = columns
        rest = (a[listed].tolist() for a in (self.ok | self.mismatch, self.failed))
        times = (a[listed].tolist() for a in (self.start, self.end, self.over))
        key = self.key[listed].tolist()
        return list(map(Op, listed.tolist(), key, f, value, expected, *rest, process, node, *times))

    def listed(self, listed: Any, what: str, twice: bool = False) -> Ints:
        """A list of rows in a certificate as an array; refused unless each is a row, and there
        once, or exactly twice.
        """
        if type(listed) is not list or set(map(type, listed)) - {int}:
            raise Refused(f"{what} is no list of rows")
        rows = np.array(listed, np.int64)
        if ((rows < 0) | (rows >= self.count)).any():
            raise Refused(f"{what} has a row that the history does not have")
        times = np.bincount(rows, minlength=1)
        if twice and (times % 2 | times // 3).any():
            raise Refused(f"{what} has operation {np.argmax(times != 2)} not exactly twice")
        if times.max() > 1 + twice:
            raise Refused(f"{what} has operation {np.argmax(times)} twice")
        return rows

    def _column(self, name: str) -> pa.Array:
        return self._table.column(name).combine_chunks()

    def text(self, name: str) -> pa.Array:
        """A column of texts."""
        return self._column(name).cast(pa.string())

    def _coded(self, name: str) -> tuple[Ints, list[str]]:
        """A text column as places in a list of its texts; -1: null."""
        texts = pc.dictionary_encode(self.text(name))
        return _filled(texts.indices, -1), texts.dictionary.to_pylist()


def _begins(error: pa.Array, code: str) -> pa.Array:
    return pc.match_substring_regex(error, f"^{code}(:|$)")


def _true(mask: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), np.bool_)


def _filled(numbers: pa.Array, rest: int = 0) -> Ints:
    filled = pc.fill_null(numbers.cast(pa.int64()), rest)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)


def plain(value: Any) -> int | str | None:
    """Hashable, and equal for two values exactly if they are equal as JSON."""
    if value is None or type(value) is int:
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
