"""Which runs want to be healed: looked for in folders of runs, and by the labels on the engine."""

from __future__ import annotations

import contextlib
from pathlib import Path

import docker

from chaos.errors import RecordError, UsageError
from chaos.record import rundir
from chaos.record.journal import open_faults
from chaos.record.liveness import alive
from chaos.record.reader import find_runs
from chaos.runtime import docker as engine_api


def named(text: str, root: Path, client: docker.DockerClient) -> Path:
    """The run directory that `text` names: itself, a run's id (as `ps` shows it), or the folder's
    own name in `root`. UsageError when there is none."""
    path = Path(text)
    if (path / rundir.RUN_JSON).is_file():
        return path.resolve()
    if labels := engine_api.runs(client).get(text):
        record = Path(labels.get(engine_api.LABEL_RECORD, ""))
        if (record / rundir.RUN_JSON).is_file():
            return record
        raise UsageError(
            f"run {text} is on the engine, but its record is not at {str(record) or 'any place'}",
            fix="name its run directory if it was moved; `aftershock down --all` removes it",
        )
    for folder in find_runs(root):
        with contextlib.suppress(RecordError):
            meta = rundir.read_run_json(folder)
            if text in (meta["run_id"], meta["id"]):
                return folder.resolve()
    raise UsageError(
        f"expected a run directory or a run's id, got {text!r}: neither in {root} nor on the"
        " engine",
        fix="`aftershock runs` lists runs, `aftershock ps` what is on the engine",
    )


def wanting(root: Path, client: docker.DockerClient, *, ended: bool) -> list[Path]:
    """Runs whose faults nobody will heal any more, oldest first.

    Those whose controller died, in `root` or on the engine. With `ended`, also those that ended in
    an orderly way and could not prove a fault healed.
    """
    there = engine_api.runs(client)
    records = [Path(labels.get(engine_api.LABEL_RECORD, "")) for labels in there.values()]
    found: dict[Path, str] = {}
    for path in (*find_runs(root), *(r for r in records if (r / rundir.RUN_JSON).is_file())):
        with contextlib.suppress(RecordError):
            meta = rundir.read_run_json(path)
            over = meta["state"] != "running"
            if not over and alive(meta["controller"]):
                continue
            if over and not ended and meta["run_id"] not in there:
                continue
            if meta["run_id"] and open_faults(path / rundir.JOURNAL):
                found[path.resolve()] = meta["started_utc"]
    return sorted(found, key=lambda path: (found[path], str(path)))
