"""Making a run directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from chaos.record import rundir
from chaos.record.schema import FAULTS, HISTORY, SAMPLES
from chaos.record.tables import Rows, table_of, write_parquet


def write_run(
    path: Path,
    meta: Mapping[str, Any],
    history_rows: Rows,
    faults_rows: Rows = (),
    samples_rows: Rows = (),
) -> Path:
    """Write a finished run directory at `path` from rows (or tables), for importers and tests.

    Absent keys of a row are null (`node` and `zone`: ""). The history is put in order of
    completion, equal times staying as given. RecordError when a row does not fit its columns.
    """
    history = table_of(history_rows, HISTORY, "history")
    ends = history["end_ns"].combine_chunks()
    order = pc.sort_indices(ends)  # stable
    tables = {
        rundir.HISTORY: history.take(order),
        rundir.FAULTS: table_of(faults_rows, FAULTS, "faults"),
        rundir.SAMPLES: table_of(samples_rows, SAMPLES, "samples").sort_by("t_ns"),
    }
    path.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        write_parquet(path / name, table)
    rundir.write_json(path / rundir.RUN_JSON, rundir.new_run_json(**{"state": "done", **meta}))
    return path
