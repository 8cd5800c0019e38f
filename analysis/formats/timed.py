"""`fastlin` and `fptlin`: whole operations with their times, a line each, under `# queue` or so.

    # stack                       # stack
    push 1 10 20                  0 10 20 PUSH 1
    pop 1 15 30                   1 15 30 POP 1

fastlin has `method value start end`, fptlin `process start end METHOD value…`. All operations are
complete; an interval includes both its ends; the value -1 says that the object was empty.
(Lee & Mathur: "Efficient Decrease-and-Conquer Linearizability Monitoring", OOPSLA 2025)
"""

from __future__ import annotations

import heapq
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats.base import Format, Imported
from analysis.formats.events import OK, Vocabulary
from analysis.formats.operations import INT64_MAX, TIME_MAX
from analysis.formats.source import bad, lines
from analysis.formats.table import Object, imported
from analysis.history import Ints
from chaos.errors import HistoryError

OBJECTS = {
    "queue": Object(family="queue", properties=("linearizable-queue",)),
    "stack": Object(family="stack", properties=("linearizable-stack",)),
    "set": Object(family="set", properties=("linearizable-set",)),
    "rmw": Object(properties=("linearizable-cas-register",), initial=0),
    "priorityqueue": Object(family="queue", properties=("linearizable-priority-queue",)),
    "deque": Object(family="deque", properties=("linearizable-deque",)),
    "semaphore": Object(family="semaphore", properties=("linearizable-semaphore",)),
}
METHODS = {  # of each object
    "queue": {"enq", "deq", "peek"},
    "stack": {"push", "pop", "peek"},
    "set": {"insert", "remove", "contains", "contains_true", "contains_false"},
    "rmw": {"read_modify_write"},
    "priorityqueue": {"insert", "poll", "peek"},
    "deque": {f"{verb}_{end}" for verb in ("push", "pop", "peek") for end in ("front", "back")},
    "semaphore": {"incr", "decr"},
}
EMPTY = -1
_OURS = {"contains_true": "contains", "contains_false": "contains", "read_modify_write": "cas"}
_HEADER = re.compile(r"#\s*([a-z_]+)$")
_NUMBER = re.compile(r"-?\d{1,19}")
_TYPED = rb"\s*+#[ \t]*[a-z_]+[ \t\r]*\n(?:[ \t]*+(?:#[^\n]*)?\r?\n)*+[ \t]*+"
_FASTLIN = re.compile(_TYPED + rb"[a-z_]+(?:[ \t]+-?\d+){3}\s")
_FPTLIN = re.compile(_TYPED + rb"(?:\d+[ \t]+){3}[A-Z_]+\s")
# (process or None, method, values, start, end)
Line = tuple[int | None, str, list[int], int, int]


def recognises_fastlin(path: Path, head: bytes) -> bool:
    """A data type after #, then a method and three numbers."""
    return bool(_FASTLIN.match(head + b"\n"))


def recognises_fptlin(path: Path, head: bytes) -> bool:
    """A data type after #, then three numbers and a METHOD."""
    return bool(_FPTLIN.match(head + b"\n"))


def read_fastlin(path: Path, initial: Any) -> Imported:
    """The operations of a fastlin file; HistoryError with the line that is none."""
    return _read(path, initial, _fastlin)


def read_fptlin(path: Path, initial: Any) -> Imported:
    """The operations of an fptlin file; HistoryError with the line that is none."""
    return _read(path, initial, _fptlin)


def _read(path: Path, initial: Any, parts: Callable[[list[str]], Line | None]) -> Imported:
    words = Vocabulary()
    rows = _Rows(path, words)
    for number, text in lines(path):
        if text.startswith("#"):
            rows.header(text, number)
            continue
        line = parts(text.split())
        if line is None:
            form = "`method value start end`"
            if parts is _fptlin:
                form = "`process start end METHOD value`"
            raise bad(path, number, form, repr(text))
        rows.add(line, number)
    batches, about = rows.batches(), rows.about
    if about is None:
        raise HistoryError(f"{path}:1: expected a data type such as `# queue`, got none",
                           fix=f"known are {', '.join(OBJECTS)}")  # fmt: skip
    return imported(batches, words, initial, about=about)


def _fastlin(words: list[str]) -> Line | None:
    if len(words) != 4 or not all(map(_NUMBER.fullmatch, words[1:])):
        return None
    value, start, end = map(int, words[1:])
    return None, words[0].lower(), [value], start, end


def _fptlin(words: list[str]) -> Line | None:
    if len(words) < 4 or not all(map(_NUMBER.fullmatch, [*words[:3], *words[4:]])):
        return None
    process, start, end = map(int, words[:3])
    return process, words[3].lower(), [int(word) for word in words[4:]], start, end


class _Rows:
    """Rows as they are read, in plain arrays: some fifty bytes each."""

    def __init__(self, path: Path, words: Vocabulary) -> None:
        self.about: Object | None = None
        self._name = ""
        self._path = path
        self._words = words
        self._columns = {
            name: array("q") for name in ("process", "f", "value", "expected", "start", "end")
        }
        self._null = bytearray()  # 1: there is no value
        self._no = bytearray()  # 1: the answer about the value was no
        self._lanes = False

    def header(self, text: str, number: int) -> None:
        """A line that begins with #: the data type if it is the first such line, else nothing."""
        match = _HEADER.match(text)
        if self.about is not None or match is None:
            return
        if match[1] not in OBJECTS:
            known = ", ".join(OBJECTS)
            raise bad(self._path, number, f"a data type of {known}", repr(match[1]))
        self._name, self.about = match[1], OBJECTS[match[1]]

    def add(self, line: Line, number: int) -> None:
        """One operation; HistoryError where it makes no sense for the data type."""
        process, method, values, start, end = line
        if self.about is None:
            raise bad(self._path, number, "a data type such as `# queue` first", method)
        if method not in METHODS[self._name]:
            known = ", ".join(sorted(METHODS[self._name]))
            raise bad(self._path, number, f"a method of a {self._name} ({known})", repr(method))
        if not 0 <= start <= end <= TIME_MAX:
            raise bad(self._path, number, f"0 <= start <= end <= {TIME_MAX}", f"{start} and {end}")
        if any(abs(value) > INT64_MAX for value in values):
            raise bad(self._path, number, "values of at most 64 bits", str(values))
        value, expected, no = self._values(method, values, number)
        self._lanes |= process is None
        f = self._words.f.code(_OURS.get(method, method))
        row = (process or 0, f, value or 0, expected, start, end)
        for column, part in zip(self._columns.values(), row, strict=True):
            column.append(part)
        self._null.append(value is None)
        self._no.append(no)

    def _values(self, method: str, values: list[int], number: int) -> tuple[int | None, int, bool]:
        """(value, expected, whether the answer was no)."""
        needed = 2 if self._name == "rmw" or method == "contains" else 1
        possible = 2 if self._name in ("rmw", "set") else 1
        if not needed <= len(values) <= possible:
            count = f"{needed} to {possible}" if possible > needed else str(needed)
            raise bad(self._path, number, f"{count} values of {method}", str(len(values)))
        if self._name == "rmw":
            return values[1], values[0], False
        if self._name == "set":
            answered = values[1] if len(values) > 1 else method != "contains_false"
            return values[0], 0, not answered
        empty = self._name != "semaphore" and values[0] == EMPTY
        return None if empty else values[0], 0, False

    def batches(self) -> list[pa.RecordBatch]:
        """The rows as paired operations, in the order of their ends."""
        columns = {name: np.frombuffer(held, np.int64) for name, held in self._columns.items()}
        order = np.argsort(columns["end"], kind="stable")
        start, end = columns["start"][order], columns["end"][order]
        null = np.frombuffer(self._null, np.bool_)[order]
        no = pa.array(np.frombuffer(self._no, np.bool_)[order])
        value = pa.array(columns["value"][order], mask=null)
        said = pc.binary_join_element_wise("[", value.cast(pa.string()), ",false]", "")
        no_swap = np.full(len(order), self._name != "rmw")
        process = _lanes(start, end) if self._lanes else columns["process"][order]
        return [
            pa.record_batch(
                {
                    "process": pa.array(process),
                    "f": pa.array(columns["f"][order].astype(np.int32)),
                    "key": pa.nulls(len(order), pa.int32()),
                    "value": pc.if_else(no, None, value),
                    "expected": pa.array(columns["expected"][order], mask=no_swap),
                    "payload": pc.if_else(no, said, None),
                    "kind": pa.array(np.full(len(order), OK, np.int8)),
                    "error": pa.nulls(len(order), pa.int32()),
                    "start_ns": pa.array(start),
                    "end_ns": pa.array(end),
                }
            )
        ]


def _lanes(start: Ints, end: Ints) -> Ints:
    """A process for each operation of a file that names none: as few as there can be."""
    lanes = np.empty(len(start), np.int64)
    free: list[int] = []
    busy: list[tuple[int, int]] = []  # (end, lane)
    for row in np.argsort(start, kind="stable").tolist():
        while busy and busy[0][0] < start[row]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        lanes[row] = lane
        heapq.heappush(busy, (int(end[row]), lane))
    return lanes


FASTLIN = Format(
    name="fastlin",
    about="fastlin's histories: `method value start end` under a data type",
    signs="a first line such as `# queue`, then a method and three numbers",
    recognises=recognises_fastlin,
    read=read_fastlin,
)
FPTLIN = Format(
    name="fptlin",
    about="fptlin's histories: `process start end METHOD value` under a data type",
    signs="a first line such as `# queue`, then three numbers and a METHOD",
    recognises=recognises_fptlin,
    read=read_fptlin,
)
