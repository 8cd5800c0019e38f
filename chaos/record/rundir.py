"""Where the parts of a run directory are, and its `run.json`.

runs/<experiment>/<UTC time>-<seed>/
  run.json          how it was made: spec, seed, versions, host, phases; see `new_run_json`
  journal.jsonl     every fault, written before it is injected (docs/run-directory.md)
  history.parquet   operations            (while the run goes on: segments/*.arrows)
  faults.parquet    faults and steps      (made from the journal when the run ends)
  samples.parquet   what the nodes claim  (while the run goes on: segments/samples.arrows)
  logs/<node>.log   results.json  proofs/
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos.errors import RecordError
from chaos.record.schema import RUN_VERSION

RUN_JSON = "run.json"
JOURNAL = "journal.jsonl"
HISTORY = "history.parquet"
FAULTS = "faults.parquet"
SAMPLES = "samples.parquet"
RESULTS = "results.json"
SEGMENTS = "segments"
LOGS = "logs"
PROOFS = "proofs"

# Keys of run.json that readers may rely on, with what stands there when nothing is known.
RUN_DEFAULTS: dict[str, Any] = {
    "version": RUN_VERSION,
    "id": "",  # <UTC time>-<seed>
    "name": "",  # of the experiment
    "experiment": {},  # as resolved, defaults filled in
    "topology": {},
    "random": {},  # what the schedule was drawn from: {seed, schedule}; {}: it was written down
    "seed": 0,
    "command": "",
    "versions": {},
    "images": {},  # name: digest
    "capabilities": {},
    "started_utc": "",  # ISO 8601, Z
    "imported": {},  # {format, file, properties, initial, models, sha256, notes}; {}: our own
    "state": "running",  # running | done | interrupted | failed
    "reason": "",  # why it is not done
    "aborted": {},  # {t_ns, why}: when and why abort_when ended the faults; {}: it did not
    "phases": [],  # {name: up|load|heal|settle|final|down, start_ns, end_ns}
    "nodes": [],  # {name, zone, region, provider, role, address}
    "clients": {},  # zone: number of clients
    "processes": 0,  # clients in all; processes beyond it follow an indefinite answer
    "skipped": 0,  # operations of a fixed rate that clients left out because they were late
    "segments": [],  # files in segments/ that the workers of this run write
    "cut_ns": None,  # nothing invoked at or after this time is known; None: the whole run is
    "run_id": "",  # the label aftershock.run of the run's containers, networks and volumes
    "t0_monotonic_ns": 0,  # t = 0 on the controller's monotonic clock; 0: not reached
    "controller": {},  # {pid, started, boot} of the process that runs it
}
STATES = ("running", "done", "interrupted", "failed")


def write_json(path: Path, data: Any) -> None:
    """Replace `path` by `data` as JSON, all or nothing, and on disk when this returns."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w", encoding="utf-8") as out:
            json.dump(data, out, indent=1, ensure_ascii=False)
            out.write("\n")
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace(temporary: Path, path: Path) -> None:
    """Make the written file `temporary` the file `path`, and both of this on disk."""
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; RecordError when it is missing, cut off or something else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"expected a file {path.name} in {path.parent}, found none") from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(data, dict):
        raise RecordError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data


def new_run_json(**keys: Any) -> dict[str, Any]:
    """A run.json with every key of RUN_DEFAULTS, and `keys` over them."""
    return copy.deepcopy(RUN_DEFAULTS) | keys


def is_imported(meta: Mapping[str, Any]) -> bool:
    """Whether the operations were recorded by another tool: then there are no faults, nodes or
    phases to speak of, and what clients felt is not to be had from them."""
    return "format" in meta["imported"]


def read_run_json(path: Path) -> dict[str, Any]:
    """`run.json` of the run directory `path`, every key of RUN_DEFAULTS present and of its type.

    RecordError when `path` is no run directory, or its run.json is broken or from a newer version.
    """
    if not (path / RUN_JSON).is_file():
        what = "a folder without run.json" if path.is_dir() else "a file" if path.exists() else ""
        raise RecordError(
            f"expected a run directory at {path}, found {what or 'nothing'}",
            fix="name a folder that `aftershock run` made, such as runs/latest",
        )
    meta = read_json(path / RUN_JSON)
    version = meta.get("version")
    if version != RUN_VERSION:
        raise RecordError(
            f"{path / RUN_JSON}: expected version {RUN_VERSION}, got {version!r}",
            fix="read it with the Aftershock that wrote it, or upgrade this one",
        )
    for key, default in RUN_DEFAULTS.items():
        value = meta.setdefault(key, copy.deepcopy(default))
        kind = int if key == "cut_ns" else type(default)
        wrong_items = kind is list and not all(
            isinstance(item, str if key == "segments" else dict) for item in value or ()
        )
        if (value is not default and not isinstance(value, kind)) or wrong_items:
            raise RecordError(
                f"{path / RUN_JSON}: expected {key} to be like {default!r}, got {str(value)[:60]!r}"
            )
    for phase in meta["phases"]:
        if not (
            isinstance(phase.get("name"), str)
            and isinstance(phase.get("start_ns"), int)
            and isinstance(phase.get("end_ns"), int)
        ):
            raise RecordError(f"{path / RUN_JSON}: a phase needs name, start_ns and end_ns")
    return meta
