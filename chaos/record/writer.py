"""Making a run directory."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from chaos.errors import RecordError
from chaos.record import liveness, rundir
from chaos.record.compact import SAMPLES_SEGMENT, compact
from chaos.record.journal import Journal, faults_from_journal
from chaos.record.schema import FAULTS, HISTORY, SAMPLES
from chaos.record.segment import SegmentWriter
from chaos.record.tables import Rows, table_of, write_parquet

LATEST = "latest"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RunWriter:
    """The controller's end of a run directory, from its creation to its end. Threads may share it.

    Every method leaves the directory readable, and what it was given on disk or with the
    operating system. RecordError when the disk would not take it.
    """

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        self.path = path
        self.journal = Journal(path / rundir.JOURNAL)
        self._meta = meta
        self._lock = threading.Lock()
        self._samples = SegmentWriter(path / rundir.SEGMENTS / SAMPLES_SEGMENT, SAMPLES)
        self._write()

    @classmethod
    def create(cls, root: Path, name: str, seed: int, meta: Mapping[str, Any]) -> RunWriter:
        """Make `root`/`name`/<UTC time>-<seed>/ with `meta` in its run.json, and let
        `root`/latest point there. Two runs in the same second get different folders."""
        if not _NAME.fullmatch(name):
            raise RecordError(f"expected a name of letters, digits, . _ -, got {name!r}")
        now = datetime.now(UTC)
        stamp = f"{now:%Y%m%dT%H%M%SZ}-{seed}"
        try:
            (root / name).mkdir(parents=True, exist_ok=True)
            path = _new_folder(root / name, stamp)
            (path / rundir.SEGMENTS).mkdir()
            (path / rundir.LOGS).mkdir()
        except OSError as error:
            raise RecordError(f"cannot make a run directory in {root}: {error.strerror}") from None
        keys = {
            "id": path.name,
            "name": name,
            "seed": seed,
            "started_utc": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "controller": liveness.this_process(),
        }
        writer = cls(path, rundir.new_run_json(**{**keys, **meta}))
        _link(root / LATEST, path)
        return writer

    @property
    def segments(self) -> Path:
        """The folder in which workers write their segments."""
        return self.path / rundir.SEGMENTS

    def update(self, **keys: Any) -> None:
        """Set keys of run.json."""
        with self._lock:
            self._meta |= keys
            self._write()

    def phase(self, name: str, start_ns: int, end_ns: int) -> None:
        """Add a phase to run.json, or change the one of that name."""
        with self._lock:
            others = [phase for phase in self._meta["phases"] if phase["name"] != name]
            new = {"name": name, "start_ns": start_ns, "end_ns": end_ns}
            self._meta["phases"] = sorted([*others, new], key=lambda phase: phase["start_ns"])
            self._write()

    def add_samples(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows of chaos.record.schema.SAMPLES; absent keys are null."""
        columns = [[row.get(name) for row in rows] for name in SAMPLES.names]
        with self._lock:
            self._samples.append(columns, 0)

    def finish(self, state: str, reason: str = "") -> None:
        """Turn segments and journal into Parquet, and say in run.json how the run ended.

        Workers must have ended. If the disk is full the run stays readable from its segments:
        run.json says so as far as that can be written, and RecordError is raised."""
        if state not in rundir.STATES:
            raise RecordError(f"expected one of {', '.join(rundir.STATES)}, got {state!r}")
        self.close()
        finish(self.path, state, reason)

    def close(self) -> None:
        """Close the files and leave the run as it is: unfinished. After `finish`: nothing."""
        self.journal.close()
        self._samples.close()

    def _write(self) -> None:
        try:
            rundir.write_json(self.path / rundir.RUN_JSON, self._meta)
        except OSError as error:
            raise RecordError(f"cannot write {self.path / rundir.RUN_JSON}: {error}") from None


def finish(path: Path, state: str, reason: str = "") -> None:
    """What `RunWriter.finish` does, for a run directory whose process is gone, too."""
    problem = None
    try:
        write_parquet(path / rundir.FAULTS, faults_from_journal(path / rundir.JOURNAL))
        compact(path)
    except (RecordError, OSError) as error:
        problem = error if isinstance(error, RecordError) else RecordError(f"{path}: {error}")
        state, reason = "failed", problem.what
    meta = rundir.read_run_json(path) | {"state": state, "reason": reason}
    try:
        rundir.write_json(path / rundir.RUN_JSON, meta)
    except OSError as error:
        problem = problem or RecordError(f"cannot write {path / rundir.RUN_JSON}: {error.strerror}")
    if problem is not None:
        raise problem


def _new_folder(parent: Path, stamp: str) -> Path:
    for attempt in range(1, 1000):
        path = parent / (stamp if attempt == 1 else f"{stamp}.{attempt}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise RecordError(f"{parent} already holds a thousand runs named {stamp}")


def _link(link: Path, path: Path) -> None:
    """Point `link` at `path`. A convenience: where links cannot be, there is none."""
    temporary = link.with_name(f".{LATEST}-{path.name}-{path.parent.name}")
    try:
        temporary.symlink_to(path.relative_to(link.parent))
        temporary.replace(link)
    except OSError:
        temporary.unlink(missing_ok=True)


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
