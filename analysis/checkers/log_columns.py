"""Logs with offsets, as Kafka's: what was sent, and what polls showed, as arrays.

A log is a key (a topic's partition). Payloads of one send or one poll, as nearly all are, are read
by Arrow at once; the others one by one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from analysis.history import OK, History, Ints
from analysis.values import canonical
from chaos.errors import RecordError

UNTOLD = -1  # an offset that is not known
ARROW_FROM = 100  # fewer operations are read one by one
LOGS_MAX = 1_000  # polls of a history with more are read one by one
HIGHEST = 10**18
_INTEGER = r"(?:0|-?[1-9][0-9]{0,17})"
_SENT = (
    rf'^\[\[":?send",(?:(?P<number>{_INTEGER})|"(?P<name>[^"\\]*)"),'
    rf"(?:\[(?P<offset>0|[1-9][0-9]{{0,17}}),(?P<value>{_INTEGER})\]|(?P<alone>{_INTEGER}))\]\]$"
)
_KEYED = rf"^\[(?P<offset>0|[1-9][0-9]{{0,17}}), ?(?P<value>{_INTEGER})\]$"  # of a send with a key
_POLLED = r'^(?:\[\[":?poll",(?P<map>\{[^{}\r\n]*\})\]\]|(?P<bare>\{[^{}\r\n]*\}))$'
_MESSAGES = pa.list_(pa.list_(pa.int64()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Messages in the order in which their operations tell of them: rows, logs, offsets, values."""

    row: Ints
    log: Ints
    offset: Ints  # UNTOLD
    value: Ints
    order: Ints  # within the row

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """`sent`: by all sends, whatever came of them; `polled`: what ok polls showed. `polls`: rows
    that poll, whatever came of it. `names`: of the logs; `contents`: value → what is no small
    integer.
    """

    sent: Messages
    polled: Messages
    polls: Ints
    names: tuple[str, ...]
    contents: Mapping[int, Any]

    def content(self, value: int) -> Any:
        """A message's value as JSON."""
        return self.contents.get(int(value), int(value))


def read_log(history: History) -> Log:
    """The messages of a history (f: send, poll, txn); RecordError, naming the operation, for a
    payload that is none of these.
    """
    return _Reader(history).read()


@dataclass(slots=True)
class _Part:
    """Columns of messages while they are collected."""

    pieces: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, row: Any, log: Any, offset: Any, value: Any, order: Any) -> None:
        self.pieces.append((row, log, offset, value, order))

    def messages(self) -> Messages:
        columns = [
            np.concatenate([np.empty(0, np.int64), *(np.asarray(p[n]) for p in self.pieces)])
            for n in range(5)
        ]  # fmt: skip
        return Messages(
            row=columns[0], log=columns[1], offset=columns[2], value=columns[3], order=columns[4]
        )


class _Reader:
    """Reads one history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._logs: dict[str, int] = {}
        self._values: dict[str, int] = {}
        self._contents: dict[int, Any] = {}
        self._sent, self._polled = _Part(), _Part()
        self._polls: list[Any] = []

    def read(self) -> Log:
        """All of it; what Arrow cannot read goes one by one."""
        f = self._history.f
        sends, polls, txns = (np.flatnonzero(f.equals(n)) for n in ("send", "poll", "txn"))
        if len(sends) >= ARROW_FROM:
            sends = self._sends(self._keyed(sends))
        self._polls.append(polls)
        if len(polls) >= ARROW_FROM:
            polls = self._many_polls(polls)
        self._one_by_one(np.sort(np.concatenate([sends, polls, txns])))
        polling = np.zeros(len(self._history), np.bool_)
        for part in self._polls:
            polling[part] = True
        return Log(
            sent=self._sent.messages(),
            polled=self._polled.messages(),
            polls=np.flatnonzero(polling),
            names=tuple(self._logs),
            contents=self._contents,
        )

    def _log(self, name: str) -> int:
        return self._logs.setdefault(name, len(self._logs))

    def _codes(self, names: pa.Array) -> Ints:
        """Numbers of logs by name."""
        words = pc.dictionary_encode(names)
        known = np.array([self._log(name) for name in words.dictionary.to_pylist()], np.int64)
        codes: Ints = known[words.indices.to_numpy(zero_copy_only=False)]
        return codes

    def _keyed(self, rows: Ints) -> Ints:
        """Reads the sends with a key and [offset, integer]; the rows of the others."""
        history = self._history
        parts = pc.extract_regex(history.payload.take(pa.array(rows)), _KEYED)
        found = pc.is_valid(parts).to_numpy(zero_copy_only=False) & (history.key.codes[rows] >= 0)
        parts, mine = parts.filter(pa.array(found)), rows[found]
        if len(mine):
            logs = np.array([self._log(name) for name in history.key.names], np.int64)
            offset, value = (pc.cast(parts.field(n), pa.int64()).to_numpy()
                             for n in ("offset", "value"))  # fmt: skip
            told = np.where(history.type[mine] == OK, offset, UNTOLD)
            self._sent.add(mine, logs[history.key.codes[mine]], told, value, np.zeros_like(mine))
        rest: Ints = rows[~found]
        return rest

    def _sends(self, rows: Ints) -> Ints:
        """Reads the sends of one integer; the rows of the others."""
        parts = pc.extract_regex(self._history.payload.take(pa.array(rows)), _SENT)
        found = pc.is_valid(parts).to_numpy(zero_copy_only=False)
        parts, mine = parts.drop_null(), rows[found]
        text = {name: parts.field(name) for name in ("number", "name", "offset", "value", "alone")}
        name = pc.if_else(pc.equal(text["number"], ""), text["name"], text["number"])
        told = pc.not_equal(text["offset"], "")
        offset = pc.cast(pc.if_else(told, text["offset"], str(UNTOLD)), pa.int64())
        value = pc.cast(pc.if_else(told, text["value"], text["alone"]), pa.int64())
        if len(mine):
            codes, offsets, values = self._codes(name), offset.to_numpy(), value.to_numpy()
            self._sent.add(mine, codes, offsets, values, np.zeros(len(mine), np.int64))
        rest: Ints = rows[~found]
        return rest

    def _many_polls(self, rows: Ints) -> Ints:
        """Reads the polls of integers; the rows of the others."""
        ok = rows[self._history.type[rows] == OK]
        parts = pc.extract_regex(self._history.payload.take(pa.array(ok)), _POLLED)
        found = pc.is_valid(parts).to_numpy(zero_copy_only=False)
        parts, mine = parts.drop_null(), ok[found]
        shown = pc.if_else(
            pc.equal(parts.field("map"), ""), parts.field("bare"), parts.field("map")
        )
        some = pc.not_equal(shown, "{}").to_numpy(zero_copy_only=False)
        shown, told = shown.filter(pa.array(some)), mine[some]
        if len(told) and not self._columns(shown, told):
            return rows
        rest: Ints = rows[(self._history.type[rows] != OK) | ~np.isin(rows, mine)]
        return rest

    def _columns(self, shown: pa.Array, rows: Ints) -> bool:
        """Adds the messages of these texts; False: they are not alike, and nothing was added."""
        longest = pc.max(pc.binary_length(shown)).as_py()
        try:
            table = arrow_json.read_json(
                io.BytesIO("\n".join(shown.to_pylist()).encode()),
                read_options=arrow_json.ReadOptions(block_size=max(1 << 22, 2 * longest)),
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeEncodeError):
            return False
        if table.num_rows != len(rows) or table.num_columns > LOGS_MAX:
            return False
        pieces = []
        for name in table.column_names:
            column = table.column(name).combine_chunks()
            if not pa.types.is_list(column.type):
                return False
            if not len(column.flatten()):
                continue
            if column.type != _MESSAGES:
                return False
            parent, pairs = column.value_parent_indices(), column.flatten()
            cells = pairs.flatten()
            lengths = pc.list_value_length(pairs)
            if pairs.null_count or cells.null_count or not pc.all(pc.equal(lengths, 2)).as_py():
                return False
            offset, value = cells.to_numpy().reshape(-1, 2).T
            if bool((offset < 0).any() | (abs(value) > HIGHEST).any() | (offset > HIGHEST).any()):
                return False
            pieces.append((name, parent.to_numpy(), offset, value))
        for name, parent, offset, value in pieces:
            order = np.arange(len(offset), dtype=np.int64)
            log = np.full(len(offset), self._log(name))
            self._polled.add(rows[parent], log, offset, value, order)
        return True

    def _one_by_one(self, rows: Ints) -> None:
        """Reads the rest."""
        sent, polled = [], []
        for row in rows.tolist():
            ok = self._history.type[row] == OK
            for at, (log, offset, value, is_send) in enumerate(self._micros(row)):
                if is_send:
                    sent.append((row, log, offset if ok else UNTOLD, value, at))
                elif ok:
                    polled.append((row, log, offset, value, at))
        for part, found in ((self._sent, sent), (self._polled, polled)):
            if found:
                part.add(*zip(*found, strict=True))

    def _micros(self, row: int) -> Iterator[tuple[int, int, int, bool]]:
        """(log, offset, value, whether it is sent) of what an operation sent and polled."""
        history = self._history
        content, f = history.content(row), str(history.f.at(row))
        nested = isinstance(content, list) and content and isinstance(content[0], list)
        if f == "send" and not nested:
            if content is not None:
                content = [["send", history.key.at(row) or "", content]]
        elif f == "poll" and isinstance(content, dict):
            content = [["poll", content]]
        for micro in content or ():
            name = micro[0] if isinstance(micro, list) and micro else None
            name = name.removeprefix(":") if isinstance(name, str) else None
            if name == "send" and len(micro) == 3:
                offset, value = _pair(micro[2])
                yield self._log(log_name(micro[1])), offset, self._value(value), True
            elif name == "poll" and len(micro) <= 2:
                if f != "poll":
                    self._polls.append([row])
                yield from self._shown(micro[1] if len(micro) > 1 else None, row)
            else:
                raise _bad(row, micro)

    def _shown(self, shown: Any, row: int) -> Iterator[tuple[int, int, int, bool]]:
        if shown is not None and not isinstance(shown, dict):
            raise _bad(row, shown)
        for name, messages in (shown or {}).items():
            for message in messages or ():
                if not (isinstance(message, list) and len(message) == 2 and _offset(message[0])):
                    raise _bad(row, message)
                yield self._log(name), message[0], self._value(message[1]), False

    def _value(self, content: Any) -> int:
        """An integer that stands for a message's value."""
        if type(content) is int and -HIGHEST <= content <= HIGHEST:
            return content
        code = self._values.setdefault(canonical(content), HIGHEST + 1 + len(self._values))
        self._contents[code] = content
        return code


def log_name(key: Any) -> str:
    """A log's name, as it is a member of an object in JSON."""
    return key if isinstance(key, str) else json.dumps(key)


def _offset(offset: Any) -> bool:
    return type(offset) is int and 0 <= offset <= HIGHEST


def _pair(told: Any) -> tuple[int, Any]:
    """(offset, value) of what a send carries: [offset, value], or the value."""
    if isinstance(told, list) and len(told) == 2 and (told[0] is None or _offset(told[0])):
        return UNTOLD if told[0] is None else told[0], told[1]
    return UNTOLD, told


def _bad(row: int, got: Any) -> RecordError:
    return RecordError(
        f'operation {row}: expected micro-operations ["send", log, [offset, value]] and ["poll", '
        f"{{log: [[offset, value], …]}}], got {json.dumps(got)[:80]}"
    )
