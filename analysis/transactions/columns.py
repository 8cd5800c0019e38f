"""Transactions as numpy columns: what every checker of isolation reads.

A transaction's number here is its place among the rows with f = txn; `rows` gives the history's
row. Keys and values are codes: an integer from 0 up is its own value code, any other JSON value has
one in `names`. Two codes are equal exactly if the values are equal as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.history import INFO, OK, History, Ints
from analysis.transactions.parsing import APPEND, READ, UNREAD, WRITE, parse
from analysis.values import canonical

__all__ = ["APPEND", "NEVER", "NIL", "READ", "UNREAD", "WRITE", "Transactions", "read_transactions"]

NIL = -1  # value code: nothing there
NEVER = int(np.iinfo(np.int64).max)  # the end of what has no definite answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """n transactions of m micro-operations; transaction t's are those in first[t] … first[t+1]."""

    history: History
    rows: Ints  # (n) ascending
    process: Ints  # (n)
    start: Ints  # (n) ns
    end: Ints  # (n) ns; NEVER where there is no definite answer
    outcome: npt.NDArray[np.int8]  # (n) OK | FAIL | INFO
    first: Ints  # (n+1)
    kind: npt.NDArray[np.int8]  # (m) READ | WRITE | APPEND
    key: Ints  # (m) from 0 without gaps, in the order of first mention
    value: Ints  # (m) written, appended; of an ok read: read (NIL: nothing, or a list), else UNREAD
    list_first: Ints  # (m+1) offsets into `element`
    element: Ints  # (e) value codes of the lists that ok reads show
    lists: bool  # whether anything is appended
    mixed: bool  # whether there are appends and writes
    names: Mapping[int, Any]  # value code → JSON value, of what is no integer from 0 up
    keys: Ints  # key code → the key, if it is an integer
    key_names: Mapping[int, Any]  # key code → JSON value, of the other keys

    def __len__(self) -> int:
        return len(self.rows)

    def key_name(self, code: int) -> Any:
        """The key as JSON."""
        return self.key_names.get(int(code), int(self.keys[code]))

    def content(self, code: int) -> Any:
        """The value as JSON; None for NIL and UNREAD."""
        return None if code < 0 else self.names.get(int(code), int(code))

    def code(self, content: Any) -> int:
        """The code of a JSON value; NIL for null, -3 (no code at all) for one nobody mentions."""
        if content is None:
            return NIL
        if type(content) is int and content >= 0 and content not in self.names:
            return content
        wanted = canonical(content)
        same = (code for code, value in self.names.items() if canonical(value) == wanted)
        return next(same, -3)

    def owner(self) -> Ints:
        """(m) the transaction of each micro-operation."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))


def read_transactions(history: History) -> Transactions:
    """The transactions of a history (docs/transactions.md); other rows are passed over.

    RecordError, naming the operation, for a payload that is no list of micro-operations.
    """
    rows = np.flatnonzero(history.f.equals("txn"))
    whole = len(rows) == len(history)
    outcome = history.type if whole else history.type[rows]
    parsed = parse(history.payload, rows, outcome == OK)
    end = history.end_ns if whole else history.end_ns[rows]
    return Transactions(
        history=history,
        rows=rows,
        process=history.process if whole else history.process[rows],
        start=history.start_ns if whole else history.start_ns[rows],
        end=np.where(outcome == INFO, NEVER, end),
        outcome=outcome,
        first=parsed.first,
        kind=parsed.kind,
        key=parsed.key,
        value=parsed.value,
        list_first=parsed.list_first,
        element=parsed.element,
        lists=parsed.lists,
        mixed=parsed.mixed,
        names=parsed.names,
        keys=parsed.keys,
        key_names=parsed.key_names,
    )
