"""What tests of formats share: a file of some lines, read as a history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.formats import open_history
from chaos.record.reader import RunData

COLUMNS = ("process", "f", "key", "value", "expected", "payload", "type", "error")


def read(folder: Path, text: str | bytes, name: str | None = None, initial: Any = None) -> RunData:
    """The history that a file with this text is."""
    path = folder / "history.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_history(path, name, initial)


def rows(run: RunData, *columns: str) -> list[tuple[Any, ...]]:
    """Some columns of every operation, in order."""
    return [tuple(row[name] for name in columns) for row in run.history.to_pylist()]


def properties(run: RunData) -> list[str]:
    """What the history can decide."""
    return list(run.meta["imported"]["properties"])
