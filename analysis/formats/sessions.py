"""Transactions of sessions, without times: what dbcop, Cobra, PolySI, Plume and AWDIT record.

Each session is a process, each transaction a `txn` at time 0; sessions are ordered by their rows,
and nothing precedes anything in real time (docs/transactions.md). All of these tools decide the
axiomatic models of Biswas & Enea, on registers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats.base import Imported
from analysis.formats.events import FAIL, INFO, OK, UNANSWERED, Vocabulary
from analysis.formats.operations import TXN
from analysis.formats.table import Object, imported
from analysis.history import Ints, Mask
from chaos.errors import HistoryError

ABORTED = "aborted: not committed"
CHUNK = 1 << 20  # micro-operations made to text at a time
_ABOUT = Object(properties=("rw-register",))


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroOps:
    """Reads and writes, those of a transaction one after another."""

    write: Mask
    key: pa.Array | Ints  # whole numbers, or texts of JSON
    value: pa.Array | Ints
    null: Mask  # of reads: nothing was there

    def __len__(self) -> int:
        return len(self.write)


class Sessions:
    """The transactions of a file, as they come; those without any operation are left out."""

    def __init__(self) -> None:
        self._words = Vocabulary()
        self._f = self._words.f.code(TXN)
        self._errors = {
            FAIL: self._words.error.code(ABORTED),
            INFO: self._words.error.code(UNANSWERED),
        }
        self._rows: list[pa.RecordBatch] = []
        self._empty = 0

    def add(self, session: Ints, count: Ints, kind: Ints, operations: MicroOps) -> None:
        """Transactions: of each its session, how many of `operations` it did, and OK | FAIL | INFO.

        A session's transactions stand in its order. What those that are not OK read is not told.
        """
        if bool((kind != OK).any()):
            unsure = np.repeat(kind != OK, count)
            null = operations.null | (unsure & ~operations.write)
            operations = replace(operations, null=null)
        first, ends = 0, np.cumsum(count)
        while first < len(count):
            done = int(ends[first - 1]) if first else 0
            last = max(first + 1, int(np.searchsorted(ends, done + CHUNK, side="right")))
            part, chosen = slice(first, last), slice(done, int(ends[last - 1]))
            texts = _texts(count[part], operations, chosen)
            self.add_texts(session[part], kind[part], texts)
            first = last

    def add_texts(self, session: Ints, kind: Ints, payload: pa.Array) -> None:
        """The same of transactions whose payload is there."""
        empty = pc.equal(payload, "[]").to_numpy(zero_copy_only=False)
        if empty.any():
            self._empty += int(empty.sum())
            session, kind = session[~empty], kind[~empty]
            payload = payload.filter(pa.array(~empty))
        if not len(session):
            return
        rows = len(session)
        zero = pa.array(np.zeros(rows, np.int64))
        error = np.zeros(rows, np.int32)
        for which, code in self._errors.items():
            error[kind == which] = code
        self._rows.append(
            pa.record_batch(
                {
                    "process": pa.array(session.astype(np.int64)),
                    "f": pa.array(np.full(rows, self._f, np.int32)),
                    "key": pa.nulls(rows, pa.int32()),
                    "value": pa.nulls(rows, pa.int64()),
                    "expected": pa.nulls(rows, pa.int64()),
                    "payload": payload,
                    "kind": pa.array(kind.astype(np.int8)),
                    "error": pa.array(error, mask=kind == OK),
                    "start_ns": zero,
                    "end_ns": zero,
                }
            )
        )

    def finish(self, path: Path, initial: Any, notes: Sequence[str] = ()) -> Imported:
        """The history; HistoryError when there is not one transaction in it."""
        if not self._rows:
            what = "transactions without any operation" if self._empty else "none"
            raise HistoryError(f"{path}: expected transactions that read or write, got {what}")
        said = list(notes)
        if self._empty:
            said.append(f"left out: {counted(self._empty, 'transaction')} without operations")
        found = imported(self._rows, self._words, initial, about=_ABOUT, notes=said)
        return replace(found, models="axiomatic")


def counted(number: int, what: str) -> str:
    """`1 read`, `2,000 reads`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def initial_reads(write: Mask, key: Ints, value: Ints, marker: int = 0) -> Mask:
    """Reads of `marker`, which says that nothing was there, unless it was written to that key."""
    marked = value == marker
    written = np.unique(key[write & marked])
    found: Mask = ~write & marked
    if len(written):
        found &= ~np.isin(key, written)
    return found


def _texts(count: Ints, operations: MicroOps, chosen: slice) -> pa.Array:
    """The payload of each transaction: its operations as JSON."""
    write = pa.array(operations.write[chosen])
    key, value = (
        part[chosen] if isinstance(part, pa.Array) else pa.array(part[chosen])
        for part in (operations.key, operations.value)
    )
    value = pc.if_else(pa.array(operations.null[chosen]), "null", value.cast(pa.string()))
    opens = pc.if_else(write, '["w",', '["r",')
    each = pc.binary_join_element_wise(opens, key.cast(pa.string()), ",", value, "]", "")
    places = pa.array(np.append(0, np.cumsum(count)).astype(np.int32))
    held = pa.ListArray.from_arrays(places, each)
    return pc.binary_join_element_wise("[", pc.binary_join(held, ","), "]", "")
