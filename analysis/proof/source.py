"""Which history a certificate is about: the SHA-256 of the file, or files, it was read from."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def fingerprint(path: Path) -> str:
    """SHA-256 of a history file; of a run directory: of `history.parquet`, else its segments;
    of any other folder: of the files right in it, by name. Hexadecimal. OSError when unreadable.
    """
    files = [path]
    if path.is_dir():
        whole = path / "history.parquet"
        parts = path / "segments" if (path / "segments").is_dir() else path
        files = [whole] if whole.is_file() else sorted(f for f in parts.iterdir() if f.is_file())
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as data:
            while chunk := data.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
