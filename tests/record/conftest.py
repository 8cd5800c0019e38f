"""Segments and run directories made as a run makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaos.record.schema import HISTORY
from chaos.record.segment import SegmentWriter
from chaos.record.tables import plain
from chaos.record.writer import RunWriter

Row = dict[str, Any]


def write_segment(
    path: Path, flushes: Sequence[tuple[int, Sequence[Row]]], *, closed: bool
) -> None:
    writer = SegmentWriter(path, plain(HISTORY))
    for i, (watermark_ns, rows) in enumerate(flushes):
        columns = [[row.get(name) for row in rows] for name in HISTORY.names]
        writer.append(columns, watermark_ns, closed=closed and i == len(flushes) - 1)
    writer.close()


def operation(process: int, start_ns: int, end_ns: int, **more: Any) -> Row:
    known: Row = {
        "process": process,
        "start_ns": start_ns,
        "end_ns": end_ns,
        "type": "ok",
        "f": "write",
        "key": "k0",
        "value": start_ns,
        "node": "n1",
        "zone": "a",
    }
    return known | more


@pytest.fixture(scope="session")
def make_segment() -> Callable[..., None]:
    return write_segment


@pytest.fixture(scope="session")
def op() -> Callable[..., Row]:
    return operation


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunWriter]:
    writer = RunWriter.create(tmp_path, "test", 1, {})
    yield writer
    writer.close()
