"""`jepsen-edn`: a Jepsen history, one operation a line or all in one vector or list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.formats import edn, source
from analysis.formats.base import Format, Imported
from analysis.formats.events import EVENTS, Vocabulary, numbers
from analysis.formats.operations import Operations
from analysis.formats.shapes import Shapes
from analysis.formats.sink import Another, Sink, attempted
from analysis.formats.source import BOM, Pieces, bad, open_source, text_of, too_long
from analysis.formats.table import Object

NEWLINE = 10
_BEGINS = re.compile(rb"(?:[\s,]|;[^\n]*\n)*+[\[(]?(?:[\s,]|;[^\n]*\n)*+(?:#[\w.]+)?\{")
_TYPE = re.compile(rb":type[\s,]+:(?:invoke|ok|fail|info)\b")
_KV = re.compile(rb"\{:process \d+, :type :\w+, :f :(?:put|append|get), :key ")


def recognises(path: Path, head: bytes) -> bool:
    """Maps of EDN whose :type is one of Jepsen's."""
    return bool(_BEGINS.match(head) and _TYPE.search(head)) and not recognises_kv(path, head)


def recognises_kv(path: Path, head: bytes) -> bool:
    """The maps of Porcupine's key-value logs, in the order of their keys."""
    return bool(_KV.match(head))


def read(path: Path, initial: Any) -> Imported:
    """The operations of a Jepsen history; HistoryError with the line that is none."""
    return attempted(lambda **how: _read(path, **how), initial)


def read_kv(path: Path, initial: Any) -> Imported:
    """The operations of a key-value log, whose values are texts."""
    about = Object(properties=("linearizable-kv-append",))
    return attempted(lambda **how: _read(path, **how), initial, about)


def _read(
    path: Path, *, keyed: bool | None = None, shaped: bool = True, by_index: bool = False
) -> tuple[Sink, Operations]:
    operations = Operations(path, Vocabulary(), keyed=keyed)
    sink = Sink(path, operations.words, by_index=by_index)
    for batch in (_shaped if shaped else _parsed)(path, operations):
        sink.feed(batch)
    return sink, operations


def _parsed(path: Path, operations: Operations) -> Iterator[pa.RecordBatch]:
    """Batches of events, every form by the parser. A form may span lines, a line hold many."""
    forms, pieces = edn.Forms(), Pieces(path)
    for text, line, final in pieces:
        _forms(path, forms, text, line, operations, final=final)
        pieces.used = len(text) - len(forms.rest)
        yield operations.take()


def _forms(
    path: Path, forms: edn.Forms, text: str, line: int, operations: Operations, *, final: bool
) -> None:
    """Add the operations in `text`, which begins on `line`."""
    at = 0
    try:
        for form, begun in forms.feed(text, final=final):
            line += text.count("\n", at, begun)
            at = begun
            operations.add(form, line)
    except edn.Malformed as error:
        expected, got, where = error.args
        line += text.count("\n", at, where)
        raise bad(path, line, expected, got) from None


def _shaped(path: Path, operations: Operations) -> Iterator[pa.RecordBatch]:
    """Batches of events, whole blocks of lines at a time; only odd lines by the parser."""
    forms, shapes, line, rest = edn.Forms(), Shapes(operations), 1, b""
    with open_source(path) as file:
        while block := file.read(max(source.BLOCK_BYTES, len(rest))):
            block = rest + (block.removeprefix(BOM) if line == 1 and not rest else block)
            end = block.rfind(b"\n") + 1
            if not end and len(block) > source.BLOCK_BYTES:
                raise Another(shaped=False)  # lines so long are no lines
            text = text_of(path, block[:end], line)
            if operations.keyed is None:
                _first(path, text, line, operations)
            batch, used = _block(path, block[:end], line, operations, shapes, forms)
            line += block.count(b"\n", 0, used)
            rest = block[used:]
            if len(rest) > source.FORM_BYTES_MAX:
                raise too_long(path, line)
            yield batch
    _forms(path, forms, text_of(path, rest, line), line, operations, final=True)
    yield operations.take()


def _first(path: Path, text: str, line: int, operations: Operations) -> None:
    """Whether values are `[key value]`: the first operation of a client tells."""
    trial = Operations(path, Vocabulary())
    for form, _ in edn.Forms().feed(text, final=False):
        trial.add(form, line)
        if trial.keyed is not None:
            operations.keyed = trial.keyed
            return
    raise Another(shaped=False)


def _block(
    path: Path, block: bytes, line: int, operations: Operations, shapes: Shapes, forms: edn.Forms
) -> tuple[pa.RecordBatch, int]:
    """The events of whole lines, and how many bytes of them are read."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE) + 1
    offsets = pa.py_buffer(np.append(0, ends).astype(np.int32))
    lines = pa.StringArray.from_buffers(len(ends), offsets, pa.py_buffer(block))
    batches, done = shapes.read(lines, line + np.arange(len(ends)))
    used = len(block)
    for first, last in _runs(~done):
        begun = int(ends[first - 1]) if first else 0
        text = block[begun : int(ends[last])].decode()
        forms.begun |= bool(done[:first].any())
        _forms(path, forms, text, line + first, operations, final=False)
        if forms.rest and last + 1 < len(ends):
            raise Another(shaped=False)  # a form goes on in lines that have a shape
        if forms.rest:
            used = begun + len(text[: len(text) - len(forms.rest)].encode())
        if forms.closed and done[last:].any():
            where = line + last + int(np.argmax(done[last:]))
            raise bad(path, where, "nothing after the end of the history", "an operation")
    forms.begun |= bool(done.any())
    batches.append(operations.take())
    batches = [batch for batch in batches if len(batch)]
    if len(batches) < 2:
        return batches[0] if batches else pa.RecordBatch.from_pylist([], EVENTS), used
    merged = pa.concat_batches(batches)
    order = np.argsort(numbers(merged, "line"), kind="stable")
    return merged.take(pa.array(order)), used


def _runs(mask: Any) -> Iterator[tuple[int, int]]:
    """First and last place of each stretch of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(after) - 1


JEPSEN = Format(
    name="jepsen-edn",
    about="a Jepsen history in EDN: one operation a line, or one vector of them",
    signs="maps with `:type :invoke`, `:ok`, `:fail` or `:info`",
    recognises=recognises,
    read=read,
)
PORCUPINE_KV = Format(
    name="porcupine-kv",
    about="Porcupine's key-value logs: EDN maps of put, append and get with a :key",
    signs="a first line that begins `{:process 0, :type :invoke, :f :get, :key`",
    recognises=recognises_kv,
    read=read_kv,
)
