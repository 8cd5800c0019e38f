"""Files of operations in EDN or JSON: a block of lines at a time, odd lines by the parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.formats import edn, source
from analysis.formats.dialects import Dialect, Forms
from analysis.formats.events import Vocabulary
from analysis.formats.operations import Operations
from analysis.formats.shapes import Shapes
from analysis.formats.sink import Another, Sink
from analysis.formats.source import BOM, Pieces, bad, open_source, text_of, too_long
from analysis.history import Ints
from chaos.errors import HistoryError

NEWLINE = 10
LONG_LINE_BYTES = 4096  # lines longer than this on average are no lines
_BETWEEN = re.compile(rb"\}[\s,]*+(?=[{#])")


def read(
    path: Path,
    dialect: Dialect,
    *,
    keyed: bool | None = None,
    shaped: bool = True,
    by_index: bool = False,
) -> tuple[Sink, Operations]:
    """The operations of the file, as `attempted` of sink.py asks for them.

    HistoryError with the line that is none.
    """
    operations = Operations(path, Vocabulary(), keyed=keyed)
    sink = Sink(path, operations.words, by_index=by_index)
    for batch in (_shaped if shaped else _parsed)(path, operations, dialect):
        sink.feed(batch)
    return sink, operations


def _parsed(path: Path, operations: Operations, dialect: Dialect) -> Iterator[pa.RecordBatch]:
    """Batches of events, every form by the parser. A form may span lines, a line hold many."""
    forms, pieces = dialect.forms(), Pieces(path)
    for text, line, final in pieces:
        _forms(path, forms, text, line, operations, final=final)
        pieces.used = len(text) - len(forms.rest)
        yield operations.take()


def _forms(
    path: Path, forms: Forms, text: str, line: int, operations: Operations, *, final: bool
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


def _shaped(path: Path, operations: Operations, dialect: Dialect) -> Iterator[pa.RecordBatch]:
    """Batches of events, whole blocks of lines at a time; only odd lines by the parser."""
    forms, shapes, line, rest = dialect.forms(), Shapes(operations, dialect), 1, b""
    with open_source(path) as file:
        while block := file.read(max(source.BLOCK_BYTES, len(rest))):
            block = rest + (block.removeprefix(BOM) if line == 1 and not rest else block)
            ends = _cuts(block)
            end = int(ends[-1]) if len(ends) else 0
            text = text_of(path, block[:end], line)
            if operations.keyed is None and end:
                _first(path, text, line, operations, dialect)
            batch, used = _block(path, block[:end], ends, line, shapes, forms)
            line += block.count(b"\n", 0, used)
            rest = block[used:]
            if len(rest) > source.FORM_BYTES_MAX:
                raise too_long(path, line)
            yield batch
    _forms(path, forms, text_of(path, rest, line), line, operations, final=True)
    yield operations.take()


def _first(path: Path, text: str, line: int, operations: Operations, dialect: Dialect) -> None:
    """Whether values are `[key value]`: the first operation of a client tells."""
    trial = Operations(path, Vocabulary())
    try:
        for form, _ in dialect.forms().feed(text, final=False):
            trial.add(form, line)
            if trial.keyed is not None:
                operations.keyed = trial.keyed
                return
    except (edn.Malformed, HistoryError):
        pass  # the parser knows the line
    raise Another(shaped=False)


def _block(
    path: Path, block: bytes, ends: Ints, line: int, shapes: Shapes, forms: Forms
) -> tuple[pa.RecordBatch, int]:
    """The events of a block that is cut at `ends`, and how many bytes of it are read.

    Where it is cut is no matter: what no shape fits is put together again for the parser.
    """
    operations = shapes.operations
    offsets = pa.py_buffer(np.append(0, ends).astype(np.int32))
    pieces = pa.StringArray.from_buffers(len(ends), offsets, pa.py_buffer(block))
    newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE)
    lines = line + np.searchsorted(newlines, np.append(0, ends[:-1]))
    batches, places, done = shapes.read(pieces, lines)
    used = len(block)
    for first, last in _runs(~done):
        begun, before = int(ends[first - 1]) if first else 0, len(operations)
        text = block[begun : int(ends[last])].decode()
        forms.begun |= bool(done[:first].any())
        _forms(path, forms, text, int(lines[first]), operations, final=False)
        places.append(np.full(len(operations) - before, first))
        if forms.rest and last + 1 < len(ends):
            raise Another(shaped=False)  # a form goes on in pieces that have a shape
        if forms.rest:
            used = begun + len(text[: len(text) - len(forms.rest)].encode())
        if forms.closed and done[last:].any():
            where = int(lines[last + int(np.argmax(done[last:]))])
            raise bad(path, where, "nothing after the end of the history", "an operation")
    forms.begun |= bool(done.any())
    merged = pa.concat_batches([*batches, operations.take()])
    order = np.argsort(np.concatenate(places), kind="stable") if places else np.empty(0, np.int64)
    return merged.take(pa.array(order)), used


def _cuts(block: bytes) -> Ints:
    """Where to cut a block into pieces: after each line, or between maps where lines are long."""
    lines = np.flatnonzero(np.frombuffer(block, np.uint8) == NEWLINE) + 1
    if len(lines) * LONG_LINE_BYTES >= len(block):
        return lines
    maps = np.array([match.end() for match in _BETWEEN.finditer(block)], np.int64)
    return maps if len(maps) else lines


def _runs(mask: Any) -> Iterator[tuple[int, int]]:
    """First and last place of each stretch of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(after) - 1
