"""Paired operations as a table of the schema HISTORY, in our words, and what it can decide."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.formats.base import Imported
from analysis.formats.events import NAMES, OK, UNREAD_NULL, Vocabulary, numbers, true, valid
from analysis.formats.names import COUNTED, Shown, decided_by, plain_name, renamed
from analysis.formats.operations import TXN
from analysis.history import UNREAD, Ints
from chaos.record.schema import HISTORY

INT32 = np.iinfo(np.int32)
_REGISTERS = {"linearizable-register", "linearizable-cas-register", "linearizable-kv-append"}
_TYPES = NAMES[OK:]  # a row's type is its completion's, one less


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What a format says of the object that its operations are on; nothing: they tell."""

    family: str | None = None  # queue, stack, set: what `add` and `get` mean
    properties: tuple[str, ...] | None = None
    initial: object = None  # JSON


NO_OBJECT = Object()


def imported(
    rows: Sequence[pa.RecordBatch],
    words: Vocabulary,
    initial: object,
    *,
    about: Object = NO_OBJECT,
    microops: Collection[str] = (),
    transactions: Collection[str] = (),
    notes: Sequence[str] = (),
) -> Imported:
    """The history of paired operations (analysis.formats.events), in the order of completion.

    An ok read without a value tells nothing where a register begins with a value (`initial`). What
    is called one of `transactions` is a txn, whatever its name.
    """
    raw = words.f.names()
    ours = renamed(raw, about.family)
    ours |= {word: TXN for word in raw if word in transactions}
    names = list(dict.fromkeys(ours.values()))
    place = np.array([names.index(ours[word]) for word in raw], np.int64)
    properties = about.properties
    if properties is None:
        counted = any(plain_name(word) in COUNTED for word in raw)
        properties = decided_by(names, _shown(rows, place, names, microops, counted))
    initial = about.initial if initial is None else initial
    register = initial is not None and _REGISTERS & set(properties)
    silent = [names.index("read")] if register and "read" in names else []
    maker = _Maker(words, place, silent)
    table = _table([maker.columns(batch) for batch in rows], words, names)
    if not properties and names:
        some = ", ".join(sorted(names)[:6])
        notes = (*notes, f"no property is known for its operations ({some}): name one "
                 "with --property")  # fmt: skip
    return Imported(table=table, properties=properties, initial=initial, notes=tuple(notes))


def _shown(
    rows: Sequence[pa.RecordBatch],
    place: Ints,
    names: Sequence[str],
    microops: Collection[str],
    counted: bool,
) -> Shown:
    """What ok reads showed."""
    lists = whole = False
    for batch in rows if "read" in names else ():
        read = place[numbers(batch, "f")] == names.index("read")
        told = read & (numbers(batch, "kind") == OK)
        whole |= bool((told & valid(batch, "value")).any())
        payloads = batch["payload"].filter(pa.array(told)).drop_null()
        lists |= bool(true(pc.starts_with(payloads, "[")).any())
    return Shown(lists=lists, numbers=whole, counted=counted, microops=frozenset(microops))


class _Maker:
    """Makes HISTORY's columns of a batch; words stay codes."""

    def __init__(self, words: Vocabulary, place: Ints, silent: Sequence[int]) -> None:
        self._place = place
        self._silent = silent
        self._down = [
            code for code, word in enumerate(words.f.names()) if plain_name(word) == "decrement"
        ]
        self._unread = words.error.code(UNREAD_NULL)
        self._kept = [
            code
            for code, text in enumerate(words.error.names())
            if text.partition(":")[0] == UNREAD
        ]

    def columns(self, rows: pa.RecordBatch) -> dict[str, pa.Array]:
        """The columns that are no words' dictionaries."""
        f, kind = numbers(rows, "f"), numbers(rows, "kind")
        value, error = rows["value"], rows["error"]
        if self._down:
            down = pa.array(np.isin(f, self._down))
            value = pc.if_else(down, pc.negate(pc.coalesce(value, 1)), value)
        f = self._place[f]
        # An ok answer has no error, unless it says that it was not read.
        known = np.isin(numbers(rows, "error"), self._kept) & valid(rows, "error")
        error = pc.if_else(pa.array((kind == OK) & ~known), None, error)
        told = valid(rows, "value") | valid(rows, "payload") | valid(rows, "expected")
        hidden = (kind == OK) & ~told & np.isin(f, self._silent)
        error = pc.if_else(pa.array(hidden), pa.scalar(self._unread, pa.int32()), error)
        return {
            "process": rows["process"],
            "f": pa.array(f.astype(np.int32)),
            "key": rows["key"],
            "value": value,
            "expected": rows["expected"],
            "payload": rows["payload"],
            "type": pa.array((kind - OK).astype(np.int32)),
            "error": error,
            "start_ns": rows["start_ns"],
            "end_ns": rows["end_ns"],
        }


def _table(
    batches: Sequence[dict[str, pa.Array]], words: Vocabulary, names: Sequence[str]
) -> pa.Table:
    texts = {
        "f": names,
        "key": words.key.names(),
        "error": words.error.names(),
        "type": _TYPES,
    }
    dictionaries = {name: pa.array(found, pa.string()) for name, found in texts.items()}
    nowhere = pa.array([""])
    numbered = _processes([batch["process"] for batch in batches])
    columns = []
    for field in HISTORY:
        if field.name in ("node", "zone"):
            chunks = [
                pa.DictionaryArray.from_arrays(np.zeros(len(p), np.int32), nowhere)
                for p in numbered
            ]
        elif field.name == "process":
            chunks = numbered
        elif field.name in dictionaries:
            chunks = [
                pa.DictionaryArray.from_arrays(batch[field.name], dictionaries[field.name])
                for batch in batches
            ]
        else:
            chunks = [batch[field.name] for batch in batches]
        columns.append(pa.chunked_array(chunks, field.type))
    return pa.Table.from_arrays(columns, schema=HISTORY)


def _processes(chunks: Sequence[pa.Array]) -> list[pa.Array]:
    """Process numbers within 32 bits: as they are, or else by rank."""
    arrays = [chunk.to_numpy(zero_copy_only=False) for chunk in chunks]
    if all(INT32.min <= a.min() and a.max() <= INT32.max for a in arrays if len(a)):
        return [pa.array(a.astype(np.int32)) for a in arrays]
    known = np.unique(np.concatenate([np.unique(a) for a in arrays]))
    return [pa.array(np.searchsorted(known, a).astype(np.int32)) for a in arrays]
