"""Runs of earlier versions: their samples had no shards, in Parquet and in segments."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chaos.errors import RecordError
from chaos.record import rundir
from chaos.record.compact import SAMPLES_SEGMENT, compact
from chaos.record.reader import open_run
from chaos.record.schema import HISTORY, SAMPLES, without_added
from chaos.record.segment import SegmentWriter
from chaos.record.tables import plain
from chaos.record.writer import write_run

ROLES = [{"t_ns": t, "node": "n1", "role": "primary"} for t in (1, 2)]


def shown(path: Path) -> list[tuple[int, str, str, None]]:
    samples = open_run(path).samples
    assert samples.schema.equals(SAMPLES)
    return [(r["t_ns"], r["node"], r["role"], r["shard"]) for r in samples.to_pylist()]


EXPECTED = [(1, "n1", "primary", None), (2, "n1", "primary", None)]


def test_a_table_without_shards(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", {"name": "old"}, [], [], ROLES)
    old = pq.read_table(path / rundir.SAMPLES).drop_columns(["shard"])
    pq.write_table(old, path / rundir.SAMPLES)
    assert shown(path) == EXPECTED


def test_a_segment_without_shards(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", {"name": "old", "state": "running"}, [])
    (path / rundir.SAMPLES).unlink()
    (path / rundir.HISTORY).unlink()
    segments = path / rundir.SEGMENTS
    segments.mkdir()
    SegmentWriter(segments / "history-0.arrows", plain(HISTORY)).close()
    old = without_added(SAMPLES)
    writer = SegmentWriter(segments / SAMPLES_SEGMENT, old)
    writer.append([[row.get(name) for row in ROLES] for name in old.names], 0)
    writer.close()
    assert shown(path) == EXPECTED
    compact(path)
    assert not (segments / SAMPLES_SEGMENT).exists()
    assert shown(path) == EXPECTED


def test_a_table_that_lacks_anything_else_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", {"name": "old"}, [], [], ROLES)
    pq.write_table(pa.table({"t_ns": [1], "node": ["n1"]}), path / rundir.SAMPLES)
    with pytest.raises(RecordError, match="role, term"):
        open_run(path)
