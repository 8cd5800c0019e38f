"""Histories of other tools, in and out: one file per format, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.formats import (
    awdit,
    cobra,
    dbcop_bincode,
    dbcop_json,
    dbcop_text,
    elle_json,
    jepsen,
    limo,
    polysi,
    porcupine,
    timed,
)
from analysis.formats.base import Format, Imported
from analysis.formats.source import head_of, open_source
from analysis.proof.source import fingerprint
from chaos.errors import HistoryError, UsageError
from chaos.record import rundir
from chaos.record.reader import RunData, open_run
from chaos.record.schema import FAULTS, SAMPLES

RUN = "run"
HEAD_BYTES = 1 << 16
FORMATS: Mapping[str, Format] = {
    known.name: known
    for known in (
        jepsen.JEPSEN,
        elle_json.FORMAT,
        porcupine.FORMAT,
        jepsen.PORCUPINE_KV,
        limo.FORMAT,
        timed.FASTLIN,
        timed.FPTLIN,
        dbcop_json.FORMAT,
        dbcop_text.FORMAT,
        dbcop_bincode.FORMAT,
        cobra.FORMAT,
        polysi.FORMAT,
        awdit.FORMAT,
    )
}
ABOUT: Mapping[str, str] = {
    RUN: "a run directory, as `aftershock run` and `aftershock import` make it",
    **{known.name: known.about for known in FORMATS.values()},
}


def open_history(path: Path, format_name: str | None = None, initial: Any = None) -> RunData:
    """A run directory, or a history file as if it had been imported into one.

    Raises RecordError when it is neither, and HistoryError with `file:line` for bad input.
    """
    if format_name not in (None, RUN, *FORMATS):
        known = ", ".join((RUN, *FORMATS))
        raise UsageError(f"expected a format of {known}; got {format_name!r}")
    if format_name is None:
        chosen = of_folder(path) if path.is_dir() or not path.exists() else recognise(path)
    else:
        chosen = FORMATS.get(format_name)
    if chosen is None:
        data = open_run(path)
        if initial is not None:
            data.meta["imported"] = {**data.meta["imported"], "initial": initial}
        return data
    if format_name is not None and chosen.kind == "text":
        head_of(path, HEAD_BYTES)  # refuses what no format can be
    return _as_run(path, chosen, chosen.read(path, initial))


def of_folder(path: Path) -> Format | None:
    """The format whose files are in a folder; None: a run directory, or nothing that we know."""
    return next((known for known in _of("folder") if known.recognises(path, b"")), None)


def _of(kind: str) -> list[Format]:
    return [known for known in FORMATS.values() if known.kind == kind]


def recognise(path: Path) -> Format:
    """The format of a history file, by its first 64 KiB; HistoryError unless it is just one."""
    with open_source(path) as file:
        raw = file.read(HEAD_BYTES)
    found = [known for known in _of("binary") if known.recognises(path, raw)]
    head = raw if found else head_of(path, HEAD_BYTES)
    found += [known for known in _of("text") if known.recognises(path, head)]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(known.name for known in found)
        raise HistoryError(f"{path} may be {names}", fix="say which: --format NAME")
    missing = "\n".join(f"  {known.name}: no {known.signs}" for known in FORMATS.values())
    begins = head[:40].split(b"\n")[0].decode("utf-8", "replace")
    raise HistoryError(
        f"{path} is of no format we know: it begins with {begins!r}",
        detail=missing,
        fix="name its format with --format NAME (aftershock list formats)",
    )


def _as_run(path: Path, chosen: Format, found: Imported) -> RunData:
    """The run that importing the file would make."""
    imported = {
        "format": chosen.name,
        "file": path.name,
        "properties": list(found.properties),
        "initial": found.initial,
        "models": found.models,
        "sha256": fingerprint(path),
        "notes": list(found.notes),
    }
    meta = rundir.new_run_json(name=path.stem, state="done", imported=imported)
    return RunData(
        path=path.resolve(),
        meta=meta,
        history=found.table,
        faults=FAULTS.empty_table(),
        samples=SAMPLES.empty_table(),
        cut_ns=None,
        notes=list(found.notes),
    )
