"""Run directories, read as data: nothing in them is trusted, none of it is executed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaos.errors import RecordError
from chaos.record import rundir
from chaos.record.schema import FAULTS, HISTORY, SAMPLES
from chaos.record.tables import read_parquet


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """A whole run in memory. Tables have the columns of `chaos.record.schema`."""

    path: Path
    meta: dict[str, Any]  # run.json, every key of rundir.RUN_DEFAULTS present
    history: pa.Table  # by completion; a row's position is its index
    faults: pa.Table
    samples: pa.Table
    cut_ns: int | None  # nothing invoked from then on is known; None: the run is whole
    notes: list[str] = field(default_factory=list)  # sentences a reader of a verdict should see


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a list of runs shows of one."""

    path: Path
    meta: dict[str, Any]
    results: dict[str, Any] | None  # results.json; None: not judged yet


def open_run(path: Path) -> RunData:
    """Everything in the run directory `path`; RecordError when it cannot be read as one."""
    path = Path(path).resolve()
    meta = rundir.read_run_json(path)
    notes: list[str] = []
    return RunData(
        path=path,
        meta=meta,
        history=read_parquet(path / rundir.HISTORY, HISTORY),
        faults=_table_or_empty(path / rundir.FAULTS, FAULTS, notes),
        samples=_table_or_empty(path / rundir.SAMPLES, SAMPLES, notes),
        cut_ns=meta["cut_ns"],
        notes=notes,
    )


def read_history(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The history of the run directory `path`, or only some `columns` of it."""
    if columns is None:
        return read_parquet(Path(path) / rundir.HISTORY, HISTORY)
    unknown = [name for name in columns if name not in HISTORY.names]
    if unknown:
        raise RecordError(f"no column {unknown[0]!r}; they are {', '.join(HISTORY.names)}")
    schema = pa.schema([HISTORY.field(name) for name in columns])
    return read_parquet(Path(path) / rundir.HISTORY, schema)


def run_summary(path: Path) -> RunSummary:
    """`run.json` and `results.json` of `path`, and nothing that is large."""
    path = Path(path)
    meta = rundir.read_run_json(path)
    results = path / rundir.RESULTS
    return RunSummary(
        path=path, meta=meta, results=rundir.read_json(results) if results.exists() else None
    )


def find_runs(root: Path) -> list[Path]:
    """Run directories in `root` (itself, its folders, their folders), newest first.

    Only looks for `run.json`, without opening it. A `latest` link does not count twice.
    """
    root = Path(root)
    if (root / rundir.RUN_JSON).is_file():
        return [root]
    found = [
        folder
        for pattern in ("*", "*/*")
        for folder in root.glob(pattern)
        if not folder.is_symlink() and (folder / rundir.RUN_JSON).is_file()
    ]
    return sorted(found, key=_age, reverse=True)


def _age(folder: Path) -> tuple[str, str]:
    stamp = re.match(r"\d{8}T\d{6}Z", folder.name)
    return (stamp.group() if stamp else "", str(folder))


def _table_or_empty(path: Path, schema: pa.Schema, notes: list[str]) -> pa.Table:
    if path.exists():
        return read_parquet(path, schema)
    notes.append(f"there is no {path.name}")
    return schema.empty_table()
