"""Histories of other tools, in and out: one file per format, and the registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.formats.base import Format
from chaos.errors import RecordError
from chaos.record import rundir
from chaos.record.reader import RunData, open_run

FORMATS: Mapping[str, Format] = {}
HEAD_BYTES = 1 << 16


def open_history(path: Path, format_name: str | None = None, initial: Any = None) -> RunData:
    """A run directory, or a history file as if it had been imported into one.

    Raises RecordError when it is neither, and HistoryError with `file:line` for bad input.
    """
    if format_name in (None, "run") and (path.is_dir() or not path.exists()):
        data = open_run(path)
        if initial is not None:
            data.meta["imported"] = {"initial": initial, **data.meta["imported"]}
        return data
    raise RecordError(f"expected a run directory at {path}, found a file", fix=rundir.RUN_JSON)
