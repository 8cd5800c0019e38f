"""Run directories, read as data: nothing in them is trusted, none of it is executed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaos.errors import RecordError
from chaos.record import merge, rundir
from chaos.record.compact import cut_of, history_segments, samples
from chaos.record.journal import faults_from_journal
from chaos.record.liveness import alive
from chaos.record.schema import FAULTS, HISTORY, SAMPLES
from chaos.record.tables import conform, read_parquet


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
    history, until_ns = _history(path, meta, HISTORY)
    notes = _notes(path, meta, until_ns)
    return RunData(
        path=path,
        meta=meta,
        history=history,
        faults=_faults(path),
        samples=_samples(path),
        cut_ns=until_ns,
        notes=notes,
    )


def read_history(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The history of the run directory `path`, or only some `columns` of it."""
    path = Path(path)
    names = list(HISTORY.names if columns is None else columns)
    unknown = [name for name in names if name not in HISTORY.names]
    if unknown:
        raise RecordError(f"no column {unknown[0]!r}; they are {', '.join(HISTORY.names)}")
    schema = pa.schema([HISTORY.field(name) for name in names])
    return _history(path, rundir.read_run_json(path), schema)[0]


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


def _history(path: Path, meta: dict[str, Any], schema: pa.Schema) -> tuple[pa.Table, int | None]:
    """The columns of `schema`, from Parquet or else from the segments; and where they are cut."""
    if (path / rundir.HISTORY).exists():
        return read_parquet(path / rundir.HISTORY, schema), cut_of(meta)
    segments = history_segments(path, meta)
    if not segments and meta["state"] != "running":
        raise RecordError(
            f"{path} holds no operations: neither {rundir.HISTORY} nor {rundir.SEGMENTS}/",
            fix="copy the whole run directory",
        )
    scans = [merge.scan(segment) for segment in segments]
    table = pa.Table.from_batches(merge.merged(scans), schema=merge.ROWS)
    if (path / rundir.HISTORY).exists():  # the run ended meanwhile, and its segments went
        return _history(path, rundir.read_run_json(path), schema)
    return conform(table, schema, str(path / rundir.SEGMENTS)), merge.cut_ns(scans)


def _faults(path: Path) -> pa.Table:
    if (path / rundir.FAULTS).exists():
        return read_parquet(path / rundir.FAULTS, FAULTS)
    return faults_from_journal(path / rundir.JOURNAL)


def _samples(path: Path) -> pa.Table:
    if (path / rundir.SAMPLES).exists():
        return read_parquet(path / rundir.SAMPLES, SAMPLES)
    return samples(path)


def _notes(path: Path, meta: dict[str, Any], until_ns: int | None) -> list[str]:
    said = meta["imported"].get("notes")
    notes = [str(note) for note in said] if isinstance(said, list) else []
    if meta["state"] == "running":
        still = alive(meta["controller"])
        notes.append("the run is still going on" if still else "the run's process ended early")
    elif meta["state"] != "done":
        notes.append(f"the run {meta['state']}" + (f": {meta['reason']}" if meta["reason"] else ""))
    aborted = meta["aborted"]
    if isinstance(aborted.get("t_ns"), int):
        notes.append(f"aborted at {aborted['t_ns'] / 1e9:.1f} s, because {aborted.get('why')}")
    if until_ns is not None:
        notes.append(
            f"the record is complete until {until_ns / 1e9:.3f} s; operations begun later are "
            "left out, and those unanswered by then may have happened"
        )
    if not (path / rundir.HISTORY).exists():
        notes += [
            f"{segment.name} is missing"
            for segment in history_segments(path, meta)
            if not segment.exists()
        ]
    return notes
