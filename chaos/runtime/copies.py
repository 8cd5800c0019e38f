"""Files and folders of this host as an archive for a container, as a mount would show them."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

from chaos.errors import ClusterError


def copied(copies: Sequence[tuple[str, Path | str, int | None]]) -> bytes:
    """A tar for `put_archive` at /: path there, what is copied, and its mode (None: its own)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for target, source, mode in copies:
            if isinstance(source, str):
                data = source.encode()
                entry = tarfile.TarInfo(target.lstrip("/"))
                entry.size, entry.mode = len(data), 0o644 if mode is None else mode
                tar.addfile(entry, io.BytesIO(data))
                continue
            try:
                _add(tar, target.strip("/"), source, mode)
            except OSError as error:
                raise ClusterError(
                    f"{source} cannot be copied to {target}: {error.strerror or error}",
                    fix="it was there when the file was read; put it back",
                ) from None
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, target: str, source: Path, mode: int | None) -> None:
    """A file, a link, or a folder with all that is in it; sockets and devices are left out."""
    state = source.lstat()
    entry = tarfile.TarInfo(target)
    entry.mode = stat.S_IMODE(state.st_mode) if mode is None else mode
    entry.uid, entry.gid, entry.mtime = state.st_uid, state.st_gid, int(state.st_mtime)
    if stat.S_ISREG(state.st_mode):
        data = source.read_bytes()
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    elif stat.S_ISDIR(state.st_mode):
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
        for name in sorted(os.listdir(source)):
            _add(tar, f"{target}/{name}", source / name, None)
    elif stat.S_ISLNK(state.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(source)
        tar.addfile(entry)
