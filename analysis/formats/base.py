"""What a history format is: how it is recognised, and how it becomes rows of a history.

Rows are as in `chaos.record.schema.HISTORY`; docs/histories.md says which `f`, `value` and
`payload` each property reads. A reader streams: its memory is the table and a bounded buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A history read from a file of another tool."""

    table: pa.Table  # schema HISTORY, ordered by completion
    properties: tuple[str, ...]  # what the format, or the operations in it, can decide
    initial: Any = None  # a register's initial value: the user's, else the format's own
    notes: tuple[str, ...] = field(default=())  # what a reader of the verdict should know
    models: Literal["adya", "axiomatic"] = "adya"  # of transactions: docs/transactions.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format. `read(path, initial)` raises HistoryError with `file:line` for bad input."""

    name: str  # as in `--format`
    about: str  # one line for `aftershock list formats`
    signs: str  # what a file of it must show to be recognised
    recognises: Callable[[Path, bytes], bool]  # by the path and its first 64 KiB
    read: Callable[[Path, Any], Imported]
    kind: Literal["text", "binary", "folder"] = "text"  # of a folder's path there is no beginning
