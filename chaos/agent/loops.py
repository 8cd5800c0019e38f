"""Disks: sparse files made into filesystems and attached to loop devices. Standard library only.

Runs in a helper container (chaos/runtime/disks.py) that may use /dev/loop-control.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from typing import Any

FOLDER = "/disks"
CONTROL = "/dev/loop-control"
LOOP_MAJOR = 7
LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A  # since Linux 5.8: attaches and sets all there is to set in one step
LO_FLAGS_AUTOCLEAR = 4
TRIES_MAX = 200

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
NOLOGFLUSH = 2  # not even the journal in memory reaches the disk

SIZES_TO_TRY = {"ext4": 16 << 20, "xfs": 300 << 20}
SPARE_BYTES = 1 << 20
"""At the end of every disk, outside the filesystem: where its speed is measured."""


class Disks:
    """Makes disks, and keeps their loop devices open until it is told that others do."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def do_make(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a disk for each of `names`, of `size_bytes`: {"devices": {name: "/dev/loop8"}}."""
        devices = {}
        for name in request["names"]:
            path = os.path.join(FOLDER, f"{name}.img")
            make_image(path, request["filesystem"], request["size_bytes"])
            device, handle = attach(path)
            self._open.append(handle)
            devices[name] = device
        return {"devices": devices}

    def do_try(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a disk of each kind, mount it here and shut it down: {"whys": {kind: why not}}."""
        return {"whys": {kind: _try(kind) for kind in SIZES_TO_TRY}}

    def heal(self) -> None:
        """Let go: the kernel frees each device that nobody else has open."""
        while self._open:
            os.close(self._open.pop())


def make_image(path: str, filesystem: str, size_bytes: int) -> None:
    """A sparse file with an empty filesystem of that size, all of it for anybody."""
    size = size_bytes // 4096 * 4096
    with open(path, "wb") as file:
        file.truncate(size + SPARE_BYTES)
    if filesystem == "xfs":
        _run("mkfs.xfs", "-q", "-K", "-d", f"size={size}", path)
        return
    # The file is new and so full of zeros: nothing has to be zeroed, now or by the kernel later.
    prezeroed = "nodiscard,assume_storage_prezeroed=1"
    _run("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-E", prezeroed, path, str(size // 4096))
    # The engine gives the volume the owner and the mode of the image's folder if it is empty.
    _run("debugfs", "-w", "-R", "rmdir lost+found", path)


def attach(path: str) -> tuple[str, int]:
    """Attach a file to a free loop device: its name, and a handle that keeps it.

    The device is freed by the kernel when nobody has it open or mounted any longer.
    """
    control = os.open(CONTROL, os.O_RDWR)
    backing = os.open(path, os.O_RDWR)
    try:
        for _ in range(TRIES_MAX):
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            device = f"/dev/loop{number}"
            if not os.path.exists(device):  # /dev of a container does not follow the kernel's
                os.mknod(device, stat.S_IFBLK | 0o600, os.makedev(LOOP_MAJOR, number))
            handle = os.open(device, os.O_RDWR)
            try:
                fcntl.ioctl(handle, LOOP_CONFIGURE, configuration(backing))
            except OSError as error:
                os.close(handle)
                if error.errno != errno.EBUSY:  # somebody else was faster
                    raise
            else:
                return device, handle
        raise OSError(errno.EBUSY, f"no free loop device after {TRIES_MAX} tries")
    finally:
        os.close(backing)
        os.close(control)


def configuration(backing: int) -> bytes:
    """struct loop_config: the file, and a loop_info64 with AUTOCLEAR and a name."""
    name = b"aftershock".ljust(64, b"\0")
    info = struct.pack("5Q4I", 0, 0, 0, 0, 0, 0, 0, 0, LO_FLAGS_AUTOCLEAR) + name
    return struct.pack("2I", backing, 0) + info.ljust(232, b"\0") + bytes(64)


def _try(filesystem: str) -> str:
    """Why a disk of that kind cannot be had here, or ""."""
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, "image")
        make_image(path, filesystem, SIZES_TO_TRY[filesystem])
        device, handle = attach(path)
        try:
            return _try_mounted(device, filesystem, folder)
        finally:
            os.close(handle)
    except (OSError, RuntimeError) as error:
        return str(error)
    finally:
        shutil.rmtree(folder)


def _try_mounted(device: str, filesystem: str, folder: str) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(device.encode(), folder.encode(), filesystem.encode(), 0, None):
        number = ctypes.get_errno()
        # The engine mounts, not a container: that this one may not (AppArmor) says nothing.
        return "" if number in (errno.EACCES, errno.EPERM) else os.strerror(number)
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(place, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    finally:
        os.close(place)
        libc.umount2(folder.encode(), 0)
    return ""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-300:]}")
