"""One writer's growing file: batches of rows that are safe from the moment they are appended.

A segment is an Arrow IPC *stream* (schema, then record batches): a stream that ends anywhere is
readable up to its last whole batch. Each batch says in its metadata

    watermark_ns   every operation this writer invoked before then is in the file: finished, or
                   as a row of type "open"
    closed         "1" on the last batch of a writer that ended as it should
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaos.errors import RecordError
from chaos.record.schema import without_added

FSYNC_S = 1.0
TIME_NS_MAX = 2**62

# O_APPEND: after a half-written batch has been cut off, the next one begins where it began.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class SegmentWriter:
    """Appends to one segment. Not for more than one thread at a time.

    A batch is one write() to the operating system, so a SIGKILL of this process loses nothing that
    was appended; about once a second it is forced to disk, against a crash of the host. When the
    disk is full the half-written batch is taken back, and RecordError says so.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self._schema = schema
        self._buffer = io.BytesIO()
        self._size = 0
        self._synced = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise RecordError(f"cannot make {path}: {error.strerror}") from None
        self._stream = pa.ipc.new_stream(self._buffer, schema, options=_OPTIONS)
        self._drain()

    def append(
        self, columns: Sequence[Sequence[Any]], watermark_ns: int, *, closed: bool = False
    ) -> None:
        """Add rows, given by column in the schema's order (no columns: only the watermark)."""
        arrays = [
            pa.array(values, field.type)
            for field, values in zip(self._schema, columns or [()] * len(self._schema), strict=True)
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        about = {"watermark_ns": str(watermark_ns)} | ({"closed": "1"} if closed else {})
        self._stream.write_batch(batch, custom_metadata=about)
        self._drain()

    def close(self) -> None:
        """Force everything to disk and close the file."""
        if self._file >= 0:
            try:
                os.fsync(self._file)
            except OSError as error:
                raise RecordError(f"cannot write {self.path}: {error.strerror}") from None
            finally:
                os.close(self._file)
                self._file = -1

    def _drain(self) -> None:
        data = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, memoryview(data)[written:])
            self._size += len(data)
            if time.monotonic() - self._synced >= FSYNC_S:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise RecordError(
                f"cannot write {self.path}: {error.strerror}",
                fix="free some space; what was recorded until now is kept",
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One readable batch of a segment."""

    rows: pa.RecordBatch
    watermark_ns: int
    closed: bool


def read_segment(path: Path, schema: pa.Schema) -> Iterator[Batch]:
    """The batches of a segment, up to its end or to the first byte that makes no sense.

    RecordError when the file cannot be opened or holds other columns. A file that ends before its
    first batch has no batches.
    """
    try:
        source = pa.OSFile(str(path), "rb")
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error}") from None
    with source:
        try:
            stream = pa.ipc.open_stream(source)
        except (pa.ArrowException, OSError, ValueError):
            return
        if stream.schema not in (schema, without_added(schema)):
            raise RecordError(f"{path}: expected the columns {', '.join(schema.names)}")
        while (batch := _next(stream)) is not None:
            yield batch


def _next(stream: Any) -> Batch | None:
    try:
        rows, about = stream.read_next_batch_with_custom_metadata()
        rows.validate(full=True)
        watermark_ns = int(about[b"watermark_ns"])
        if not 0 <= watermark_ns < TIME_NS_MAX:
            return None
        return Batch(rows=rows, watermark_ns=watermark_ns, closed=about.get(b"closed") == b"1")
    except (StopIteration, pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        return None
