"""Commands that exchange histories with other tools: import, export."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from chaos.cli.console import out, plain, say
from chaos.cli.histories import FormatName, Initial, read_initial
from chaos.cli.quick import arrow_without_pandas
from chaos.cli.runs import PATH_HELP, find_run
from chaos.errors import RecordError, UsageError


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command("import")(import_)
    app.command("export")(export)


def import_(
    file: Annotated[Path, typer.Argument(help="A history file of another tool.")],
    to: Annotated[Path, typer.Option("--to", help="The run directory to make.")],
    format_: FormatName = None,
    initial: Initial = None,
) -> None:
    """Make a run directory of another tool's history, to check, show, compare and look at.

    All or nothing: where it fails, there is no run directory.
    """
    arrow_without_pandas()
    from analysis.formats import open_history
    from chaos.record.writer import write_run

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(
            f"expected {to} to be empty or not there yet", fix="name another folder after --to"
        )
    if not file.exists() or (file.is_dir() and (file / "run.json").exists()):
        what = "a run directory" if file.is_dir() else "nothing"
        raise UsageError(f"expected a history file at {file}, found {what}")
    data = open_history(file, format_ or None, read_initial(initial))
    now = datetime.now(UTC)
    meta = {
        **data.meta,
        "id": to.resolve().name,
        "name": re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-.") or "imported",
        "command": plain(f"aftershock import {file} --to {to}"),
        "started_utc": f"{now:%Y-%m-%dT%H:%M:%SZ}",
    }
    half = to.with_name(f".{to.name}.{os.getpid()}.new")
    try:
        write_run(half, meta, data.history)
        half.replace(to)  # over an empty folder, too
    except OSError as error:
        raise RecordError(f"cannot write {to}: {error.strerror}") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    properties = ", ".join(data.meta["imported"]["properties"]) or "no property that we know"
    out.print(f"{data.history.num_rows:,} operations for {properties} in {plain(to)}", markup=False)
    for note in data.notes:
        say(f"note: {plain(note)}")
    out.print(f"next: aftershock check {plain(to)}", markup=False)


def export(
    path: Annotated[str, typer.Argument(help=PATH_HELP)],
    format_: Annotated[str, typer.Option("--format", help="jepsen-edn | elle-json")],
    to: Annotated[Path | None, typer.Option("--to", help="Instead of standard output.")] = None,
) -> None:
    """Write a history for other tools: an event a line, times in nanoseconds."""
    arrow_without_pandas()
    from analysis.formats import open_history
    from analysis.formats.export import EXPORTS, timeless
    from analysis.formats.export import export as lines_of

    if format_ not in EXPORTS:
        raise UsageError(f"expected --format {' or '.join(EXPORTS)}, got {format_!r}")
    data = open_history(find_run(path))
    for note in _lost(data.meta["imported"], timeless=timeless(data.history)):
        say(f"note: {note}")
    lines = lines_of(data.history, format_)
    if to is None:
        sys.stdout.writelines(lines)
        return
    half = to.with_name(f".{to.name}.{os.getpid()}.new")
    try:
        with half.open("w", encoding="utf-8") as written:
            written.writelines(lines)
        half.replace(to)
    except OSError as error:
        raise RecordError(f"cannot write {to}: {error.strerror}") from None
    finally:
        half.unlink(missing_ok=True)


def _lost(imported: Mapping[str, Any], *, timeless: bool) -> list[str]:
    """What a reader of the exported history cannot know, in sentences."""
    notes = []
    if timeless:
        notes.append(
            "the history has no times: sessions were put in step, which is no order in real time"
        )
    if imported.get("models") == "axiomatic":
        notes.append("its reader judges by Adya's models, in which sessions count for less")
    return notes
