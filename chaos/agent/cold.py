"""Damage to files that nobody writes: one flipped bit, or everything gone. Standard library only.

As chaos/agent/disks.py says, the data is reached through a database process.
"""

from __future__ import annotations

import contextlib
import fnmatch
import mmap
import os
import random
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chaos.agent.disks import HIDDEN, Disks, Place
from chaos.agent.proc import called, send
from chaos.agent.processes import Processes

COLD_S = 5.0  # a file that was written to more recently is not cold
BLOCK = 4096
NO_PROCESS = "no database process runs, through which the file is reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """A file: its path below the data directory, size, and when it was last written to."""

    place: Place
    path: str
    size: int
    written_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One flipped bit; `byte` is what stands there now."""

    place: str  # its name
    path: str
    offset: int
    bit: int
    byte: int


class Damage:
    """Bits to flip back, by fault; and deleting."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._flips: dict[str, Flip] = {}

    def do_flip(self, request: dict[str, Any]) -> dict[str, Any]:
        """Flip one bit of a cold file for `fault`; which, and the byte before and after.

        The largest of the coldest: of files not written to for `COLD_S`, or, when there are none,
        of the oldest half. `file` is a pattern for the path; `seed` chooses the bit. With `lasting`
        the agent forgets it: it stays when the controller dies.
        """
        draw = random.Random(request["seed"])
        with self._disks.places() as places:
            file = coldest(places, request["file"])
            offset, bit = draw.randrange(file.size), draw.randrange(8)
            handle = open_below(file.place, file.path)
            try:
                before = os.pread(handle, 1, offset)[0]
                put(handle, offset, before ^ 1 << bit)
            finally:
                os.close(handle)
            flip = Flip(place=file.place.name, path=file.path, offset=offset, bit=bit,
                        byte=before ^ 1 << bit)  # fmt: skip
            if not request["lasting"]:
                self._flips[request["fault"]] = flip
            return {
                "file": os.path.join(file.place.folder, file.path),
                "path": file.path,
                "place": file.place.name,
                "offset": offset,
                "bit": bit,
                "before": before,
                "after": flip.byte,
            }

    def do_flip_back(self, request: dict[str, Any]) -> dict[str, Any]:
        """Flip `fault`'s bit back, if the byte is still what we made it: "flipped-back", "changed",
        "gone" (the file), or "nothing" when there is nothing to flip back."""
        flip = self._flips.get(request["fault"])
        if flip is None:
            return {"was": "nothing"}
        was = self._flip_back(flip)
        del self._flips[request["fault"]]
        return {"was": was}

    def do_peek(self, request: dict[str, Any]) -> dict[str, Any]:
        """The byte at `offset` of `path` of the place called `place`, past the page cache where
        the filesystem lets; None when the file is gone."""
        with self._disks.places() as places:
            for place in places:
                if place.name == request["place"]:
                    return {"byte": peek(place, request["path"], request["offset"])}
        return {"byte": None}

    def do_wipe(self, request: dict[str, Any]) -> dict[str, Any]:
        """Delete everything in the data directories, and kill the processes, stopped before so
        that nothing is written meanwhile; how much there was and is, by place."""
        found: dict[str, dict[str, int]] = {}
        stopped = called(None)
        for process in stopped:
            send(process.pid, signal.SIGSTOP)
        try:
            with self._disks.places() as places:
                for place in places:
                    files = list(walk(place))
                    empty(place)
                    found[place.name] = {
                        "files": len(files),
                        "bytes": sum(file.size for file in files),
                        "left": len(os.listdir(place.handle)),
                    }
        finally:
            killed = len(Processes.kill())
        return {"wiped": found, "killed": killed}

    def do_flip_back_in(self, request: dict[str, Any]) -> dict[str, Any]:
        """For a helper that sees the volumes of a node whose database does not run: flip back in
        whichever of `folders` it is; as `flip_back`."""
        was = "gone"
        for folder in request["folders"]:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                place = Place(folder=folder, device=None, volume="", handle=handle)
                flip = {key: request[key] for key in ("path", "offset", "bit", "byte")}
                was = put_back(place, Flip(place=place.name, **flip))
            finally:
                os.close(handle)
            if was == "flipped-back":
                break
        return {"was": was}

    def _flip_back(self, flip: Flip) -> str:
        with self._disks.places() as places:
            for place in places:
                if place.name == flip.place:
                    return put_back(place, flip)
        raise RuntimeError(NO_PROCESS)

    def tick(self) -> None:
        """Nothing to renew."""

    def heal(self) -> None:
        """Flip back what is not to last."""
        for fault in list(self._flips):
            self.do_flip_back({"fault": fault})

    def able(self) -> dict[str, Any]:
        """Always: it is reading and writing files."""
        return {}


def walk(place: Place) -> Iterator[Cold]:
    """Every regular file below a data directory but our own."""
    for folder, folders, names, handle in os.fwalk(".", dir_fd=place.handle):
        if HIDDEN in folders:
            folders.remove(HIDDEN)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode):
                    yield Cold(
                        place=place,
                        path=os.path.normpath(os.path.join(folder, name)),
                        size=found.st_size,
                        written_ns=found.st_mtime_ns,
                    )


def coldest(places: list[Place], pattern: str) -> Cold:
    """The file to damage; ValueError when nothing matches."""
    files = [
        file
        for place in places
        for file in walk(place)
        if file.size and fnmatch.fnmatchcase(file.path, pattern)
    ]
    if not files:
        which = f"no file with anything in it matches {pattern!r}" if places else "no data"
        raise ValueError(f"{which} in the data directories of a running database")
    before = time.time_ns() - int(COLD_S * 1e9)
    cold = [file for file in files if file.written_ns < before]
    oldest = sorted(files, key=lambda file: file.written_ns)
    return max(cold or oldest[: (len(oldest) + 1) // 2], key=lambda file: file.size)


def open_below(place: Place, path: str) -> int:
    """Open a file below a data directory for reading and writing; never through a link."""
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.handle)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError(f"{path} is no regular file")
    return handle


def put(handle: int, offset: int, byte: int) -> None:
    """Write one byte and sync it, and leave the file's times as they were."""
    found = os.fstat(handle)
    os.pwrite(handle, bytes([byte]), offset)
    os.utime(handle, ns=(found.st_atime_ns, found.st_mtime_ns))
    os.fsync(handle)


def peek(place: Place, path: str, offset: int) -> int | None:
    """One byte of a file, from the disk rather than from memory where that can be had."""
    with contextlib.suppress(OSError, ValueError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_NOFOLLOW, dir_fd=place.handle)
        try:
            block = mmap.mmap(-1, BLOCK)
            os.preadv(handle, [block], offset // BLOCK * BLOCK)
            return block[offset % BLOCK]
        finally:
            os.close(handle)
    with contextlib.suppress(FileNotFoundError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place.handle)
        try:
            data = os.pread(handle, 1, offset)
            return data[0] if data else None
        finally:
            os.close(handle)
    return None


def put_back(place: Place, flip: Flip) -> str:
    """Flip a bit back if the byte is still what we made it: flipped-back, changed, or gone."""
    try:
        handle = open_below(place, flip.path)
    except FileNotFoundError:
        return "gone"
    try:
        if os.pread(handle, 1, flip.offset) != bytes([flip.byte]):
            return "changed"
        put(handle, flip.offset, flip.byte ^ 1 << flip.bit)
        return "flipped-back"
    finally:
        os.close(handle)


def empty(place: Place) -> None:
    """Delete everything in a data directory."""
    for name in os.listdir(place.handle):
        found = os.stat(name, dir_fd=place.handle, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            shutil.rmtree(name, dir_fd=place.handle)
        else:
            os.unlink(name, dir_fd=place.handle)
