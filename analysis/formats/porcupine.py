"""`porcupine-etcd`: the log of a Jepsen run against etcd, as Porcupine's tests read it.

    INFO  jepsen.util - 4	:invoke	:cas	[2 4]

A failed cas found another value than it expected; what timed out may still happen; the register
begins as nil. Lines of other loggers are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.formats import edn
from analysis.formats.base import Format, Imported
from analysis.formats.events import Vocabulary
from analysis.formats.operations import Operations
from analysis.formats.sink import Sink, attempted
from analysis.formats.source import bad, lines
from analysis.history import MISMATCH

BATCH_EVENTS = 1 << 16
_SIGN = re.compile(rb"jepsen\.util\s+-\s+\d+\s+:(?:invoke|ok|fail|info)\s+:")
_LINE = re.compile(r"jepsen\.util\s+-\s+(-?\d{1,18})\s+(:\S+)\s+(:\S+)(?:\s+(.*))?$")
_TIMED_OUT = "timed-out"


def recognises(path: Path, head: bytes) -> bool:
    """Lines of the logger jepsen.util with a process, a type and an operation."""
    return bool(_SIGN.search(head))


def read(path: Path, initial: Any) -> Imported:
    """The operations in the log; HistoryError for a line of an operation that cannot be read."""
    return attempted(lambda **how: _read(path, **how), initial)


def _read(path: Path, *, keyed: bool | None = None) -> tuple[Sink, Operations]:
    operations = Operations(path, Vocabulary(), keyed=keyed)
    sink = Sink(path, operations.words, by_index=False)
    for batch in _batches(path, operations):
        sink.feed(batch)
    return sink, operations


def _batches(path: Path, operations: Operations) -> Iterator[pa.RecordBatch]:
    for number, text in lines(path):
        match = _LINE.search(text)
        if match is None:
            continue
        process, type_, f, rest = match.groups()
        operations.add(_operation(path, number, int(process), type_, f, rest or "nil"), number)
        if len(operations) >= BATCH_EVENTS:
            yield operations.take()
    yield operations.take()


def _operation(
    path: Path, number: int, process: int, type_: str, f: str, rest: str
) -> dict[str, Any]:
    """The map that Jepsen printed: value, and after it perhaps an error."""
    try:
        value, *errors = edn.Forms().feed(f"{rest}\n", final=True) if rest[0] not in "[(" else (
            edn.Forms().feed(f"[{rest}\n]", final=True)
        )  # fmt: skip
    except edn.Malformed as error:
        expected, got, _ = error.args
        raise bad(path, number, expected, got) from None
    found = {":process": process, ":type": type_, ":f": f, ":value": value[0]}
    if errors:
        found[":error"] = errors[0][0]
    elif value[0] == f":{_TIMED_OUT}":
        found[":error"] = _TIMED_OUT
    elif type_ == ":fail" and f == ":cas":
        found[":error"] = f"{MISMATCH}: the value was not the expected one"
    return found


FORMAT = Format(
    name="porcupine-etcd",
    about="Porcupine's etcd logs: lines of jepsen.util with read, write and cas",
    signs="lines such as `INFO  jepsen.util - 0 :invoke :read nil`",
    recognises=recognises,
    read=read,
)
