"""`limo`: the logs of LiMo and Violin: calls and returns of one object, a line each.

    # @object atomic-queue
    [1] call add(7)
    [1] return
    [2] call remove
    [2] return empty

The number is a thread, or of each operation one of its own. A call without a return is pending.
(Abdulla, Grahn, Jonsson, Krishna, Mishra: "Efficient Linearizability Monitoring", PLDI 2025;
Emmi, Enea, Hamza: "Monitoring Refinement via Symbolic Reasoning", PLDI 2015)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.formats.base import Format, Imported
from analysis.formats.events import UNREAD_NULL, Vocabulary
from analysis.formats.names import renamed
from analysis.formats.operations import Operations
from analysis.formats.sink import Sink
from analysis.formats.source import bad, lines
from analysis.formats.table import Object, imported
from chaos.errors import HistoryError

BATCH_EVENTS = 1 << 16
_SIGN = re.compile(rb"(?m)^(?:#\s*@object\s+\S+|\[\d+\]\s*(?:call\s+\w+|return\b))")
_HEADER = re.compile(r"#\s*@object\s+(\S+)")
_EVENT = re.compile(r"\[(-?\d{1,18})\]\s*(?:(call)\s+([\w-]+)|(return))\s*:?\s*(.*)$")
_EMPTY = frozenset({"empty", "null", "nil", "none", "⊥"})
_WORDS = {"true": True, "false": False}
_ANSWERED = frozenset({"dequeue", "pop", "peek", "read", "contains"})  # always with a value
_INTEGER = re.compile(r"[+-]?\d{1,4000}")
OBJECTS = {  # of the header, without `atomic-`
    "queue": Object(family="queue", properties=("linearizable-queue",)),
    "stack": Object(family="stack", properties=("linearizable-stack",)),
    "set": Object(family="set", properties=("linearizable-set",)),
    "register": Object(properties=("linearizable-cas-register",)),
    "counter": Object(properties=("linearizable-counter",)),
    "lock": Object(properties=("linearizable-lock",)),
    "priority-queue": Object(family="queue", properties=("linearizable-priority-queue",)),
    "multiset": Object(family="set", properties=("linearizable-multiset",)),
    "semaphore": Object(family="semaphore", properties=("linearizable-semaphore",)),
}


def recognises(path: Path, head: bytes) -> bool:
    """A header with @object, or a line such as `[1] call pop`."""
    return bool(_SIGN.search(head))


def read(path: Path, initial: Any) -> Imported:
    """The operations of the log; HistoryError with the line that is none."""
    about = _object(path)
    operations = Operations(path, Vocabulary(), keyed=False)
    sink = Sink(path, operations.words, by_index=False)
    for batch in _batches(path, operations, about):
        sink.feed(batch)
    notes = sink.finish()
    return imported(sink.pairs.rows, operations.words, initial, about=about, notes=notes)


def _object(path: Path) -> Object:
    """What the header names. It may stand anywhere, and is the first line of most."""
    known = ", ".join(f"atomic-{name}" for name in OBJECTS)
    for number, text in lines(path):
        match = _HEADER.match(text)
        if match is not None:
            name = match[1].removeprefix("atomic-")
            if name not in OBJECTS:
                raise bad(path, number, f"an object of {known}", repr(match[1]))
            return OBJECTS[name]
    raise HistoryError(
        f"{path}:1: expected a line `# @object atomic-queue`, got none",
        fix=f"say what the object is; known are {known}",
    )


def _batches(path: Path, operations: Operations, about: Object) -> Iterator[pa.RecordBatch]:
    called: dict[int, str] = {}
    for number, text in lines(path):
        if text.startswith("#"):
            continue
        match = _EVENT.match(text)
        if match is None:
            raise bad(
                path, number, "`[thread] call method value` or `[thread] return …`", repr(text)
            )
        process, given = int(match[1]), _given(match[5])
        value = given if len(given) > 1 else given[0] if given else None
        form = {"process": process, "type": "invoke", "f": match[3], "value": value}
        if match[2]:
            called[process] = match[3]
        else:
            f = called.pop(process, "return")
            form |= {"type": "ok", "f": f}
            if not given and renamed([f], about.family)[f] in _ANSWERED:
                form["error"] = UNREAD_NULL
        operations.add(form, number)
        if len(operations) >= BATCH_EVENTS:
            yield operations.take()
    yield operations.take()


def _given(text: str) -> list[Any]:
    """Arguments or results: `(1, 2)`, `1 2`, `empty`; numbers as numbers, the rest as texts."""
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    return [_value(word) for word in re.split(r"[\s,]+", text) if word]


def _value(word: str) -> Any:
    if word.lower() in _EMPTY:
        return None
    if word in _WORDS:
        return _WORDS[word]
    return int(word) if _INTEGER.fullmatch(word) else word


FORMAT = Format(
    name="limo",
    about="LiMo's and Violin's logs: calls and returns of a queue, a stack, a set, …",
    signs="a line `# @object atomic-…`, lines such as `[1] call pop`",
    recognises=recognises,
    read=read,
)
