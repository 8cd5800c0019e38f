"""A history as text for other tools: `jepsen-edn` or `elle-json`, one event a line.

Reading it again gives the same operations in the same precedence. At equal times invocations stand
before completions, so that operations that touch stay concurrent; an operation that began while its
process was still busy gets a process of its own, as a line can only say that it came after.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaos.record.schema import HISTORY

EXPORTS = ("jepsen-edn", "elle-json")
_BLOCK = 1 << 13  # events turned to text at a time
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_KEYWORD = re.compile(r"[a-z][a-z0-9-]*")
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b",
            "\f": "\\f"}  # fmt: skip
Ints = np.ndarray[Any, np.dtype[np.int64]]


def export(history: pa.Table, name: str) -> Iterator[str]:
    """Lines, each with its end, of a HISTORY table in the format `name`."""
    written = edn_line if name == "jepsen-edn" else json_line
    if timeless(history):
        history = in_step(history)
    process = own_processes(history)
    # A `key`, be it null, says that values are no pairs of key and value, as jepsen.independent's.
    keyed = any(history[name].null_count < len(history) for name in ("key", "payload"))
    keyed &= not _all_transactions(history)
    for index, (row, completes) in enumerate(events(history, process)):
        event = _event(row, index, completes=completes)
        yield written({**event, "key": row["key"]} if keyed else event)


def _all_transactions(history: pa.Table) -> bool:
    """Whether nothing but transactions of one object is there."""
    told = pc.and_(pc.equal(history["f"].cast(pa.string()), "txn"), pc.is_null(history["key"]))
    listed = pc.fill_null(pc.starts_with(history["payload"], "[["), False)
    return bool(pc.all(pc.and_(told, listed)).as_py())


def timeless(history: pa.Table) -> bool:
    """Whether these are transactions at one moment: then their order is that of sessions."""
    start, end = (history[name].to_numpy() for name in ("start_ns", "end_ns"))
    if len(start) < 2 or start.min() != end.max():
        return False
    return bool(pc.all(pc.equal(history["f"].cast(pa.string()), "txn")).as_py())


def in_step(history: pa.Table) -> pa.Table:
    """The history as if each process had done its n-th operation at the n-th moment."""
    process = history["process"].to_numpy()
    order = np.argsort(process, kind="stable")
    place = np.arange(len(order))
    first = np.append(True, process[order][1:] != process[order][:-1])
    number = np.empty(len(order), np.int64)
    number[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    for name, times in (("start_ns", 2 * number), ("end_ns", 2 * number + 1)):
        history = history.set_column(HISTORY.get_field_index(name), name, pa.array(times))
    return history


def own_processes(history: pa.Table) -> Ints:
    """The process of each operation, a new number where it began before its last had ended."""
    process: Ints = history["process"].to_numpy().astype(np.int64)
    start, end = (history[name].to_numpy() for name in ("start_ns", "end_ns"))
    order = np.lexsort((end, start, process))
    same = np.append(False, process[order][1:] == process[order][:-1])
    busy = np.append(False, start[order][1:] <= end[order][:-1]) & same
    if busy.any():
        busy = _busy(process, start, end, order)
        fresh = int(process.max()) + 1 + np.arange(int(busy.sum()))
        process[order[busy]] = fresh
    return process


def _busy(process: Ints, start: Ints, end: Ints, order: Ints) -> Any:
    """Which of `order` began no later than something of their process, that is kept, had ended."""
    until: dict[int, int] = {}
    busy = np.zeros(len(order), np.bool_)
    for place, row in enumerate(order.tolist()):
        who = int(process[row])
        if start[row] <= until.get(who, int(start[row]) - 1):
            busy[place] = True
        else:
            until[who] = int(end[row])
    return busy


def events(history: pa.Table, process: Ints) -> Iterator[tuple[dict[str, Any], bool]]:
    """(row, whether it completes) in the order of time; invocations first where times are equal."""
    count = history.num_rows
    times = np.concatenate([history["start_ns"].to_numpy(), history["end_ns"].to_numpy()])
    place = np.lexsort((np.arange(2 * count), np.repeat([0, 1], count), times))
    names = [name for name in HISTORY.names if name not in ("node", "zone", "process")]
    for begin in range(0, 2 * count, _BLOCK):
        chosen = place[begin : begin + _BLOCK]
        rows, completes = chosen % count, chosen >= count
        part = history.select(names).take(pa.array(rows)).to_pylist()
        for row, number, done in zip(part, rows.tolist(), completes.tolist(), strict=True):
            yield {**row, "process": int(process[number])}, done


def _event(row: Mapping[str, Any], index: int, *, completes: bool) -> dict[str, Any]:
    """The event as Jepsen's map, keys without their colon."""
    known = row["type"] == "ok" and completes
    reads = row["f"] in ("read", "dequeue", "pop", "peek", "drain", "generate", "poll")
    event = {
        "type": row["type"] if completes else "invoke",
        "f": row["f"],
        "value": None if reads and not known else _content(row, known=known),
        "time": row["end_ns" if completes else "start_ns"],
        "process": row["process"],
        "index": index,
    }
    if completes and row["error"] is not None:
        event["error"] = row["error"]
    return event


def _content(row: Mapping[str, Any], *, known: bool) -> Any:
    """What the row carries; of a transaction whose answer is not `known`, nothing that was read."""
    if row["f"] == "cas" and row["payload"] is None:
        return [row["expected"], row["value"]]
    told = known and row["f"] == "send"  # its payload has the offset, too
    alone = row["value"] is not None and not told
    if alone or row["payload"] is None:
        return row["value"]
    content = json.loads(row["payload"])
    if row["f"] != "txn" or known or not isinstance(content, list):
        return content
    return [_asked(each) if isinstance(each, list) else each for each in content]


def _asked(micro: list[Any]) -> list[Any]:
    """A micro-operation without its answer."""
    if micro[:1] == ["r"]:
        return [*micro[:2], None]
    if micro[:1] == ["poll"]:
        return micro[:1]
    offset_told = micro[:1] == ["send"] and isinstance(micro[-1], list) and len(micro[-1]) == 2
    return [*micro[:2], micro[-1][1]] if offset_told else micro


def json_line(event: Mapping[str, Any]) -> str:
    """An event as a line of JSON."""
    return json.dumps(event, ensure_ascii=False) + "\n"


def edn_line(event: Mapping[str, Any]) -> str:
    """An event as a line of EDN; names that are keywords in Jepsen are keywords."""
    parts = []
    for key, value in event.items():
        word = key in ("type", "f") and _KEYWORD.fullmatch(value)
        if key == "value":
            value = _words(event["f"], value)
        text = f":{value}" if word else edn(value)
        parts.append(f":{key} {text}")
    return "{" + ", ".join(parts) + "}\n"


class _Keyword(str):
    """A text that is written as it is."""


def _words(f: str, value: Any) -> Any:
    """A value with keywords where Jepsen has them: micro-operations, and what a transfer is."""
    if f == "transfer" and isinstance(value, dict):
        return {_Keyword(f":{name}"): part for name, part in value.items()}
    if f != "txn" or not isinstance(value, list):
        return value
    return [
        [_Keyword(f":{item[0]}"), *item[1:]] if isinstance(item, list) and item else item
        for item in value
    ]


def edn(value: Any) -> str:
    """A JSON value in EDN: `edn.one(edn(value)) == value`."""
    if value is None or isinstance(value, bool):
        return {None: "nil", True: "true", False: "false"}[value]
    if isinstance(value, _Keyword):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(_character(c) for c in value) + '"'
    if isinstance(value, int):
        return str(value) if abs(value) < 2**63 else f"{value}N"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Sequence):
        return "[" + " ".join(map(edn, value)) + "]"
    pairs: Iterable[str] = (
        f"{key if _NUMBER.fullmatch(key) else edn(key)} {edn(item)}" for key, item in value.items()
    )  # of accounts, say: read again, a number is a text once more
    return "{" + ", ".join(pairs) + "}"


def _character(character: str) -> str:
    if character < " ":
        return _ESCAPED.get(character) or f"\\u{ord(character):04x}"
    return _ESCAPED.get(character, character)
