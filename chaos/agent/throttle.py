"""A container's disk made slow, or its filesystem made to fail. Standard library only.

Runs in a helper container (chaos/faults/disk_slow.py) that sees the control groups of just the
containers that are meant, each below /groups. The engine itself cannot change these limits of a
running container. What limits what, on Linux: a process's own writes are charged to its group when
it syncs, direct I/O at once; what the kernel's own threads write back later is charged to nobody
with cgroup v1, and to the group with v2.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import time
from typing import Any

from chaos.agent.loops import SPARE_BYTES

BLKGETSIZE64 = 0x80081272
SMALL, LARGE = 4096, 256 * 1024  # to measure operations, and bytes, a second
V1 = {
    "iops": ("read_iops_device", "write_iops_device"),
    "bytes_per_s": ("read_bps_device", "write_bps_device"),
}
V2 = {"iops": ("riops", "wiops"), "bytes_per_s": ("rbps", "wbps")}

Limit = dict[str, Any]  # {"group": "/groups/…", "device": "7:8", "iops": 20, "bytes_per_s": None}


class Throttle:
    """Limits in force, undone at the end of input."""

    def __init__(self) -> None:
        self._limits: list[Limit] = []

    def do_limit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Put `limits` in force, in place of those of before; the groups that are gone.

        A container that is started again has a new group, which this helper does not see.
        """
        gone = []
        for limit in request["limits"]:
            try:
                write_limit(limit)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
                gone.append(limit["group"])
        self._limits = request["limits"]
        return {"gone": gone}

    def do_measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """What each of `jobs` ({group, device, of}) gets through a second, all at once, in writes
        (`of` iops) or bytes (bytes_per_s): {"per_s": [...]}, None where the group is gone.

        A limit lets through what was saved up before it: the first `skip_s` seconds do not count.
        """
        running = [start(job, request["seconds"], request["skip_s"]) for job in request["jobs"]]
        return {"per_s": [finish(*one) for one in running]}

    def do_fail(self, request: dict[str, Any]) -> None:
        """Have each filesystem in `filesystems` (a folder of /sys/fs/ext4) meet an error."""
        for folder in request["filesystems"]:
            with open(os.path.join(folder, "trigger_fs_error"), "w") as file:
                file.write("aftershock: disk-read-only")

    def heal(self) -> None:
        """End every limit; a group that is gone has none."""
        for limit in self._limits:
            try:
                write_limit({**limit, "iops": None, "bytes_per_s": None})
            except OSError:
                pass
        self._limits = []


def write_limit(limit: Limit) -> None:
    """Write one group's limits for one device; None is none."""
    unified = os.path.join(limit["group"], "io.max")
    if os.path.exists(unified):
        words = [f"{key}={limit[of] or 'max'}" for of, keys in V2.items() for key in keys]
        _write(unified, " ".join([limit["device"], *words]))
        return
    for of, names in V1.items():
        for name in names:
            path = os.path.join(limit["group"], f"blkio.throttle.{name}")
            _write(path, f"{limit['device']} {limit[of] or 0}")


def start(job: dict[str, Any], seconds: float, skip_s: float) -> tuple[int, int]:
    """Begin to write to the spare end of a disk, past the page cache, as a member of a group.

    The process, and where its result comes from.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _write(os.path.join(job["group"], "cgroup.procs"), str(os.getpid()))
            os.write(send, struct.pack("d", _rate(job["device"], job["of"], seconds, skip_s)))
        finally:
            os._exit(0)
    os.close(send)
    return child, receive


def finish(child: int, receive: int) -> float | None:
    """Wait for the result of `start`."""
    try:
        data = os.read(receive, 8)
    finally:
        os.close(receive)
        os.waitpid(child, 0)
    return float(struct.unpack("d", data)[0]) if data else None


def _rate(device: str, of: str, seconds: float, skip_s: float) -> float:
    size = SMALL if of == "iops" else LARGE
    handle = os.open(device, os.O_RDWR | os.O_DIRECT)
    end = struct.unpack("Q", fcntl.ioctl(handle, BLKGETSIZE64, bytes(8)))[0]
    block = mmap.mmap(-1, size)  # aligned, as direct I/O wants it
    count = 0

    def write() -> None:
        nonlocal count
        os.pwrite(handle, block, end - SPARE_BYTES + count * size % SPARE_BYTES)
        count += 1

    until = time.monotonic() + skip_s
    while time.monotonic() < until:
        write()
    before, start = count, time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        write()
    os.close(handle)
    return (count - before) * (1 if of == "iops" else size) / (now - start)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
