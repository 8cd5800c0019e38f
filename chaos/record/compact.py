"""From segments to history.parquet and samples.parquet, when a run has ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chaos.errors import RecordError
from chaos.record import merge, rundir
from chaos.record.schema import HISTORY, SAMPLES
from chaos.record.segment import read_segment
from chaos.record.tables import conform, write_parquet

ROW_GROUP_ROWS = 1 << 17
SAMPLES_SEGMENT = "samples.arrows"


def history_segments(path: Path, meta: dict[str, Any]) -> list[Path]:
    """The workers' segments of the run directory: those there are, and those run.json names."""
    folder = path / rundir.SEGMENTS
    named = {Path(name).name for name in meta["segments"]}
    return [folder / name for name in sorted({p.name for p in folder.glob("history-*")} | named)]


def compact(path: Path) -> int | None:
    """Make history.parquet and samples.parquet of the segments, then delete those.

    In little memory, whatever the run's length. Returns `cut_ns` (see chaos.record.merge) and
    writes it to run.json. All or nothing for each file; after a RecordError (disk full) the
    segments are still there, and so is everything they hold.
    """
    meta = rundir.read_run_json(path)
    if (path / rundir.HISTORY).exists():  # done before; a crash may have left segments
        _remove_segments(path)
        return cut_of(meta)
    scans = [merge.scan(segment) for segment in history_segments(path, meta)]
    until_ns = merge.cut_ns(scans)
    try:
        if until_ns is not None:
            rundir.write_json(path / rundir.RUN_JSON, meta | {"cut_ns": until_ns})
        # One row group: a sample at a time would cost two kilobytes each.
        held = samples(path).combine_chunks()
        write_parquet(path / rundir.SAMPLES, held)
        _write(path / rundir.HISTORY, _dictionaries(_row_groups(merge.merged(scans))))
        _remove_segments(path)
    except OSError as error:
        raise RecordError(
            f"cannot write the history of {path}: {error.strerror or error}",
            fix="free some space; the recorded operations are kept in its segments/",
        ) from None
    return until_ns


def cut_of(meta: dict[str, Any]) -> int | None:
    """`cut_ns` of a run.json that has been read."""
    cut = meta["cut_ns"]
    return cut if isinstance(cut, int) else None


def samples(path: Path) -> pa.Table:
    """What the segment of samples holds."""
    segment = path / rundir.SEGMENTS / SAMPLES_SEGMENT
    if not segment.exists():
        return SAMPLES.empty_table()
    rows = [batch.rows for batch in read_segment(segment, SAMPLES)]
    table = pa.Table.from_batches(rows, schema=None if rows else SAMPLES)
    return conform(table, SAMPLES, str(segment))


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= ROW_GROUP_ROWS:
            yield pa.Table.from_batches(held)
            held = []
    yield pa.Table.from_batches(held, schema=merge.ROWS)


def _dictionaries(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    return (table.combine_chunks().cast(HISTORY) for table in tables)


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    temporary = path.with_name(f".{path.name}.new")
    writer = None
    try:
        for table in tables:
            if writer is None:
                writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
            writer.write_table(table)
        if writer is not None:
            writer.close()
        rundir.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove_segments(path: Path) -> None:
    folder = path / rundir.SEGMENTS
    if not folder.is_dir():
        return
    for segment in folder.glob("*.arrows"):
        segment.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
