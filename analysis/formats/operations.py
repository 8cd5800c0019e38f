"""Jepsen's operations, read from maps of EDN or JSON, as events.

What a map means is at https://github.com/jepsen-io/history: `:type` invoke, ok, fail or info,
`:process`, `:f`, `:value`, `:time` in ns, `:index`, `:error`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from analysis.formats.edn import canonical
from analysis.formats.events import EVENTS, FAIL, INFO, INVOKE, KINDS, OK, Vocabulary
from analysis.formats.names import plain_name
from analysis.formats.source import bad
from chaos.errors import HistoryError

TIME_MAX = 2**61
INT64_MAX = 2**63 - 1
MICRO_OPS = frozenset({"append", "r", "w"})
TXN = "txn"
Content = tuple[int | None, int | None, str | None]  # value, expected, payload

_FIELDS = ("process", "type", "f", "value", "time", "index", "error", "key")
_NOTHING: Content = (None, None, None)


class NotKeyed(Exception):
    """Values that seemed to be pairs of key and value are not all."""


def is_pair(f: str, value: Any) -> bool:
    """Whether a value can be jepsen.independent's `[key value]`."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], int | str)
        and not isinstance(value[0], bool)
        and (plain_name(f) != "cas" or value[1] is None or _is_cas(value[1]))
    )


def _is_cas(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def fits(value: Any) -> bool:
    """Whether a JSON value is an integer that the column `value` can hold."""
    return (
        isinstance(value, int) and not isinstance(value, bool) and -INT64_MAX <= value <= INT64_MAX
    )


def content(value: Any) -> Content:
    """The columns value, expected and payload for a value."""
    if value is None:
        return _NOTHING
    return (value, None, None) if fits(value) else (None, None, canonical(value))


def cas_content(value: Any) -> Content:
    """The same for the value `[old new]` of a cas; ValueError when it is none."""
    if value is None or isinstance(value, bool):
        return content(value)
    if not _is_cas(value):
        raise ValueError
    old, new = value
    if all(part is None or fits(part) for part in value):
        return new, old, None
    return None, None, canonical(value)


def micro_ops(value: Any) -> list[Any] | None:
    """A transaction's micro-operations as `["append", key, element]`; None when it is none.

    ValueError, with the one that is wrong, where only some are, or one has not a key and a value.
    """
    if not isinstance(value, list) or not value:
        return None
    found: list[Any] = []
    for item in value:
        name = item[0] if isinstance(item, list) and item else None
        name = name.removeprefix(":") if isinstance(name, str) else None
        if name not in MICRO_OPS:
            if found:
                raise ValueError(canonical(item))
            return None
        if len(item) != 3:
            raise ValueError(canonical(item))
        found.append([name, *item[1:]])
    return found


class Operations:
    """Turns maps into EVENTS. `keyed`: values are `[key value]`; None: the first one tells."""

    def __init__(self, path: Path, words: Vocabulary, *, keyed: bool | None = None) -> None:
        self.keyed = keyed
        self.left_out = 0  # events of processes that are no clients
        self.numbered = 0  # events with a process
        self.unnumbered = 0  # events without one
        self.microops: set[str] = set()
        self.transactions: set[str] = set()  # what operations with micro-operations are called
        self.others: set[str] = set()  # what operations with any other value are called
        self._path = path
        self.words = words
        self._rows: list[tuple[Any, ...]] = []

    def add(self, form: Any, line: int) -> None:
        """One map, read from `line`; HistoryError when it is no operation."""
        if not isinstance(form, dict):
            raise bad(self._path, line, "an operation (a map)", canonical(form))
        fields = [form.get(":" + name, form.get(name)) for name in _FIELDS]
        process, type_, f, value, time, index, error, key = fields
        kind = self._kind(type_, line)
        if process is None:
            self.unnumbered += 1
        elif isinstance(process, float):
            raise bad(self._path, line, "a process that is a whole number", str(process))
        elif not isinstance(process, int) or isinstance(process, bool):
            self.left_out += 1  # the nemesis, or another thread that is no client
            return
        elif not fits(process):
            raise bad(self._path, line, "a process of at most 64 bits", str(process))
        else:
            self.numbered += 1
        name = self._name(f, kind, value, line)
        if self.keyed is None and (":key" in form or "key" in form):
            self.keyed = False  # the key stands beside the value
        values, code = self._value(name, kind, value, line)
        if key is not None:
            code = self.words.key.code(key)
        self._rows.append(
            (
                kind,
                process,
                None if f is None and kind != INVOKE else self.words.f.code(name),
                code,
                *values,
                self.error(error, kind),
                self._number(time, "time", line),
                self._number(index, "index", line),
                line,
            )
        )

    def take(self) -> pa.RecordBatch:
        """The events added since the last call."""
        columns = list(zip(*self._rows, strict=True)) or [()] * len(EVENTS)
        self._rows = []
        arrays = [
            pa.array(column, field.type) for column, field in zip(columns, EVENTS, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=EVENTS)

    def __len__(self) -> int:
        return len(self._rows)

    def finish(self) -> list[str]:
        """Sentences about what was left out; HistoryError when only some events had a process."""
        if self.unnumbered and self.numbered:
            raise HistoryError(
                f"{self._path}: expected a :process of every operation, "
                f"{self.unnumbered} of {self.unnumbered + self.numbered} have none"
            )
        if not self.left_out:
            return []
        return [f"{self.left_out:,} events of no client (a nemesis, for instance) are left out"]

    def error(self, error: Any, kind: int) -> int | None:
        """The code of an :error: `[:code "why"]`, a keyword or a text, as "code: why"."""
        if error is None or kind == INVOKE:
            return None
        if isinstance(error, list) and error and all(isinstance(part, str) for part in error):
            text = ": ".join(part.removeprefix(":") for part in error)
        elif isinstance(error, str):
            text = error.removeprefix(":")
        else:
            text = f"error: {canonical(error)}"
        return self.words.error.code(text)

    def _kind(self, type_: Any, line: int) -> int:
        kind = KINDS.get(type_.removeprefix(":")) if isinstance(type_, str) else None
        if kind is None:
            got = "none" if type_ is None else canonical(type_)
            raise bad(
                self._path, line, "an operation whose :type is :invoke, :ok, :fail or :info", got
            )
        return kind

    def _name(self, f: Any, kind: int, value: Any, line: int) -> str:
        """What the operation is called; a completion need not say it."""
        if isinstance(f, str) and f:
            return f.removeprefix(":")
        if f is not None:
            return canonical(f)
        silent = kind in (FAIL, INFO) or (kind == OK and value is None)
        if silent or value == [] or self._micro_ops(TXN, value, line) is not None:
            return TXN
        raise bad(self._path, line, "what the operation does (:f)", "nothing")

    def _value(self, f: str, kind: int, value: Any, line: int) -> tuple[Content, int | None]:
        """Columns of the value, and the key's code. What a fail or info holds is not looked at."""
        if kind in (FAIL, INFO):
            return _NOTHING, None
        key = None
        if self.keyed is None:
            self.keyed = is_pair(f, value)
        if self.keyed and not (kind == OK and value is None):
            if not is_pair(f, value):
                raise NotKeyed
            key, value = self.words.key.code(value[0]), value[1]
        return self.columns(f, value, line), key

    def columns(self, f: str, value: Any, line: int) -> Content:
        """The columns of a value that has no key in it."""
        found = self._micro_ops(f, value, line) if isinstance(value, list) else None
        if found is not None:
            self.microops |= {item[0] for item in found}
            self.transactions.add(f)
            return None, None, canonical(found)
        if value is not None:
            self.others.add(f)
        if f == "transfer" and isinstance(value, dict):  # of bank accounts
            value = {name.removeprefix(":"): part for name, part in value.items()}
        if plain_name(f) != "cas":
            return content(value)
        try:
            return cas_content(value)
        except ValueError:
            raise bad(
                self._path, line, "a cas with the value [old new]", canonical(value)
            ) from None

    def _micro_ops(self, f: str, value: Any, line: int) -> list[Any] | None:
        """A transaction's micro-operations. Only of a txn they are so for sure."""
        try:
            return micro_ops(value)
        except ValueError as error:
            if f != TXN:
                return None
            form = "micro-operations such as [:append k v], [:w k v] or [:r k v]"
            raise bad(self._path, line, form, str(error)) from None

    def _number(self, number: Any, name: str, line: int) -> int | None:
        if isinstance(number, float):
            number = int(number) if abs(number) < TIME_MAX else None
        if number is None:
            return None
        if isinstance(number, bool) or not isinstance(number, int) or abs(number) > TIME_MAX:
            raise bad(self._path, line, f"a whole number as :{name}", canonical(number))
        return number
